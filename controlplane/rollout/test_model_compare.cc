// The database's rows against the model's.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/test_model_world.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/parts.h"
#include "store/sessions.h"
#include "store/tokens.h"

namespace jetmon::rollout {
namespace {

constexpr store::Range kAllBuckets{0, ModelWorld::kBuckets - 1};

}  // namespace

void ModelWorld::Compare(bool all) {
  if (!wrong_.empty()) return;
  const absl::Status s = db_->Read([&](sql::Transaction& tx) {
    CompareRanges(tx);
    if (!all) return absl::OkStatus();
    CompareJobs(tx);
    CompareSessions(tx);
    CompareTokens(tx);
    CompareProcesses(tx);
    return absl::OkStatus();
  });
  if (!s.ok()) Differ(absl::StrCat("not read: ", s.ToString()));
}

void ModelWorld::CompareRanges(sql::Transaction& tx) {
  for (auto& [epoch, m] : model_.locks) {
    auto found = store::GetRangeLock(tx, epoch);
    if (!found.ok() || !found->has_value()) return Differ(absl::StrCat("no range ", epoch));
    const store::RangeLock& l = **found;
    if (m.gave_up && m.release_job.empty()) {
      // The job that giving up queued: only the lock knows its name yet.
      auto job = store::GetJob(tx, l.release_job_id);
      if (!job.ok() || !job->has_value()) {
        return Differ(absl::StrCat("no job carries epoch ", epoch, " back"));
      }
      if (!IsKnown(**job)) return;
      m.release_job = l.release_job_id;
    }
    const auto text = [&](const auto& r, const std::string& host, const std::string& instance,
                          const std::string& run, const std::string& activate,
                          const std::string& release, const std::string& part) {
      return absl::StrCat(r.range.ToString(), " ", host, "/", instance, " ", r.state, " revision ",
                          r.revision, " lease ", r.lease_seq, " ", run, " ", activate, " ", release,
                          r.gave_up ? " gave up" : "", r.drained ? " drained" : "", " part ", part);
    };
    Same(absl::StrCat("range ", epoch),
         text(l, l.owner_host, l.owner_instance, l.run_id, l.activate_job_id, l.release_job_id,
              l.part.has_value() ? l.part->job_id : ""),
         text(m, m.host, m.instance, m.run, m.activate_job, m.release_job, m.part));
  }
  for (const auto& [job, m] : model_.parts) {
    auto part = store::GetRangePart(tx, job);
    if (!part.ok() || !part->has_value()) return Differ("no part of " + job);
    Same("part", absl::StrCat((*part)->range.ToString(), " ", (*part)->state, (*part)->drained),
         absl::StrCat(m.range.ToString(), " ", m.state, m.drained));
  }
  auto held = store::ListHeldRanges(tx);
  auto buckets = store::ListBuckets(tx, kAllBuckets);
  if (!held.ok() || !buckets.ok()) return Differ("ranges can't be read");
  for (const store::RangeLock& l : *held) {
    if (model_.locks.count(l.epoch) == 0) Differ(absl::StrCat("a range that is none: ", l.epoch));
  }
  for (const store::BucketLock& b : *buckets) {
    const uint64_t epoch = model_.buckets()[b.bucket].epoch;
    std::string expected = "v1 // 0 free";
    if (epoch != 0) {
      const model::Lock& l = model_.locks.at(epoch);
      const bool leaves = !l.part.empty() && model_.parts.at(l.part).range.Contains(b.bucket);
      expected = absl::StrCat("api ", l.host, "/", l.instance, "/ ", epoch, " ",
                              leaves ? model_.parts.at(l.part).state : l.state);
    }
    std::string is =
        absl::StrCat(b.pool, " ", b.owner_host, "/", b.owner_instance, "/ ", b.epoch, " ", b.state);
    if (epoch == 0 && b.owner_host.empty() && b.owner_instance.empty()) {
      is = absl::StrCat(b.pool, " // ", b.epoch, " ", b.state);
    }
    Same(absl::StrCat("bucket ", b.bucket), is, expected);
  }
}

void ModelWorld::CompareSessions(sql::Transaction& tx) {
  std::string is, expected;
  for (const auto& [run, m] : model_.sessions) {
    auto found = store::GetSession(tx, run);
    if (!found.ok() || !found->has_value()) return Differ("no session " + run);
    const store::Session& s = **found;
    Same("session " + run, absl::StrCat(s.state, " ", s.owner_host, " ", s.sequence),
         absl::StrCat(m.open ? "open" : "closed", " ", m.owner, " ", m.sequence));
    auto rows = store::ListCheckpoints(tx, run);
    if (!rows.ok()) return Differ("checkpoints can't be read");
    is.clear();
    expected.clear();
    for (const store::Checkpoint& c : *rows) {
      absl::StrAppend(&is, c.kind, " ", c.range.ToString(), " ", c.owner_host, "; ");
    }
    for (const model::Checkpoint& c : model_.checkpoints) {
      if (c.run != run) continue;
      absl::StrAppend(&expected, c.kind, " ", c.range.ToString(), " ", c.owner, "; ");
    }
    Same("checkpoints of " + run, is, expected);
  }
}

// One that the domain queued by itself gets its name here. False, and they differ: nobody asked for
// it.
bool ModelWorld::IsKnown(const store::Job& j) {
  if (model_.jobs.count(j.job_id) > 0) return true;
  auto& unnamed = model_.unnamed;
  auto match = std::find_if(unnamed.begin(), unnamed.end(), [&](const model::Job& m) {
    return m.operation == j.operation && m.epoch == j.epoch && m.run == j.run_id &&
           m.range == j.range;
  });
  if (match == unnamed.end()) {
    Differ("a job that nobody asked for: " + j.operation);
    return false;
  }
  model_.jobs.emplace(j.job_id, *match);
  unnamed.erase(match);
  return true;
}

void ModelWorld::CompareJobs(sql::Transaction& tx) {
  auto rows = store::ListJobs(tx, "", "", {1000, ""});
  if (!rows.ok()) return Differ("jobs can't be read");
  for (const store::Job& j : rows->rows) {
    if (!IsKnown(j)) return;
    model::Job& m = model_.jobs.at(j.job_id);
    if (j.seq < m.seq) Differ("a job's seq went back");
    m.seq = j.seq;
    Same(absl::StrCat("job ", j.operation, " ", j.job_id),
         absl::StrCat(j.state, " ", j.operation, " ", j.run_id, " ", j.range.ToString(), " ",
                      j.epoch, " '", j.lease_owner, "' attempt ", j.attempt, " ",
                      j.cancel_requested),
         absl::StrCat(m.state, " ", m.operation, " ", m.run, " ", m.range.ToString(), " ", m.epoch,
                      " '", m.worker, "' attempt ", m.attempt, " ", m.cancel));
  }
  if (!model_.unnamed.empty()) Differ("a job is missing: " + model_.unnamed[0].operation);
  if (rows->rows.size() != model_.jobs.size()) Differ("a job is gone");
}

void ModelWorld::CompareTokens(sql::Transaction& tx) {
  for (const auto& [hash, m] : model_.tokens) {
    auto token = store::GetToken(tx, hash);
    if (!token.ok() || !token->has_value()) return Differ("no token");
    const store::ConfirmationToken& t = **token;
    if ((t.consumed_at_ms != 0) != !m.job.empty()) Differ("a token is used, or is not");
    Same("token's job", t.job_id, m.job);
  }
}

void ModelWorld::CompareProcesses(sql::Transaction& tx) {
  auto rows = store::ListProcesses(tx, "monitor", /*with_gone=*/true);
  if (!rows.ok()) return Differ("processes can't be read");
  for (const store::ProcessHealth& p : *rows) {
    const model::Process& m = model_.processes.at(p.instance);
    Same("process " + p.instance, absl::StrCat(p.host, " ", p.seq, " ", p.goodbye),
         absl::StrCat(m.host, " ", m.seq, " ", m.goodbye));
  }
}

}  // namespace jetmon::rollout
