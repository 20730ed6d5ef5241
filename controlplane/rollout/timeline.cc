// A run's story: what its session, jobs, locks, checkpoints and audited calls say, in one order.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/plan.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "store/bounded.h"
#include "store/keys.h"
#include "store/parts.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr size_t kLongestText = 2000;
// Of one kind. A run has some dozens; a script gone wild must not fill our memory.
constexpr size_t kMostRows = 50'000;
constexpr uint32_t kRowsAtOnce = 200;
constexpr int kAuditRowsAtOnce = 2000;

// What happens at one millisecond, in the order in which it does.
enum Rank {
  kOpened,
  kQueued,
  kGranted,
  kActivating,
  kStarted,
  kAcknowledged,
  kDraining,
  kDrained,
  kRevoked,
  kReleased,
  kCheckpoint,
  kEnded,
  kClosed,
  kAudited,
};

// "milliseconds.rank.ordinal.id": sorts as text.
std::string KeyOf(int64_t ms, Rank rank, uint64_t ordinal, const std::string& id) {
  return absl::StrFormat("%015d.%02d.%020d.%s", ms, static_cast<int>(rank), ordinal, id);
}

bool IsKey(const std::string& key) {
  constexpr size_t kFigures = 15 + 1 + 2 + 1 + 20 + 1;
  if (key.size() < kFigures) return false;
  for (size_t i = 0; i < kFigures; ++i) {
    const bool dot = i == 15 || i == 18 || i == kFigures - 1;
    if (dot ? key[i] != '.' : key[i] < '0' || key[i] > '9') return false;
  }
  return true;
}

class Story {
 public:
  explicit Story(const store::Session& session) : session_(session) {}

  absl::Status Gather(sql::Transaction& tx) {
    AddSession();
    if (auto s = GatherJobs(tx); !s.ok()) return s;
    if (auto s = GatherLocks(tx); !s.ok()) return s;
    if (auto s = GatherCheckpoints(tx); !s.ok()) return s;
    return GatherAudit(tx);
  }

  // The entries behind `after` ("": from the first), by their keys.
  void Page(const std::string& after, uint32_t size, v1::Timeline* timeline) {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.first < b.first; });
    auto at = std::upper_bound(entries_.begin(), entries_.end(), after,
                               [](const std::string& k, const Entry& e) { return k < e.first; });
    if (after.empty()) at = entries_.begin();
    for (; at != entries_.end(); ++at) {
      if (timeline->entries_size() == static_cast<int>(size)) {
        timeline->set_next_page_token(store::PageToken((at - 1)->first));
        return;
      }
      *timeline->add_entries() = std::move(at->second);
    }
  }

 private:
  using Entry = std::pair<std::string, v1::TimelineEntry>;

  // `sort_ms`: where it stands, if that is not its own time.
  v1::TimelineEntry* Add(int64_t ms, Rank rank, const char* kind, const std::string& text,
                         const std::string& id, uint64_t ordinal = 0, int64_t sort_ms = 0) {
    entries_.emplace_back(KeyOf(sort_ms != 0 ? sort_ms : ms, rank, ordinal, id),
                          v1::TimelineEntry());
    v1::TimelineEntry* e = &entries_.back().second;
    SetTime(e->mutable_at(), ms);
    e->set_kind(kind);
    e->set_text(store::Bounded(text, kLongestText));
    e->set_ordinal(ordinal);
    return e;
  }

  void AddSession() {
    const store::Session& s = session_;
    Add(s.created_at_ms, kOpened, "session",
        absl::StrCat("opened for buckets ", s.range.ToString(),
                     s.owner_host.empty() ? "" : ", owner ", s.owner_host,
                     s.change_ref.empty() ? "" : ", change ", s.change_ref),
        "")
        ->set_consumer(s.consumer);
    if (s.closed_at_ms == 0) return;
    Add(s.closed_at_ms, kClosed, "session",
        absl::StrCat("closed", s.close_reason.empty() ? "" : ": ", s.close_reason), "");
  }

  // Says that there is more than is shown, behind the last that is.
  void AddLeftOut(const char* kind, const char* table) {
    const std::string key = entries_.back().first;
    Add(0, kAudited, kind, absl::StrCat("there is more: see the table ", table), "");
    entries_.back().first = key + ".";
    *entries_.back().second.mutable_at() = entries_[entries_.size() - 2].second.at();
  }

  absl::Status GatherJobs(sql::Transaction& tx) {
    for (store::PageRequest page{kRowsAtOnce, ""};;) {
      auto jobs = store::ListJobs(tx, session_.run_id, "", page);
      if (!jobs.ok()) return jobs.status();
      for (const store::Job& j : jobs->rows) AddJob(j);
      page.token = jobs->next_token;
      if (page.token.empty()) return absl::OkStatus();
      if (jobs_.size() >= kMostRows) break;
    }
    AddLeftOut("job", "jetmon_rollout_jobs");
    return absl::OkStatus();
  }

  void AddJob(const store::Job& j) {
    const std::string what = absl::StrCat(j.operation, " of buckets ", j.range.ToString());
    const auto add = [&](int64_t ms, Rank rank, const std::string& text) {
      v1::TimelineEntry* e =
          Add(ms, rank, "job", text, j.job_id, rank == kStarted ? j.started_ordinal : 0);
      e->set_consumer(j.consumer);
      e->set_job_id(j.job_id);
    };
    add(j.created_at_ms, kQueued, what + " queued");
    const std::string tries = j.attempt > 1 ? absl::StrCat(", attempt ", j.attempt) : "";
    const bool ended = j.finished_at_ms != 0;
    if (j.started_at_ms != 0) {
      const std::string so_far = j.total == 0 ? "" : absl::StrCat(", ", j.done, " of ", j.total);
      add(j.started_at_ms, kStarted,
          absl::StrCat(what, ended ? " started" : " started, and runs", ended ? "" : so_far,
                       ended ? "" : tries));
    }
    if (ended) {
      add(j.finished_at_ms, kEnded,
          absl::StrCat(what, " ", j.state, tries, j.error.empty() ? "" : ": ", j.error,
                       BlockersOf(j)));
    }
    jobs_.push_back({j.job_id, j.operation, j.range, j.epoch, j.finished_at_ms, j.consumer});
  }

  // " (smoke_failures, ...)" of an answer that is blocked.
  static std::string BlockersOf(const store::Job& j) {
    v1::OperationResponse answer;
    if (j.result.empty() || !answer.ParseFromString(j.result)) return "";
    std::set<std::string> codes;
    for (const v1::Finding& b : answer.blockers()) codes.insert(b.code());
    return codes.empty() ? "" : absl::StrCat(" (", absl::StrJoin(codes, ", "), ")");
  }

  // The locks that this run's jobs worked on.
  absl::Status GatherLocks(sql::Transaction& tx) {
    std::set<uint64_t> seen;
    for (const JobOfLock& j : jobs_) {
      if (j.epoch == 0) continue;
      auto part = store::GetRangePart(tx, j.job_id);
      if (!part.ok()) return part.status();
      if (part->has_value()) AddPart(**part, j);
      if (!seen.insert(j.epoch).second) continue;
      auto lock = store::GetRangeLock(tx, j.epoch);
      if (!lock.ok()) return lock.status();
      if (lock->has_value() && (*lock)->run_id == session_.run_id) AddLock(**lock);
    }
    return absl::OkStatus();
  }

  struct JobOfLock {
    std::string job_id, operation;
    store::Range range;
    uint64_t epoch = 0;
    int64_t finished_at_ms = 0;
    std::string consumer;
  };

  const JobOfLock* JobNamed(const std::string& job_id) const {
    for (const JobOfLock& j : jobs_) {
      if (j.job_id == job_id) return &j;
    }
    return nullptr;
  }

  void AddRange(int64_t ms, Rank rank, uint64_t epoch, const std::string& text,
                const std::string& job_id, int64_t sort_ms = 0) {
    if (ms == 0) return;
    v1::TimelineEntry* e = Add(ms, rank, "range", absl::StrCat("epoch ", epoch, ": ", text),
                               absl::StrCat(epoch, "/", job_id), 0, sort_ms);
    e->set_job_id(job_id);
  }

  // A Monitor's time, put between what its own control plane did before and after it.
  static int64_t Between(int64_t ms, int64_t before, int64_t after) {
    ms = std::max(ms, before);
    return after != 0 ? std::min(ms, std::max(after, before)) : ms;
  }

  void AddLock(const store::RangeLock& l) {
    const JobOfLock* activate = JobNamed(l.activate_job_id);
    // The row has what is left of it.
    const std::string buckets =
        "buckets " + (activate != nullptr ? activate->range : l.range).ToString();
    std::string overrides;
    for (const v1::Override& o : OverridesOf(l.overrides)) {
      absl::StrAppend(&overrides, overrides.empty() ? ", overriding " : ", ", o.code(), " (",
                      o.reason(), ")");
    }
    AddRange(l.granted_at_ms, kGranted, l.epoch,
             absl::StrCat(buckets, " granted to ", l.owner_host, overrides), l.activate_job_id);
    AddRange(l.activating_at_ms, kActivating, l.epoch,
             absl::StrCat("activating, ", l.owner_host, " sees it from now on"), l.activate_job_id);
    const int64_t activated = activate != nullptr ? activate->finished_at_ms : 0;
    AddRange(l.acknowledged_at_ms, kAcknowledged, l.epoch,
             absl::StrCat("acknowledged by ", l.owner_host, ", which checks its sites"),
             l.activate_job_id,
             Between(l.acknowledged_at_ms, l.activating_at_ms,
                     activated != 0 ? activated : l.draining_at_ms));
    AddEnd(l.epoch, l.range, l.draining_at_ms, l.drained_at_ms, l.revoked_at_ms, l.released_at_ms,
           l.gave_up ? ", not acknowledged in time" : "", l.release_job_id);
  }

  void AddPart(const store::RangePart& p, const JobOfLock& job) {
    AddEnd(p.epoch, p.range, p.draining_at_ms, p.drained_at_ms, p.revoked_at_ms, p.released_at_ms,
           ", the rest stays", job.job_id);
  }

  void AddEnd(uint64_t epoch, store::Range range, int64_t draining, int64_t drained,
              int64_t revoked, int64_t released, const std::string& why,
              const std::string& job_id) {
    const std::string buckets = "buckets " + range.ToString();
    AddRange(draining, kDraining, epoch, absl::StrCat(buckets, " draining", why), job_id);
    AddRange(drained, kDrained, epoch, buckets + " drained", job_id,
             Between(drained, draining, released));
    AddRange(revoked, kRevoked, epoch, buckets + " revoked: not drained in time", job_id);
    AddRange(released, kReleased, epoch, buckets + " released, v1's again", job_id);
  }

  absl::Status GatherCheckpoints(sql::Transaction& tx) {
    size_t rows = 0;
    for (uint64_t after = 0;;) {
      auto checkpoints = store::ListCheckpoints(tx, session_.run_id, after);
      if (!checkpoints.ok()) return checkpoints.status();
      if (checkpoints->empty()) return absl::OkStatus();
      for (const store::Checkpoint& c : *checkpoints) AddCheckpoint(c);
      after = checkpoints->back().ordinal;
      rows += checkpoints->size();
      if (rows >= kMostRows) break;
    }
    AddLeftOut("checkpoint", "jetmon_rollout_checkpoints");
    return absl::OkStatus();
  }

  void AddCheckpoint(const store::Checkpoint& c) {
    v1::TimelineEntry* e = Add(c.created_at_ms, kCheckpoint, "checkpoint",
                               absl::StrCat(c.kind, " for buckets ", c.range.ToString(),
                                            c.owner_host.empty() ? "" : ", owner ", c.owner_host,
                                            c.note.empty() ? "" : ": ", c.note),
                               "", c.ordinal);
    e->set_consumer(c.consumer);
    e->set_job_id(c.job_id);
  }

  absl::Status GatherAudit(sql::Transaction& tx) {
    size_t rows = 0;
    for (int64_t after = 0;;) {
      auto audit = store::ListAuditOfRun(tx, session_.run_id, kAuditRowsAtOnce, after);
      if (!audit.ok()) return audit.status();
      if (audit->empty()) return absl::OkStatus();
      for (const store::AuditRow& a : *audit) AddAudit(a);
      after = audit->back().audit_id;
      rows += audit->size();
      if (rows >= kMostRows) break;
    }
    AddLeftOut("audit", "jetmon_audit_log");
    return absl::OkStatus();
  }

  void AddAudit(const store::AuditRow& a) {
    // "jetmon.v1.RolloutService/Seed" to those who know where they are.
    std::string text = a.operation.substr(a.operation.find('/') + 1);
    if (a.bucket_min.has_value() && a.bucket_max.has_value()) {
      absl::StrAppend(&text, " of buckets ", store::Range{*a.bucket_min, *a.bucket_max}.ToString());
    }
    absl::StrAppend(&text, ": ", a.outcome, a.detail.empty() ? "" : "; ", a.detail);
    v1::TimelineEntry* e =
        Add(a.at_ms, kAudited, "audit", text, "", static_cast<uint64_t>(a.audit_id));
    e->set_consumer(a.consumer);
    e->set_request_id(a.request_id);
  }

  const store::Session& session_;
  std::vector<Entry> entries_;
  std::vector<JobOfLock> jobs_;
};

}  // namespace

absl::Status Service::GetTimeline(const v1::GetTimelineRequest& request, v1::Timeline* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto after = store::KeyOfPageToken(page->token);
    if (!after.ok()) return after.status();
    if (!after->empty() && !IsKey(*after)) {
      return absl::InvalidArgumentError("page_token is none that this list made");
    }
    auto session = CheckRun(tx, request.run_id(), std::nullopt, /*closed_too=*/true);
    if (!session.ok()) return session.status();
    Story story(*session);
    if (auto s = story.Gather(tx); !s.ok()) return s;
    response->set_run_id(session->run_id);
    story.Page(*after, page->size, response);
    return absl::OkStatus();
  }));
}

}  // namespace jetmon::rollout
