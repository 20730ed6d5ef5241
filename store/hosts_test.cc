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

TEST(Hosts, GoodbyeHidesAndPruneRemoves) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(ReportHealth(tx, Health("ins_1")).ok());
                  EXPECT_TRUE(ReportHealth(tx, Health("ins_2")).ok());
                  EXPECT_FALSE(*SaidGoodbye(tx, "ins_1"));
                  EXPECT_FALSE(*SaidGoodbye(tx, "unknown"));
                  EXPECT_TRUE(SayGoodbye(tx, "ins_1", 200).ok());
                  EXPECT_TRUE(*SaidGoodbye(tx, "ins_1"));
                  EXPECT_EQ(ListProcesses(tx, "monitor", false)->size(), 1u);
                  EXPECT_EQ(ListProcesses(tx, "monitor", true)->size(), 2u);
                  EXPECT_EQ(*PruneProcesses(tx, 200), 1);
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
