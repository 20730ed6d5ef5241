#include "controlplane/rollout/test_invariants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "jetmon/v1/operation.pb.h"
#include "store/jobs.h"
#include "store/locks.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;
namespace js = store::job_state;
using Rows = std::vector<std::vector<std::string>>;

constexpr int kMostBuckets = 65'535;

// A look at everything within one snapshot.
class Look {
 public:
  explicit Look(sql::Transaction& tx) : tx_(tx) {
    for (const auto& row : Rows("SELECT epoch FROM jetmon_rollout_range_locks ORDER BY epoch", 1)) {
      auto lock = store::GetRangeLock(tx_, std::stoull(row[0]));
      EXPECT_TRUE(lock.ok() && lock->has_value());
      if (lock.ok() && lock->has_value()) ranges_.push_back(**lock);
    }
    auto buckets = store::ListBuckets(tx_, {0, kMostBuckets});
    EXPECT_TRUE(buckets.ok()) << buckets.status();
    if (buckets.ok()) buckets_ = *std::move(buckets);
    for (const auto& row : Rows("SELECT job_id FROM jetmon_rollout_jobs ORDER BY job_id", 1)) {
      auto job = store::GetJob(tx_, row[0]);
      EXPECT_TRUE(job.ok() && job->has_value());
      if (job.ok() && job->has_value()) jobs_[row[0]] = **job;
    }
  }

  std::vector<std::string> Violations() {
    Ranges();
    Tenures();
    Buckets();
    Jobs();
    Tokens();
    Sessions();
    return std::move(wrong_);
  }

  std::vector<std::string> Unfinished() {
    for (const store::RangeLock& l : ranges_) {
      if (l.state != rs::kReleased && l.state != rs::kActive) {
        Say("range ", l.epoch, " is ", l.state);
      }
      if (l.part.has_value()) Say("range ", l.epoch, ": a part leaves");
    }
    for (const auto& [id, job] : jobs_) {
      if (!store::IsFinished(job.state)) Say("job ", id, " ", job.operation, " is ", job.state);
    }
    return std::move(wrong_);
  }

  std::string FinalState() {
    std::string text;
    const auto add = [&](const char* what, const std::vector<std::string>& row) {
      absl::StrAppend(&text, what, ": ", absl::StrJoin(row, " | "), "\n");
    };
    const auto table = [&](const char* what, const std::string& query, int columns) {
      for (const auto& row : Rows(query, columns)) add(what, row);
    };
    table("session",
          "SELECT bucket_min, bucket_max, owner_host, state, sequence, close_reason FROM "
          "jetmon_rollout_sessions ORDER BY run_id",
          6);
    table("checkpoint",
          "SELECT c.kind, c.bucket_min, c.bucket_max, c.owner_host, c.note, COALESCE(j.operation, "
          "'') FROM jetmon_rollout_checkpoints c LEFT JOIN jetmon_rollout_jobs j ON j.job_id = "
          "c.job_id ORDER BY c.ordinal",
          6);
    for (const auto& [id, j] : jobs_) {
      v1::OperationResponse answer;
      EXPECT_TRUE(answer.ParseFromString(j.result)) << id;
      add("job", {j.operation, j.range.ToString(), j.owner_host, absl::StrCat(j.epoch), j.state,
                  j.error, answer.status(), answer.release().how()});
    }
    for (const store::RangeLock& l : ranges_) {
      add("range",
          {absl::StrCat(l.epoch), l.range.ToString(), l.owner_host, l.owner_instance, l.state,
           absl::StrCat("revision ", l.revision), absl::StrCat("gave up ", l.gave_up),
           absl::StrCat("drained ", l.drained), absl::StrCat("revoked ", l.revoked_at_ms != 0)});
    }
    for (const store::BucketLock& b : buckets_) {
      add("bucket", {absl::StrCat(b.bucket), b.pool, b.owner_host, absl::StrCat(b.epoch), b.state});
    }
    table("part",
          "SELECT p.epoch, p.bucket_min, p.bucket_max, p.state, p.drained, p.revoked_at_ms <> 0, "
          "j.state FROM jetmon_rollout_range_parts p JOIN jetmon_rollout_jobs j ON j.job_id = "
          "p.job_id ORDER BY p.job_id",
          7);
    table("comparison",
          "SELECT site_id, class FROM jetmon_rollout_comparison_results ORDER BY site_id", 2);
    table("token",
          "SELECT t.operation, j.operation FROM jetmon_rollout_confirmation_tokens t JOIN "
          "jetmon_rollout_jobs j ON j.job_id = t.job_id ORDER BY t.job_id",
          2);
    table("target", "SELECT site_id, bucket_no, url FROM jetmon_check_targets ORDER BY site_id", 3);
    table(
        "stage",
        "SELECT number, size, state, eligible, cohort, changed, restored, conflicts, paused_at_ms "
        "<> 0 FROM jetmon_rollout_policy_stages ORDER BY run_id, number",
        9);
    table("stage row",
          "SELECT site_id, had_row, previous_method, previous_profile, state FROM "
          "jetmon_rollout_policy_stage_rows ORDER BY site_id, stage_id",
          5);
    table("policy",
          "SELECT site_id, method, profile FROM jetmon_endpoint_check_config ORDER BY site_id", 3);
    table("event",
          "SELECT site_id, severity, source, notified, ended_at_ms IS NULL, end_reason, last_seq "
          "FROM jetmon_events ORDER BY site_id, event_id",
          7);
    table("transition",
          "SELECT site_id, seq, reason, from_severity, to_severity, notified, ended, source FROM "
          "jetmon_event_transitions ORDER BY site_id, event_id, seq",
          8);
    table("site",
          "SELECT jetpack_monitor_site_id, bucket_no, site_status FROM jetpack_monitor_sites ORDER "
          "BY jetpack_monitor_site_id",
          3);
    table("runtime", "SELECT site_id, bucket_no FROM jetmon_endpoint_runtime ORDER BY site_id", 2);
    table("notification", "SELECT COUNT(*) FROM jetmon_notifications", 1);
    return text;
  }

 private:
  template <typename... Words>
  void Say(const Words&... words) {
    wrong_.push_back(absl::StrCat(words...));
  }

  jetmon::rollout::Rows Rows(const std::string& query, int columns) {
    jetmon::rollout::Rows rows;
    const absl::Status s = tx_.Query(query, {}, [&](const sql::Row& row) {
      std::vector<std::string> texts;
      for (int i = 0; i < columns; ++i) texts.push_back(row.Text(i));
      rows.push_back(std::move(texts));
      return absl::OkStatus();
    });
    EXPECT_TRUE(s.ok()) << s << " " << sql::EngineText(s);
    return rows;
  }

  void Ranges() {
    static const std::set<std::string> kStates = {rs::kPreparing, rs::kActivating, rs::kActive,
                                                  rs::kDraining,  rs::kRevoked,    rs::kReleased};
    std::map<std::string, int> held_by_host;
    for (const store::RangeLock& l : ranges_) {
      const std::string name = absl::StrCat("range ", l.epoch, " (", l.state, ")");
      if (kStates.count(l.state) == 0) Say(name, ": no such state");
      const auto of_epoch = std::count_if(buckets_.begin(), buckets_.end(),
                                          [&](const auto& b) { return b.epoch == l.epoch; });
      const size_t expected = l.state == rs::kReleased ? 0 : l.range.size();
      if (static_cast<size_t>(of_epoch) != expected) {
        Say(name, ": has ", of_epoch, " bucket rows, not ", expected);
      }
      if (l.state != rs::kReleased && ++held_by_host[l.owner_host] > 1) {
        Say(name, ": ", l.owner_host, " holds two ranges");
      }
      if (l.gave_up && l.state != rs::kDraining && l.state != rs::kRevoked &&
          l.state != rs::kReleased) {
        Say(name, ": given up");
      }
      if (l.gave_up) {
        const auto back = jobs_.find(l.release_job_id);
        if (back == jobs_.end() || back->second.operation != "release_buckets" ||
            back->second.epoch != l.epoch) {
          Say(name, ": given up, and '", l.release_job_id, "' does not carry it back");
        }
      }
      if (l.drained && l.state != rs::kDraining && l.state != rs::kReleased) {
        Say(name, ": drained");
      }
      if (l.state == rs::kActive && l.acknowledged_at_ms == 0) Say(name, ": not acknowledged");
      if (!l.part.has_value()) continue;
      if (l.state != rs::kActive) Say(name, ": a part leaves");
      if (!l.range.Covers(l.part->range) || l.range == l.part->range) {
        Say(name, ": ", l.part->range.ToString(), " is no part of it");
      }
    }
  }

  // Who held each range, one after the other: from its grant on, and its owner last.
  void Tenures() {
    std::map<uint64_t, jetmon::rollout::Rows> tenures;
    for (auto& row : Rows("SELECT epoch, revision, owner_host, owner_instance, from_ms FROM "
                          "jetmon_rollout_range_tenures ORDER BY epoch, revision",
                          5)) {
      tenures[std::stoull(row[0])].push_back(std::move(row));
    }
    for (const store::RangeLock& l : ranges_) {
      const std::string name = absl::StrCat("range ", l.epoch);
      const auto& held = tenures[l.epoch];
      if (held.empty()) {
        Say(name, ": nobody has held it");
        continue;
      }
      if (held.front()[1] != "1" || held.front()[4] != absl::StrCat(l.granted_at_ms)) {
        Say(name, ": its first tenure is of revision ", held.front()[1], " at ", held.front()[4]);
      }
      if (held.back()[2] != l.owner_host || held.back()[3] != l.owner_instance ||
          std::stoull(held.back()[1]) > l.revision) {
        Say(name, ": held last by ", held.back()[2], "/", held.back()[3]);
      }
    }
    if (tenures.size() > ranges_.size()) Say("a tenure of no range");
  }

  void Buckets() {
    for (const store::BucketLock& b : buckets_) {
      const std::string name = absl::StrCat("bucket ", b.bucket);
      if (b.epoch == 0) {
        if (b.pool != store::kPoolV1 || b.state != store::kBucketFree || !b.owner_host.empty() ||
            !b.owner_instance.empty()) {
          Say(name, ": neither v1's nor somebody's: ", b.pool, " ", b.state, " ", b.owner_host);
        }
        continue;
      }
      const auto range = std::find_if(ranges_.begin(), ranges_.end(),
                                      [&](const auto& l) { return l.epoch == b.epoch; });
      if (range == ranges_.end()) {
        Say(name, ": of no range, epoch ", b.epoch);
        continue;
      }
      if (b.bucket < range->range.min || b.bucket > range->range.max) {
        Say(name, ": not of range ", range->range.ToString());
      }
      const bool leaves = range->part.has_value() && range->part->range.Contains(b.bucket);
      const std::string& state = leaves ? range->part->state : range->state;
      if (b.state != state || b.owner_host != range->owner_host ||
          b.owner_instance != range->owner_instance || b.pool != store::kPoolApi) {
        Say(name, ": ", b.pool, " ", b.state, " ", b.owner_host, "/", b.owner_instance,
            ", its range ", state, " ", range->owner_host, "/", range->owner_instance);
      }
    }
  }

  void Jobs() {
    for (const auto& [id, j] : jobs_) {
      const std::string name = absl::StrCat("job ", j.operation, " ", id, " (", j.state, ")");
      const bool queued = j.state == js::kQueued, running = j.state == js::kRunning;
      if (!queued && !running && !store::IsFinished(j.state)) Say(name, ": no such state");
      if (queued && !j.lease_owner.empty()) Say(name, ": has a worker");
      if (running && (j.lease_owner.empty() || j.attempt == 0)) Say(name, ": has no worker");
      if (store::IsFinished(j.state) != (j.finished_at_ms != 0)) Say(name, ": its end has no time");
      if (j.state == js::kCompleted && j.result.empty()) Say(name, ": completed without an answer");
      if (j.epoch != 0 && std::none_of(ranges_.begin(), ranges_.end(),
                                       [&](const auto& l) { return l.epoch == j.epoch; })) {
        Say(name, ": of no range");
      }
    }
  }

  void Tokens() {
    std::set<std::string> jobs;
    for (const auto& row :
         Rows("SELECT job_id, consumed_at_ms, operation FROM jetmon_rollout_confirmation_tokens",
              3)) {
      const std::string& job_id = row[0];
      if (job_id.empty() != (row[1] == "0")) Say("token: used ", row[1], " for job ", job_id);
      if (job_id.empty()) continue;
      if (!jobs.insert(job_id).second) Say("job ", job_id, ": two tokens");
      auto job = jobs_.find(job_id);
      if (job == jobs_.end() || job->second.operation != row[2]) {
        Say("token: used for ", row[2], ", job ", job_id, " is none");
      }
    }
  }

  void Sessions() {
    std::map<std::string, uint64_t> sequences;
    for (const auto& row : Rows("SELECT run_id, state, sequence FROM jetmon_rollout_sessions", 3)) {
      if (row[1] != "open" && row[1] != "closed") Say("session ", row[0], ": ", row[1]);
      sequences[row[0]] = std::stoull(row[2]);
      if (row[1] == "open") continue;
      for (const store::RangeLock& l : ranges_) {
        if (l.run_id == row[0] && l.state != rs::kReleased) Say("a closed run holds ", l.epoch);
      }
    }
    std::set<std::pair<std::string, std::string>> seen;
    std::map<std::string, uint64_t> recorded;
    for (const auto& row :
         Rows("SELECT kind, job_id, run_id FROM jetmon_rollout_checkpoints ORDER BY ordinal", 3)) {
      const std::string name = absl::StrCat("checkpoint ", row[0]);
      ++recorded[row[2]];
      if (row[1].empty()) continue;
      if (!seen.insert({row[0], row[1]}).second) Say(name, ": twice for job ", row[1]);
      auto job = jobs_.find(row[1]);
      if (job == jobs_.end() || job->second.state != js::kCompleted) {
        Say(name, ": its job ", row[1], " has not completed");
      }
    }
    // Whatever is recorded bumps the run's sequence in the same transaction.
    for (const auto& [run_id, count] : recorded) {
      if (sequences.count(run_id) > 0 && sequences[run_id] < count) {
        Say("session ", run_id, ": ", count, " checkpoints, sequence ", sequences[run_id]);
      }
    }
  }

  sql::Transaction& tx_;
  std::vector<store::RangeLock> ranges_;
  std::vector<store::BucketLock> buckets_;
  std::map<std::string, store::Job> jobs_;
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> Violations(sql::Database& db) {
  std::vector<std::string> wrong;
  const absl::Status s = db.Read([&](sql::Transaction& tx) {
    wrong = Look(tx).Violations();
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
  return wrong;
}

std::vector<std::string> Unfinished(sql::Database& db) {
  std::vector<std::string> left;
  const absl::Status s = db.Read([&](sql::Transaction& tx) {
    left = Look(tx).Unfinished();
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
  return left;
}

std::string FinalState(sql::Database& db) {
  std::string text;
  const absl::Status s = db.Read([&](sql::Transaction& tx) {
    text = Look(tx).FinalState();
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
  return text;
}

}  // namespace jetmon::rollout
