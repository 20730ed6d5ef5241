#ifndef JETMON_MONITOR_OWNERSHIP_FIXTURE_H_
#define JETMON_MONITOR_OWNERSHIP_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "monitor/ownership.h"
#include "probe/test_server.h"
#include "store/events.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::monitor {

// Vantages that answer what the test says.
class ScriptedConfirmer final : public Confirmer {
 public:
  void Ask(std::vector<confirm::Question> questions, milliseconds deadline, Done done) override {
    std::vector<RoundResult> results;
    for (const auto& q : questions) {
      {
        std::lock_guard lock(mutex_);
        policies_.insert(q.method + " " + q.profile);
        last_ = q;
        last_deadline_ = deadline;
      }
      RoundResult r;
      r.site_id = q.site_id;
      r.votes = votes_;
      results.push_back(std::move(r));
    }
    ++rounds_;
    std::thread([done, results] { done(results); }).join();
  }
  void SetVantages(std::vector<confirm::Vantage>) override {}
  size_t enabled() const override { return static_cast<size_t>(votes_.enabled); }
  void CancelAll() override {}

  // "method profile" of the questions so far.
  std::set<std::string> policies() const {
    std::lock_guard lock(mutex_);
    return policies_;
  }
  // The last question.
  confirm::Question last() const {
    std::lock_guard lock(mutex_);
    return last_;
  }
  // How long its round was given.
  milliseconds last_deadline() const {
    std::lock_guard lock(mutex_);
    return last_deadline_;
  }

  Votes votes_{3, 2, 0};
  std::atomic<int> rounds_{0};

 private:
  mutable std::mutex mutex_;
  std::set<std::string> policies_;
  confirm::Question last_;
  milliseconds last_deadline_{0};
};

class OwnershipTest : public testing::Test {
 protected:
  OwnershipTest()
      : server_([this](probe::TestServer::Connection& c, const std::string& request) {
          const uint64_t site = Note(request);
          if (IsHeld(site)) return c.AwaitClose();
          c.Send(IsDown(site) ? "HTTP/1.1 500 Down\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
        }) {
    config_.host = "monitor-a";
    config_.instance = "ins_1";
    config_.mode = "api-controlled";
    config_.version = "test";
    config_.unit = milliseconds(1000);
    probe::Engine::Options options;
    options.clock = &clock_;
    options.safety = *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8");
    engine_ = *probe::Engine::Create(options);
    std::vector<store::Site> sites;
    for (uint64_t i = 1; i <= kSites; ++i) {
      store::Site site;
      site.site_id = i;
      site.blog_id = i;
      site.bucket = i % 4;
      site.url = server_.Url("/s/" + std::to_string(i));
      sites.push_back(site);
    }
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(store::EnsureBuckets(tx, 8, 1).ok());
      EXPECT_TRUE(store::InsertSites(tx, sites).ok());
      store::ProcessHealth h;
      h.instance = "ins_1";
      h.kind = "monitor";
      h.host = "monitor-a";
      return store::ReportHealth(tx, h);
    });
    ownership_ = NewOwnership();
  }
  std::unique_ptr<Ownership> NewOwnership() {
    auto o = std::make_unique<Ownership>(
        WatchParts{&config_, &clock_, &*db_, engine_.get(), &confirmer_});
    EXPECT_TRUE(o->Open().ok());
    return o;
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  // A grant to `instance`, in state activating.
  uint64_t Give(const std::string& instance = "ins_1", store::Range range = {0, 3}) {
    uint64_t epoch = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto generation = store::HostGeneration(tx, "monitor-a");
      store::Grant grant{range, "monitor-a", instance, *generation, "rol_1", "rjob_1", "[]", 1};
      grant.dialect = config_.dialect;
      grant.hold_tells_ms = hold_tells_ms_;
      auto granted = store::GrantRange(tx, grant);
      EXPECT_EQ(granted->outcome, store::GrantOutcome::kGranted);
      epoch = granted->lock.epoch;
      EXPECT_TRUE(*store::BeginActivating(tx, epoch, 1));
      return absl::OkStatus();
    });
    return epoch;
  }
  // ins_old, another instance of this host, says goodbye.
  absl::Status Leave(sql::Transaction& tx) {
    store::ProcessHealth old;
    old.instance = "ins_old";
    old.kind = "monitor";
    old.host = "monitor-a";
    if (auto s = store::ReportHealth(tx, old); !s.ok()) return s;
    return store::SayGoodbye(tx, old.instance, 7);
  }
  store::RangeLock Lock(uint64_t epoch) {
    store::RangeLock lock;
    Write([&](sql::Transaction& tx) -> absl::Status {
      lock = **store::GetRangeLock(tx, epoch);
      return absl::OkStatus();
    });
    return lock;
  }
  // Lets virtual time pass, polling every 2 s of it, until the condition holds; at most a virtual
  // minute.
  bool Until(const std::function<bool()>& condition, bool poll = true) {
    for (int i = 0; i < 1200; ++i) {
      if (condition()) return true;
      clock_.Advance(milliseconds(50));
      if (poll && i % 40 == 39) ownership_->Poll();
      std::this_thread::sleep_for(milliseconds(3));
    }
    return condition();
  }
  std::optional<store::Event> OpenEventOf(uint64_t site) {
    std::optional<store::Event> event;
    Write([&](sql::Transaction& tx) -> absl::Status {
      event = *store::OpenEventOfSite(tx, site);
      return absl::OkStatus();
    });
    return event;
  }
  bool Told(const std::function<absl::StatusOr<bool>(sql::Transaction&)>& ask) {
    bool told = false;
    Write([&](sql::Transaction& tx) -> absl::Status {
      told = *ask(tx);
      return absl::OkStatus();
    });
    return told;
  }
  bool FencePasses(uint64_t epoch) {
    return Told([&](sql::Transaction& tx) { return store::FenceBucket(tx, 1, epoch, "ins_1"); });
  }
  bool SaidGoodbye() {
    return Told([](sql::Transaction& tx) -> absl::StatusOr<bool> {
      auto words = store::LastWordsOf(tx, "ins_1");
      if (!words.ok()) return words.status();
      return words->goodbye;
    });
  }
  // Lets one write of the watch find its buckets another's.
  void FenceOutOnce() {
    const auto name = [&](const char* instance) {
      Write([&](sql::Transaction& tx) {
        return tx
            .Execute("UPDATE jetmon_rollout_bucket_locks SET owner_instance = ? WHERE epoch <> 0",
                     {instance})
            .status();
      });
    };
    name("ins_other");
    EXPECT_TRUE(
        Until([&] { return ownership_->watch()->fenced_out().has_value(); }, /*poll=*/false));
    name("ins_1");
  }
  // When each request for this site came.
  std::vector<BootTime> RequestsFor(uint64_t site) {
    std::lock_guard lock(mutex_);
    std::vector<BootTime> times;
    for (const Request& r : log_) {
      if (r.site == site) times.push_back(r.at);
    }
    return times;
  }
  struct Request {
    uint64_t site;
    BootTime at;
    std::string text;
  };
  // The next watch begins anew.
  void ForgetRequests() {
    std::lock_guard lock(mutex_);
    log_.clear();
  }
  std::vector<Request> Requests() {
    std::lock_guard lock(mutex_);
    return log_;
  }
  // From now on this site does not answer: its checks end by their timeout.
  void Hold(uint64_t site) {
    std::lock_guard lock(mutex_);
    held_.insert(site);
  }
  void LetGo() {
    std::lock_guard lock(mutex_);
    held_.clear();
  }

  // Whether the site answers the request that was just noted with an error.
  bool IsDown(uint64_t site) {
    std::function<bool(uint64_t)> own;
    {
      std::lock_guard lock(mutex_);
      own = is_down_;
    }
    return own ? own(site) : down_.load();
  }

  static constexpr uint64_t kSites = 12;
  int64_t hold_tells_ms_ = 0;  // of what is given
  std::atomic<bool> down_{false};
  std::mutex mutex_;
  std::vector<Request> log_;  // guarded by mutex_, as held_
  std::set<uint64_t> held_;
  std::function<bool(uint64_t)> is_down_;  // instead of down_; guarded by mutex_
  ManualClock clock_;
  probe::TestServer server_;
  store::TestDatabase db_;
  Config config_;
  ScriptedConfirmer confirmer_;
  std::unique_ptr<probe::Engine> engine_;
  std::unique_ptr<Ownership> ownership_;

 private:
  // Notes a request; its site.
  uint64_t Note(const std::string& request) {
    const size_t at = request.find("/s/");
    uint64_t site = 0;
    if (at == request.npos ||
        !absl::SimpleAtoi(request.substr(at + 3, request.find(' ', at) - at - 3), &site)) {
      ADD_FAILURE() << "no site is asked for: " << request;
      return 0;
    }
    std::lock_guard lock(mutex_);
    log_.push_back({site, clock_.Boot(), request});
    return site;
  }
  bool IsHeld(uint64_t site) {
    std::lock_guard lock(mutex_);
    return held_.contains(site);
  }
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_OWNERSHIP_FIXTURE_H_
