#include "controlplane/rpc/cancellation.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"

namespace jetmon::rpc {
namespace {

TEST(CancellationTest, CallsOnce) {
  Cancellation cancellation;
  int calls = 0;
  const auto subscription = cancellation.OnCancel([&] { ++calls; });
  EXPECT_FALSE(cancellation.cancelled());
  cancellation.Cancel();
  cancellation.Cancel();
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_EQ(calls, 1);
}

TEST(CancellationTest, CallsAtOnceWhenItHasHappened) {
  Cancellation cancellation;
  cancellation.Cancel();
  int calls = 0;
  const auto subscription = cancellation.OnCancel([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(CancellationTest, NotAfterTheSubscriptionEnded) {
  Cancellation cancellation;
  int calls = 0;
  {
    const auto subscription = cancellation.OnCancel([&] { ++calls; });
  }
  auto moved = cancellation.OnCancel([&] { ++calls; });
  moved = Cancellation::Subscription();
  cancellation.Cancel();
  EXPECT_EQ(calls, 0);
}

TEST(CancellationTest, EndOfSubscriptionWaitsForTheCallback) {
  for (int round = 0; round < 200; ++round) {
    Cancellation cancellation;
    auto alive = std::make_unique<std::atomic<bool>>(true);
    std::atomic<bool> wrong{false};
    std::thread canceller;
    {
      const auto subscription = cancellation.OnCancel([&, p = alive.get()] {
        if (!p->load()) wrong = true;
      });
      canceller = std::thread([&] { cancellation.Cancel(); });
    }
    *alive = false;
    canceller.join();
    EXPECT_FALSE(wrong.load());
  }
}

}  // namespace
}  // namespace jetmon::rpc
