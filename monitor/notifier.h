#ifndef JETMON_MONITOR_NOTIFIER_H_
#define JETMON_MONITOR_NOTIFIER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "clock/clock.h"
#include "monitor/config.h"
#include "monitor/tell_gate.h"
#include "store/locks.h"
#include "store/notifications.h"
#include "store/sql/database.h"
#include "store/tells.h"

namespace jetmon::monitor {

// The request body of a notification.
std::string NotificationBody(const store::Notification& n, int64_t now_ms);

// Delivers the outbox of the buckets that this host holds: at least once, in order per site, with
// the id as idempotency-key, exponential back-off (1 s to 5 min) per notification and a circuit
// breaker (5 failures in a row: 60 s of silence). Nothing is ever dropped: what the last owner of
// buckets that nobody holds left behind, because it died or its receiver was away, every Monitor
// looks for each 5 s, and one of them delivers. A thread of its own.
//
// In dialect v1 a row is sent only once it has passed its commit point (store/tells.h), which the
// owner of its bucket alone can make it pass, and of what was left behind only rows that have.
class Notifier {
 public:
  enum class Posted {
    kTaken,       // the receiver answered 2xx
    kNotReached,  // no connection: nothing was sent
    kUnknown,     // anything else; it may have been taken
  };
  using Post = std::function<Posted(const std::string& id, const std::string& body)>;

  // `gate` says when people may be told about this instance's range; it outlives the notifier, as
  // the others do.
  Notifier(const Config& config, const Clock& clock, sql::Database& db, const TellGate& gate,
           Post post);
  ~Notifier();
  void Run();
  // One turn: delivers what is due; how many were delivered.
  int Turn();

 private:
  // One that is due, and the epoch under which its bucket is ours; 0: it is nobody's.
  struct Due {
    store::Notification n;
    uint64_t epoch = 0;
    bool committed_now = false;  // no request was made since
  };
  // Reads what is due: of our own ranges, and of buckets that nobody holds.
  absl::Status Read(bool look_for_left, std::vector<Due>* own, std::vector<Due>* left);
  // Makes the next attempt ours; false if another Monitor has it.
  bool Claim(store::Notification* n);
  // Dialect v1: makes the row pass its commit point if it is queued. True if it may be sent.
  bool Commit(Due* due);
  // Writes about a row behind the fence of its bucket; what `write` answers. PermissionDenied: it
  // is not ours any more, and nothing was written.
  absl::StatusOr<bool> Fenced(const Due& due,
                              const std::function<absl::StatusOr<bool>(sql::Transaction&)>& write);
  // The receiver was not reached: nobody was told. False if the row stays as it is.
  bool TakeBack(const Due& due, int64_t next_attempt_at_ms);
  store::Actor TellingActor(uint64_t epoch) const;
  // Dialect v1: whether what was committed is still what people should hear.
  bool StillSo(const Due& due);
  // Whether this attempt may begin.
  bool MayBegin(Due* due);
  // Delivers them until told to stop or the breaker opens.
  int DeliverAll(std::vector<Due> due);
  bool Deliver(const Due& due);
  // The receiver has taken what is not marked as sending any more: an operator may have called it
  // untold meanwhile.
  void TakenAfterAll(const Due& due);

  const Config& config_;
  const Clock& clock_;
  sql::Database& db_;
  const TellGate& gate_;
  const Post post_;
  int failures_ = 0;
  BootTime closed_until_;
  BootTime next_look_;  // for what was left behind
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

// Posts with libcurl to a URL, `limit` at most.
Notifier::Post PostTo(const std::string& url, milliseconds limit);

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_NOTIFIER_H_
