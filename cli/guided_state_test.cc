#include "cli/guided_state.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

TEST(GuidedState, SurvivesItsProcess) {
  const std::string path = testing::TempDir() + "/" + GuidedState::FileName(0, 255, false);
  {
    auto state = GuidedState::New(path);
    ASSERT_TRUE(state->Set("run_id", "rol_1").ok());
    ASSERT_TRUE(state->MarkDone("session").ok());
  }
  auto again = GuidedState::Load(path);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->Get("run_id"), "rol_1");
  EXPECT_TRUE((*again)->IsDone("session"));
  EXPECT_FALSE((*again)->IsDone("seed"));
  EXPECT_EQ((*again)->Get("unknown"), "");
}

TEST(GuidedState, KeepsDirectionsAndRangesApart) {
  EXPECT_EQ(GuidedState::FileName(0, 255, false), "guided-0-255.json");
  EXPECT_EQ(GuidedState::FileName(0, 255, true), "rollback-0-255.json");
}

TEST(GuidedState, RefusesWhatIsNoState) {
  const std::string path = testing::TempDir() + "/other.json";
  std::ofstream(path) << "{\"format\": \"other\"}";
  EXPECT_TRUE(absl::IsInvalidArgument(GuidedState::Load(path).status()));
  EXPECT_TRUE(absl::IsNotFound(GuidedState::Load("/no/such/file").status()));
}

}  // namespace
}  // namespace jetmon::cli
