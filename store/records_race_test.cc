// Of several processes that change the same record of a rollout or of access at the same moment
// exactly one does, the others are told, and the row is the winner's.
#include "store/keys.h"
#include "store/race_fixture.h"
#include "store/sessions.h"
#include "store/tokens.h"
#include "store/vantages.h"

namespace jetmon::store {
namespace {

using RecordsRaceTest = RaceFixture;

std::string Name(const char* what, int i) { return what + std::to_string(i); }

TEST_F(RecordsRaceTest, ATokenIsConsumedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    ConfirmationToken t;
    t.token_hash = Name("hash_", round);
    t.expires_at_ms = 1000;
    Write([&](sql::Transaction& tx) { return InsertToken(tx, t); });
    const auto winners = Winners([&](sql::Transaction& tx, int i) {
      return ConsumeToken(tx, t.token_hash, Name("job_", i), 10);
    });
    ASSERT_EQ(winners.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ((*GetToken(tx, t.token_hash))->job_id, Name("job_", winners[0]));
      return absl::OkStatus();
    });
  }
}

TEST_F(RecordsRaceTest, OfEqualRequestsOneBegins) {
  for (int round = 0; round < kRounds; ++round) {
    IdempotencyRecord r;
    r.key_id = "key_1";
    r.idempotency_key = Name("request_", round);
    const auto winners = Winners([&](sql::Transaction& tx, int i) {
      IdempotencyRecord mine = r;
      mine.request_hash = Name("hash_", i);
      return BeginIdempotent(tx, mine);
    });
    ASSERT_EQ(winners.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      const auto now = GetIdempotency(tx, r.key_id, r.idempotency_key);
      EXPECT_EQ((*now)->request_hash, Name("hash_", winners[0]));
      EXPECT_EQ((*now)->attempt, 1u);
      return absl::OkStatus();
    });
  }
}

TEST_F(RecordsRaceTest, ARequestIsTakenOverOrCompletedOrAbandoned) {
  for (int round = 0; round < kRounds; ++round) {
    IdempotencyRecord r;
    r.key_id = "key_1";
    r.idempotency_key = Name("request_", round);
    Write([&](sql::Transaction& tx) { return BeginIdempotent(tx, r).status(); });
    // Two take over, two complete, two abandon; whoever abandons is not answered, the row is.
    const auto winners = Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      if (i < 2) return RetakeIdempotent(tx, r.key_id, r.idempotency_key, 1, Name("hash_", i), 10);
      if (i < 4) {
        return CompleteIdempotent(tx, r.key_id, r.idempotency_key, 1, "job", Name("job_", i));
      }
      if (auto s = AbandonIdempotent(tx, r.key_id, r.idempotency_key, 1); !s.ok()) return s;
      return false;
    });
    Write([&](sql::Transaction& tx) -> absl::Status {
      const auto now = GetIdempotency(tx, r.key_id, r.idempotency_key);
      if (!now->has_value()) {  // abandoned first
        EXPECT_TRUE(winners.empty()) << "round " << round;
        return absl::OkStatus();
      }
      EXPECT_EQ(winners.size(), 1u) << "round " << round;
      if (winners.size() != 1) return absl::OkStatus();
      const bool retaken = winners[0] < 2;
      EXPECT_EQ((*now)->state, retaken ? "running" : "completed");
      EXPECT_EQ((*now)->attempt, retaken ? 2u : 1u);
      EXPECT_EQ(retaken ? (*now)->request_hash : (*now)->resource_id,
                Name(retaken ? "hash_" : "job_", winners[0]));
      return absl::OkStatus();
    });
  }
}

TEST_F(RecordsRaceTest, AKeyIsRevokedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = Name("key_", round);
    Write([&](sql::Transaction& tx) {
      return InsertKey(tx, {id, "bot", "admin", Name("hash_", round), 1, 0, 0});
    });
    const auto winners = Winners([&](sql::Transaction& tx, int) { return RevokeKey(tx, id, 50); });
    ASSERT_EQ(winners.size(), 1u) << "round " << round;
  }
}

TEST_F(RecordsRaceTest, ARunsSequenceIsBumpedOnceAndClosedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    Session session;
    session.run_id = Name("rol_", round);
    session.state = "open";
    Write([&](sql::Transaction& tx) { return InsertSession(tx, session); });
    const auto bumped = Winners([&](sql::Transaction& tx, int i) {
      return BumpSession(tx, session.run_id, 0, Name("host_", i), 5);
    });
    ASSERT_EQ(bumped.size(), 1u) << "round " << round;
    const auto closed = Winners([&](sql::Transaction& tx, int i) {
      return CloseSession(tx, session.run_id, Name("reason_", i), 6);
    });
    ASSERT_EQ(closed.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      const auto now = GetSession(tx, session.run_id);
      EXPECT_EQ((*now)->sequence, 2u);
      EXPECT_EQ((*now)->owner_host, Name("host_", bumped[0]));
      EXPECT_EQ((*now)->close_reason, Name("reason_", closed[0]));
      return absl::OkStatus();
    });
  }
}

TEST_F(RecordsRaceTest, NoTouchOfARunIsLostAndCheckpointsAreOrdered) {
  Session session;
  session.run_id = "rol_1";
  session.state = "open";
  Write([&](sql::Transaction& tx) { return InsertSession(tx, session); });
  for (int round = 0; round < kRounds; ++round) {
    const auto done = Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      if (auto s = TouchSession(tx, session.run_id, 5); !s.ok()) return s;
      Checkpoint c;
      c.run_id = session.run_id;
      c.kind = "note";
      c.note = std::to_string(round * kRacers + i);
      auto inserted = InsertCheckpoint(tx, c);
      if (!inserted.ok()) return inserted.status();
      return true;
    });
    ASSERT_EQ(done.size(), static_cast<size_t>(kRacers));
  }
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ((*GetSession(tx, session.run_id))->sequence, uint64_t{kRounds * kRacers});
    const auto checkpoints = ListCheckpoints(tx, session.run_id);
    EXPECT_EQ(checkpoints->size(), size_t{kRounds * kRacers});
    // Each round's are all there before the next round's.
    for (size_t i = 0; i < checkpoints->size(); ++i) {
      EXPECT_EQ(std::stoul((*checkpoints)[i].note) / kRacers, i / kRacers);
    }
    return absl::OkStatus();
  });
}

TEST_F(RecordsRaceTest, AVantageIsMadeChangedAndRemovedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    Vantage v;
    v.vantage_id = Name("v-", round);
    v.trust = "pending";
    const auto made = Winners([&](sql::Transaction& tx, int i) {
      Vantage mine = v;
      mine.region = Name("made_", i);
      return InsertVantage(tx, mine);
    });
    ASSERT_EQ(made.size(), 1u) << "round " << round;
    std::string region;
    const auto read = [&](sql::Transaction& tx) -> absl::Status {
      region = (*GetVantage(tx, v.vantage_id))->region;
      return absl::OkStatus();
    };
    Write(read);
    EXPECT_EQ(region, Name("made_", made[0]));
    const auto changed = Winners([&](sql::Transaction& tx, int i) {
      Vantage mine = v;
      mine.region = Name("changed_", i);
      return UpdateVantage(tx, mine);
    });
    ASSERT_EQ(changed.size(), 1u) << "round " << round;
    Write(read);
    EXPECT_EQ(region, Name("changed_", changed[0]));
    const auto removed =
        Winners([&](sql::Transaction& tx, int) { return DeleteVantage(tx, v.vantage_id); });
    ASSERT_EQ(removed.size(), 1u) << "round " << round;
  }
}

Agent MakeAgent(const std::string& id, const std::string& lease) {
  Agent a;
  a.agent_id = id;
  a.vantage_id = "v-1";
  a.state = "live";
  a.lease_id = lease;
  return a;
}

std::optional<Agent> Find(sql::Transaction& tx, const std::string& id) {
  const auto agents = AgentsOfVantage(tx, "v-1");
  for (const Agent& a : *agents) {
    if (a.agent_id == id) return a;
  }
  return std::nullopt;
}

TEST_F(RecordsRaceTest, AnAgentsLeaseEndsOnceAndNeverItsSuccessors) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = Name("a-", round);
    Write([&](sql::Transaction& tx) { return SaveAgent(tx, MakeAgent(id, "old")); });
    const auto ended = Winners([&](sql::Transaction& tx, int i) {
      return EndAgent(tx, MakeAgent(id, "old"), i % 2 == 0 ? "lost" : "goodbye", 10 + i);
    });
    ASSERT_EQ(ended.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(Find(tx, id)->updated_at_ms, 10 + ended[0]);
      return SaveAgent(tx, MakeAgent(id, "old"));
    });
    // It registers anew while others take it for lost.
    const auto won = Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      if (i > 0) return EndAgent(tx, MakeAgent(id, "old"), "lost", 10);
      if (auto s = SaveAgent(tx, MakeAgent(id, "new")); !s.ok()) return s;
      return false;
    });
    EXPECT_LE(won.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(Find(tx, id)->lease_id, "new");
      EXPECT_EQ(Find(tx, id)->state, "live");
      return absl::OkStatus();
    });
  }
}

TEST_F(RecordsRaceTest, NoHeartbeatOfALeaseIsLostAndNoneOfAnotherCounts) {
  Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto s = SaveAgent(tx, MakeAgent("a-1", "mine")); !s.ok()) return s;
    return SaveAgent(tx, MakeAgent("a-2", "mine"));
  });
  for (int round = 0; round < kRounds; ++round) {
    Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      // The agents in another order each time.
      std::vector<Agent> beats = {MakeAgent("a-1", "mine"), MakeAgent("a-2", "another")};
      if (i % 2 == 0) std::swap(beats[0], beats[1]);
      if (auto s = SaveHeartbeats(tx, beats); !s.ok()) return s;
      return false;
    });
  }
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(Find(tx, "a-1")->seq, uint64_t{kRounds * kRacers});
    EXPECT_EQ(Find(tx, "a-2")->seq, 0u);
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace jetmon::store
