#include "store/sessions.h"

#include "store/jobs.h"
#include "store/test_database.h"

namespace jetmon::store {
namespace {

Session MakeSession(const std::string& run_id) {
  Session s;
  s.run_id = run_id;
  s.range = {0, 99};
  s.state = "open";
  s.consumer = "bot";
  return s;
}

TEST(Sessions, AreListedNewestFirstByPages) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  for (const char* id : {"rol_1", "rol_2", "rol_3"}) {
                    EXPECT_TRUE(InsertSession(tx, MakeSession(id)).ok());
                  }
                  auto page = ListSessions(tx, "", {2, ""});
                  EXPECT_EQ(page->rows.size(), 2u);
                  EXPECT_EQ(page->rows[0].run_id, "rol_3");
                  page = ListSessions(tx, "open", {2, page->next_token});
                  EXPECT_EQ(page->rows.size(), 1u);
                  EXPECT_EQ(page->rows[0].run_id, "rol_1");
                  EXPECT_EQ(page->next_token, "");
                  EXPECT_TRUE(absl::IsInvalidArgument(ListSessions(tx, "", {2, "x"}).status()));
                  EXPECT_FALSE(GetSession(tx, "rol_9")->has_value());
                  return absl::OkStatus();
                }).ok());
}

TEST(Sessions, AreBumpedOnTheSequenceSeenAndClosedOnce) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertSession(tx, MakeSession("rol_1")).ok());
                  EXPECT_TRUE(*BumpSession(tx, "rol_1", 0, "monitor-a", 5));
                  EXPECT_FALSE(*BumpSession(tx, "rol_1", 0, "", 5));
                  EXPECT_TRUE(*BumpSession(tx, "rol_1", 1, "", 5));
                  EXPECT_EQ((*GetSession(tx, "rol_1"))->owner_host, "monitor-a");
                  EXPECT_TRUE(*CloseSession(tx, "rol_1", "done", 6));
                  EXPECT_FALSE(*CloseSession(tx, "rol_1", "done", 6));
                  EXPECT_FALSE(*BumpSession(tx, "rol_1", 3, "", 5));
                  EXPECT_TRUE(TouchSession(tx, "rol_1", 7).ok());
                  EXPECT_EQ((*GetSession(tx, "rol_1"))->sequence, 4u);
                  EXPECT_TRUE(absl::IsNotFound(TouchSession(tx, "rol_2", 7)));
                  return absl::OkStatus();
                }).ok());
}

TEST(Checkpoints, AreOrderedAndFoundByRange) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([&](sql::Transaction& tx) -> absl::Status {
          Checkpoint c;
          c.run_id = "rol_1";
          c.kind = checkpoint::kSmoke;
          c.range = {0, 99};
          c.owner_host = "monitor-a";
          const auto first = InsertCheckpoint(tx, c);
          c.range = {50, 60};
          const auto second = InsertCheckpoint(tx, c);
          EXPECT_GT(second->ordinal, first->ordinal);
          EXPECT_EQ(ListCheckpoints(tx, "rol_1")->size(), 2u);
          const auto covering = LatestCheckpoint(tx, checkpoint::kSmoke, {10, 20}, "");
          EXPECT_EQ((*covering)->ordinal, first->ordinal);
          EXPECT_FALSE(LatestCheckpoint(tx, checkpoint::kSmoke, {0, 100}, "")->has_value());
          EXPECT_FALSE(LatestCheckpoint(tx, checkpoint::kSmoke, {0, 9}, "monitor-b")->has_value());
          EXPECT_FALSE(LatestCheckpoint(tx, checkpoint::kSeed, {0, 9}, "")->has_value());
          const auto overlap = LatestOverlappingCheckpoint(tx, checkpoint::kSmoke, {60, 200});
          EXPECT_EQ((*overlap)->ordinal, second->ordinal);
          EXPECT_FALSE(
              LatestOverlappingCheckpoint(tx, checkpoint::kSmoke, {100, 200})->has_value());
          return absl::OkStatus();
        }).ok());
}

TEST(Checkpoints, AreReadOnFromAnOrdinal) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  Checkpoint c;
                  c.run_id = "rol_1";
                  c.kind = "note";
                  uint64_t first = 0;
                  for (int i = 0; i < 3; ++i) {
                    c.note = std::to_string(i);
                    const auto inserted = InsertCheckpoint(tx, c);
                    if (i == 0) first = inserted->ordinal;
                  }
                  EXPECT_EQ(ListCheckpoints(tx, "rol_1")->size(), 3u);
                  const auto rest = ListCheckpoints(tx, "rol_1", first);
                  EXPECT_EQ(rest->size(), 2u);
                  EXPECT_EQ((*rest)[0].note, "1");
                  EXPECT_TRUE(ListCheckpoints(tx, "rol_1", rest->back().ordinal)->empty());
                  return absl::OkStatus();
                }).ok());
}

TEST(Sessions, ClosedLongAgoWithJobs) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  for (int i = 1; i <= 5; ++i) {
                    Session s;
                    s.run_id = "rol_" + std::to_string(i);
                    s.state = "open";
                    EXPECT_TRUE(InsertSession(tx, s).ok());
                    if (i != 5) {
                      EXPECT_TRUE(*CloseSession(tx, s.run_id, "done", 100 - i));
                    }
                    if (i == 4) continue;  // has none
                    Job j;
                    j.job_id = "rjob_" + std::to_string(i);
                    j.run_id = s.run_id;
                    j.state = job_state::kCompleted;
                    EXPECT_TRUE(InsertJob(tx, j).ok());
                  }
                  EXPECT_EQ(*ClosedSessionsWithJobs(tx, 1000, 10),
                            (std::vector<std::string>{"rol_3", "rol_2", "rol_1"}));
                  EXPECT_EQ(*ClosedSessionsWithJobs(tx, 1000, 2),
                            (std::vector<std::string>{"rol_3", "rol_2"}));
                  EXPECT_EQ(*ClosedSessionsWithJobs(tx, 98, 10),
                            (std::vector<std::string>{"rol_3"}));
                  EXPECT_TRUE(ClosedSessionsWithJobs(tx, 97, 10)->empty());
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
