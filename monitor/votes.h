#ifndef JETMON_MONITOR_VOTES_H_
#define JETMON_MONITOR_VOTES_H_

#include <string_view>

namespace jetmon::monitor {

// The answers of one round: each enabled vantage votes once, or abstains.
struct Votes {
  int enabled = 0;  // n: only an operator changes it
  int down = 0;     // down, timeout
  int up = 0;
  void Count(std::string_view outcome) {
    if (outcome == "down" || outcome == "timeout") ++down;
    if (outcome == "up") ++up;
  }
};

enum class Verdict { kDown, kFalseAlarm, kUndecided };

// needed = min(peer_offline_limit, floor(n / 2) + 1); down >= needed confirms, up > n - needed
// denies.
inline Verdict Decide(const Votes& v, int peer_offline_limit) {
  const int majority = v.enabled / 2 + 1;
  const int needed = peer_offline_limit < majority ? peer_offline_limit : majority;
  if (v.down >= needed) return Verdict::kDown;
  if (v.up > v.enabled - needed) return Verdict::kFalseAlarm;
  return Verdict::kUndecided;
}

// What --quorum_degraded=majority says of a round that stayed undecided for long.
inline bool MajorityDown(const Votes& v) { return v.down > v.up; }

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_VOTES_H_
