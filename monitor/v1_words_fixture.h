#ifndef JETMON_MONITOR_V1_WORDS_FIXTURE_H_
#define JETMON_MONITOR_V1_WORDS_FIXTURE_H_

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "monitor/notifier.h"
#include "monitor/ownership_fixture.h"

namespace jetmon::monitor {

// A Monitor of dialect v1 in virtual time, and what people are told by it.
class V1WordsTest : public OwnershipTest {
 protected:
  V1WordsTest() {
    config_.dialect = store::LegacyDialect::kV1;
    config_.notify_url = "http://receiver.example/";
    config_.receiver_delay = std::chrono::seconds(2);
    NewNotifier();
    std::lock_guard lock(mutex_);
    is_down_ = [this](uint64_t site) { return FailsNow(site); };
  }
  ~V1WordsTest() override {
    notifier_.reset();
    ownership_.reset();
    std::lock_guard lock(mutex_);
    is_down_ = nullptr;
  }
  void NewNotifier() {
    notifier_ = std::make_unique<Notifier>(
        config_, clock_, *db_, ownership_->tell_gate(),
        [this](const std::string& id, const std::string& body) {
          ids_.push_back(id);
          if (posted_ == Notifier::Posted::kTaken) {
            const size_t at = body.find("/s/") + 3;
            const std::string site = body.substr(at, body.find('"', at) - at);
            told_[std::stoull(site)] += absl::StrContains(body, "\"status_id\":1,") ? 'u' : 'd';
          }
          return posted_;
        });
  }
  bool Play(const std::function<bool()>& condition) {
    return Until([&] {
      // A server's statements take longer, so virtual time must pass more slowly.
      if (!db_.embedded()) std::this_thread::sleep_for(std::chrono::milliseconds(15));
      notifier_->Turn();
      return condition();
    });
  }
  // Time in which all of them are checked several times, all columns are read, and whatever is to
  // be told would be.
  void PlayOn() {
    const BootTime until = clock_.Boot() + std::chrono::seconds(20);
    EXPECT_TRUE(Play([&] { return clock_.Boot() >= until; }));
  }
  // Whether each site has been told exactly this: d, u.
  bool AllTold(const std::string& words) {
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (told_[site] != words) return false;
    }
    return true;
  }
  void ExpectAllTold(const std::string& words) {
    for (uint64_t site = 1; site <= kSites; ++site) EXPECT_EQ(told_[site], words) << site;
  }
  void Say(uint64_t site, int status, const std::string& changed) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
              "jetpack_monitor_site_id = ?",
              {status, changed, site})
          .status();
    });
  }
  int Status(uint64_t site) {
    int status = -1;
    Write([&](sql::Transaction& tx) -> absl::Status {
      status = (*store::GetSite(tx, site))->site_status;
      return absl::OkStatus();
    });
    return status;
  }
  bool AllSay(int status) {
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (Status(site) != status) return false;
    }
    return true;
  }
  bool AnySays(int status) {
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (Status(site) == status) return true;
    }
    return false;
  }
  bool NoneIsOpen() {
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (OpenEventOf(site).has_value()) return false;
    }
    return true;
  }
  bool AllAreConfirmed() {
    for (uint64_t site = 1; site <= kSites; ++site) {
      const auto e = OpenEventOf(site);
      if (!e.has_value() || e->severity != store::Severity::kDown) return false;
    }
    return true;
  }
  // As a release does.
  void Mute(store::Range range) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::MuteRange(tx, epoch_, range, "rjob_2", 9));
      return absl::OkStatus();
    });
    CancelQueued();
  }
  void MuteAll() { Mute({0, 3}); }
  void CancelQueued() {
    Write([](sql::Transaction& tx) { return store::CancelQueued(tx, {0, 3}).status(); });
  }
  void Begin() {
    epoch_ = Give();
    ownership_->Poll();
    ASSERT_EQ(ownership_->state(), "active");
  }
  bool FailsNow(uint64_t site) {
    if (site != flaps_) return down_ && (only_ == 0 || only_ == site);
    return RequestsFor(site).size() % 2 == 0;
  }

  uint64_t epoch_ = 0;
  std::atomic<uint64_t> flaps_{0};  // a site that is up at every other check
  std::atomic<uint64_t> only_{0};   // the one that is down when `down_` says so; 0: all
  Notifier::Posted posted_ = Notifier::Posted::kTaken;
  std::vector<std::string> ids_;
  std::map<uint64_t, std::string> told_;
  std::unique_ptr<Notifier> notifier_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_V1_WORDS_FIXTURE_H_
