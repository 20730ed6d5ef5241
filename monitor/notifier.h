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
#include "store/notifications.h"
#include "store/sql/database.h"

namespace jetmon::monitor {

// The request body of a notification.
std::string NotificationBody(const store::Notification& n, int64_t now_ms);

// Delivers the outbox of the buckets that this host holds: at least once, in order per site, with
// the id as idempotency-key, exponential back-off (1 s to 5 min) per notification and a circuit
// breaker (5 failures in a row: 60 s of silence). Nothing is ever dropped: what the last owner of
// buckets that nobody holds left behind, because it died or its receiver was away, every Monitor
// looks for each 5 s, and one of them delivers. A thread of its own.
class Notifier {
 public:
  // Posts one body; true if the receiver answered 2xx.
  using Post = std::function<bool(const std::string& id, const std::string& body)>;

  Notifier(const Config& config, const Clock& clock, sql::Database& db, Post post);
  ~Notifier();
  void Run();
  // One turn: delivers what is due; how many were delivered.
  int Turn();

 private:
  // Reads what is due: of our own ranges, and of buckets that nobody holds.
  absl::Status Read(bool look_for_left, std::vector<store::Notification>* own,
                    std::vector<store::Notification>* left);
  // Makes the next attempt ours; false if another Monitor has it.
  bool Claim(store::Notification* n);
  // Delivers them until told to stop or the breaker opens; `claim` each first.
  int DeliverAll(std::vector<store::Notification> due, bool claim);
  bool Deliver(const store::Notification& n);

  const Config& config_;
  const Clock& clock_;
  sql::Database& db_;
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
