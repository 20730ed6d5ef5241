#ifndef JETMON_STORE_SQL_TEST_PROXY_H_
#define JETMON_STORE_SQL_TEST_PROXY_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace jetmon::sql {

// A network between the driver and a server of the MySQL protocol that fails when it is told to.
// Listens on a port of its own on loopback and passes everything on to another. Thread-safe.
class TestProxy {
 public:
  explicit TestProxy(uint16_t server);
  ~TestProxy();
  TestProxy(const TestProxy&) = delete;

  uint16_t port() const { return port_; }

  // What becomes of a command of the client's.
  enum class Fate {
    kPass,
    kCutBefore,  // the connection is cut, the server never sees the command
    kCutAfter,   // the server has done it, and the connection is cut instead of the answer
  };
  // Asked of each command's text from now on, "" for one without (an execution of a prepared
  // statement, a closed one). On a thread of the proxy's.
  void OnCommand(std::function<Fate(std::string_view text)> fate);
  // Cuts each connection on which the server has sent that many bytes in one answer. 0: never.
  void CutAnswersAfter(int64_t bytes) { cut_after_ = bytes; }
  // How often that was done.
  int cuts() const { return cuts_; }
  // Holds an answer back when the server has sent that many bytes of it, until this is 0 again.
  void HoldAnswersAfter(int64_t bytes) { hold_after_ = bytes; }
  // Whether one is held back now.
  bool holds();
  // Cuts all connections and accepts no more: the server is gone. Open ends that.
  void Close();
  void Open();
  // Accepts no more connections; those that are there go on.
  void Refuse();
  // Passes nothing on until Thaw; new connections are accepted and stay silent.
  void Freeze() { frozen_ = true; }
  void Thaw() { frozen_ = false; }

 private:
  struct Link {
    int client = -1, server = -1;
    std::string pending;    // of the client's, until a packet is whole
    bool commands = false;  // past the handshake: packets of number 0 are commands
    bool cut_answer = false;
    int64_t answered = 0;  // bytes since the last command
    bool dead = false;
  };

  void Listen();
  void Run();
  void Accept();
  void FromClient(Link& link);
  void FromServer(Link& link);
  bool Forward(Link& link, std::string_view packet);
  bool IsHeld(const Link& link) const;
  static void Cut(Link& link);

  const uint16_t server_;
  uint16_t port_ = 0;
  std::mutex mutex_;
  int listener_ = -1;                           // guarded by mutex_
  std::list<Link> links_;                       // guarded by mutex_
  std::function<Fate(std::string_view)> fate_;  // guarded by mutex_
  std::atomic<int64_t> cut_after_{0}, hold_after_{0};
  std::atomic<int> cuts_{0};
  std::atomic<bool> frozen_{false}, ending_{false};
  std::thread thread_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_TEST_PROXY_H_
