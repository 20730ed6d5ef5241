#include "controlplane/rpc/worker_pool.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <thread>

#include "gtest/gtest.h"

namespace jetmon::rpc {
namespace {

TEST(WorkerPoolTest, RunsEverythingItTook) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool({.threads = 4, .queue = 1000});
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.Submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran.load(), 1000);
}

TEST(WorkerPoolTest, RunsSideBySideAndBoundsTheQueue) {
  WorkerPool pool({.threads = 3, .queue = 2});
  std::latch started(3), go(1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
      started.count_down();
      go.wait();
    }));
  }
  started.wait();
  std::atomic<int> ran{0};
  EXPECT_TRUE(pool.Submit([&] { ++ran; }));
  EXPECT_TRUE(pool.Submit([&] { ++ran; }));
  EXPECT_FALSE(pool.Submit([&] { ++ran; }));
  go.count_down();
  pool.Stop();
  EXPECT_EQ(ran.load(), 2);
  EXPECT_FALSE(pool.Submit([&] { ++ran; }));
}

TEST(WorkerPoolTest, WithoutAQueueOnlyAnIdleThreadServes) {
  WorkerPool pool({.threads = 1, .queue = 0});
  for (int i = 0; i < 100; ++i) {
    struct Latches {
      std::latch began{1}, go{1};
    };
    const auto latches = std::make_shared<Latches>();
    const auto job = [latches] {
      latches->began.count_down();
      latches->go.wait();
    };
    // The thread may be on its way back from the one before.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!pool.Submit(job)) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "an idle thread is not used";
      std::this_thread::yield();
    }
    latches->began.wait();
    const bool taken = pool.Submit([] {});
    latches->go.count_down();
    ASSERT_FALSE(taken) << "nobody was idle";
  }
}

}  // namespace
}  // namespace jetmon::rpc
