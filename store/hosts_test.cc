#include "store/hosts.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

ProcessHealth Health(const std::string& instance) {
  ProcessHealth h;
  h.instance = instance;
  h.kind = "monitor";
  h.host = "a";
  h.mode = "api-controlled";
  h.updated_at_ms = 100;
  return h;
}

TEST(Hosts, AReportGrowsTheSequence) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  ProcessHealth h = Health("ins_1");
                  h.warnings = {"one\ntwo", std::string(500, 'x')};
                  h.range = Range{3, 9};
                  EXPECT_TRUE(ReportHealth(tx, h).ok());
                  EXPECT_TRUE(ReportHealth(tx, h).ok());
                  const auto rows = ListProcesses(tx, "monitor", false);
                  EXPECT_EQ(rows->size(), 1u);
                  EXPECT_EQ((*rows)[0].seq, 2u);
                  EXPECT_EQ((*rows)[0].range, (Range{3, 9}));
                  EXPECT_EQ((*rows)[0].warnings[0], "one two");
                  EXPECT_EQ((*rows)[0].warnings[1].size(), 200u);
                  EXPECT_EQ(*HostGeneration(tx, "a"), 0u);
                  EXPECT_TRUE(ListProcesses(tx, "controlplane", true)->empty());
                  return absl::OkStatus();
                }).ok());
}

TEST(Hosts, WarningsAreBoundedBetweenCharacters) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  ProcessHealth h = Health("ins_1");
                  // 199 bytes and then characters of two: the 200th byte would be half of one.
                  h.warnings.assign(25, std::string(199, 'x') + "\u00e9\u00e9");
                  EXPECT_TRUE(ReportHealth(tx, h).ok());
                  const auto rows = ListProcesses(tx, "monitor", false);
                  EXPECT_EQ((*rows)[0].warnings,
                            std::vector<std::string>(20, std::string(199, 'x')));
                  return absl::OkStatus();
                }).ok());
}

TEST(Hosts, KeepsEveryField) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  ProcessHealth h = Health("ins_1");
                  h.version = "2.0.1";
                  h.protocol = 3;
                  h.state = "active";
                  h.pid = 77;
                  h.epoch = 9;
                  h.targets = 1;
                  h.due_backlog = 2;
                  h.in_flight = 3;
                  h.rss_bytes = 4;
                  h.oldest_due_ms = 5;
                  h.checks_per_s = 6.5;
                  h.notify_configured = true;
                  h.longest_check_ms = 20'000;
                  h.started_at_ms = 50;
                  EXPECT_TRUE(ReportHealth(tx, h).ok());
                  for (int pass = 0; pass < 2; ++pass) {  // as inserted, then as updated
                    const ProcessHealth r = ListProcesses(tx, "monitor", false)->at(0);
                    EXPECT_EQ(r.host, "a");
                    EXPECT_EQ(r.mode, "api-controlled");
                    EXPECT_EQ(r.version, "2.0.1");
                    EXPECT_EQ(r.protocol, 3);
                    EXPECT_EQ(r.state, "active");
                    EXPECT_EQ(r.pid, 77);
                    EXPECT_EQ(r.epoch, 9u);
                    EXPECT_EQ(r.targets, 1u);
                    EXPECT_EQ(r.due_backlog, 2u);
                    EXPECT_EQ(r.in_flight, 3u);
                    EXPECT_EQ(r.rss_bytes, 4u);
                    EXPECT_EQ(r.oldest_due_ms, 5);
                    EXPECT_EQ(r.checks_per_s, 6.5);
                    EXPECT_TRUE(r.notify_configured);
                    EXPECT_EQ(r.longest_check_ms, 20'000);
                    EXPECT_EQ(LastWordsOf(tx, "ins_1")->longest_check_ms, 20'000);
                    EXPECT_EQ(r.started_at_ms, 50);
                    EXPECT_FALSE(r.range.has_value());
                    EXPECT_TRUE(ReportHealth(tx, h).ok());
                  }
                  return absl::OkStatus();
                }).ok());
}

TEST(Hosts, GoodbyeHidesAndPruneRemoves) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(ReportHealth(tx, Health("ins_1")).ok());
                  EXPECT_TRUE(ReportHealth(tx, Health("ins_2")).ok());
                  EXPECT_FALSE(LastWordsOf(tx, "ins_1")->goodbye);
                  EXPECT_FALSE(LastWordsOf(tx, "unknown")->goodbye);
                  EXPECT_EQ(LastWordsOf(tx, "unknown")->longest_check_ms, 0);
                  EXPECT_TRUE(SayGoodbye(tx, "ins_1", 200).ok());
                  EXPECT_TRUE(LastWordsOf(tx, "ins_1")->goodbye);
                  EXPECT_EQ(ListProcesses(tx, "monitor", false)->size(), 1u);
                  EXPECT_EQ(ListProcesses(tx, "monitor", true)->size(), 2u);
                  EXPECT_EQ(*PruneProcesses(tx, 200), 1);
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
