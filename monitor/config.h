#ifndef JETMON_MONITOR_CONFIG_H_
#define JETMON_MONITOR_CONFIG_H_

#include <algorithm>
#include <chrono>
#include <string>

#include "clock/deadline_budget.h"
#include "store/legacy_words.h"

namespace jetmon::monitor {

using std::chrono::milliseconds;

// What a Monitor was told by its flags.
struct Config {
  std::string host;
  std::string instance;  // random, one a process
  std::string mode;      // standby, api-controlled
  std::string version;
  // One minute of the legacy table; 1 s in a lab. Scales intervals and the times that go with them.
  milliseconds unit{60'000};
  // Of --longest_check, as it is outside of a lab: what others of this host are waited for by.
  DeadlineBudget budget;
  int num_of_checks = 3;           // local failures before Verifliers are asked
  double time_between_checks = 1;  // units between a failure and the next check
  int peer_offline_limit = 3;      // confirmations wanted, at most
  bool quorum_majority = false;    // --quorum_degraded=majority, else hold
  bool legacy_projection = true;
  std::string notify_url;  // "" = notifications are recorded, not sent
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;  // --legacy_dialect
  // How late the receiver of notifications may write the legacy columns; not scaled.
  milliseconds receiver_delay{60'000};
  milliseconds still_down_after{59 * 60'000};  // --legacy_still_down_after, as out of a lab

  // The deadlines of the work here: the budget's, scaled with the unit.
  DeadlineBudget Deadlines() const { return budget.Scaled(unit); }
  milliseconds RetryDelay() const {
    return milliseconds(static_cast<int64_t>(time_between_checks * unit.count()));
  }
  milliseconds StillDownAfter() const { return still_down_after * unit.count() / 60'000; }
  // How long after an activation v1's last words may still be written: the receiver's delay, and
  // what a worker of v1's outlives its master, 20 s.
  milliseconds LastWordsWithin() const { return receiver_delay + unit / 3; }
  // In the first round after an activation in dialect v1 the second and third local checks follow
  // so much sooner: 15 s. An outage of that moment was nobody's for as long as the hand-off took.
  milliseconds FirstRoundRetryDelay() const { return std::min(RetryDelay(), unit / 4); }
  // What v1 said of a site ends with two good checks in a row, so far apart: 10 s.
  milliseconds SecondGoodCheckAfter() const { return unit / 6; }
  // How long a confirmation without a quorum is held before quorum_degraded decides.
  milliseconds DegradedAfter() const { return 5 * unit; }
  // Owned buckets are all read again in this time: 45 s, so that a site that was changed is checked
  // as it is now within 60 s, also where a turn falls behind; in a lab 5 s.
  milliseconds RefreshPeriod() const {
    return std::clamp(unit * 3 / 4, milliseconds(5'000), milliseconds(45'000));
  }
  // A healthy site's last check is written at most this often.
  milliseconds FreshnessPeriod() const { return 15 * unit; }
  // A bucket's summary: every 5 s, in a lab every second.
  milliseconds SummaryPeriod() const {
    return std::clamp(unit, milliseconds(1'000), milliseconds(5'000));
  }
};

// How far behind its interval a check may be: 10 %, or 1 s if that is more.
inline milliseconds LateAllowance(milliseconds interval) {
  return std::max(interval / 10, milliseconds(1'000));
}
// After a load every site is first checked within this.
inline milliseconds FirstCheckWithin(milliseconds interval) {
  return std::min(interval, milliseconds(60'000));
}

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_CONFIG_H_
