// Every change of a range in every state of it: what matches, and that what does not match leaves
// everything as it was.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "store/locks_fixture.h"
#include "store/notifications.h"

namespace jetmon::store {
namespace {

namespace rs = range_state;

const char* const kStates[] = {"preparing", "activating", "active",  "draining",
                               "drained",   "revoked",    "released"};

class LocksStatesTest : public LocksFixture {
 protected:
  // A range 2-5 of host 0 in that state ("drained": draining, and the owner said so).
  uint64_t In(const std::string& state) {
    const uint64_t epoch = Give({2, 5}, 0);
    if (state == "preparing") return epoch;
    EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    if (state == "activating") return epoch;
    const uint64_t revision = Lock(epoch).revision;
    EXPECT_TRUE(
        Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(0), revision, 7); }));
    if (state == "active") return epoch;
    EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
    if (state == "draining") return epoch;
    if (state == "revoked") {
      EXPECT_TRUE(Do([&](auto& tx) { return RevokeRange(tx, epoch, 9); }));
      return epoch;
    }
    EXPECT_TRUE(Do([&](auto& tx) { return ReportDrained(tx, epoch, Instance(0), 0, 9); }));
    if (state == "drained") return epoch;
    EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 10); }));
    return epoch;
  }
};

struct Operation {
  const char* name;
  std::function<absl::StatusOr<bool>(sql::Transaction&, const RangeLock&)> run;
  std::set<std::string> legal;
  const char* after;  // the range's state when it matched; "" = as before
};

std::vector<Operation> Operations() {
  return {
      {"BeginActivating",
       [](auto& tx, auto& l) { return BeginActivating(tx, l.epoch, 20); },
       {"preparing"},
       rs::kActivating},
      {"GiveUpActivation",
       [](auto& tx, auto& l) { return GiveUpActivation(tx, l.epoch, "rjob_9", 20); },
       {"preparing", "activating"},
       rs::kDraining},
      {"BeginRelease",
       [](auto& tx, auto& l) { return BeginRelease(tx, l.epoch, "rjob_9", 20); },
       {"preparing", "activating", "active"},
       rs::kDraining},
      {"RevokeRange",
       [](auto& tx, auto& l) { return RevokeRange(tx, l.epoch, 20); },
       {"draining"},
       rs::kRevoked},
      {"FreeDrained",
       [](auto& tx, auto& l) { return FreeDrained(tx, l.epoch, 20); },
       {"drained"},
       rs::kReleased},
      {"FreeDead",
       [](auto& tx, auto& l) { return FreeDead(tx, l.epoch, l.lease_seq, 20); },
       {"draining", "drained", "revoked"},
       rs::kReleased},
      {"RenewLease",
       [](auto& tx, auto& l) { return RenewLease(tx, l.epoch, l.owner_instance, l.revision); },
       {"activating", "active", "draining", "drained"},
       ""},
      {"AcknowledgeRange",
       [](auto& tx, auto& l) {
         return AcknowledgeRange(tx, l.epoch, l.owner_instance, l.revision, 20);
       },
       {"activating"},
       rs::kActive},
      {"ReportDrained",
       [](auto& tx, auto& l) { return ReportDrained(tx, l.epoch, l.owner_instance, 1, 20); },
       {"draining"},
       ""},
      {"TakeOverRange",
       [](auto& tx, auto& l) {
         return TakeOverRange(tx, l.epoch, l.owner_instance, l.lease_seq, "ins_new", 20);
       },
       {"activating", "active", "draining", "drained"},
       ""},
      {"FenceBucket",
       [](auto& tx, auto& l) { return FenceBucket(tx, 2, l.epoch, l.owner_instance); },
       {"active", "draining", "drained"},
       ""},
      // The same with one condition wrong each: legal nowhere.
      {"FreeDead, another sequence",
       [](auto& tx, auto& l) { return FreeDead(tx, l.epoch, l.lease_seq + 1, 20); },
       {},
       ""},
      {"RenewLease, another instance",
       [](auto& tx, auto& l) { return RenewLease(tx, l.epoch, "ins_x", l.revision); },
       {},
       ""},
      {"RenewLease, an older revision",
       [](auto& tx, auto& l) { return RenewLease(tx, l.epoch, l.owner_instance, l.revision - 1); },
       {},
       ""},
      {"AcknowledgeRange, another instance",
       [](auto& tx, auto& l) { return AcknowledgeRange(tx, l.epoch, "ins_x", l.revision, 20); },
       {},
       ""},
      {"AcknowledgeRange, an older revision",
       [](auto& tx, auto& l) {
         return AcknowledgeRange(tx, l.epoch, l.owner_instance, l.revision - 1, 20);
       },
       {},
       ""},
      {"ReportDrained, another instance",
       [](auto& tx, auto& l) { return ReportDrained(tx, l.epoch, "ins_x", 1, 20); },
       {},
       ""},
      {"TakeOverRange, from another instance",
       [](auto& tx, auto& l) {
         return TakeOverRange(tx, l.epoch, "ins_x", l.lease_seq, "ins_new", 20);
       },
       {},
       ""},
      {"TakeOverRange, another sequence",
       [](auto& tx, auto& l) {
         return TakeOverRange(tx, l.epoch, l.owner_instance, l.lease_seq + 1, "ins_new", 20);
       },
       {},
       ""},
      {"FenceBucket, another instance",
       [](auto& tx, auto& l) { return FenceBucket(tx, 2, l.epoch, "ins_x"); },
       {},
       ""},
      {"FenceBucket, an older epoch",
       [](auto& tx, auto& l) { return FenceBucket(tx, 2, l.epoch - 1, l.owner_instance); },
       {},
       ""},
      {"FenceBucket, a bucket outside",
       [](auto& tx, auto& l) { return FenceBucket(tx, 6, l.epoch, l.owner_instance); },
       {},
       ""},
      {"any, an epoch that never was",
       [](auto& tx, auto& l) { return BeginRelease(tx, l.epoch + 7, "rjob_9", 20); },
       {},
       ""},
  };
}

TEST_F(LocksStatesTest, EveryChangeInEveryState) {
  for (const Operation& operation : Operations()) {
    for (const std::string state : kStates) {
      SCOPED_TRACE(absl::StrCat(operation.name, " in ", state));
      const uint64_t epoch = In(state);
      const RangeLock before = Lock(epoch);
      const std::string dump = Dump();
      const bool matched = Do([&](auto& tx) { return operation.run(tx, before); });
      ASSERT_EQ(matched, operation.legal.contains(state));
      const RangeLock after = Lock(epoch);
      if (!matched) {
        ASSERT_EQ(Dump(), dump);
      } else {
        ASSERT_NE(Dump(), dump);
        ASSERT_EQ(after.state, *operation.after != '\0' ? operation.after : before.state);
        if (after.state != before.state || after.owner_instance != before.owner_instance ||
            after.drained != before.drained) {
          ASSERT_GT(after.revision, before.revision);
        }
      }
      // The bucket rows always say what the range row says.
      if (after.state == rs::kReleased) {
        ASSERT_EQ(Buckets(0, kBucketFree), kBuckets);
      } else {
        ASSERT_EQ(Buckets(epoch, after.state), 4u);
        ASSERT_EQ(Buckets(0, kBucketFree), kBuckets - 4);
        Release(epoch);
      }
    }
  }
}

TEST_F(LocksStatesTest, EachInstanceThatHoldsARangeLeavesItsTime) {
  const uint64_t epoch = Give({2, 5}, 0);  // at 5
  const std::string granted = "h0/ins_0 from revision 1 at 5";
  EXPECT_EQ(Tenures(epoch), std::vector<std::string>{granted});
  EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
  const RangeLock activating = Lock(epoch);
  EXPECT_TRUE(Do([&](auto& tx) {
    return TakeOverRange(tx, epoch, Instance(0), activating.lease_seq, "ins_new", 20);
  }));
  const uint64_t revision = Lock(epoch).revision;
  EXPECT_TRUE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_new", revision, 21); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 22); }));
  const RangeLock draining = Lock(epoch);
  EXPECT_TRUE(Do([&](auto& tx) {
    return TakeOverRange(tx, epoch, "ins_new", draining.lease_seq, "ins_newer", 30);
  }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 31); }));
  // What changes the range but not its owner leaves none.
  EXPECT_EQ(
      Tenures(epoch),
      (std::vector<std::string>{
          granted, absl::StrCat("h0/ins_new from revision ", activating.revision + 1, " at 20"),
          absl::StrCat("h0/ins_newer from revision ", draining.revision + 1, " at 30")}));
  // Another grant begins anew, and leaves the others' rows.
  const uint64_t next = Give({2, 5}, 0);
  EXPECT_EQ(Tenures(next), std::vector<std::string>{granted});
  EXPECT_EQ(Tenures(epoch).size(), 3u);
}

TEST_F(LocksStatesTest, EvidenceIsVoidedByGrantFreeAndGivingUpAlone) {
  const Range range{2, 5};
  const uint64_t start = Ordinal(range);
  const uint64_t epoch = In("activating");
  const uint64_t granted = Ordinal(range);
  EXPECT_GT(granted, start);
  const uint64_t revision = Lock(epoch).revision;
  EXPECT_TRUE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(0), revision, 7); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
  EXPECT_TRUE(Do([&](auto& tx) { return ReportDrained(tx, epoch, Instance(0), 0, 9); }));
  EXPECT_EQ(Ordinal(range), granted);
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 10); }));
  const uint64_t freed = Ordinal(range);
  EXPECT_GT(freed, granted);
  EXPECT_EQ(Ordinal({6, 9}), 0u);  // only of the range's own buckets
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_GT(*NextCounter(tx, "ordinal"), freed);  // what is recorded now comes after
    return absl::OkStatus();
  });
  const uint64_t second = In("activating");
  const uint64_t regranted = Ordinal(range);
  EXPECT_TRUE(Do([&](auto& tx) { return GiveUpActivation(tx, second, "rjob_back", 7); }));
  EXPECT_GT(Ordinal(range), regranted);
  EXPECT_EQ(Lock(second).release_job_id, "rjob_back");
  // Who gives up what drains already does not take it over.
  EXPECT_FALSE(Do([&](auto& tx) { return GiveUpActivation(tx, second, "rjob_late", 8); }));
  EXPECT_EQ(Lock(second).release_job_id, "rjob_back");
}

TEST_F(LocksStatesTest, ARangeThatLostABucketRowIsAnErrorThatRollsBack) {
  for (const Operation& operation : Operations()) {
    if (*operation.after == '\0' && std::string(operation.name) != "TakeOverRange") continue;
    SCOPED_TRACE(operation.name);
    const uint64_t epoch = In(*operation.legal.begin());
    const RangeLock lock = Lock(epoch);
    const auto set_epoch = [&](uint64_t value) {
      Write([&](sql::Transaction& tx) {
        return tx
            .Execute("UPDATE jetmon_rollout_bucket_locks SET epoch = ? WHERE bucket_no = 4",
                     {value})
            .status();
      });
    };
    set_epoch(epoch + 1000);
    const std::string dump = Dump();
    const absl::Status s =
        first_->Write([&](sql::Transaction& tx) { return operation.run(tx, lock).status(); });
    EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << s;
    EXPECT_EQ(Dump(), dump);
    set_epoch(epoch);
    Release(epoch);
  }
}

TEST_F(LocksStatesTest, WhatADeadOwnerLeftInTheOutboxIsCounted) {
  const uint64_t epoch = In("draining");
  Write([](sql::Transaction& tx) -> absl::Status {
    for (uint32_t bucket : {1, 2, 5, 5, 6}) {
      static int id = 0;
      Notification n;
      n.event_id = ++id;
      n.notification_id = absl::StrCat("ntf_", id);
      n.kind = "down";
      n.bucket = bucket;
      n.state = id == 4 ? "delivered" : "queued";
      EXPECT_TRUE(*QueueNotification(tx, n));
    }
    return absl::OkStatus();
  });
  const uint64_t seq = Lock(epoch).lease_seq;
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDead(tx, epoch, seq, 20); }));
  EXPECT_EQ(Lock(epoch).notifications_left, 2u);

  // A successor that only ends the drain counts them too; an active range counts nothing.
  const uint64_t next = In("active");
  const RangeLock active = Lock(next);
  EXPECT_TRUE(Do([&](auto& tx) {
    return TakeOverRange(tx, next, Instance(0), active.lease_seq, "ins_new", 20);
  }));
  EXPECT_EQ(Lock(next).notifications_left, 0u);
  EXPECT_FALSE(Lock(next).drained);
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, next, "rjob_9", 21); }));
  const RangeLock draining = Lock(next);
  EXPECT_TRUE(Do([&](auto& tx) {
    return TakeOverRange(tx, next, "ins_new", draining.lease_seq, "ins_newer", 22);
  }));
  EXPECT_EQ(Lock(next).notifications_left, 2u);
  EXPECT_EQ(Lock(next).drained_at_ms, 22);
}

TEST_F(LocksStatesTest, AGrantThatDoesNotFitLeavesNothingOnceRolledBack) {
  const uint64_t mine = Give({4, 7}, 0);
  const std::string dump = Dump();
  struct Case {
    Range range;
    int host;
    uint64_t generation;
    GrantOutcome want;
  };
  for (const Case& c : {Case{{0, 4}, 1, 0, GrantOutcome::kBucketsTaken},
                        Case{{7, 9}, 1, 0, GrantOutcome::kBucketsTaken},
                        Case{{5, 6}, 1, 0, GrantOutcome::kBucketsTaken},
                        Case{{0, 31}, 1, 0, GrantOutcome::kBucketsTaken},
                        Case{{30, 33}, 1, 0, GrantOutcome::kBucketsTaken},  // past the last bucket
                        Case{{8, 9}, 0, 1, GrantOutcome::kOwnerHasRange},
                        Case{{8, 9}, 1, 1, GrantOutcome::kOwnerChanged},
                        Case{{8, 9}, 0, 0, GrantOutcome::kOwnerChanged},
                        Case{{8, 9}, 99, 0, GrantOutcome::kOwnerChanged}}) {  // no such host
    SCOPED_TRACE(absl::StrCat(c.range.ToString(), " for ", c.host));
    GrantOutcome outcome;
    EXPECT_EQ(Give(*second_, c.range, c.host, c.generation, &outcome), 0u);
    EXPECT_EQ(outcome, c.want);
    EXPECT_EQ(Dump(), dump);
  }
  const uint64_t beside = Give({8, 9}, 1);
  EXPECT_GT(beside, mine);
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(ListHeldRangesOfHost(tx, Host(1))->size(), 1u);
    EXPECT_TRUE(ListHeldRangesOfHost(tx, Host(2))->empty());
    const auto rows = ListBuckets(tx, {7, 8});
    EXPECT_EQ((*rows)[0].owner_host, Host(0));
    EXPECT_EQ((*rows)[1].owner_instance, Instance(1));
    EXPECT_EQ((*rows)[1].pool, kPoolApi);
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace jetmon::store
