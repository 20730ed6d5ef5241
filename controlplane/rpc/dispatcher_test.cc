#include "controlplane/rpc/dispatcher.h"

#include <latch>

#include "controlplane/rpc/test_cancelled.h"
#include "gtest/gtest.h"

namespace jetmon::rpc {
namespace {

constexpr Dispatcher::Sizes kSmall{{1, 0}, {1, 0}, {1, 1}};

TEST(DispatcherTest, RunsOneOfThree) {
  Dispatcher dispatcher(kSmall);
  std::latch started(1), go(1), refusing(1), refuse_go(1);
  const auto call = [] { return std::make_shared<Cancellation>(); };
  const auto never = [] { ADD_FAILURE(); };
  dispatcher.Dispatch(
      Dispatcher::Kind::kUnary, call(),
      [&] {
        started.count_down();
        go.wait();
      },
      never, never);
  started.wait();
  // No room: the refusals' thread, then its queue, then at once.
  dispatcher.Dispatch(
      Dispatcher::Kind::kUnary, call(), never,
      [&] {
        refusing.count_down();
        refuse_go.wait();
      },
      never);
  refusing.wait();
  bool queued = false, dropped = false;
  dispatcher.Dispatch(
      Dispatcher::Kind::kUnary, call(), never, [&] { queued = true; }, never);
  dispatcher.Dispatch(Dispatcher::Kind::kUnary, call(), never, never, [&] { dropped = true; });
  EXPECT_TRUE(dropped);
  // Streams have threads of their own.
  std::latch streamed(1);
  dispatcher.Dispatch(
      Dispatcher::Kind::kStream, call(), [&] { streamed.count_down(); }, never, never);
  streamed.wait();
  go.count_down();
  refuse_go.count_down();
  dispatcher.Stop();
  EXPECT_TRUE(queued);
}

TEST(DispatcherTest, StopsStreamsFirst) {
  Dispatcher dispatcher(Dispatcher::Sizes{});
  const auto unary = std::make_shared<Cancellation>();
  const auto stream = std::make_shared<Cancellation>();
  const auto never = [] { ADD_FAILURE(); };
  const auto wait = [](const std::shared_ptr<Cancellation>& c) {
    return [c] { EXPECT_TRUE(AwaitCancel(*c)); };
  };
  dispatcher.Dispatch(Dispatcher::Kind::kUnary, unary, wait(unary), never, never);
  dispatcher.Dispatch(Dispatcher::Kind::kStream, stream, wait(stream), never, never);
  dispatcher.CancelStreams();
  EXPECT_TRUE(stream->cancelled());
  EXPECT_FALSE(unary->cancelled());
  const auto late = std::make_shared<Cancellation>();
  dispatcher.Dispatch(Dispatcher::Kind::kStream, late, wait(late), never, never);
  EXPECT_TRUE(late->cancelled());
  dispatcher.CancelAll();
  EXPECT_TRUE(unary->cancelled());
  dispatcher.Stop();
}

}  // namespace
}  // namespace jetmon::rpc
