#include "controlplane/rollout/job_life.h"

#include <algorithm>

#include "controlplane/rollout/commits.h"

namespace jetmon::rollout {
namespace {

constexpr std::chrono::nanoseconds kOftenEnough = std::chrono::seconds(1);

}  // namespace

JobLife::JobLife(JobRun& run)
    : run_(run),
      term_(run.options.times.grace / 2),
      every_(std::min<std::chrono::nanoseconds>(kOftenEnough, run.options.times.grace / 8)) {}

absl::Status JobLife::Save(std::string_view commit, uint64_t done, uint64_t total,
                           const sql::Body& body) {
  const BootTime before = run_.parts.clock->Boot();
  bool cancelled = false;
  const absl::Status s = run_.Write(commit, [&](sql::Transaction& tx) -> absl::Status {
    auto asked = run_.IsCancelled(tx);
    if (!asked.ok()) return asked.status();
    cancelled = *asked;
    if (body) {
      if (auto added = body(tx); !added.ok()) return added;
    }
    return store::SaveJobProgress(tx, run_.lease, done, total, run_.job.cursor, run_.job.progress)
        .status();
  });
  if (!s.ok()) return s;
  run_.job.cancel_requested = cancelled;
  run_.job.done = done;
  run_.job.total = total;
  saved_ = before;
  until_ns_ = (before + term_).ns;
  return absl::OkStatus();
}

absl::Status JobLife::Turn(uint64_t done, uint64_t total) {
  const bool due = saved_.ns == 0 || run_.parts.clock->Boot() - saved_ > every_;
  if (due) return LastTurn(done, total);
  return Ending() ? absl::FailedPreconditionError("the job shall end") : absl::OkStatus();
}

absl::Status JobLife::LastTurn(uint64_t done, uint64_t total) {
  if (auto s = Save(commits::kShowLife, done, total); !s.ok()) return s;
  return Ending() ? absl::FailedPreconditionError("the job shall end") : absl::OkStatus();
}

absl::Status JobLife::End(const absl::Status& why) {
  if (!absl::IsFailedPrecondition(why) || !Ending()) return why;
  if (run_.stopping()) return absl::OkStatus();
  return run_.Finish(store::job_state::kCancelled, "", kCancelledByOperator);
}

}  // namespace jetmon::rollout
