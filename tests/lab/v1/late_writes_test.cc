#include "tests/lab/v1/late_writes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

class Written {
 public:
  void Note(int status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    statuses_.push_back(status);
    changed_.notify_all();
  }
  std::vector<int> Wait(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return statuses_.size() >= count; });
    return statuses_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> statuses_;
};

Told Status(int status) { return {"v1", "", 5, "u", status}; }

TEST(LateWrites, InTheOrderInWhichTheyAreDue) {
  Written written;
  LateWrites late([&](const Told& told) {
    written.Note(told.status);
    return true;
  });
  const auto begin = LateWrites::Clock::now();
  late.Add(milliseconds(300), Status(2));
  late.Add(milliseconds(100), Status(0));
  late.Add(milliseconds(200), Status(1));
  EXPECT_GT(late.pending(), 0u);
  EXPECT_THAT(written.Wait(3), ElementsAre(0, 1, 2));
  EXPECT_GE(LateWrites::Clock::now() - begin, milliseconds(300));
}

TEST(LateWrites, WhatFailsIsTriedAgain) {
  Written written;
  int tries = 0;
  LateWrites late([&](const Told& told) {
    written.Note(told.status);
    return ++tries == 3;
  });
  late.Add(milliseconds(0), Status(1));
  EXPECT_THAT(written.Wait(3), ElementsAre(1, 1, 1));
}

TEST(LateWrites, TheEndDropsWhatIsDueLater) {
  Written written;
  {
    LateWrites late([&](const Told& told) {
      written.Note(told.status);
      return true;
    });
    late.Add(std::chrono::hours(1), Status(1));
    late.Add(milliseconds(0), Status(0));
    written.Wait(1);
  }
  EXPECT_THAT(written.Wait(1), ElementsAre(0));
}

}  // namespace
}  // namespace jetmon::lab
