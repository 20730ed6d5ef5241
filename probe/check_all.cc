#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "probe/engine.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kPoll{
    50};  // how often the caller's predicate is asked while nothing happens
constexpr int kMaxRuns = 3;

struct Finished {
  size_t index;
  CheckResult result;
};

// Where reactors leave results for the calling thread.
class Inbox {
 public:
  void Put(Finished finished) {
    std::lock_guard lock(mutex_);
    finished_.push_back(std::move(finished));
    changed_.notify_one();
  }
  // What has come; waits for `most` if nothing has.
  std::deque<Finished> Take(nanoseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [&] { return !finished_.empty(); });
    return std::exchange(finished_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Finished> finished_;
};

class ListRun {
 public:
  ListRun(Engine& engine, std::vector<CheckRequest> requests,
          const std::function<void(const CheckResult&)>& on_result, const CheckAllOptions& options)
      : engine_(engine),
        requests_(std::move(requests)),
        on_result_(on_result),
        options_(options),
        clock_(options.clock != nullptr ? *options.clock : SystemClock()),
        runs_(requests_.size()),
        inbox_(std::make_shared<Inbox>()),
        cancel_(std::make_shared<std::atomic<bool>>(false)),
        next_start_(clock_.Boot()) {
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i].cancelled == nullptr) requests_[i].cancelled = cancel_;
      waiting_.push_back(i);
    }
  }

  absl::Status Run() {
    absl::Status status;
    while (running_ > 0 || (status.ok() && !waiting_.empty())) {
      if (status.ok() && options_.cancelled && options_.cancelled()) {
        status = absl::CancelledError("probe: the list of checks was cancelled");
      }
      if (status.ok()) status = Submit();
      if (!status.ok()) cancel_->store(true);
      for (Finished& finished : inbox_->Take(Patience())) Report(&finished, status.ok());
    }
    return status;
  }

 private:
  absl::Status Submit() {
    full_ = false;
    while (!waiting_.empty() && running_ < std::max(1, options_.concurrency) && Due()) {
      const size_t index = waiting_.front();
      const absl::Status status =
          engine_.Submit(requests_[index], [inbox = inbox_, index](CheckResult result) {
            inbox->Put({index, std::move(result)});
          });
      full_ = absl::IsResourceExhausted(status);
      if (full_) return absl::OkStatus();
      if (!status.ok()) return status;
      waiting_.pop_front();
      ++running_;
      ++runs_[index];
      if (options_.per_second > 0) next_start_ = next_start_ + Gap();
    }
    return absl::OkStatus();
  }

  nanoseconds Gap() const { return nanoseconds(static_cast<int64_t>(1e9 / options_.per_second)); }

  bool Due() {
    if (options_.per_second <= 0) return true;
    const BootTime now = clock_.Boot();
    if (now < next_start_) return false;
    // What could not start in time is not made up for in a burst.
    next_start_ = std::max(next_start_, BootTime{now.ns - Gap().count()});
    return true;
  }

  nanoseconds Patience() const {
    if (full_) return milliseconds(5);
    const bool may_start = !waiting_.empty() && running_ < std::max(1, options_.concurrency);
    if (!may_start || options_.per_second <= 0) return kPoll;
    return std::clamp<nanoseconds>(next_start_ - clock_.Boot(), nanoseconds(0), kPoll);
  }

  void Report(Finished* finished, bool going_on) {
    --running_;
    if (finished->result.outcome == Outcome::kLost && going_on &&
        runs_[finished->index] < kMaxRuns) {
      waiting_.push_back(finished->index);
    } else if (on_result_) {
      on_result_(finished->result);
    }
  }

  Engine& engine_;
  std::vector<CheckRequest> requests_;
  const std::function<void(const CheckResult&)>& on_result_;
  const CheckAllOptions& options_;
  const Clock& clock_;
  std::vector<int> runs_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<std::atomic<bool>> cancel_;
  BootTime next_start_;
  std::deque<size_t> waiting_;
  int running_ = 0;
  bool full_ = false;  // the engine took no more
};

}  // namespace

absl::Status CheckAll(Engine& engine, std::vector<CheckRequest> requests,
                      const std::function<void(const CheckResult&)>& on_result,
                      const CheckAllOptions& options) {
  return ListRun(engine, std::move(requests), on_result, options).Run();
}

}  // namespace jetmon::probe
