#include "controlplane/rpc/cancellation.h"

#include <thread>
#include <utility>

namespace jetmon::rpc {

struct Cancellation::Subscription::Entry {
  std::function<void()> f;
  std::thread::id running;  // the thread that calls f; none = not called yet
  bool done = false;
};

Cancellation::Subscription::Subscription(Cancellation* owner, std::shared_ptr<Entry> entry)
    : owner_(owner), entry_(std::move(entry)) {}

Cancellation::Subscription::Subscription(Subscription&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), entry_(std::move(other.entry_)) {}

Cancellation::Subscription& Cancellation::Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    Release();
    owner_ = std::exchange(other.owner_, nullptr);
    entry_ = std::move(other.entry_);
  }
  return *this;
}

Cancellation::Subscription::~Subscription() { Release(); }

void Cancellation::Subscription::Release() {
  if (owner_ == nullptr) return;
  std::unique_lock lock(owner_->mu_);
  owner_->entries_.remove(entry_);
  if (entry_->running != std::thread::id()) {
    owner_->changed_.wait(lock, [&] { return entry_->done; });
  }
  owner_ = nullptr;
}

void Cancellation::Cancel() {
  std::unique_lock lock(mu_);
  if (cancelled_) return;
  cancelled_ = true;
  while (!entries_.empty()) {
    const std::shared_ptr<Subscription::Entry> entry = entries_.front();
    entries_.pop_front();
    entry->running = std::this_thread::get_id();
    lock.unlock();
    entry->f();
    lock.lock();
    entry->done = true;
    changed_.notify_all();
  }
}

bool Cancellation::cancelled() const {
  std::lock_guard lock(mu_);
  return cancelled_;
}

Cancellation::Subscription Cancellation::OnCancel(std::function<void()> f) {
  auto entry = std::make_shared<Subscription::Entry>();
  {
    std::lock_guard lock(mu_);
    if (!cancelled_) {
      entry->f = std::move(f);
      entries_.push_back(entry);
      return Subscription(this, std::move(entry));
    }
  }
  f();
  return Subscription();
}

}  // namespace jetmon::rpc
