// What a watch waits for before it is drained, whom it asks when, and what a lease counts from:
// what shows only while something is held up.
#include "monitor/watch.h"

#include <map>

#include "monitor/ownership_fixture.h"
#include "store/parts.h"

namespace jetmon::monitor {
namespace {

using std::chrono::seconds;

// Vantages that answer when the test lets them.
class HeldConfirmer final : public Confirmer {
 public:
  explicit HeldConfirmer(std::function<size_t(uint64_t)> requests)
      : requests_(std::move(requests)) {}

  void Ask(std::vector<confirm::Question> questions, milliseconds, Done done) override {
    std::vector<RoundResult> results;
    std::lock_guard lock(mutex_);
    for (const auto& q : questions) {
      first_asked_.emplace(q.site_id, requests_(q.site_id));
      RoundResult r;
      r.site_id = q.site_id;
      r.votes = Votes{3, 2, 0};
      results.push_back(std::move(r));
    }
    waiting_.emplace_back([done, results] { done(results); });
  }
  void SetVantages(std::vector<confirm::Vantage>) override {}
  size_t enabled() const override { return 3; }
  void CancelAll() override {}

  size_t asked() const {
    std::lock_guard lock(mutex_);
    return first_asked_.size();
  }
  // By site: how often it had been checked when it was first asked about.
  std::map<uint64_t, size_t> first_asked() const {
    std::lock_guard lock(mutex_);
    return first_asked_;
  }
  void AnswerAll() {
    std::vector<std::function<void()>> waiting;
    {
      std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const auto& answer : waiting) answer();
  }

 private:
  const std::function<size_t(uint64_t)> requests_;
  mutable std::mutex mutex_;
  std::map<uint64_t, size_t> first_asked_;
  std::vector<std::function<void()>> waiting_;
};

class WatchTest : public OwnershipTest {
 protected:
  ~WatchTest() override {
    LetGo();
    held_confirmer_.AnswerAll();
    ownership_.reset();
  }
  // The range is this Monitor's, and every site was checked.
  void Begin() {
    epoch_ = Give();
    ownership_->Poll();
    ASSERT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  }
  void UseHeldConfirmer() {
    ownership_ = std::make_unique<Ownership>(
        WatchParts{&config_, &clock_, &*db_, engine_.get(), &held_confirmer_});
    ASSERT_TRUE(ownership_->Open().ok());
  }
  // The Monitor on a database whose statements the test sees before they are run.
  void Observe(std::function<void(std::string_view)> observer) {
    sql::Options options;
    options.observer = [observer](std::string_view sql, sql::Params) { observer(sql); };
    observed_ = db_.OpenAnother(std::move(options));
    ownership_ = std::make_unique<Ownership>(
        WatchParts{&config_, &clock_, observed_.get(), engine_.get(), &confirmer_});
    ASSERT_TRUE(ownership_->Open().ok());
  }
  void BeginRelease() {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::BeginRelease(tx, epoch_, "rjob_2", 9));
      return absl::OkStatus();
    });
    ownership_->Poll();
    ASSERT_EQ(ownership_->state(), "draining");
  }
  // Without that any virtual time passes.
  static bool SoonEnough(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    return condition();
  }
  bool Drains() {
    return Until([&] {
      ownership_->Poll();
      return Lock(epoch_).drained;
    });
  }
  // While the clock stands still, what is held up stays so: the watch has many turns to get it
  // wrong.
  void ExpectItDoesNotDrain() {
    for (int i = 0; i < 60; ++i) {
      ownership_->Poll();
      ASSERT_FALSE(Lock(epoch_).drained);
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  // Site i is in bucket i % 4; 0 and 1 leave.
  void BeginPart() {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, {0, 1}, "rjob_part", 9));
      return absl::OkStatus();
    });
    ownership_->Poll();
  }
  bool PartIsDrained() {
    bool drained = false;
    Write([&](sql::Transaction& tx) -> absl::Status {
      drained = (*store::GetRangePart(tx, "rjob_part"))->drained;
      return absl::OkStatus();
    });
    return drained;
  }
  bool PartDrains() {
    return Until([&] {
      ownership_->Poll();
      return PartIsDrained();
    });
  }
  // Though it takes longer than any check that was in flight.
  void ExpectThePartDoesNotDrain() {
    for (int i = 0; i < 100; ++i) {
      clock_.Advance(milliseconds(50));
      if (i % 10 == 0) ownership_->Poll();
      ASSERT_FALSE(PartIsDrained());
      std::this_thread::sleep_for(milliseconds(3));
    }
  }
  // No incident can be opened.
  void RefuseEvents() {
    Write([](sql::Transaction& tx) {
      return tx
          .Execute(
              "CREATE TRIGGER no_event BEFORE INSERT ON jetmon_events BEGIN SELECT RAISE(ABORT, "
              "'no'); END")
          .status();
    });
  }
  void AllowEvents() {
    Write([](sql::Transaction& tx) { return tx.Execute("DROP TRIGGER no_event").status(); });
  }
  // Incidents so far.
  uint64_t Opened() {
    uint64_t opened = 0;
    Write([&](sql::Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_events", {}, [&](const sql::Row& row) {
        opened = row.Uint(0);
        return absl::OkStatus();
      });
    });
    return opened;
  }
  // Another writer changes the range, in its revision alone.
  void BumpRevision() {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_rollout_range_locks SET revision = revision + 1 WHERE epoch = ?",
                   {epoch_})
          .status();
    });
  }

  uint64_t epoch_ = 0;
  std::atomic<int> tries_{0};                              // to open incidents
  std::atomic<bool> bump_{false};                          // once
  std::atomic<bool> adopting_{false}, summarised_{false};  // whether such statements were seen
  HeldConfirmer held_confirmer_{[this](uint64_t site) { return RequestsFor(site).size(); }};
  std::unique_ptr<sql::Database> observed_;
};

TEST_F(WatchTest, ACheckInFlightEndsBeforeTheDrainIsReported) {
  Begin();
  Hold(5);
  const size_t before = RequestsFor(5).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(5).size() > before; }));
  BeginRelease();
  ExpectItDoesNotDrain();
  EXPECT_TRUE(Drains());  // by its timeout
}

TEST_F(WatchTest, ARoundEndsBeforeTheDrainIsReportedAndNothingIsCheckedMeanwhile) {
  UseHeldConfirmer();
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] { return held_confirmer_.asked() > 0; }));
  BeginRelease();
  ASSERT_TRUE(Until([&] { return ownership_->watch()->figures().running == 0; }, /*poll=*/false));
  const size_t requests = server_.requests().size();
  ExpectItDoesNotDrain();
  for (int i = 0; i < 200; ++i) {  // 20 s: each site would be due several times
    clock_.Advance(milliseconds(100));
    if (i % 20 == 0) ownership_->Poll();
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(server_.requests().size(), requests);
  ExpectItDoesNotDrain();
  held_confirmer_.AnswerAll();
  EXPECT_TRUE(Drains());
}

TEST_F(WatchTest, ARoundAboutASiteThatLeavesEndsBeforeItsPartIsReported) {
  UseHeldConfirmer();
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] { return held_confirmer_.first_asked().contains(5); }));
  BeginPart();
  ExpectThePartDoesNotDrain();
  held_confirmer_.AnswerAll();
  EXPECT_TRUE(PartDrains());
}

TEST_F(WatchTest, WhatWasSeenIsWrittenBeforeTheDrainIsReported) {
  if (!db_.embedded()) GTEST_SKIP() << "makes a trigger in SQLite's words";
  Observe([this](std::string_view sql) {
    if (sql.starts_with("INSERT INTO jetmon_events")) ++tries_;
  });
  Begin();
  RefuseEvents();
  down_ = true;
  ASSERT_TRUE(Until([&] { return tries_ > 0; }));
  BeginRelease();
  ASSERT_TRUE(Until([&] { return ownership_->watch()->figures().running == 0; }, /*poll=*/false));
  ExpectItDoesNotDrain();
  EXPECT_EQ(Opened(), 0u);
  AllowEvents();
  EXPECT_TRUE(Drains());
  EXPECT_GT(Opened(), 0u);
}

TEST_F(WatchTest, WhatWasSeenThereIsWrittenBeforeAPartIsReported) {
  if (!db_.embedded()) GTEST_SKIP() << "makes a trigger in SQLite's words";
  Begin();
  RefuseEvents();
  down_ = true;
  const size_t before = RequestsFor(5).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(5).size() > before; }));
  BeginPart();
  ExpectThePartDoesNotDrain();
  AllowEvents();
  EXPECT_TRUE(PartDrains());
  EXPECT_TRUE(OpenEventOf(5).has_value());
}

TEST_F(WatchTest, VerifliersAreAskedAfterTheLocalRetries) {
  UseHeldConfirmer();
  Begin();
  std::map<uint64_t, size_t> before;
  for (uint64_t site = 1; site <= kSites; ++site) before[site] = RequestsFor(site).size();
  down_ = true;
  ASSERT_TRUE(Until([&] { return held_confirmer_.asked() == kSites; }));
  for (const auto& [site, requests] : held_confirmer_.first_asked()) {
    EXPECT_GE(requests, before[site] + static_cast<size_t>(config_.num_of_checks)) << site;
  }
}

TEST_F(WatchTest, WhatVerifliersDoNotAgreeOnStaysSeemsDown) {
  confirmer_.votes_ = Votes{3, 1, 1};
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] { return confirmer_.rounds_ >= 5 && OpenEventOf(5).has_value(); }));
  for (uint64_t site = 1; site <= kSites; ++site) {
    const auto event = OpenEventOf(site);
    EXPECT_TRUE(!event.has_value() || event->severity == store::Severity::kSeemsDown) << site;
  }
}

// Each of many sites fails once: only those that fail before it suspects itself have an incident.
TEST_F(WatchTest, ASuspectMonitorWantsASecondFailure) {
  constexpr uint64_t kMany = 72;
  Write([&](sql::Transaction& tx) {
    std::vector<store::Site> sites;
    for (uint64_t id = kSites + 1; id <= kMany; ++id) {
      store::Site site;
      site.site_id = id;
      site.blog_id = id;
      site.bucket = id % 4;
      site.url = server_.Url("/s/" + std::to_string(id));
      sites.push_back(site);
    }
    return store::InsertSites(tx, sites);
  });
  epoch_ = Give();
  ownership_->Poll();
  const auto checked_each = [&](size_t times) {
    for (uint64_t site = 1; site <= kMany; ++site) {
      if (RequestsFor(site).size() < times) return false;
    }
    return true;
  };
  ASSERT_TRUE(Until([&] { return checked_each(2); }));
  std::map<uint64_t, size_t> before;
  for (uint64_t site = 1; site <= kMany; ++site) {
    before[site] = RequestsFor(site).size();
    Hold(site);
  }
  ASSERT_TRUE(Until([&] {
    for (auto at = before.begin(); at != before.end();) {
      if (RequestsFor(at->first).size() == at->second) {
        ++at;
        continue;
      }
      std::lock_guard lock(mutex_);
      held_.erase(at->first);  // its next check is answered
      at = before.erase(at);
    }
    return before.empty();
  }));
  ASSERT_TRUE(Until([&] { return ownership_->watch()->figures().suspect; }));
  for (int i = 0; i < 60; ++i) clock_.Advance(milliseconds(50));  // the last timeouts
  ASSERT_TRUE(Until([&] { return ownership_->watch()->figures().running == 0; }));
  EXPECT_GT(Opened(), 0u);
  EXPECT_LT(Opened(), kMany * 2 / 3);
}

TEST_F(WatchTest, ALeaseCountsFromBeforeTheRenewalWasSent) {
  Observe([this](std::string_view sql) {
    // The database takes 3 s.
    if (sql.find("lease_seq = lease_seq + 1") != sql.npos) clock_.Advance(seconds(3));
  });
  epoch_ = Give();
  const BootTime asked = clock_.Boot();
  ownership_->Poll();  // acknowledges
  const Lease& lease = ownership_->watch()->lease();
  EXPECT_TRUE(lease.MaySend(asked + (seconds(15) - milliseconds(1))));
  EXPECT_FALSE(lease.MaySend(asked + seconds(15)));
  const BootTime renewed = clock_.Boot();
  ownership_->Poll();
  EXPECT_TRUE(lease.MaySend(renewed + (seconds(15) - milliseconds(1))));
  EXPECT_FALSE(lease.MaySend(renewed + seconds(15)));
}

// Taking over what v1 said takes 1.5 s of the 5 s in which every site must be checked.
TEST_F(WatchTest, FirstChecksCountFromTheAcknowledgement) {
  Observe([this](std::string_view sql) {
    const bool adopts = sql.find("s.monitor_active + 0 = 1 WHERE ended_at_ms") != sql.npos;
    if (adopts && !adopting_.exchange(true)) clock_.Advance(milliseconds(1500));
    if (sql.starts_with("INSERT INTO jetmon_bucket_activity")) summarised_ = true;
  });
  epoch_ = Give();
  const BootTime asked = clock_.Boot();
  ownership_->Poll();
  // First checks are planned before the first summary is written; the clock stands still.
  ASSERT_TRUE(SoonEnough([&] { return summarised_.load(); }));
  ASSERT_TRUE(adopting_);
  EXPECT_EQ(server_.requests().size(), 0u);
  ASSERT_EQ(clock_.Boot() - asked, milliseconds(1500));
  clock_.Advance(milliseconds(2500));
  EXPECT_TRUE(SoonEnough([&] { return server_.requests().size() >= kSites; }));
  for (uint64_t site = 1; site <= kSites; ++site) EXPECT_EQ(RequestsFor(site).size(), 1u) << site;
}

TEST_F(WatchTest, ARenewalThatMatchesNothingIsNone) {
  Observe([this](std::string_view sql) {
    // Between what a poll reads and what it writes.
    if (sql.find(" jetmon_veriflier_vantages ") != sql.npos && bump_.exchange(false)) {
      BumpRevision();
    }
  });
  epoch_ = Give();
  ownership_->Poll();
  const BootTime acknowledged = clock_.Boot();
  clock_.Advance(seconds(10));
  bump_ = true;
  ownership_->Poll();
  EXPECT_FALSE(bump_);
  EXPECT_FALSE(ownership_->watch()->lease().MaySend(acknowledged + seconds(15)));
  ownership_->Poll();
  EXPECT_TRUE(ownership_->watch()->lease().MaySend(acknowledged + seconds(15)));
}

TEST_F(WatchTest, AnAcknowledgementThatMatchesNothingIsNone) {
  bump_ = true;
  Observe([this](std::string_view sql) {
    // While it loads.
    if (sql.find(" jetmon_endpoint_check_config ") != sql.npos && bump_.exchange(false)) {
      BumpRevision();
    }
  });
  epoch_ = Give();
  ownership_->Poll();
  EXPECT_FALSE(bump_);
  ASSERT_NE(ownership_->watch(), nullptr);
  EXPECT_FALSE(ownership_->watch()->started());
  EXPECT_EQ(Lock(epoch_).state, store::range_state::kActivating);
  ownership_->Poll();
  EXPECT_TRUE(ownership_->watch()->started());
  EXPECT_EQ(Lock(epoch_).state, store::range_state::kActive);
}

}  // namespace
}  // namespace jetmon::monitor
