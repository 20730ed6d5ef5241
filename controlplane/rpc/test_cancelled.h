#ifndef JETMON_CONTROLPLANE_RPC_TEST_CANCELLED_H_
#define JETMON_CONTROLPLANE_RPC_TEST_CANCELLED_H_

#include <chrono>
#include <future>

namespace jetmon::rpc {

// Blocks until a Cancellation, or the call of a CallContext, is cancelled. False if that has not
// happened after a minute.
template <typename T>
bool AwaitCancel(T& what) {
  std::promise<void> cancelled;
  const auto subscription = what.OnCancel([&] { cancelled.set_value(); });
  return cancelled.get_future().wait_for(std::chrono::minutes(1)) == std::future_status::ready;
}

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_TEST_CANCELLED_H_
