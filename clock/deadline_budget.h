#ifndef JETMON_CLOCK_DEADLINE_BUDGET_H_
#define JETMON_CLOCK_DEADLINE_BUDGET_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace jetmon {

// The deadlines that lie around a check, made of one number: how long a check may take. Each of
// them has to outlast the one inside of it, so nobody states one by itself:
//
//   check < round <= drain          within one Monitor
//   lease + round + pause <= grace  between a Monitor and whoever waits for its end
//   notification <= drain
//
// A Monitor, a control plane and a Veriflier each have a budget of their own, of their
// --longest_check. A value.
class DeadlineBudget {
 public:
  using Duration = std::chrono::milliseconds;

  // What --longest_check takes. A check of v1 takes 20 s at most.
  static constexpr Duration kShortestCheck{1'000}, kLongestCheck{20'000};
  // Of a Monitor or control plane that was not told otherwise, and of an agent or a process that
  // does not announce its own.
  static constexpr Duration kDefaultCheck{10'000};
  // A question's way there, its answer's way back, and what a busy machine adds to both.
  static constexpr Duration kMargin{2'000};
  // A Monitor may send for so long after the clock reading that it took before it renewed.
  static constexpr Duration kLease{15'000};
  // The longest stop of a process, between looking at its lease and sending, that does no harm.
  static constexpr Duration kPause{5'000};
  // A receiver of notifications that says nothing for so long is given up, or earlier if a drain
  // has less time than that.
  static constexpr Duration kPatience{10'000};

  constexpr DeadlineBudget() = default;
  // Of the longest check; nullopt if that is not in kShortestCheck..kLongestCheck.
  static constexpr std::optional<DeadlineBudget> Of(Duration check) {
    if (check < kShortestCheck || check > kLongestCheck) return std::nullopt;
    return DeadlineBudget(check);
  }
  // Of the longest check that an agent or a process announces, in milliseconds. 0: one that is too
  // old to say so makes kDefaultCheck. What is out of bounds counts as the nearest bound.
  static constexpr DeadlineBudget Announced(int64_t ms) {
    if (ms == 0) return DeadlineBudget(kDefaultCheck);
    const Duration check(ms);
    return DeadlineBudget(check < kShortestCheck  ? kShortestCheck
                          : check > kLongestCheck ? kLongestCheck
                                                  : check);
  }
  // The one of a lab, in which a minute lasts `unit` (at most a minute): its checks are as much
  // shorter, but not under 2 s, which a busy machine may need. The margin does not shrink: the
  // machine is no faster.
  constexpr DeadlineBudget Scaled(Duration unit) const {
    constexpr Duration kMinute{60'000}, kLeast{2'000};
    const Duration scaled = check_ * unit.count() / kMinute.count();
    const Duration least = check_ < kLeast ? check_ : kLeast;
    return DeadlineBudget(scaled < least ? least : scaled > check_ ? check_ : scaled);
  }

  // One check, redirects included.
  constexpr Duration check() const { return check_; }
  // A round of Verifliers: each may need all of a check to see that a site is silent, and then has
  // to say so.
  constexpr Duration round() const { return check_ + kMargin; }
  // From the beginning of a release until what is in flight has ended and is written: a round that
  // has just begun, and a margin for the last write. What waits for delivery then is handed over.
  constexpr Duration drain() const { return round() + kMargin; }
  // One attempt to deliver a notification.
  constexpr Duration notification() const { return kPatience < drain() ? kPatience : drain(); }
  // Whoever was not seen renewing for this long sends nothing more, and nothing is sent for it:
  // right before its lease ended it may have asked Verifliers, and then it may have been stopped.
  constexpr Duration grace() const { return kLease + round() + kPause; }

  friend constexpr bool operator==(const DeadlineBudget&, const DeadlineBudget&) = default;

 private:
  constexpr explicit DeadlineBudget(Duration check) : check_(check) {}
  Duration check_ = kDefaultCheck;
};

}  // namespace jetmon

#endif  // JETMON_CLOCK_DEADLINE_BUDGET_H_
