#ifndef JETMON_PROBE_ENGINE_H_
#define JETMON_PROBE_ENGINE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "probe/check.h"
#include "probe/target_safety.h"

namespace jetmon::probe {

class Reactor;
class TlsClient;
struct Outstanding;

// Runs HTTP and HTTPS checks on a few reactor threads that it owns.
//
// Each accepted check ends with exactly one call of its `done`, on a reactor thread (so never
// inside Submit), which must not block: a reactor that finds more than a second gone between two
// loops, for whatever reason, calls its running checks lost. `done` may Submit again.
//
// Thread-safe. The destructor cancels what is queued or running, calls each `done` with kCancelled,
// and joins; it must not run on a reactor thread.
class Engine {
 public:
  struct Options {
    const Clock* clock = nullptr;  // null = SystemClock(); must outlive the engine
    int reactors = 1;              // threads, 1..64
    int max_concurrent = 1000;     // checks with a socket at a time, over all reactors
    // Checks of one caller that wait for a place, over all reactors; may be 0.
    int max_queued = 10000;
    // Address literal that sockets of its family are bound to, so that a log tells who asked;
    // empty = the kernel's choice.
    std::string source_address;
    TargetSafety safety;
    std::string ca_file;    // PEM file of the CAs to trust; empty = the system's
    std::string resolvers;  // "127.0.0.1:5353,[::1]:53", port 53 if left out; empty = the system's
    // Shared by engines, so that CAs are read once and sessions are kept from one to the next; null
    // = one of its own, by ca_file.
    std::shared_ptr<TlsClient> tls;
  };

  struct Stats {
    int64_t in_flight = 0;  // running now
    int64_t queued = 0;     // waiting now
    int64_t completed = 0;  // done called, whatever the outcome, since the engine began
    int64_t lost = 0;       // of those, kLost
    // TLS handshakes done, in the last hop of a completed check each.
    int64_t full_handshakes = 0, resumed_handshakes = 0;
  };

  // InvalidArgument for options out of range; Unavailable, ResourceExhausted or Internal for what
  // the system refuses.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(Options options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // OK: accepted, `done` will be called. Else it never will be: ResourceExhausted when as many
  // checks of this caller as fit are running and queued (try again after a `done`), InvalidArgument
  // for a request that can't be run (no timeout, a control character in the user agent, rules out
  // of bounds), Unavailable while being destroyed. What is wrong with a URL is a result, not an
  // error.
  absl::Status Submit(CheckRequest request, std::function<void(CheckResult)> done);

  // Ends what was submitted before the call, queued or running, as kCancelled (soon, not at once).
  // The engine goes on taking checks.
  void CancelAll();

  Stats GetStats() const;

 private:
  Engine(std::vector<std::unique_ptr<Reactor>> reactors, std::shared_ptr<Outstanding> outstanding,
         int64_t capacity);

  const int64_t capacity_;  // running + queued, of one caller
  // Shared with the reactors, which lower it before calling `done`.
  std::shared_ptr<Outstanding> outstanding_;
  std::atomic<uint64_t> next_{0};
  std::vector<std::unique_ptr<Reactor>> reactors_;
};

struct CheckAllOptions {
  int concurrency = 50;   // checks submitted and not yet reported at a time, >= 1
  double per_second = 0;  // starts a second, evenly spaced to 2 ms; 0 = as fast as they go
  std::function<bool()>
      cancelled;                 // asked on the calling thread, at least every 0.1 s; may be empty
  const Clock* clock = nullptr;  // for per_second; null = SystemClock()
  // Asked on the calling thread before the source is: false when the source would have to wait, as
  // one that reads a pipe may; it is asked again within 0.1 s. Empty: the source never waits.
  std::function<bool()> source_ready;
};

// What to check next; nullopt at the end of the list. Called on the thread that runs the list, when
// there is a place for one more, so that a list of any length costs no more than what runs.
using CheckSource = std::function<std::optional<CheckRequest>()>;
using CheckReport = std::function<void(const CheckRequest&, const CheckResult&)>;

// Runs a list of checks to the end and reports each as it finishes, one at a time, on the calling
// thread (never a reactor's). A lost check is run again, twice at most. Returns when each has been
// reported; Cancelled if `options.cancelled` said so: then no more are begun, those running are
// cancelled (a request with a `cancelled` of its own ends by itself) and reported, and the rest is
// not. Waits while the engine's queue is full. Another error (Submit's) ends it the same way.
absl::Status CheckAll(Engine& engine, const CheckSource& next, const CheckReport& on_result,
                      const CheckAllOptions& options = {});
absl::Status CheckAll(Engine& engine, std::vector<CheckRequest> requests,
                      const std::function<void(const CheckResult&)>& on_result,
                      const CheckAllOptions& options = {});

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_ENGINE_H_
