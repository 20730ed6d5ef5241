#include "controlplane/rollout/mute.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/range_jobs.h"
#include "daemon/log.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/parts.h"

namespace jetmon::rollout {
namespace {

constexpr uint32_t kBucketsATransaction = 32;
// What is being sent is tried again so often, however long it would back off.
constexpr std::chrono::seconds kHurryPeriod{5};
// Of what nobody knows the end of, so many are named.
constexpr uint32_t kNamed = 20;

v1::OperationResponse Undecided(const store::Job& job, const store::RangeLock& lock,
                                uint64_t sending, const std::vector<store::Notification>& first) {
  v1::OperationResponse answer = Head(job.operation, job.run_id, job.range, lock.owner_host);
  std::string ids;
  for (const store::Notification& n : first) {
    absl::StrAppend(&ids, ids.empty() ? "" : ", ", n.notification_id);
  }
  if (sending > first.size()) absl::StrAppend(&ids, " and ", sending - first.size(), " more");
  const std::string where = absl::StrCat("--run-id ", job.run_id, " --bucket-min ", job.range.min,
                                         " --bucket-max ", job.range.max);
  *answer.add_blockers() = MakeFinding(
      "notifications_undecided",
      absl::StrCat(sending,
                   " notifications were sent, and their receiver has not confirmed them: ", ids),
      absl::StrCat("repair the receiver, or find out whether people were told, and say so: jetmon2 "
                   "api rollout notifications decide ",
                   where, " --decision told (or untold) --notification-ids NTF,NTF (or --all)"));
  answer.set_summary(absl::StrCat(
      "the release of buckets ", job.range.ToString(), " waits for a decision about ", sending,
      " notifications; their sites are checked, and nobody is told anything "
      "new"));
  answer.set_next_action(
      absl::StrCat("see them: jetmon2 api rollout notifications list --bucket-min ", job.range.min,
                   " --bucket-max ", job.range.max));
  return answer;
}

}  // namespace

absl::Status MutePhase::Cancel() {
  uint64_t cancelled = 0;
  const absl::Status s = run_.Write(commits::kCancelTells, [&](sql::Transaction& tx) {
    auto rows = store::CancelQueued(tx, run_.job.range);
    if (rows.ok()) cancelled = *rows;
    return rows.status();
  });
  if (s.ok()) cancelled_ += cancelled;
  return s;
}

absl::StatusOr<uint64_t> MutePhase::CountSending() {
  uint64_t sending = 0;
  const absl::Status s = run_.parts.db->Read([&](sql::Transaction& tx) {
    auto rows = store::CountSending(tx, run_.job.range);
    if (rows.ok()) sending = *rows;
    return rows.status();
  });
  if (!s.ok()) return s;
  return sending;
}

absl::StatusOr<bool> MutePhase::ToldLately(const store::RangeLock& lock) {
  // Clocks of other hosts wrote these times: what is near counts, too.
  const auto near = 2 * std::max(run_.options.LastWordsWithin(), run_.options.legacy.replica_lag);
  const int64_t since_ms = run_.parts.clock->WallMs() - near.count();
  if (lock.granted_at_ms >= since_ms) return true;  // v1 may have told right before
  bool lately = false;
  const absl::Status s = run_.parts.db->Read([&](sql::Transaction& tx) {
    auto any = store::AnyDeliveredSince(tx, run_.job.range, since_ms);
    if (any.ok()) lately = *any;
    return any.status();
  });
  if (!s.ok()) return s;
  return lately;
}

absl::Status MutePhase::Hurry(BootTime now) {
  if (hurried_.has_value() && now - *hurried_ < kHurryPeriod) return absl::OkStatus();
  hurried_ = now;
  return run_.Write(commits::kCancelTells, [&](sql::Transaction& tx) {
    return store::HurrySending(tx, run_.job.range, run_.parts.clock->WallMs());
  });
}

absl::Status MutePhase::ShowUndecided(const store::RangeLock& lock, uint64_t sending) {
  if (undecided_ == sending) return absl::OkStatus();
  if (sending == 0 && run_.job.progress.empty()) return absl::OkStatus();
  store::Job& job = run_.job;
  std::string shown;
  const absl::Status s =
      run_.Write(commits::kShowUndecided, [&](sql::Transaction& tx) -> absl::Status {
        shown.clear();
        if (sending > 0) {
          auto rows = store::ListNotifications(tx, job.range, "sending", {kNamed, ""});
          if (!rows.ok()) return rows.status();
          shown = Undecided(job, lock, sending, rows->rows).SerializeAsString();
        }
        return store::SaveJobProgress(tx, run_.lease, job.done, job.total, job.cursor, shown)
            .status();
      });
  if (!s.ok()) return s;
  job.progress = shown;
  if (!undecided_.has_value() && sending > 0) {
    LogWarning(absl::StrCat(job.job_id, ": ", sending,
                            " notifications are still not delivered; the release waits for an "
                            "operator's decision (notifications_undecided)"));
  }
  undecided_ = sending;
  return absl::OkStatus();
}

absl::StatusOr<bool> MutePhase::IsQuiet(const store::RangeLock& lock) {
  if (quiet_) return true;
  auto sending = CountSending();
  if (!sending.ok()) return sending.status();
  const BootTime now = run_.parts.clock->Boot();
  // What was being sent ends as delivered, or as a decision that writes the columns: both have the
  // waits below. A worker that was taken over has seen it, too, if it shows so.
  sent_ = sent_ || *sending > 0 || !run_.job.progress.empty();
  if (*sending > 0) {
    if (now - *since_ >= run_.options.legacy.deliver_within) {
      if (auto s = ShowUndecided(lock, *sending); !s.ok()) return s;
    }
    if (auto s = Hurry(now); !s.ok()) return s;
    return false;
  }
  if (auto s = ShowUndecided(lock, 0); !s.ok()) return s;
  auto lately = ToldLately(lock);
  if (!lately.ok()) return lately.status();
  quiet_ = true;
  if (*lately || sent_) told_ = now;
  return true;
}

absl::Status MutePhase::Rewrite(const store::RangeLock& lock) {
  const store::Range range = run_.job.range;
  for (uint32_t first = range.min; first <= range.max; first += kBucketsATransaction) {
    uint64_t n = 0;
    const absl::Status s = run_.Write(commits::kProject, [&](sql::Transaction& tx) -> absl::Status {
      n = 0;
      store::Actor actor = ReleasingActor(run_.options, lock, run_.parts.clock->WallMs());
      for (uint32_t b = first; b <= range.max && b < first + kBucketsATransaction; ++b) {
        auto written = store::ProjectBucket(tx, b, actor);
        if (!written.ok()) return written.status();
        n += *written;
      }
      return absl::OkStatus();
    });
    if (!s.ok()) return s;
    rewritten_ += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> MutePhase::Drain(const store::RangeLock& lock) {
  // What the owner queued before it had read of the mute.
  if (auto s = Cancel(); !s.ok()) return s;
  const absl::Status s = run_.Write(commits::kEndMute, [&](sql::Transaction& tx) -> absl::Status {
    const int64_t now = run_.parts.clock->WallMs();
    // False: another worker was faster, and the lock says so.
    return run_.job.range == lock.range
               ? store::BeginRelease(tx, lock.epoch, run_.job.job_id, now).status()
               : store::BeginPartRelease(tx, lock.epoch, run_.job.range, run_.job.job_id, now)
                     .status();
  });
  if (!s.ok()) return s;
  return true;
}

absl::StatusOr<bool> MutePhase::Turn(const store::RangeLock& lock) {
  if (!since_.has_value()) {
    // The owner may have written a column right before.
    since_ = written_ = run_.parts.clock->Boot();
    if (auto s = Cancel(); !s.ok()) return s;
  }
  auto quiet = IsQuiet(lock);
  if (!quiet.ok() || !*quiet) return quiet;
  const auto passed = [&](std::optional<BootTime> since, std::chrono::milliseconds delay) {
    return !since.has_value() || run_.parts.clock->Boot() - *since >= delay;
  };
  if (!rewrote_) {
    if (!passed(told_, run_.options.LastWordsWithin())) return false;
    const uint64_t before = rewritten_;
    if (auto s = Rewrite(lock); !s.ok()) return s;
    rewrote_ = true;
    if (rewritten_ > before || told_.has_value()) written_ = run_.parts.clock->Boot();
  }
  if (!passed(written_, run_.options.legacy.replica_lag)) return false;
  return Drain(lock);
}

}  // namespace jetmon::rollout
