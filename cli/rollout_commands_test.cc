#include "cli/rollout_commands.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "cli/json.h"
#include "cli/run_fixture.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

// Of a file with these rows.
Ran Check(const std::string& rows, std::vector<std::string> more = {}) {
  const std::string path = std::string(getenv("TEST_TMPDIR")) + "/plan.csv";
  std::ofstream(path) << "host,bucket_min,bucket_max,batch_size\n" << rows;
  std::vector<std::string> words = {"rollout", "v1-plan-check", "--file", path};
  words.insert(words.end(), more.begin(), more.end());
  return RunCommand(std::move(words), AddRolloutCommands);
}

constexpr char kGood[] = "v1-a,0,256,32\nv1-b,256,512,32\n";
constexpr char kBad[] = "v1-a,0,255,51\nv1-b,256,511,300\n";

TEST(RolloutCommandsTest, AGoodPlan) {
  const Ran ran = Check(kGood);
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out,
            "v1-a: bucket_min 0, bucket_max 256, batch_size 32\n"
            "  reads        0-255\n"
            "  never reads  256\n"
            "v1-b: bucket_min 256, bucket_max 512, batch_size 32\n"
            "  reads        256-511\n"
            "  may stray to 224-255\n"
            "warning stray_below_min: after a failed query on the last batch of a round v1 reads "
            "once what is below its MIN: v1-b 224-255 -> no config rules it out; a smaller "
            "batch_size makes them fewer\n"
            "ok: every bucket is read by one v1 host, or held by v2\n");
}

TEST(RolloutCommandsTest, ABadPlanIsBlockedAndSaysWhatToSet) {
  const Ran ran = Check(kBad);
  EXPECT_EQ(ran.code, kBlocked);
  EXPECT_NE(ran.out.find("v1-a: bucket_min 0, bucket_max 255, batch_size 51\n"
                         "  reads        0-254\n"
                         "  never reads  255\n"
                         "  set instead: bucket_min 0, bucket_max 256, batch_size 32: any v1 then "
                         "reads 0-255\n"),
            std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("BLOCKED read_by_none: bucket 255 is read by no v1 host"),
            std::string::npos);
  EXPECT_NE(ran.out.find("\nblocked; with what stands at the hosts set, every bucket is read"),
            std::string::npos);
}

TEST(RolloutCommandsTest, WhatSettingsDoNotSettleIsLeft) {
  const Ran ran = Check(kGood, {"--held", "10-19", "--held", "256-511"});
  EXPECT_EQ(ran.code, kBlocked);
  EXPECT_NE(ran.out.find("no setting reads just 0-9, 20-255: v2 holds what is between"),
            std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("stop this host: v2 holds all of its buckets"), std::string::npos);
  EXPECT_NE(ran.out.find("there is left:\n  read_while_held: buckets 10-19 are held by v2, and "
                         "v1-a reads them"),
            std::string::npos);
}

TEST(RolloutCommandsTest, Json) {
  const Ran good = Check(kGood, {"--output=json"});
  EXPECT_EQ(good.code, kOk);
  const Json ok = *Json::Parse(good.out);
  EXPECT_EQ(ok["status"].Text(), "ok");
  EXPECT_TRUE(ok["blockers"].IsList());
  EXPECT_EQ(ok["blockers"].Items().size(), 0u);
  EXPECT_EQ(ok["warnings"].Items().at(0)["code"].Text(), "stray_below_min");

  const Ran bad = Check(kBad, {"--output=json"});
  EXPECT_EQ(bad.code, kBlocked);
  const Json blocked = *Json::Parse(bad.out);
  EXPECT_EQ(blocked["status"].Text(), "blocked");
  EXPECT_EQ(blocked["blockers"].Items().at(0)["code"].Text(), "read_by_none");
  EXPECT_EQ(blocked["left"].Items().size(), 0u);
  const Json host = blocked["hosts"].Items().at(0);
  EXPECT_EQ(host["host"].Text(), "v1-a");
  EXPECT_EQ(host["batch_size"].Number(), 51);
  EXPECT_FALSE(host["exact"].Bool());
  EXPECT_EQ(host["reads"].Items().at(0)["bucket_max"].Number(), 254);
  EXPECT_EQ(host["never_reads"].Items().at(0)["bucket_min"].Number(), 255);
  EXPECT_EQ(host["set_instead"]["bucket_max"].Number(), 256);
  EXPECT_EQ(host["set_instead"]["batch_size"].Number(), 32);
}

TEST(RolloutCommandsTest, TheNumberOfBuckets) {
  EXPECT_EQ(Check("v1-a,0,99,32\n").code, kBlocked);
  EXPECT_EQ(Check("v1-a,0,99,32\n", {"--bucket-total", "100"}).code, kOk);
}

TEST(RolloutCommandsTest, WhatAnOlderV1WouldDo) {
  EXPECT_NE(Check("v1-a,0,255,30\nv1-b,256,512,32\n")
                .out.find("  if it runs an older v1, set bucket_min 0, bucket_max 256, batch_size "
                          "16: any v1 then reads 0-255\n"),
            std::string::npos);
  EXPECT_NE(Check("v1-a,0,100,50\n", {"--bucket-total", "101"})
                .out.find("  set instead: bucket_min 0, bucket_max 100, batch_size 49: v1 then "
                          "reads 0-100; an older one does not\n"),
            std::string::npos);
}

TEST(RolloutCommandsTest, Usage) {
  const Ran row = Check("v1-a,0,513,32\n");
  EXPECT_EQ(row.code, kUsage);
  EXPECT_EQ(row.out, "");
  EXPECT_NE(row.err.find("plan.csv:2: bucket_max 513 is past the last of 512 buckets"),
            std::string::npos);
  EXPECT_EQ(Check(kGood, {"--held", "9-8"}).code, kUsage);
  EXPECT_EQ(Check(kGood, {"--output=yaml"}).code, kUsage);
  EXPECT_EQ(Check(kGood, {"--bucket-total=0"}).code, kUsage);
  EXPECT_EQ(RunCommand({"rollout", "v1-plan-check"}, AddRolloutCommands).code, kUsage);
  EXPECT_EQ(RunCommand({"rollout", "v1-plan-check", "--file", "/nowhere"}, AddRolloutCommands).code,
            kUsage);
}

}  // namespace
}  // namespace jetmon::cli
