#ifndef JETMON_CONTROLPLANE_RPC_WORKER_POOL_H_
#define JETMON_CONTROLPLANE_RPC_WORKER_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace jetmon::rpc {

// Threads that run blocking handlers, so that no transport's thread ever waits for one. Threads
// are started when there is work that no idle one takes, up to a bound; then tasks queue, up to a
// bound. Thread-safe.
class WorkerPool {
 public:
  struct Size {
    size_t threads = 16;
    size_t queue = 256;
  };
  explicit WorkerPool(Size size);
  // Runs what is queued, waits for it.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False: all threads are busy and the queue is full, or Stop was called; nothing will run.
  [[nodiscard]] bool Submit(std::function<void()> task);
  // Takes no more tasks, waits until those taken have run. Not from a task.
  void Stop();

 private:
  void Run();

  const Size size_;
  std::mutex mu_;
  std::condition_variable work_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_WORKER_POOL_H_
