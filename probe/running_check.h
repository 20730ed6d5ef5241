#ifndef JETMON_PROBE_RUNNING_CHECK_H_
#define JETMON_PROBE_RUNNING_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clock/clock.h"
#include "probe/check.h"
#include "probe/connection.h"
#include "probe/http_reader.h"
#include "probe/target_safety.h"
#include "probe/timer_wheel.h"
#include "probe/url.h"
#include "probe/verdict.h"

namespace jetmon::probe {

// What the checks of one reactor share.
struct CheckSurroundings {
  const Clock* clock;
  TargetSafety safety;
  std::optional<IpAddress> source;
  int epoll_fd;
  std::vector<char> read_buffer;
};

// One check from acceptance to result: the state machine that its reactor drives. Every method but
// the getters may finish it; a finished check has closed its socket and ignores what comes. It is
// the Timer of its own deadline. All calls come from one thread.
class RunningCheck final : public Timer {
 public:
  using Done = std::function<void(CheckResult)>;

  RunningCheck(CheckRequest request, Done done, BootTime accepted);

  // First of all, before the queue: finishes what needs no socket (refused by target safety, not
  // available).
  void Judge(const CheckSurroundings& around);
  // Connects. The deadline counts from here; the caller adds the timer.
  void Start(CheckSurroundings* around, BootTime now);
  void OnSocket(CheckSurroundings* around, uint32_t epoll_events);
  void OnDeadline(BootTime now);
  // Looks whether it may go on: cancelled, lease lapsed, given up by its caller, queued too long.
  void Look(BootTime now);
  // Ends it without a verdict, if it has not ended; the socket is aborted.
  void End(Outcome outcome, std::string_view detail);
  // For a finished check whose verdict must not count after all.
  void Discard(Outcome outcome, std::string_view detail);

  // Calls `done` with the result. Once, at the end.
  void Deliver();

  bool finished() const { return phase_ == Phase::kFinished; }
  BootTime deadline() const { return deadline_; }
  const CheckResult& result() const { return result_; }
  const LeaseGate* lease() const { return request_.lease; }

  size_t slot = 0;  // the reactor's, to find it again

 private:
  enum class Phase { kQueued, kConnecting, kSending, kReading, kFinished };

  bool MaySend(const CheckSurroundings& around);
  bool JudgeTarget(const CheckSurroundings& around);
  void Connect(CheckSurroundings* around);
  void OnConnected(const CheckSurroundings& around);
  void Send(const CheckSurroundings& around);
  void Receive(CheckSurroundings* around, bool until_empty);
  // True while there is more to read.
  bool Take(CheckSurroundings* around, std::string_view bytes);
  void OnPeersEnd(CheckSurroundings* around);
  void Conclude(CheckSurroundings* around, BootTime now, Ending ending);
  void Follow(CheckSurroundings* around, Url next);
  void FinishWith(BootTime now, const Verdict& verdict);
  void FailConnection(BootTime now, std::string detail);
  std::string RequestText() const;

  CheckRequest request_;
  Done done_;
  const BootTime accepted_;
  Phase phase_ = Phase::kQueued;
  Url url_;
  Connection connection_;
  HttpReader reader_;
  std::string to_send_;
  size_t sent_ = 0;
  int redirects_ = 0;
  bool cut_short_ = false;  // the deadline is give_up_at, not the timeout
  BootTime deadline_;
  BootTime connect_began_;
  BootTime connected_;
  CheckResult result_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_RUNNING_CHECK_H_
