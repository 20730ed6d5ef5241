#include "controlplane/housekeeping.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "store/comparison_results.h"
#include "store/jobs.h"
#include "store/sessions.h"
#include "store/test_database.h"

namespace jetmon::controlplane {
namespace {

constexpr int64_t kDayMs = 24 * 3600 * 1000;

class HousekeepingTest : public ::testing::Test {
 protected:
  // A run that was closed so many days ago; negative: still open.
  void AddRun(const std::string& run_id, int days) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      store::Session s;
      s.run_id = run_id;
      s.state = "open";
      if (auto inserted = store::InsertSession(tx, s); !inserted.ok()) return inserted;
      if (days < 0) return absl::OkStatus();
      return store::CloseSession(tx, run_id, "done", db_->clock().WallMs() - days * kDayMs)
          .status();
    });
  }
  void AddJob(const std::string& run_id, const std::string& job_id, const char* state,
              uint64_t results = 0) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      store::Job j;
      j.job_id = job_id;
      j.run_id = run_id;
      j.operation = "compare_methods";
      j.state = state;
      if (auto s = store::InsertJob(tx, j); !s.ok()) return s;
      std::vector<store::Comparison> rows(results);
      for (uint64_t i = 0; i < results; ++i) rows[i].site_id = i + 1;
      return store::InsertComparisons(tx, job_id, rows);
    });
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  std::set<std::string> Jobs() {
    std::set<std::string> jobs;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) {
                     auto page = store::ListJobs(tx, "", "", {200, ""});
                     for (const auto& j : page->rows) jobs.insert(j.job_id);
                     return page.status();
                   })
                    .ok());
    return jobs;
  }
  size_t Results(const std::string& job_id) {
    size_t rows = 0;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) {
                     auto found = store::ComparisonsAfter(tx, job_id, "", 0, 10'000);
                     rows = found->size();
                     return found.status();
                   })
                    .ok());
    return rows;
  }
  int64_t Prune(std::chrono::seconds within = std::chrono::seconds(60)) {
    auto pruned = PruneJobs(*db_, db_->clock().Boot() + within);
    EXPECT_TRUE(pruned.ok()) << pruned.status();
    return pruned.ok() ? *pruned : -1;
  }
  using Names = std::set<std::string>;

  store::TestDatabase db_;
};

TEST_F(HousekeepingTest, JobsOfRunsClosedAMonthAgoGoWithTheirResults) {
  AddRun("rol_old", 31);
  AddRun("rol_young", 29);
  AddRun("rol_open", -1);
  AddJob("rol_old", "rjob_1", store::job_state::kCompleted, 1200);
  AddJob("rol_old", "rjob_2", store::job_state::kFailed);
  AddJob("rol_old", "rjob_3", store::job_state::kRunning);
  AddJob("rol_young", "rjob_4", store::job_state::kCompleted, 3);
  AddJob("rol_open", "rjob_5", store::job_state::kCompleted, 3);
  EXPECT_EQ(Prune(), 2);
  EXPECT_EQ(Jobs(), (Names{"rjob_3", "rjob_4", "rjob_5"}));
  EXPECT_EQ(Results("rjob_1"), 0u);
  EXPECT_EQ(Results("rjob_4"), 3u);
  EXPECT_EQ(Prune(), 0);
}

TEST_F(HousekeepingTest, WhatThereIsNoTimeForIsLeftWhole) {
  AddRun("rol_old", 31);
  AddJob("rol_old", "rjob_1", store::job_state::kCompleted, 700);
  EXPECT_EQ(Prune(std::chrono::seconds(0)), 0);
  EXPECT_EQ(Results("rjob_1"), 700u);
  EXPECT_EQ(Jobs(), Names{"rjob_1"});
  EXPECT_EQ(Prune(), 1);
}

TEST_F(HousekeepingTest, IsDoneWithoutBeingAsked) {
  AddRun("rol_old", 31);
  AddJob("rol_old", "rjob_1", store::job_state::kCompleted, 3);
  Housekeeping housekeeping(*db_, {"cp-1", "cp", "2.0"});
  for (int i = 0; i < 1000 && !Jobs().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(Jobs().empty());
}

}  // namespace
}  // namespace jetmon::controlplane
