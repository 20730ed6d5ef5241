#ifndef JETMON_VERIFLIER_REGISTRATION_H_
#define JETMON_VERIFLIER_REGISTRATION_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "jetmon/v1/discovery.pb.h"

namespace jetmon::veriflier {

// Keeps the agent registered: a thread that holds a Register stream to one of the control planes,
// sends Hello and heartbeats, and reconnects with jittered exponential back-off (0.5 s to 15 s) to
// the next one when the stream ends, in whatever way. Checks are served whether it is connected or
// not. Destroying it says goodbye if it can within 1 s.
class Registration {
 public:
  struct Options {
    std::vector<std::string> control_planes;  // host:port
    std::string token;
    v1::Hello hello;
    std::function<v1::Heartbeat()> heartbeat;
  };
  explicit Registration(Options options);
  ~Registration();
  // Says goodbye and ends the thread; once is enough.
  void Stop();

  // trusted, pending, disabled, rejected, or unconnected.
  std::string trust() const;

 private:
  void Run();
  // One stream, from connecting to its end. True if it was welcomed.
  bool Stay(const std::string& control_plane);
  void SetTrust(const std::string& trust, const std::string& reason);
  // Waits for `ms`, or until told to stop (false).
  bool Pause(int64_t ms);

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;              // guarded by mutex_
  std::string trust_ = "unconnected";  // guarded by mutex_
  std::thread thread_;
};

}  // namespace jetmon::veriflier

#endif  // JETMON_VERIFLIER_REGISTRATION_H_
