#include "controlplane/rpc/worker_pool.h"

#include <atomic>
#include <latch>

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

TEST(WorkerPoolTest, AnIdleThreadServesWithoutAQueue) {
  WorkerPool pool({.threads = 1, .queue = 0});
  for (int i = 0; i < 100; ++i) {
    std::latch done(1);
    // The thread may be on its way back to the queue.
    while (!pool.Submit([&] { done.count_down(); })) std::this_thread::yield();
    done.wait();
  }
}

}  // namespace
}  // namespace jetmon::rpc
