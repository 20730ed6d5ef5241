#ifndef JETMON_CONTROLPLANE_RPC_DISPATCHER_H_
#define JETMON_CONTROLPLANE_RPC_DISPATCHER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "controlplane/rpc/cancellation.h"
#include "controlplane/rpc/worker_pool.h"

namespace jetmon::rpc {

// Takes calls from the transports to worker threads, and ends them when the server stops. Streams
// have threads of their own: a hundred watchers must not keep one short call waiting. Thread-safe.
class Dispatcher {
 public:
  struct Sizes {
    WorkerPool::Size unary{32, 256};
    WorkerPool::Size stream{64, 0};
    // One thread that audits what found no thread.
    WorkerPool::Size refusals{1, 256};
  };
  explicit Dispatcher(Sizes sizes);
  ~Dispatcher();

  enum class Kind { kUnary, kStream };
  // Runs exactly one of the three: `run` on a worker; `refuse` on the refusals' thread, when there
  // is no room; `drop` at once in the caller's thread, when there is no room for that either or the
  // server has stopped. It must not block.
  void Dispatch(Kind kind, std::shared_ptr<Cancellation> cancellation, std::function<void()> run,
                std::function<void()> refuse, std::function<void()> drop);

  // The server begins to stop: streams end now, later ones at once.
  void CancelStreams();
  // Cancels all calls, later ones at once.
  void CancelAll();
  // Waits until all calls have run. Then everything is dropped.
  void Stop();

 private:
  void Track(Kind kind, const std::shared_ptr<Cancellation>& cancellation);
  void Untrack(const std::shared_ptr<Cancellation>& cancellation);

  std::mutex mu_;
  bool cancel_streams_ = false;
  bool cancel_all_ = false;
  std::set<std::shared_ptr<Cancellation>> unary_, streams_;
  WorkerPool unary_pool_, stream_pool_, refusal_pool_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_DISPATCHER_H_
