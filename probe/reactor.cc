#include "probe/reactor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// A loop that took longer means that this process, or the machine, stood still: what the sockets
// say then is about us and not about the sites.
constexpr nanoseconds kPause = std::chrono::seconds(1);
constexpr nanoseconds kLookEvery = milliseconds(100);
constexpr int kEventsALoop = 256;
constexpr size_t kReadBufferBytes = 32 * 1024;

}  // namespace

Reactor::Reactor(Options options) : options_(std::move(options)) {
  around_.clock = options_.clock;
  around_.safety = options_.safety;
  around_.source = options_.source;
  around_.epoll_fd = -1;
}

Reactor::~Reactor() {
  Stop();
  Join();
  if (around_.epoll_fd >= 0) close(around_.epoll_fd);
  if (wake_fd_ >= 0) close(wake_fd_);
}

absl::Status Reactor::Start() {
  around_.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // every other one is a check
  if (around_.epoll_fd < 0 || wake_fd_ < 0 ||
      epoll_ctl(around_.epoll_fd, EPOLL_CTL_ADD, wake_fd_, &event) != 0) {
    return absl::ResourceExhaustedError(
        Cat("probe: no descriptors for a reactor: ", std::system_category().message(errno)));
  }
  around_.read_buffer.resize(kReadBufferBytes);
  // Signals are for the daemon's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  absl::Status status;
  try {
    thread_ = std::thread([this] { Run(); });
    pthread_setname_np(thread_.native_handle(), options_.thread_name.substr(0, 15).c_str());
  } catch (const std::system_error& error) {
    status = absl::ResourceExhaustedError(Cat("probe: no thread for a reactor: ", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

bool Reactor::Accept(CheckRequest request, RunningCheck::Done done) {
  auto check =
      std::make_unique<RunningCheck>(std::move(request), std::move(done), options_.clock->Boot());
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    unfinished_.fetch_add(1, std::memory_order_relaxed);
    accepted_.push_back(std::move(check));
    if (accepted_.size() > 1) return true;  // the first of them has woken it
  }
  Wake();
  return true;
}

void Reactor::CancelAll() {
  {
    std::lock_guard lock(mutex_);
    cancel_held_ = true;
    std::move(accepted_.begin(), accepted_.end(), std::back_inserter(cancelled_));
    accepted_.clear();
  }
  Wake();
}

void Reactor::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Wake();
}

void Reactor::Join() {
  if (thread_.joinable()) thread_.join();
}

void Reactor::Wake() {
  if (wake_fd_ < 0) return;
  const uint64_t one = 1;
  // Fails only when the counter is full, and then it is awake.
  [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof(one));
}

void Reactor::Run() {
  BootTime last = options_.clock->Boot();
  wheel_.emplace(last);
  epoll_event events[kEventsALoop];
  for (bool stop = false; !stop;) {
    const int n = epoll_wait(around_.epoll_fd, events, kEventsALoop, WaitMs());
    const BootTime now = options_.clock->Boot();
    if (now - last > kPause) LoseRunning();
    last = now;
    wheel_->Advance(now, [&](Timer* timer) {
      auto* check = static_cast<RunningCheck*>(timer);
      check->OnDeadline(now);
      Retire(check);
    });
    if (now >= next_look_) LookAtAll(now);
    for (int i = 0; i < n; ++i) {
      auto* check = static_cast<RunningCheck*>(events[i].data.ptr);
      if (check == nullptr) {
        uint64_t count;
        [[maybe_unused]] const ssize_t size = read(wake_fd_, &count, sizeof(count));
      } else if (!check->finished()) {
        // One finished by its deadline in this loop lives until its end: this pointer is good.
        check->OnSocket(&around_, events[i].events);
        if (check->finished()) Retire(check);
      }
    }
    stop = TakeOver();
    StartQueued(now);
    Deliver(now);
  }
}

int Reactor::WaitMs() const {
  if (running_.empty() && queue_.empty()) return -1;
  const nanoseconds quiet = wheel_->Quiet(kLookEvery);
  return static_cast<int>((quiet.count() + 999'999) / 1'000'000);
}

bool Reactor::TakeOver() {
  std::vector<Check> accepted;
  std::vector<Check> cancelled;
  bool cancel_held, stopping;
  {
    std::lock_guard lock(mutex_);
    accepted.swap(accepted_);
    cancelled.swap(cancelled_);
    cancel_held = std::exchange(cancel_held_, false);
    stopping = stopping_;
  }
  if (cancel_held || stopping) CancelHeld();
  for (Check& check : cancelled) {
    check->End(Outcome::kCancelled, "cancelled");
    finished_.push_back(std::move(check));
  }
  for (Check& check : accepted) {
    if (stopping) {
      check->End(Outcome::kCancelled, "cancelled");
    } else {
      check->Judge(around_);
    }
    (check->finished() ? static_cast<void>(finished_.push_back(std::move(check)))
                       : queue_.push_back(std::move(check)));
  }
  return stopping;
}

void Reactor::CancelHeld() {
  for (Check& check : queue_) {
    check->End(Outcome::kCancelled, "cancelled");
    finished_.push_back(std::move(check));
  }
  queue_.clear();
  while (!running_.empty()) {
    running_.back()->End(Outcome::kCancelled, "cancelled");
    Retire(running_.back().get());
  }
}

void Reactor::LoseRunning() {
  while (!running_.empty()) {
    running_.back()->End(Outcome::kLost, "the engine was paused");
    Retire(running_.back().get());
  }
}

void Reactor::LookAtAll(BootTime now) {
  next_look_ = now + kLookEvery;
  for (size_t i = running_.size(); i-- > 0;) {
    running_[i]->Look(now);
    // What moves into its place has been looked at.
    if (running_[i]->finished()) Retire(running_[i].get());
  }
  for (Check& check : queue_) {
    check->Look(now);
    if (check->finished()) finished_.push_back(std::move(check));
  }
  std::erase(queue_, nullptr);
}

void Reactor::StartQueued(BootTime now) {
  while (!queue_.empty() && running_.size() < static_cast<size_t>(options_.max_concurrent)) {
    Check check = std::move(queue_.front());
    queue_.pop_front();
    check->Look(now);
    if (!check->finished()) check->Start(&around_, options_.clock->Boot());
    if (check->finished()) {
      finished_.push_back(std::move(check));
      continue;
    }
    wheel_->Add(check.get(), check->deadline());
    check->slot = running_.size();
    running_.push_back(std::move(check));
  }
  in_flight_.store(static_cast<int64_t>(running_.size()), std::memory_order_relaxed);
}

void Reactor::Retire(RunningCheck* check) {
  const size_t slot = check->slot;
  finished_.push_back(std::move(running_[slot]));
  if (slot + 1 < running_.size()) {
    running_[slot] = std::move(running_.back());
    running_[slot]->slot = slot;
  }
  running_.pop_back();
}

void Reactor::Deliver(BootTime loop_began) {
  if (finished_.empty()) return;
  const BootTime now = options_.clock->Boot();
  const bool paused = now - loop_began > kPause;
  std::vector<Check> batch;
  batch.swap(finished_);
  for (Check& check : batch) {
    if (IsVerdict(check->result().outcome)) {
      if (paused) {
        check->Discard(Outcome::kLost, "the engine was paused");
      } else if (check->lease() != nullptr && !check->lease()->MaySend(now)) {
        check->Discard(Outcome::kLeaseLapsed, "lease lapsed");
      }
    }
    if (check->result().outcome == Outcome::kLost) lost_.fetch_add(1, std::memory_order_relaxed);
    completed_.fetch_add(1, std::memory_order_relaxed);
    unfinished_.fetch_sub(1, std::memory_order_relaxed);
    options_.outstanding->fetch_sub(1, std::memory_order_relaxed);
    check->Deliver();
  }
}

}  // namespace jetmon::probe
