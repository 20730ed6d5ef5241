#ifndef JETMON_PROBE_TEST_DNS_SERVER_H_
#define JETMON_PROBE_TEST_DNS_SERVER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace jetmon::probe {

// A DNS server on loopback for tests, over UDP and TCP, with what it knows written down by the
// test. One thread. Thread-safe.
class TestDnsServer {
 public:
  struct Name {
    std::vector<std::string> v4, v6;  // addresses
    uint32_t ttl = 300;
    int code = 0;       // 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
    std::string alias;  // answered by a CNAME to this name, and that name's addresses
    bool silent4 = false, silent6 = false;  // never answers this family
    bool truncated = false;                 // over UDP: says so, and no more
    bool garbage = false;
    // For every answer after the first few: the next of these in turn, then the last for good.
    std::vector<std::vector<std::string>> then_v4;
  };

  TestDnsServer();
  ~TestDnsServer();
  TestDnsServer(const TestDnsServer&) = delete;
  TestDnsServer& operator=(const TestDnsServer&) = delete;

  // Unknown names do not exist.
  void Set(const std::string& host, Name name);
  // "127.0.0.1:PORT"
  std::string address() const;
  // For A or AAAA of the name, so far.
  int queries(const std::string& host, bool v6 = false) const;
  int queries() const;
  int tcp_queries() const;
  // Source ports that queries came from.
  size_t ports() const;

 private:
  void Serve();
  // Empty: no answer.
  std::string Answer(std::string_view query, bool tcp);
  void ServeTcp(int connection);

  mutable std::mutex mutex_;
  std::map<std::string, Name> names_;
  std::map<std::pair<std::string, bool>, int> queries_;
  std::map<uint16_t, int> ports_;
  int all_ = 0, tcp_ = 0;
  int udp_fd_ = -1, tcp_fd_ = -1, wake_[2] = {-1, -1};
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_DNS_SERVER_H_
