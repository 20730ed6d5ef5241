// A run's story.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "store/keys.h"

namespace jetmon::rollout {

absl::Status Service::GetTimeline(const std::string& run_id, v1::Timeline* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto session = CheckRun(tx, run_id, std::nullopt, /*closed_too=*/true);
    if (!session.ok()) return session.status();
    std::vector<std::pair<int64_t, v1::TimelineEntry>> entries;
    const auto add = [&](int64_t ms, const char* kind, std::string text,
                         const std::string& consumer, const std::string& job, uint64_t ordinal) {
      v1::TimelineEntry e;
      SetTime(e.mutable_at(), ms);
      e.set_kind(kind);
      e.set_text(std::move(text));
      e.set_consumer(consumer);
      e.set_job_id(job);
      e.set_ordinal(ordinal);
      entries.emplace_back(ms, std::move(e));
    };
    add(session->created_at_ms, "session",
        absl::StrCat("opened for buckets ", session->range.ToString()), session->consumer, "", 0);
    if (session->closed_at_ms != 0) {
      add(session->closed_at_ms, "session", "closed: " + session->close_reason, "", "", 0);
    }
    auto checkpoints = store::ListCheckpoints(tx, run_id);
    if (!checkpoints.ok()) return checkpoints.status();
    for (const auto& c : *checkpoints) {
      add(c.created_at_ms, "checkpoint", absl::StrCat(c.kind, c.note.empty() ? "" : ": ", c.note),
          c.consumer, c.job_id, c.ordinal);
    }
    auto jobs = store::ListJobs(tx, run_id, "", {200, ""});
    if (!jobs.ok()) return jobs.status();
    for (const auto& j : jobs->rows) {
      add(j.created_at_ms, "job", j.operation + " queued", j.consumer, j.job_id, 0);
      if (j.finished_at_ms != 0) {
        add(j.finished_at_ms, "job", absl::StrCat(j.operation, " ", j.state), j.consumer, j.job_id,
            0);
      }
    }
    auto audit = store::ListAuditOfRun(tx, run_id, 1000);
    if (!audit.ok()) return audit.status();
    for (const auto& a : *audit) {
      add(a.at_ms, "audit", absl::StrCat(a.operation, ": ", a.outcome), a.consumer, "", 0);
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    response->set_run_id(run_id);
    for (auto& [ms, e] : entries) *response->add_entries() = std::move(e);
    return absl::OkStatus();
  });
}

}  // namespace jetmon::rollout
