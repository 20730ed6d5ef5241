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
// A full TLS handshake costs most of a millisecond: many in one loop would look like a pause.
constexpr int kEventsALoop = 64;
constexpr size_t kReadBufferBytes = 32 * 1024;

}  // namespace

Reactor::Reactor(Options options) : options_(std::move(options)) {
  around_.clock = options_.clock;
  around_.safety = options_.safety;
  around_.source = options_.source;
  around_.tls = options_.tls.get();
}

Reactor::~Reactor() {
  Stop();
  Join();
  resolver_.reset();
  if (around_.epoll_fd >= 0) close(around_.epoll_fd);
  if (wake_fd_ >= 0) close(wake_fd_);
}

absl::Status Reactor::Start() {
  around_.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;  // every other one is a check or the resolver's
  if (around_.epoll_fd < 0 || wake_fd_ < 0 ||
      epoll_ctl(around_.epoll_fd, EPOLL_CTL_ADD, wake_fd_, &event) != 0) {
    return absl::ResourceExhaustedError(
        Cat("probe: no descriptors for a reactor: ", ErrorText(errno)));
  }
  auto resolver = options_.resolver(around_.epoll_fd);
  if (!resolver.ok()) return resolver.status();
  resolver_ = *std::move(resolver);
  around_.resolver = resolver_.get();
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
  around_.wheel = &wheel_.emplace(last);
  epoll_event events[kEventsALoop];
  for (bool stop = false; !stop;) {
    const int n = epoll_wait(around_.epoll_fd, events, kEventsALoop, WaitMs(last));
    const BootTime now = options_.clock->Boot();
    if (now - last > kPause) EndRunning(Outcome::kLost, "the engine was paused");
    last = now;
    wheel_->Advance(now, [&](Timer* timer) { static_cast<RunningCheck*>(timer)->OnTimer(now); });
    resolver_->Advance(now);
    if (now >= next_look_) LookAtAll(now);
    for (int i = 0; i < n; ++i) OnEvent(events[i].data.u64, events[i].events);
    RetireEnded();
    stop = TakeOver();
    StartQueued(now);
    Deliver(now);
  }
}

void Reactor::OnEvent(uint64_t data, uint32_t events) {
  if (Resolver::IsEventTag(data)) {
    resolver_->OnEvents(Resolver::FdOfEventTag(data), events);
  } else if (data == 0) {
    uint64_t count;
    [[maybe_unused]] const ssize_t size = read(wake_fd_, &count, sizeof(count));
  } else {
    // One that has finished in this loop lives until its end, and ignores this.
    reinterpret_cast<RunningCheck*>(data)->OnSocket(events);
  }
}

int Reactor::WaitMs(BootTime now) const {
  if (running_.empty() && queued_ == 0) return -1;
  const nanoseconds quiet = wheel_->Quiet(resolver_->Quiet(now, kLookEvery));
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
    if (check->finished()) {
      finished_.push_back(std::move(check));
    } else {
      queues_[check->caller()].push_back(std::move(check));
      ++queued_;
    }
  }
  return stopping;
}

void Reactor::CancelHeld() {
  while (Check check = NextQueued()) {
    check->End(Outcome::kCancelled, "cancelled");
    finished_.push_back(std::move(check));
  }
  EndRunning(Outcome::kCancelled, "cancelled");
}

void Reactor::EndRunning(Outcome outcome, std::string_view detail) {
  for (Check& check : running_) check->End(outcome, detail);
  RetireEnded();
}

void Reactor::LookAtAll(BootTime now) {
  next_look_ = now + kLookEvery;
  for (Check& check : running_) check->Look(now);
  RetireEnded();
  for (auto& queue : queues_) {
    for (Check& check : queue) {
      check->Look(now);
      if (check->finished()) finished_.push_back(std::move(check));
    }
    queued_ -= std::erase(queue, nullptr);
  }
}

Reactor::Check Reactor::NextQueued() {
  if (queued_ == 0) return nullptr;
  while (queues_[turn_].empty()) turn_ = (turn_ + 1) % kCallers;
  Check check = std::move(queues_[turn_].front());
  queues_[turn_].pop_front();
  --queued_;
  turn_ = (turn_ + 1) % kCallers;
  return check;
}

void Reactor::StartQueued(BootTime now) {
  while (running_.size() < static_cast<size_t>(options_.max_concurrent)) {
    Check check = NextQueued();
    if (check == nullptr) break;
    check->Look(now);
    if (check->finished()) {
      finished_.push_back(std::move(check));
      continue;
    }
    RunningCheck* started = check.get();
    started->slot = running_.size();
    running_.push_back(std::move(check));
    started->Start(&around_, options_.clock->Boot());
    if (started->finished()) RetireEnded();
  }
  in_flight_.store(static_cast<int64_t>(running_.size()), std::memory_order_relaxed);
}

void Reactor::RetireEnded() {
  for (RunningCheck* check : around_.ended) {
    const size_t slot = check->slot;
    finished_.push_back(std::move(running_[slot]));
    if (slot + 1 < running_.size()) {
      running_[slot] = std::move(running_.back());
      running_[slot]->slot = slot;
    }
    running_.pop_back();
  }
  around_.ended.clear();
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
    const TlsFacts& tls = check->result().tls;
    if (!tls.version.empty())
      (tls.resumed ? resumed_ : full_).fetch_add(1, std::memory_order_relaxed);
    options_.outstanding->of[check->caller()].fetch_sub(1, std::memory_order_relaxed);
    check->Deliver();
  }
}

}  // namespace jetmon::probe
