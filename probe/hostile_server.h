#ifndef JETMON_PROBE_HOSTILE_SERVER_H_
#define JETMON_PROBE_HOSTILE_SERVER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace jetmon::probe {

// One thing that a hostile server does with a connection.
struct Step {
  enum class Kind { kRead, kSend, kDrip, kFlood, kPause, kReset, kStall };
  Kind kind;
  std::string bytes;
  std::chrono::milliseconds time{0};
  int64_t total = 0;
};
// What it does with each connection, one after the other; then it closes.
using Script = std::vector<Step>;

inline Step ReadRequest() { return {Step::Kind::kRead, "", {}, 0}; }  // to the empty line
inline Step Send(std::string bytes) { return {Step::Kind::kSend, std::move(bytes), {}, 0}; }
// A byte, and the next after this time.
inline Step Drip(std::string bytes, std::chrono::milliseconds every) {
  return {Step::Kind::kDrip, std::move(bytes), every, 0};
}
// These bytes again and again, up to `total` of them.
inline Step Flood(std::string bytes, int64_t total = INT64_MAX) {
  const std::string unit = bytes;
  while (bytes.size() < 16 * 1024) bytes += unit;
  return {Step::Kind::kFlood, std::move(bytes), {}, total};
}
inline Step Pause(std::chrono::milliseconds time) { return {Step::Kind::kPause, "", time, 0}; }
// Ends the connection with a reset, once what was sent has been acknowledged.
inline Step Reset() { return {Step::Kind::kReset, "", {}, 0}; }
// Takes what comes and does nothing until the peer goes.
inline Step Stall() { return {Step::Kind::kStall, "", {}, 0}; }

// Loopback servers for tests, one port a script, all on one thread: thousands of connections may
// hang at a time. Destroying it closes them all. Thread-safe.
class HostileServer {
 public:
  explicit HostileServer(std::vector<Script> scripts);
  ~HostileServer();
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  uint16_t port(size_t script) const { return ports_[script].port; }
  // "http://127.0.0.1:PORT/"
  std::string Url(size_t script) const;
  int connections(size_t script) const { return ports_[script].connections; }
  // Taken by the kernel; of all its connections.
  int64_t bytes_sent(size_t script) const { return ports_[script].bytes_sent; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  struct Port {
    Script script;
    int listener = -1;
    uint16_t port = 0;
    std::atomic<int> connections{0};
    std::atomic<int64_t> bytes_sent{0};
  };
  struct Connection {
    Port* port = nullptr;
    size_t step = 0;
    int64_t done = 0;  // bytes of the step
    std::string tail;  // of what was read, up to three bytes
    Time wake{};       // zero: it waits for no time
  };

  void Serve();
  void Accept(Port* port);
  // Goes on with its script as far as it can; closes it at the end.
  void Run(int fd, Connection* c);
  enum class Progress { kNext, kWait, kGone };
  Progress Do(int fd, Connection* c, const Step& step);
  Progress Write(int fd, Connection* c, std::string_view bytes);
  Progress Repeat(int fd, Connection* c, const Step& step);
  Progress Read(int fd, Connection* c);
  bool Waited(int fd, Connection* c, std::chrono::milliseconds time);
  void Close(int fd);

  std::deque<Port> ports_;
  std::map<int, Connection> connections_;  // by descriptor
  std::set<std::pair<Time, int>> sleepers_;
  int epoll_fd_ = -1, wake_fd_ = -1;
  std::thread thread_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_HOSTILE_SERVER_H_
