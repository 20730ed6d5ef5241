// Every change of a part of a range in every state of it, and what the other changes of the range
// do meanwhile.
#include "store/parts.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "store/locks_fixture.h"
#include "store/notifications.h"

namespace jetmon::store {
namespace {

namespace rs = range_state;

constexpr Range kAll{2, 9}, kPart{2, 4}, kRest{5, 9};
constexpr char kJob[] = "rjob_part";

// Of a part; "none": the range is active and whole, "over": the range drains.
const char* const kStates[] = {"none", "draining", "drained", "revoked", "released", "over"};

class PartsTest : public LocksFixture {
 protected:
  uint64_t In(const std::string& state) {
    const uint64_t epoch = Activate(kAll, 0);
    if (state == "none") return epoch;
    if (state == "over") {
      EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
      return epoch;
    }
    EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, job_, 8); }));
    if (state == "draining") return epoch;
    if (state == "revoked") {
      EXPECT_TRUE(Do([&](auto& tx) { return RevokePart(tx, job_, 9); }));
      return epoch;
    }
    EXPECT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, job_, Instance(0), 3, 9); }));
    if (state == "drained") return epoch;
    EXPECT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, job_, 10); }));
    return epoch;
  }
  std::optional<RangePart> Part(const std::string& job_id) {
    std::optional<RangePart> part;
    Write([&](sql::Transaction& tx) -> absl::Status {
      part = *GetRangePart(tx, job_id);
      return absl::OkStatus();
    });
    return part;
  }
  // Whatever is left of it is v1's, and the next one has a job of its own.
  void End(uint64_t epoch) {
    const RangeLock lock = Lock(epoch);
    if (lock.part.has_value()) {
      EXPECT_TRUE(Do([&](auto& tx) { return FreePartDead(tx, job_, lock.lease_seq, 30); }));
    }
    if (lock.state != rs::kReleased) Release(epoch);
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets);
    job_ = absl::StrCat(kJob, ++jobs_);
  }

  std::string job_ = kJob;
  int jobs_ = 0;
};

struct Operation {
  const char* name;
  std::function<absl::StatusOr<bool>(sql::Transaction&, const RangeLock&, const std::string& job)>
      run;
  std::set<std::string> legal;
};

std::vector<Operation> Operations() {
  return {
      {"BeginPartRelease, a prefix",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, {l.range.min, l.range.min}, "rjob_new", 20);
       },
       {"none", "released"}},
      {"BeginPartRelease, a suffix",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, {l.range.min + 1, l.range.max}, "rjob_new", 20);
       },
       {"none", "released"}},
      {"RevokePart",
       [](auto& tx, auto&, auto& job) { return RevokePart(tx, job, 20); },
       {"draining"}},
      {"FreePartDrained",
       [](auto& tx, auto&, auto& job) { return FreePartDrained(tx, job, 20); },
       {"drained"}},
      {"FreePartRevoked",
       [](auto& tx, auto&, auto& job) { return FreePartRevoked(tx, job, 20); },
       {"revoked"}},
      {"FreePartDead",
       [](auto& tx, auto& l, auto& job) { return FreePartDead(tx, job, l.lease_seq, 20); },
       {"draining", "drained", "revoked"}},
      {"ReportPartDrained",
       [](auto& tx, auto& l, auto& job) {
         return ReportPartDrained(tx, job, l.owner_instance, 1, 20);
       },
       {"draining"}},
      // What else happens to a range: nothing while a part is on its way, but for these.
      {"BeginRelease",
       [](auto& tx, auto& l, auto&) { return BeginRelease(tx, l.epoch, "rjob_9", 20); },
       {"none", "released"}},
      {"RenewLease",
       [](auto& tx, auto& l, auto&) {
         return RenewLease(tx, l.epoch, l.owner_instance, l.revision);
       },
       {"none", "draining", "drained", "revoked", "released", "over"}},
      {"TakeOverRange",
       [](auto& tx, auto& l, auto&) {
         return TakeOverRange(tx, l.epoch, l.owner_instance, l.lease_seq, "ins_new", 20);
       },
       {"none", "draining", "drained", "revoked", "released", "over"}},
      {"FenceBucket, of the rest",
       [](auto& tx, auto& l, auto&) { return FenceBucket(tx, 6, l.epoch, l.owner_instance); },
       {"none", "draining", "drained", "revoked", "released", "over"}},
      {"FenceBucket, of the part",
       [](auto& tx, auto& l, auto&) { return FenceBucket(tx, 4, l.epoch, l.owner_instance); },
       {"none", "draining", "drained", "over"}},
      // The same with one condition wrong each, and what is no end of the range: legal nowhere.
      {"BeginPartRelease, all of it",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, l.range, "rjob_n", 20);
       },
       {}},
      {"BeginPartRelease, the middle",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, {l.range.min + 1, l.range.max - 1}, "rjob_n", 20);
       },
       {}},
      {"BeginPartRelease, sticking out at its end",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, {l.range.min + 1, l.range.max + 1}, "rjob_n", 20);
       },
       {}},
      {"BeginPartRelease, more than all",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch, {l.range.min, l.range.max + 1}, "rjob_n", 20);
       },
       {}},
      {"BeginPartRelease, another epoch",
       [](auto& tx, auto& l, auto&) {
         return BeginPartRelease(tx, l.epoch + 7, {l.range.min, l.range.min}, "rjob_n", 20);
       },
       {}},
      {"RevokePart, another job",
       [](auto& tx, auto&, auto&) { return RevokePart(tx, "rjob_x", 20); },
       {}},
      {"FreePartDead, another sequence",
       [](auto& tx, auto& l, auto& job) { return FreePartDead(tx, job, l.lease_seq + 1, 20); },
       {}},
      {"FreePartDrained, another job",
       [](auto& tx, auto&, auto&) { return FreePartDrained(tx, "rjob_x", 20); },
       {}},
      {"ReportPartDrained, another instance",
       [](auto& tx, auto&, auto& job) { return ReportPartDrained(tx, job, "ins_x", 1, 20); },
       {}},
      {"ReportPartDrained, another job",
       [](auto& tx, auto& l, auto&) {
         return ReportPartDrained(tx, "rjob_x", l.owner_instance, 1, 20);
       },
       {}},
      {"RenewLease, an older revision",
       [](auto& tx, auto& l, auto&) {
         return RenewLease(tx, l.epoch, l.owner_instance, l.revision - 1);
       },
       {}},
  };
}

TEST_F(PartsTest, EveryChangeInEveryState) {
  for (const Operation& operation : Operations()) {
    for (const std::string state : kStates) {
      SCOPED_TRACE(absl::StrCat(operation.name, " in ", state));
      const uint64_t epoch = In(state);
      const RangeLock before = Lock(epoch);
      const std::string dump = Dump();
      const bool matched = Do([&](auto& tx) { return operation.run(tx, before, job_); });
      ASSERT_EQ(matched, operation.legal.contains(state));
      if (!matched) {
        ASSERT_EQ(Dump(), dump);
      } else {
        ASSERT_NE(Dump(), dump);
      }
      // The bucket rows always say what the rows of range and part say.
      const RangeLock after = Lock(epoch);
      const uint32_t leaving = after.part.has_value() ? after.part->range.size() : 0;
      if (after.part.has_value()) {
        ASSERT_EQ(Buckets(epoch, after.part->state), leaving);
      }
      ASSERT_EQ(Buckets(epoch, after.state), after.range.size() - leaving);
      ASSERT_EQ(Buckets(0, kBucketFree), kBuckets - after.range.size());
      // Only who has read that its buckets change renews; a fence and a renewal change nothing.
      const std::string name = operation.name;
      if (matched && !name.starts_with("FenceBucket") && !name.starts_with("RenewLease")) {
        ASSERT_GT(after.revision, before.revision);
      }
      if (after.part.has_value() && after.part->job_id == "rjob_new") {
        ASSERT_TRUE(
            Do([&](auto& tx) { return FreePartDead(tx, "rjob_new", after.lease_seq, 30); }));
        Write([](sql::Transaction& tx) {
          return tx.Execute("DELETE FROM jetmon_rollout_range_parts WHERE job_id = 'rjob_new'")
              .status();
        });
      }
      End(epoch);
    }
  }
}

TEST_F(PartsTest, TheLifeOfAPartAtEachEnd) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_FALSE(Lock(epoch).part.has_value());
  ASSERT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, "rjob_1", 8); }));
  RangeLock lock = Lock(epoch);
  EXPECT_EQ(lock.state, rs::kActive);
  EXPECT_EQ(lock.range, kAll);  // until the part is v1's
  ASSERT_TRUE(lock.part.has_value());
  EXPECT_EQ(lock.part->job_id, "rjob_1");
  EXPECT_EQ(lock.part->range, kPart);
  EXPECT_EQ(lock.part->state, rs::kDraining);
  EXPECT_FALSE(lock.part->drained);
  const uint64_t seq = lock.lease_seq;
  ASSERT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, "rjob_1", Instance(0), 3, 9); }));
  EXPECT_EQ(Lock(epoch).lease_seq, seq + 1);
  EXPECT_TRUE(Lock(epoch).part->drained);
  EXPECT_EQ(Lock(epoch).part->notifications_left, 3u);
  ASSERT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, "rjob_1", 10); }));
  lock = Lock(epoch);
  EXPECT_EQ(lock.range, kRest);
  EXPECT_EQ(lock.state, rs::kActive);
  EXPECT_FALSE(lock.part.has_value());
  const RangePart part = *Part("rjob_1");
  EXPECT_EQ(part.state, rs::kReleased);
  EXPECT_EQ(part.draining_at_ms, 8);
  EXPECT_EQ(part.drained_at_ms, 9);
  EXPECT_EQ(part.released_at_ms, 10);
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ((*FindRangePart(tx, epoch, kPart))->job_id, "rjob_1");
    EXPECT_FALSE(FindRangePart(tx, epoch, kRest)->has_value());
    EXPECT_FALSE(FindRangePart(tx, epoch + 1, kPart)->has_value());
    EXPECT_FALSE(GetRangePart(tx, "rjob_x")->has_value());
    return absl::OkStatus();
  });

  // From the other end; then the rest, as one.
  ASSERT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, {8, 9}, "rjob_2", 11); }));
  ASSERT_TRUE(Do([&](auto& tx) { return RevokePart(tx, "rjob_2", 12); }));
  EXPECT_EQ(Lock(epoch).part->revoked_at_ms, 12);
  ASSERT_TRUE(Do([&](auto& tx) { return FreePartRevoked(tx, "rjob_2", 13); }));
  EXPECT_EQ(Lock(epoch).range, (Range{5, 7}));
  EXPECT_FALSE(Part("rjob_2")->drained);
  Release(epoch);
  EXPECT_EQ(Lock(epoch).range, (Range{5, 7}));
  EXPECT_EQ(Buckets(0, kBucketFree), kBuckets);
}

TEST_F(PartsTest, AnotherOwnerGetsThePartWhileTheFirstKeepsTheRest) {
  const uint64_t epoch = In("drained");
  GrantOutcome outcome;
  EXPECT_EQ(Give(*first_, kPart, 1, Generation(1), &outcome), 0u);
  EXPECT_EQ(outcome, GrantOutcome::kBucketsTaken);
  ASSERT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, job_, 10); }));
  // The first owner does not get it again: one owner holds one range.
  EXPECT_EQ(Give(*first_, kPart, 0, Generation(0), &outcome), 0u);
  EXPECT_EQ(outcome, GrantOutcome::kOwnerHasRange);
  const uint64_t other = Activate(kPart, 1);
  EXPECT_EQ(Held().size(), 2u);
  EXPECT_FALSE(Do([&](auto& tx) { return FenceBucket(tx, 4, epoch, Instance(0)); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FenceBucket(tx, 4, other, Instance(1)); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FenceBucket(tx, 5, epoch, Instance(0)); }));
  // And on: a part of the one, and of the other.
  ASSERT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, {5, 5}, "rjob_3", 12); }));
  ASSERT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, other, {4, 4}, "rjob_4", 12); }));
  EXPECT_EQ(Lock(epoch).part->range, (Range{5, 5}));
  EXPECT_EQ(Lock(other).part->range, (Range{4, 4}));
  EXPECT_EQ(Buckets(epoch, rs::kActive), 4u);
  EXPECT_EQ(Buckets(other, rs::kActive), 2u);
}

TEST_F(PartsTest, EvidenceIsVoidedForThePartAlone) {
  const uint64_t epoch = In("none");
  const uint64_t granted = Ordinal(kAll);
  ASSERT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, job_, 8); }));
  ASSERT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, job_, Instance(0), 0, 9); }));
  EXPECT_EQ(Ordinal(kAll), granted);
  ASSERT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, job_, 10); }));
  EXPECT_GT(Ordinal(kPart), granted);
  EXPECT_EQ(Ordinal(kRest), granted);
}

TEST_F(PartsTest, ASuccessorFindsADrainingPartDrainedAndLeavesARevokedOneAlone) {
  for (const std::string state : {"draining", "drained", "revoked"}) {
    SCOPED_TRACE(state);
    const uint64_t epoch = In(state);
    const RangeLock seen = Lock(epoch);
    ASSERT_TRUE(Do([&](auto& tx) {
      return TakeOverRange(tx, epoch, Instance(0), seen.lease_seq, "ins_new", 20);
    }));
    const RangeLock now = Lock(epoch);
    EXPECT_EQ(now.owner_instance, "ins_new");
    EXPECT_EQ(now.part->state, seen.part->state);
    EXPECT_EQ(now.part->drained, state != "revoked");
    EXPECT_EQ(now.part->drained_at_ms, state == "draining" ? 20 : seen.part->drained_at_ms);
    EXPECT_EQ(now.part->notifications_left, state == "drained" ? 3u : 0u);
    // Who was thought dead neither reports nor is it freed by what was seen of it.
    EXPECT_FALSE(Do([&](auto& tx) { return ReportPartDrained(tx, job_, Instance(0), 0, 21); }));
    EXPECT_FALSE(Do([&](auto& tx) { return FreePartDead(tx, job_, seen.lease_seq, 21); }));
    EXPECT_TRUE(Do([&](auto& tx) {
      return state == "revoked" ? FreePartRevoked(tx, job_, 22) : FreePartDrained(tx, job_, 22);
    }));
    EXPECT_EQ(Lock(epoch).range, kRest);
    End(epoch);
  }
}

TEST_F(PartsTest, WhatAPartLeavesInTheOutboxIsCounted) {
  Write([](sql::Transaction& tx) -> absl::Status {
    int id = 0;
    for (uint32_t bucket : {1, 2, 4, 4, 5, 9}) {
      Notification n;
      n.event_id = ++id;
      n.notification_id = absl::StrCat("ntf_", id);
      n.kind = "down";
      n.bucket = bucket;
      n.state = "queued";
      EXPECT_TRUE(*QueueNotification(tx, n));
    }
    return absl::OkStatus();
  });
  for (const std::string state : {"draining", "revoked"}) {
    const uint64_t epoch = In(state);
    const std::string job = job_;
    End(epoch);  // its owner is dead
    EXPECT_EQ(Part(job)->notifications_left, 3u) << state;
  }
  const uint64_t epoch = In("draining");
  const uint64_t seq = Lock(epoch).lease_seq;
  ASSERT_TRUE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch, Instance(0), seq, "ins_new", 20); }));
  EXPECT_EQ(Part(job_)->notifications_left, 3u);
  // What the owner itself has counted stays.
  End(epoch);
  const uint64_t drained = In("drained");
  const std::string job = job_;
  End(drained);
  EXPECT_EQ(Part(job)->notifications_left, 3u);
}

TEST_F(PartsTest, APartThatLostABucketRowIsAnErrorThatRollsBack) {
  for (const Operation& operation : Operations()) {
    const std::string name = operation.name;
    if (operation.legal.empty() || name.starts_with("FenceBucket") ||
        name.starts_with("RenewLease") || name.starts_with("ReportPartDrained")) {
      continue;
    }
    SCOPED_TRACE(name);
    const uint64_t epoch = In(*operation.legal.begin());
    const RangeLock lock = Lock(epoch);
    // The lowest bucket of the range, or its greatest: each change touches one of them.
    const uint32_t lost = name.find("suffix") != name.npos ? kAll.max : lock.range.min;
    const auto set_epoch = [&](uint64_t value) {
      Write([&](sql::Transaction& tx) {
        return tx
            .Execute("UPDATE jetmon_rollout_bucket_locks SET epoch = ? WHERE bucket_no = ?",
                     {value, lost})
            .status();
      });
    };
    set_epoch(epoch + 1000);
    const std::string dump = Dump();
    const absl::Status s =
        first_->Write([&](sql::Transaction& tx) { return operation.run(tx, lock, job_).status(); });
    EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << s;
    EXPECT_EQ(Dump(), dump);
    set_epoch(epoch);
    End(epoch);
  }
}

TEST_F(PartsTest, ARangeThatNamesAPartWithoutARowIsNotRead) {
  const uint64_t epoch = In("draining");
  Write([](sql::Transaction& tx) {
    return tx.Execute("DELETE FROM jetmon_rollout_range_parts").status();
  });
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(GetRangeLock(tx, epoch).status().code(), absl::StatusCode::kInternal);
    return absl::OkStatus();
  });
}

TEST_F(PartsTest, AReleaseWithoutAJobIsRefused) {
  const uint64_t epoch = In("none");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(BeginPartRelease(tx, epoch, kPart, "", 8).status().code(),
              absl::StatusCode::kInvalidArgument);
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace jetmon::store
