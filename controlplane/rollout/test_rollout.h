#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_ROLLOUT_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_ROLLOUT_H_

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "clock/clock.h"
#include "controlplane/rollout/job_runner.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/parts.h"
#include "store/sessions.h"
#include "store/sites.h"
#include "store/test_database.h"
#include "store/test_sites.h"

// What the tests of the rollout share: a database with buckets and sites, and stand-ins.
namespace jetmon::rollout {

// The machine's clock, and how far a test has pushed it forward.
class PushedClock final : public Clock {
 public:
  BootTime Boot() const override {
    return SystemClock().Boot() + std::chrono::nanoseconds(ahead_.load());
  }
  int64_t WallMs() const override { return SystemClock().WallMs() + ahead_.load() / 1'000'000; }
  void Push(std::chrono::nanoseconds d) { ahead_ += d.count(); }

 private:
  std::atomic<int64_t> ahead_{0};
};

// Waits until it is so; false if that takes more than half a minute.
inline bool Comes(const std::function<bool()>& is_so) {
  const BootTime until = SystemClock().Boot() + std::chrono::seconds(30);
  while (!is_so()) {
    if (SystemClock().Boot() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// Plays a Monitor by what it writes: health, acknowledgement, lease, drain. Poll by hand, or Run.
class FakeMonitor {
 public:
  FakeMonitor(sql::Database& db, std::string host, std::string instance)
      : db_(db), host_(std::move(host)), instance_(std::move(instance)) {}
  ~FakeMonitor() { Kill(); }

  std::atomic<bool> acknowledges{true}, drains{true};
  std::string mode = "api-controlled";  // set before the first Poll, as all below
  int protocol = store::kMonitorProtocol;
  bool notify_configured = true;
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;
  std::atomic<int64_t> longest_check_ms{DeadlineBudget::kDefaultCheck.count()};
  std::atomic<int64_t> wall_ms{1'800'000'000'000};  // its clock: long after it acknowledged

  const std::string& host() const { return host_; }
  const std::string& instance() const { return instance_; }

  void Poll() {
    const absl::Status s = db_.Write([this](sql::Transaction& tx) -> absl::Status {
      if (auto reported = store::ReportHealth(tx, Health()); !reported.ok()) return reported;
      auto locks = store::ListHeldRangesOfHost(tx, host_);
      if (!locks.ok()) return locks.status();
      for (const store::RangeLock& l : *locks) {
        if (l.owner_instance != instance_) continue;
        if (auto followed = Follow(tx, l); !followed.ok()) return followed;
      }
      return absl::OkStatus();
    });
    EXPECT_TRUE(s.ok()) << s;
  }
  void Run() {
    thread_ = std::thread([this] {
      while (!stop_) {
        Poll();
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, std::chrono::milliseconds(10), [this] { return stop_.load(); });
      }
    });
  }
  // As kill -9: it is just not heard of any more.
  void Kill() {
    stop_ = true;
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  void Goodbye() {
    Kill();
    EXPECT_TRUE(
        db_.Write([this](sql::Transaction& tx) { return store::SayGoodbye(tx, instance_, 1); })
            .ok());
  }

 private:
  store::ProcessHealth Health() const {
    store::ProcessHealth h;
    h.instance = instance_;
    h.kind = "monitor";
    h.host = host_;
    h.version = "2.0";
    h.protocol = protocol;
    h.mode = mode;
    h.state = "standby";
    h.notify_configured = notify_configured;
    h.dialect = dialect;
    h.longest_check_ms = longest_check_ms;
    h.updated_at_ms = wall_ms;
    return h;
  }
  absl::Status Follow(sql::Transaction& tx, const store::RangeLock& l) {
    if (l.state == store::range_state::kActivating && acknowledges) {
      return store::AcknowledgeRange(tx, l.epoch, instance_, l.revision, 1'700'000'000'000)
          .status();
    }
    if (l.state == store::range_state::kDraining && drains && !l.drained) {
      return store::ReportDrained(tx, l.epoch, instance_, 0, 1'700'000'000'000).status();
    }
    if (l.part.has_value() && l.part->state == store::range_state::kDraining && drains &&
        !l.part->drained) {
      return store::ReportPartDrained(tx, l.part->job_id, instance_, 0, 1'700'000'000'000).status();
    }
    return store::RenewLease(tx, l.epoch, instance_, l.revision).status();
  }

  sql::Database& db_;
  const std::string host_, instance_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// A database with 16 buckets that are v1's, and what the domain runs on. Terms are short.
class TestRollout {
 public:
  static constexpr uint32_t kBuckets = 16;
  static constexpr int64_t kNow = 1'700'000'000'000;

  TestRollout() {
    Shorten();
    Write([](sql::Transaction& tx) { return store::EnsureBuckets(tx, kBuckets, kNow); });
  }
  // Over the embedded database in that file, as it is.
  explicit TestRollout(const std::string& file) : db_(file) { Shorten(); }

  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  void Read(const sql::Body& body) {
    const absl::Status s = db_->Read(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  // What a function of the store answers, read in a transaction of its own.
  template <typename F>
  auto Get(F f) {
    using Result = std::decay_t<decltype(*f(std::declval<sql::Transaction&>()))>;
    std::optional<Result> result;
    Read([&](sql::Transaction& tx) {
      auto got = f(tx);
      if (got.ok()) result = *std::move(got);
      return got.status();
    });
    return *result;
  }

  // Site `id` in a bucket, as v1 sees it.
  store::Site AddSite(uint64_t id, uint32_t bucket, int status = 1,
                      std::string url = "http://127.0.0.1:1/") {
    store::Site site;
    site.site_id = id;
    site.blog_id = 1000 + id;
    site.bucket = bucket;
    site.url = std::move(url);
    site.site_status = status;
    site.last_status_change = "2023-11-14 00:00:00";
    Write([&](sql::Transaction& tx) { return store::InsertSites(tx, {site}); });
    return site;
  }
  store::Session AddSession(const std::string& run_id, store::Range range,
                            const std::string& owner_host) {
    store::Session s;
    s.run_id = run_id;
    s.range = range;
    s.owner_host = owner_host;
    s.state = "open";
    s.key_id = "key_1";
    s.consumer = "tester";
    s.created_at_ms = s.updated_at_ms = kNow;
    Write([&](sql::Transaction& tx) { return store::InsertSession(tx, s); });
    return s;
  }
  store::Checkpoint AddCheckpoint(const std::string& run_id, const std::string& kind,
                                  store::Range range, const std::string& owner_host,
                                  int64_t at_ms = kNow, uint64_t started_ordinal = 0) {
    store::Checkpoint c;
    Write([&](sql::Transaction& tx) -> absl::Status {
      c = {};
      c.run_id = run_id;
      c.kind = kind;
      c.range = range;
      c.owner_host = owner_host;
      c.started_ordinal = started_ordinal;
      c.created_at_ms = at_ms;
      auto inserted = store::InsertCheckpoint(tx, c);
      if (inserted.ok()) c = *inserted;
      return inserted.status();
    });
    return c;
  }
  // All that an activation of the range by `owner_host` needs to have been shown.
  void AddEvidence(const std::string& run_id, store::Range range, const std::string& owner_host,
                   int64_t at_ms = kNow) {
    AddCheckpoint(run_id, store::checkpoint::kPreflight, range, owner_host, at_ms);
    AddCheckpoint(run_id, store::checkpoint::kSmoke, range, owner_host, at_ms);
    AddCheckpoint(run_id, store::checkpoint::kSeed, range, "", at_ms);
    const auto stopped = AddCheckpoint(run_id, store::checkpoint::kV1Stopped, range, "", at_ms);
    AddCheckpoint(run_id, store::checkpoint::kFinalReconcile, range, "", at_ms,
                  stopped.ordinal + 1);
  }
  // Grants a range as an executed activation does; its lock, in state preparing.
  store::RangeLock AddGrant(store::Range range, const std::string& host,
                            const std::string& instance, const std::string& run_id,
                            const std::string& job_id) {
    store::RangeLock lock;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto generation = store::HostGeneration(tx, host);
      if (!generation.ok()) return generation.status();
      auto granted =
          store::GrantRange(tx, {range, host, instance, *generation, run_id, job_id, "[]", kNow});
      if (!granted.ok()) return granted.status();
      EXPECT_EQ(granted->outcome, store::GrantOutcome::kGranted);
      lock = granted->lock;
      return absl::OkStatus();
    });
    return lock;
  }
  store::Job AddJob(const std::string& job_id, const std::string& operation,
                    const std::string& run_id, store::Range range, uint64_t epoch = 0,
                    const std::string& owner_host = "", const std::string& request = "") {
    store::Job j;
    j.job_id = job_id;
    j.operation = operation;
    j.run_id = run_id;
    j.range = range;
    j.epoch = epoch;
    j.owner_host = owner_host;
    j.request = request;
    j.state = store::job_state::kQueued;
    j.created_at_ms = kNow;
    Write([&](sql::Transaction& tx) { return store::InsertJob(tx, j); });
    return j;
  }
  // Claims a queued job, as a worker does.
  store::JobLease Claim(const std::string& job_id) {
    std::optional<store::JobLease> lease;
    Write([&](sql::Transaction& tx) {
      auto won = store::ClaimQueuedJob(tx, job_id, options_.instance, kNow);
      if (won.ok()) lease = *won;
      return won.status();
    });
    EXPECT_TRUE(lease.has_value()) << job_id;
    return *lease;
  }
  // Claims the job and runs it here; the row as it is afterwards.
  store::Job RunJob(
      const std::string& job_id, const Executor& executor,
      const std::function<bool()>& stopping = [] { return false; }) {
    const store::JobLease lease = Claim(job_id);
    JobRun run(parts_, options_, observer(), Job(job_id), lease, stopping);
    const absl::Status s = executor(run);
    EXPECT_TRUE(s.ok()) << s;
    return Job(job_id);
  }
  store::Job Job(const std::string& job_id) {
    return Get([&](sql::Transaction& tx) { return store::GetJob(tx, job_id); }).value();
  }
  store::RangeLock Lock(uint64_t epoch) {
    return Get([&](sql::Transaction& tx) { return store::GetRangeLock(tx, epoch); }).value();
  }
  std::vector<std::string> CheckpointKinds(const std::string& run_id) {
    std::vector<std::string> kinds;
    for (const auto& c :
         Get([&](sql::Transaction& tx) { return store::ListCheckpoints(tx, run_id); })) {
      kinds.push_back(c.kind);
    }
    return kinds;
  }

  sql::Database& db() { return *db_; }
  // The database as another process has it.
  std::unique_ptr<sql::Database> OpenAnother(sql::Options options = {}) {
    return db_.OpenAnother(std::move(options));
  }
  // False: a server's, whose tables outlive the test.
  bool embedded() const { return db_.embedded(); }
  PushedClock& clock() { return clock_; }
  Options& options() { return options_; }
  Parts& parts() { return parts_; }
  // Made at the first use, with the options as they are then; it reads on a thread.
  Observer& observer() {
    if (observer_ == nullptr) {
      observer_ = std::make_unique<Observer>(*db_, clock_, options_.times);
      observer_->Run();
    }
    return *observer_;
  }

 private:
  void Shorten() {
    options_.bucket_total = kBuckets;
    options_.instance = "controlplane-1";
    options_.server_host = "bastion";
    options_.peer_offline_limit = 1;
    options_.times.grace = std::chrono::milliseconds(400);
    options_.times.acknowledge_within = std::chrono::milliseconds(600);
    options_.times.drain_within = std::chrono::milliseconds(600);
    options_.times.look = std::chrono::milliseconds(5);
    options_.times.observe = std::chrono::milliseconds(10);
    options_.times.hear_within = std::chrono::milliseconds(1000);
    options_.engine.safety = *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8");
    parts_.clock = &clock_;
    parts_.db = &*db_;
  }

  PushedClock clock_;
  store::TestDatabase db_;
  Options options_;
  Parts parts_;
  std::unique_ptr<Observer> observer_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_ROLLOUT_H_
