#ifndef JETMON_STORE_LOCKS_FIXTURE_H_
#define JETMON_STORE_LOCKS_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "store/hosts.h"
#include "store/locks.h"
#include "store/test_database.h"

namespace jetmon::store {

// Hosts h0..h7 and 32 buckets in a database that is opened twice, as by two processes (of a
// cluster: on two nodes).
class LocksFixture : public testing::Test {
 protected:
  static constexpr uint32_t kBuckets = 32;
  static constexpr int kHosts = 8;

  LocksFixture() {
    second_ = first_.OpenAnother();
    Write([](sql::Transaction& tx) -> absl::Status {
      for (int i = 0; i < kHosts; ++i) {
        ProcessHealth h;
        h.host = Host(i);
        h.instance = Instance(i);
        h.kind = "monitor";
        if (auto s = ReportHealth(tx, h); !s.ok()) return s;
      }
      return EnsureBuckets(tx, kBuckets, 1);
    });
  }
  static std::string Host(int i) { return "h" + std::to_string(i); }
  static std::string Instance(int i) { return "ins_" + std::to_string(i); }
  sql::Database& Db(int i) { return i % 2 == 0 ? *first_ : *second_; }

  void Write(const sql::Body& body) {
    const absl::Status s = first_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  // Runs one conditional change in a transaction of its own; did it match?
  template <typename F>
  bool Do(sql::Database& db, F change) {
    bool matched = false;
    const absl::Status s = db.Write([&](sql::Transaction& tx) -> absl::Status {
      absl::StatusOr<bool> result = change(tx);
      if (result.ok()) matched = *result;
      return result.status();
    });
    EXPECT_TRUE(s.ok()) << s;
    return matched;
  }
  template <typename F>
  bool Do(F change) {
    return Do(*first_, change);
  }
  // A grant in a transaction of its own, rolled back unless granted; 0 if it was not.
  uint64_t Give(sql::Database& db, Range range, int host, uint64_t generation,
                GrantOutcome* outcome = nullptr) {
    uint64_t epoch = 0;
    GrantOutcome got = GrantOutcome::kGranted;
    const absl::Status s = db.Write([&](sql::Transaction& tx) -> absl::Status {
      const Grant grant{range, Host(host), Instance(host), generation, "rol_1", "rjob_1", "[]", 5};
      auto result = GrantRange(tx, grant);
      if (!result.ok()) return result.status();
      got = result->outcome;
      if (got != GrantOutcome::kGranted) return absl::NotFoundError("not granted");
      epoch = result->lock.epoch;
      return absl::OkStatus();
    });
    EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
    if (outcome != nullptr) *outcome = got;
    return s.ok() ? epoch : 0;
  }
  uint64_t Give(Range range, int host) { return Give(*first_, range, host, Generation(host)); }
  uint64_t Generation(int host) {
    uint64_t generation = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      generation = *HostGeneration(tx, Host(host));
      return absl::OkStatus();
    });
    return generation;
  }
  // Granted, activating, acknowledged.
  uint64_t Activate(Range range, int host) {
    const uint64_t epoch = Give(range, host);
    EXPECT_GT(epoch, 0u);
    EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    const uint64_t revision = Lock(epoch).revision;
    EXPECT_TRUE(
        Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(host), revision, 7); }));
    return epoch;
  }
  RangeLock Lock(uint64_t epoch) {
    RangeLock lock;
    Write([&](sql::Transaction& tx) -> absl::Status {
      lock = **GetRangeLock(tx, epoch);
      return absl::OkStatus();
    });
    return lock;
  }
  // How many bucket rows are of that epoch and in that state.
  uint32_t Buckets(uint64_t epoch, const std::string& state) {
    uint32_t n = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      n = 0;
      const auto rows = ListBuckets(tx, {0, kBuckets - 1});
      for (const BucketLock& b : *rows) n += b.epoch == epoch && b.state == state ? 1 : 0;
      return absl::OkStatus();
    });
    return n;
  }
  std::vector<RangeLock> Held() {
    std::vector<RangeLock> held;
    Write([&](sql::Transaction& tx) -> absl::Status {
      held = *ListHeldRanges(tx);
      return absl::OkStatus();
    });
    return held;
  }
  // Writes a row of history under the fence of a bucket that host 0 holds. False: fenced out.
  bool WriteFenced(sql::Database& db, uint32_t bucket, uint64_t epoch, int writer) {
    const absl::Status s = db.Write([&](sql::Transaction& tx) -> absl::Status {
      auto fenced = FenceBucket(tx, bucket, epoch, Instance(0));
      if (!fenced.ok()) return fenced.status();
      if (!*fenced) return absl::NotFoundError("fenced out");
      return tx
          .Insert(
              "INSERT INTO jetmon_check_history (site_id, bucket_no, at_ms, source, outcome, "
              "http_code, error_code, failure_class, total_us) VALUES (?, ?, 1, 'h0', 'down', 0, "
              "1, '', 1)",
              {epoch, writer})
          .status();
    });
    EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
    return s.ok();
  }
  // Who has held a range, one after the other: "host/instance from revision at ms".
  std::vector<std::string> Tenures(uint64_t epoch) {
    std::vector<std::string> tenures;
    Write([&](sql::Transaction& tx) {
      tenures.clear();
      return tx.Query(
          "SELECT owner_host, owner_instance, revision, from_ms FROM jetmon_rollout_range_tenures "
          "WHERE epoch = ? ORDER BY revision",
          {epoch}, [&](const sql::Row& row) {
            tenures.push_back(absl::StrCat(row.Text(0), "/", row.Text(1), " from revision ",
                                           row.Uint(2), " at ", row.Int(3)));
            return absl::OkStatus();
          });
    });
    return tenures;
  }
  // From whatever state back to v1's.
  void Release(uint64_t epoch) {
    Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); });
    const RangeLock lock = Lock(epoch);
    EXPECT_TRUE(Do([&](auto& tx) {
      return lock.drained ? FreeDrained(tx, epoch, 9) : FreeDead(tx, epoch, lock.lease_seq, 9);
    }));
  }

  // All that the lock tables hold.
  std::string Dump() {
    std::string text;
    Write([&](sql::Transaction& tx) -> absl::Status {
      text.clear();
      for (const char* sql :
           {"SELECT epoch || state || owner_instance || revision || '/' || lease_seq || drained || "
            "gave_up || notifications_left || bucket_min || '-' || bucket_max || release_job_id || "
            "part_job_id || activating_at_ms || acknowledged_at_ms || draining_at_ms || "
            "drained_at_ms || revoked_at_ms || released_at_ms FROM jetmon_rollout_range_locks "
            "ORDER "
            "BY epoch",
            "SELECT job_id || epoch || state || drained || notifications_left || '/' || "
            "draining_at_ms || drained_at_ms || revoked_at_ms || released_at_ms FROM "
            "jetmon_rollout_range_parts ORDER BY job_id",
            "SELECT bucket_no || pool || COALESCE(owner_host, '-') || COALESCE(owner_instance, "
            "'-') || epoch || state || '/' || touched || '/' || changed_ordinal || '/' || "
            "changed_at_ms FROM jetmon_rollout_bucket_locks ORDER BY bucket_no",
            "SELECT epoch || '/' || revision || owner_host || '/' || owner_instance || from_ms "
            "FROM "
            "jetmon_rollout_range_tenures ORDER BY epoch, revision",
            "SELECT name || value FROM jetmon_counters ORDER BY name",
            "SELECT host || generation FROM jetmon_hosts ORDER BY host"}) {
        auto s = tx.Query(sql, {}, [&](const sql::Row& row) {
          absl::StrAppend(&text, row.Text(0), "\n");
          return absl::OkStatus();
        });
        if (!s.ok()) return s;
      }
      return absl::OkStatus();
    });
    return text;
  }
  uint64_t Ordinal(Range range) {
    uint64_t ordinal = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      ordinal = *LastChangeOrdinal(tx, range);
      return absl::OkStatus();
    });
    return ordinal;
  }

  TestDatabase first_;
  std::unique_ptr<sql::Database> second_;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_LOCKS_FIXTURE_H_
