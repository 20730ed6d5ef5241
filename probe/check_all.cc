#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "probe/engine.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kPoll{
    50};  // how often the caller's predicate is asked while nothing happens
constexpr int kMaxRuns = 3;
// Starts that are due within so long are begun together: waking up for each of thousands a second
// costs more than the check.
constexpr milliseconds kTick{2};

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
  ListRun(Engine& engine, const CheckSource& next, const CheckReport& on_result,
          const CheckAllOptions& options)
      : engine_(engine),
        source_(next),
        on_result_(on_result),
        options_(options),
        clock_(options.clock != nullptr ? *options.clock : SystemClock()),
        inbox_(std::make_shared<Inbox>()),
        cancel_(std::make_shared<std::atomic<bool>>(false)),
        next_start_(clock_.Boot()) {}

  absl::Status Run() {
    absl::Status status;
    while (!running_.empty() || (status.ok() && (HasWaiting() || !source_ended_))) {
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
  struct Check {
    CheckRequest request;
    int runs = 0;
  };

  // Asks the source when there is nothing to be run again, unless that had to wait.
  bool HasWaiting() {
    if (!waiting_.empty()) return true;
    if (source_ended_ || (options_.source_ready && !options_.source_ready())) return false;
    auto request = source_();
    source_ended_ = !request.has_value();
    if (source_ended_) return false;
    if (request->cancelled == nullptr) request->cancelled = cancel_;
    waiting_.push_back({*std::move(request), 0});
    return true;
  }

  bool MayStart() const {
    return running_.size() < static_cast<size_t>(std::max(1, options_.concurrency));
  }

  absl::Status Submit() {
    full_ = false;
    while (MayStart() && HasWaiting() && Due()) {
      Check& check = waiting_.front();
      const size_t index = next_index_;
      const absl::Status status =
          engine_.Submit(check.request, [inbox = inbox_, index](CheckResult result) {
            inbox->Put({index, std::move(result)});
          });
      full_ = absl::IsResourceExhausted(status);
      if (full_) return absl::OkStatus();
      if (!status.ok()) return status;
      ++next_index_;
      ++check.runs;
      running_.emplace(index, std::move(check));
      waiting_.pop_front();
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
    next_start_ = std::max(next_start_, now + -std::max<nanoseconds>(Gap(), 2 * kTick));
    return true;
  }

  nanoseconds Patience() const {
    if (full_) return milliseconds(5);
    const bool may_start = !waiting_.empty() && MayStart();
    if (!may_start || options_.per_second <= 0) return kPoll;
    return std::clamp<nanoseconds>(next_start_ - clock_.Boot(), kTick, kPoll);
  }

  void Report(Finished* finished, bool going_on) {
    const auto at = running_.find(finished->index);
    Check check = std::move(at->second);
    running_.erase(at);
    if (finished->result.outcome == Outcome::kLost && going_on && check.runs < kMaxRuns) {
      waiting_.push_back(std::move(check));
    } else if (on_result_) {
      on_result_(check.request, finished->result);
    }
  }

  Engine& engine_;
  const CheckSource& source_;
  const CheckReport& on_result_;
  const CheckAllOptions& options_;
  const Clock& clock_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<std::atomic<bool>> cancel_;
  BootTime next_start_;
  bool source_ended_ = false;
  std::deque<Check> waiting_;  // one of the source's, or lost ones
  std::unordered_map<size_t, Check> running_;
  size_t next_index_ = 0;
  bool full_ = false;  // the engine took no more
};

}  // namespace

absl::Status CheckAll(Engine& engine, const CheckSource& next, const CheckReport& on_result,
                      const CheckAllOptions& options) {
  return ListRun(engine, next, on_result, options).Run();
}

absl::Status CheckAll(Engine& engine, std::vector<CheckRequest> requests,
                      const std::function<void(const CheckResult&)>& on_result,
                      const CheckAllOptions& options) {
  size_t at = 0;
  const CheckSource next = [&]() -> std::optional<CheckRequest> {
    if (at == requests.size()) return std::nullopt;
    return std::move(requests[at++]);
  };
  const CheckReport report = [&](const CheckRequest&, const CheckResult& result) {
    if (on_result) on_result(result);
  };
  return CheckAll(engine, next, report, options);
}

}  // namespace jetmon::probe
