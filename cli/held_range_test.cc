#include "cli/held_range.h"

#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

Json Status() {
  return *Json::Parse(
      R"({"ranges":[
        {"bucket_min":0,"bucket_max":99,"owner_host":"monitor-a","run_id":"rol_a",
         "state":"active"},
        {"bucket_min":100,"bucket_max":199,"owner_host":"monitor-b","run_id":"rol_b",
         "state":"draining"}]})");
}

std::string Refusal(store::Range wanted, const std::string& run_id = "") {
  const auto held = FindHeldRange(Status(), wanted, run_id);
  EXPECT_EQ(held.status().code(), absl::StatusCode::kFailedPrecondition) << held.status();
  return std::string(held.status().message());
}

TEST(HeldRangeTest, TheWholeRangeOrOneEndOfIt) {
  const auto whole = FindHeldRange(Status(), {0, 99}, "");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->run_id, "rol_a");
  EXPECT_EQ(whole->owner_host, "monitor-a");
  EXPECT_EQ(whole->keeps, "");
  EXPECT_EQ(FindHeldRange(Status(), {0, 29}, "")->keeps, "30-99");
  EXPECT_EQ(FindHeldRange(Status(), {80, 99}, "rol_a")->keeps, "0-79");
  EXPECT_EQ(FindHeldRange(Status(), {100, 100}, "")->run_id, "rol_b");
}

TEST(HeldRangeTest, AnythingElseIsRefusedAndSaysWhatIsHeld) {
  EXPECT_NE(Refusal({200, 299}).find("no range 200-299 is held"), std::string::npos);
  EXPECT_NE(Refusal({10, 20}).find("monitor-a holds 0-99 (run rol_a)"), std::string::npos);
  EXPECT_NE(Refusal({10, 20}).find("either end"), std::string::npos);
  EXPECT_NE(Refusal({150, 250}).find("monitor-b holds 100-199"), std::string::npos);
  EXPECT_NE(Refusal({50, 150}).find("monitor-b holds 100-199"), std::string::npos);
  EXPECT_NE(Refusal({0, 199}).find("monitor-a holds 0-99"), std::string::npos);
}

TEST(HeldRangeTest, AnotherRunsRangeNamesTheRun) {
  EXPECT_NE(Refusal({0, 29}, "rol_b").find("use --run-id rol_a"), std::string::npos);
}

TEST(HeldRangeTest, NothingIsHeldWhereNothingIsSaid) {
  EXPECT_EQ(FindHeldRange(Json(), {0, 1}, "").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace jetmon::cli
