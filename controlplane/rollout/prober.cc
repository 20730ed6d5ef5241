#include "controlplane/rollout/prober.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "probe/url.h"

namespace jetmon::rollout {
namespace {

constexpr std::chrono::milliseconds kTurn{20};
constexpr int kMostRuns = 3;

// Where the engine's threads leave results.
class Inbox {
 public:
  using Letter = std::pair<size_t, probe::CheckResult>;
  void Put(size_t slot, probe::CheckResult result) {
    std::lock_guard lock(mutex_);
    letters_.emplace_back(slot, std::move(result));
    if (letters_.size() == 1) came_.notify_one();
  }
  // What has come; waits for `most` if nothing has.
  std::vector<Letter> Take(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, most, [this] { return !letters_.empty(); });
    return std::exchange(letters_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Letter> letters_;
};

struct HostState {
  std::deque<Probe> waiting;
  int running = 0;
  bool queued = false;
};

// Sites that wait, by host. A host that has a site to begin, and a place for it, stands in a queue:
// so hosts take turns.
class Waiting {
 public:
  using Host = std::pair<const std::string, HostState>;

  explicit Waiting(int per_host) : per_host_(per_host) {}

  size_t size() const { return size_; }
  void Add(Probe probe) {
    const auto at = hosts_.try_emplace(probe::ParseUrl(probe.site.url).host).first;
    at->second.waiting.push_back(std::move(probe));
    ++size_;
    Queue(&*at);
  }
  bool CanTake() const { return !ready_.empty(); }
  // The next site (CanTake must hold), and its host, of which one more is running from now on.
  Probe Take(Host** host) {
    *host = ready_.front();
    ready_.pop_front();
    HostState& state = (*host)->second;
    state.queued = false;
    Probe probe = std::move(state.waiting.front());
    state.waiting.pop_front();
    --size_;
    ++state.running;
    Queue(*host);
    return probe;
  }
  // One site of this host has ended.
  void Ended(Host* host) {
    HostState& state = host->second;
    --state.running;
    Queue(host);
    if (state.running == 0 && state.waiting.empty()) hosts_.erase(hosts_.find(host->first));
  }

 private:
  void Queue(Host* host) {
    HostState& state = host->second;
    if (state.queued || state.waiting.empty() || state.running >= per_host_) return;
    state.queued = true;
    ready_.push_back(host);
  }

  const int per_host_;
  size_t size_ = 0;
  std::unordered_map<std::string, HostState> hosts_;  // its elements stay where they are
  std::deque<Host*> ready_;
};

class Run {
 public:
  Run(const ProberLimits& limits, const ProbeSource& next, const ProbeSink& done)
      : limits_(limits),
        next_(next),
        done_(done),
        waiting_(limits.per_host),
        slots_(limits.concurrency),
        inbox_(std::make_shared<Inbox>()) {
    for (size_t i = slots_.size(); i > 0; --i) free_.push_back(i - 1);
  }

  absl::Status Go(const probe::Engine::Options& options,
                  const std::function<absl::Status()>& turn) {
    probe::Engine::Options own = options;
    own.max_concurrent = own.max_queued = limits_.concurrency;
    auto engine = probe::Engine::Create(own);
    if (!engine.ok()) return engine.status();
    engine_ = std::move(*engine);
    while (WantsMore() || waiting_.size() > 0 || free_.size() < slots_.size()) {
      if (auto s = turn(); !s.ok()) return s;
      if (WantsMore()) {
        if (auto s = AskForMore(); !s.ok()) return s;
      }
      if (auto s = Begin(); !s.ok()) return s;
      for (Inbox::Letter& letter : inbox_->Take(WantsMore() ? kTurn * 0 : kTurn)) {
        if (auto s = Settle(letter.first, std::move(letter.second)); !s.ok()) return s;
      }
    }
    return absl::OkStatus();
  }

 private:
  struct Slot {
    Probe probe;
    Waiting::Host* host = nullptr;
    int runs = 0;  // of the check that is under way
  };

  bool WantsMore() const {
    return more_ && waiting_.size() < static_cast<size_t>(limits_.waiting) / 2;
  }

  absl::Status AskForMore() {
    auto probes = next_();
    if (!probes.ok()) return probes.status();
    more_ = !probes->empty();
    for (Probe& p : *probes) waiting_.Add(std::move(p));
    return absl::OkStatus();
  }

  absl::Status Begin() {
    while (!free_.empty() && waiting_.CanTake()) {
      const size_t slot = free_.back();
      free_.pop_back();
      slots_[slot].probe = waiting_.Take(&slots_[slot].host);
      slots_[slot].runs = 0;
      if (auto s = Submit(slot); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::Status Submit(size_t slot) {
    Slot& at = slots_[slot];
    ++at.runs;
    return engine_->Submit(
        at.probe.checks[at.probe.results.size()],
        [inbox = inbox_, slot](probe::CheckResult result) { inbox->Put(slot, std::move(result)); });
  }

  absl::Status Settle(size_t slot, probe::CheckResult result) {
    Slot& at = slots_[slot];
    if (result.outcome == probe::Outcome::kLeaseLapsed) {
      return absl::UnavailableError("this process was paused while probing");
    }
    if (result.outcome == probe::Outcome::kLost && at.runs < kMostRuns) return Submit(slot);
    const bool verdict = probe::IsVerdict(result.outcome);
    at.probe.results.push_back(std::move(result));
    if (verdict && at.probe.results.size() < at.probe.checks.size()) {
      at.runs = 0;
      return Submit(slot);
    }
    waiting_.Ended(at.host);
    free_.push_back(slot);
    return done_(std::move(at.probe));
  }

  const ProberLimits limits_;
  const ProbeSource& next_;
  const ProbeSink& done_;
  bool more_ = true;
  Waiting waiting_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  const std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<probe::Engine> engine_;  // the first to go: it cancels what runs
};

}  // namespace

absl::Status RunProbes(const probe::Engine::Options& engine, const ProberLimits& limits,
                       const ProbeSource& next, const ProbeSink& done,
                       const std::function<absl::Status()>& turn) {
  return Run(limits, next, done).Go(engine, turn);
}

}  // namespace jetmon::rollout
