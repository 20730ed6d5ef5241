#ifndef JETMON_PROBE_TEST_DNS_SERVER_H_
#define JETMON_PROBE_TEST_DNS_SERVER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
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
    int code6 = 0;      // the same for AAAA only
    std::string alias;  // answered by a CNAME to this name, and so on to one that has addresses
    bool silent4 = false, silent6 = false;  // never answers this family
    bool truncated = false;                 // over UDP: says so, and no more
    bool garbage = false;
    bool empty_first = false;            // a datagram of no bytes goes before each answer
    int lost4 = 0, lost6 = 0;            // so many queries, the first, get no answer
    std::chrono::milliseconds delay{0};  // of each answer over UDP
    // For every answer after the first few: the next of these in turn, then the last for good.
    std::vector<std::vector<std::string>> then_v4;
  };

  // Listens on this address, at a free port or at this one.
  explicit TestDnsServer(const std::string& address = "127.0.0.1", uint16_t port = 0);
  ~TestDnsServer();
  TestDnsServer(const TestDnsServer&) = delete;
  TestDnsServer& operator=(const TestDnsServer&) = delete;

  // Unknown names do not exist.
  void Set(const std::string& host, Name name);
  // "127.0.0.1:PORT" or "[::1]:PORT"
  std::string address() const;
  uint16_t port() const { return port_; }
  // For A or AAAA of the name, so far.
  int queries(const std::string& host, bool v6 = false) const;
  int queries() const;
  int tcp_queries() const;
  // Source ports that queries came from.
  size_t ports() const;

 private:
  struct Reply {
    std::string packet;  // empty: no answer
    std::chrono::milliseconds delay{0};
    bool empty_first = false;
  };

  void Serve();
  void ServeUdp();
  void SendDue();
  Reply Answer(std::string_view query, bool tcp);
  void ServeTcp(int connection);

  mutable std::mutex mutex_;
  std::map<std::string, Name> names_;
  std::map<std::pair<std::string, bool>, int> queries_;
  std::map<uint16_t, int> ports_;
  int all_ = 0, tcp_ = 0;
  int udp_fd_ = -1, tcp_fd_ = -1, wake_[2] = {-1, -1};
  std::string address_;
  uint16_t port_ = 0;
  struct Due;
  std::vector<Due> due_;  // the thread's own: answers that are delayed
  std::thread thread_;
};

// A name with these addresses.
inline TestDnsServer::Name NameAt(std::vector<std::string> v4, std::vector<std::string> v6 = {}) {
  TestDnsServer::Name name;
  name.v4 = std::move(v4);
  name.v6 = std::move(v6);
  return name;
}

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_DNS_SERVER_H_
