#include "controlplane/rpc/worker_pool.h"

#include <utility>

namespace jetmon::rpc {

WorkerPool::WorkerPool(Size size) : size_(size) {}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Submit(std::function<void()> task) {
  std::lock_guard lock(mu_);
  if (stopping_) return false;
  const bool can_grow = threads_.size() < size_.threads;
  // Every queued task has an idle thread on its way to it, as long as there are enough of those.
  if (queue_.size() >= idle_ && can_grow) {
    queue_.push_back(std::move(task));
    threads_.emplace_back([this] { Run(); });
    return true;
  }
  if (queue_.size() >= size_.queue + idle_) return false;
  queue_.push_back(std::move(task));
  work_.notify_one();
  return true;
}

void WorkerPool::Stop() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    threads.swap(threads_);
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void WorkerPool::Run() {
  std::unique_lock lock(mu_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace jetmon::rpc
