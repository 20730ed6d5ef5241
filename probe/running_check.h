#ifndef JETMON_PROBE_RUNNING_CHECK_H_
#define JETMON_PROBE_RUNNING_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clock/clock.h"
#include "probe/check.h"
#include "probe/connection.h"
#include "probe/http_reader.h"
#include "probe/resolver.h"
#include "probe/target_safety.h"
#include "probe/timer_wheel.h"
#include "probe/tls.h"
#include "probe/url.h"
#include "probe/verdict.h"

namespace jetmon::probe {

class RunningCheck;

// What the checks of one reactor share.
struct CheckSurroundings {
  const Clock* clock = nullptr;
  TargetSafety safety;
  std::optional<IpAddress> source;
  int epoll_fd = -1;
  TimerWheel* wheel = nullptr;
  Resolver* resolver = nullptr;
  TlsClient* tls = nullptr;
  std::vector<char> read_buffer;
  // Started checks that have finished and that the reactor has not yet taken out of its list.
  std::vector<RunningCheck*> ended;
};

// One check from acceptance to result: the state machine that its reactor drives. For each hop:
// resolve, judge every address, connect to one of exactly these, TLS, request, read; then a
// verdict, or the next hop. Any method but the getters may finish it; a finished check has closed
// its socket, ignores what comes, and stands in `ended` if it was started. It is the Timer of its
// own deadlines. All calls come from one thread.
class RunningCheck final : public Timer, public DnsWaiter {
 public:
  using Done = std::function<void(CheckResult)>;

  RunningCheck(CheckRequest request, Done done, BootTime accepted);

  // First of all, before the queue: finishes what target safety refuses by its URL.
  void Judge(const CheckSurroundings& around);
  // Begins. The deadline counts from here. `around` outlives the check.
  void Start(CheckSurroundings* around, BootTime now);
  void OnSocket(uint32_t epoll_events);
  void OnTimer(BootTime now);
  void OnDnsAnswer(const DnsAnswer& answer) override;
  // Looks whether it may go on: cancelled, lease lapsed, given up by its caller, queued too long.
  void Look(BootTime now);
  // Ends it without a verdict, if it has not ended; the socket is aborted.
  void End(Outcome outcome, std::string_view detail);
  // For a finished check whose verdict must not count after all.
  void Discard(Outcome outcome, std::string_view detail);

  // Calls `done` with the result. Once, at the end.
  void Deliver();

  bool finished() const { return phase_ == Phase::kFinished; }
  const CheckResult& result() const { return result_; }
  const LeaseGate* lease() const { return request_.lease; }
  int caller() const { return request_.caller; }

  size_t slot = 0;  // the reactor's, to find it again

 private:
  enum class Phase { kQueued, kResolving, kConnecting, kTls, kSending, kReading, kFinished };

  // The connection, with the lease asked before each write.
  class Wire final : public ByteStream {
   public:
    explicit Wire(RunningCheck& check) : check_(check) {}
    Io Write(std::string_view bytes, size_t* done) override;
    Io Read(char* buffer, size_t size, size_t* done) override;

   private:
    RunningCheck& check_;
  };

  BootTime Now() const { return around_->clock->Boot(); }
  bool MaySend();
  bool JudgeUrl(const TargetSafety& safety);
  // The timer fires at the end of this phase, or of the check if that comes first.
  void Arm(std::chrono::milliseconds limit);

  // One hop; running_check_hop.cc.
  void BeginHop();
  void Resolve();
  void TakeAnswer(const DnsAnswer& answer);
  void ConnectNext();
  // False: this address has failed, and why_not_ says why.
  bool Connect(const IpAddress& address);
  void AddressFailed(Io io, Verdict why);
  void OnConnected(uint32_t epoll_events);
  void BeginTls();
  void Handshake();
  void OnTlsFailed();
  void BeginRequest();
  void Send();
  void Receive(bool until_empty);
  // True while there is more to read.
  bool Take(std::string_view bytes);
  std::string RequestText() const;
  bool AtOwnOrigin() const;
  TlsTarget Target() const;
  ByteStream& stream() { return tls_ != nullptr ? static_cast<ByteStream&>(*tls_) : wire_; }

  // Of what was read so far; the code of the last answer stays if there is no new one.
  Verdict JudgeRead(Ending ending);
  void Conclude(BootTime now, Ending ending);
  void Follow(Url next);
  void OnPhaseTimeout(BootTime now);
  void TimeOut(BootTime now);
  void FinishWith(BootTime now, const Verdict& verdict);
  void Advise();
  void Finish();

  CheckRequest request_;
  Done done_;
  const BootTime accepted_;
  CheckSurroundings* around_ = nullptr;  // from Start on
  Phase phase_ = Phase::kQueued;
  Url url_;
  Url asked_;  // of the first hop; only kept for `full` with headers
  Connection connection_;
  Wire wire_{*this};
  std::unique_ptr<TlsStream> tls_;  // of this hop, if it is https and connected
  bool tls_again_ = false;          // this hop's handshake is done again, without a session
  HttpReader reader_;
  std::vector<IpAddress> addresses_;  // of this hop, all judged
  size_t next_address_ = 0;
  // Why the last address was no good; kLocal: this machine's fault each time.
  Io address_failure_ = Io::kLocal;
  Verdict why_not_;
  std::string to_send_;
  size_t sent_ = 0;
  int redirects_ = 0;
  bool cut_short_ = false;  // the deadline is give_up_at, not the timeout
  BootTime deadline_;
  BootTime phase_began_;
  CheckResult result_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_RUNNING_CHECK_H_
