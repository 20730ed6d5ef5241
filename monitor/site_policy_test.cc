// What a site's row of check configuration does to its checks.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "monitor/ownership.h"
#include "monitor/ownership_fixture.h"
#include "store/sites.h"

namespace jetmon::monitor {
namespace {

// With all buckets that there are, and production's times.
class PolicyOfSitesTest : public OwnershipTest {
 protected:
  static constexpr uint32_t kAll = 512;

  PolicyOfSitesTest() {
    config_.unit = milliseconds(60'000);
    config_.time_between_checks = 0.05;  // confirmations come soon
    sql::Options options;
    options.observer = [this](std::string_view sql, sql::Params) {
      if (sql == "SELECT site_id FROM jetmon_endpoint_check_config LIMIT 1") ++reads_;
    };
    watched_ = db_.OpenAnother(std::move(options));
    ownership_ = std::make_unique<Ownership>(
        WatchParts{&config_, &clock_, watched_.get(), engine_.get(), &confirmer_});
    EXPECT_TRUE(ownership_->Open().ok());
    Write([](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(store::EnsureBuckets(tx, kAll, 1).ok());
      std::vector<store::Target> targets;
      for (uint64_t i = 1; i <= kSites; ++i) {
        // The last ones in the order of reading, too.
        auto moved = tx.Execute(
            "UPDATE jetpack_monitor_sites SET bucket_no = ?, check_interval = 1 WHERE "
            "jetpack_monitor_site_id = ?",
            {kAll - i * 40, i});
        if (!moved.ok()) return moved.status();
        auto site = store::GetSite(tx, i);
        if (!site.ok()) return site.status();
        targets.push_back(store::TargetOf(**site));
      }
      return store::UpsertTargets(tx, targets, 1);
    });
  }
  ~PolicyOfSitesTest() override { ownership_.reset(); }  // before its database
  struct Rules {
    std::string keyword = "welcome", forbidden = "Fatal error", headers = R"({"X-Key": "one"})",
                redirects = "alert";
    int timeout_ms = 2'500;
  };
  void Configure(const std::string& method, const std::string& profile,
                 const std::optional<Rules>& rules = std::nullopt) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto s = tx.Execute("DELETE FROM jetmon_endpoint_check_config", {}).status();
      for (uint64_t i = 1; s.ok() && i <= kSites; ++i) {
        s = tx.Execute(
                  "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, revision, "
                  "updated_at_ms) VALUES (?, ?, ?, 7, 1)",
                  {i, method, profile})
                .status();
        if (!s.ok() || !rules.has_value()) continue;
        s = tx.Execute(
                  "UPDATE jetmon_endpoint_check_config SET keyword = ?, forbidden_keyword = ?, "
                  "headers = ?, redirect_policy = ?, timeout_ms = ? WHERE site_id = ?",
                  {rules->keyword, rules->forbidden, rules->headers, rules->redirects,
                   rules->timeout_ms, i})
                .status();
      }
      return s;
    });
  }
  void Unconfigure() {
    Write([](sql::Transaction& tx) {
      return tx.Execute("DELETE FROM jetmon_endpoint_check_config", {}).status();
    });
  }
  // The methods of the requests from the n-th on.
  std::set<std::string> MethodsFrom(size_t n) const {
    std::set<std::string> methods;
    const auto requests = server_.requests();
    for (size_t i = n; i < requests.size(); ++i) {
      methods.insert(requests[i].substr(0, requests[i].find(' ')));
    }
    return methods;
  }
  // Whether all requests from the n-th on carry this line.
  bool AllFromHave(size_t n, const std::string& line) const {
    const auto requests = server_.requests();
    bool all = requests.size() > n;
    for (size_t i = n; i < requests.size(); ++i) {
      all = all && requests[i].find("\r\n" + line + "\r\n") != std::string::npos;
    }
    return all;
  }
  // What the Monitor says of itself.
  std::string Warnings() {
    std::string warnings;
    Write([&](sql::Transaction& tx) {
      return tx.Query("SELECT warnings FROM jetmon_process_health WHERE instance = 'ins_1'", {},
                      [&](const sql::Row& row) {
                        warnings = row.Text(0);
                        return absl::OkStatus();
                      });
    });
    return warnings;
  }
  // Until there were as many requests as sites that can be asked.
  void Begin(size_t asked = kSites) {
    Give("ins_1", {0, kAll - 1});
    ownership_->Poll();
    EXPECT_TRUE(Until([&] { return server_.requests().size() >= asked; }));
  }
  // Lets so much virtual time pass, or until the condition holds (the answer), and no faster than
  // the Monitor keeps up with it: between two steps it reads the buckets whose turn it was, and
  // ends the checks that were due.
  bool Within(milliseconds limit, const std::function<bool()>& condition) {
    constexpr int kTurns = 16;
    CatchUp();
    const milliseconds step = config_.RefreshPeriod() * kTurns / kAll;
    const int before = reads_;
    const BootTime end = clock_.Boot() + limit;
    for (int steps = 1; clock_.Boot() < end; ++steps) {
      if (condition()) return true;
      clock_.Advance(step);
      ownership_->Poll();
      EXPECT_TRUE(KeepsUp([&] {
        const Watch::Figures f = ownership_->watch()->figures();
        // A turn is not quite a whole number of nanoseconds: the last one may still come.
        return reads_ >= before + steps * kTurns - 1 && f.due == 0 && f.running == 0;
      }));
      if (HasFailure()) break;
    }
    return condition();
  }
  // What changed now is so in all requests that are sent a minute later, and each site is asked.
  void ExpectAMinuteLater(const std::function<bool(const std::string&)>& is_so) {
    const BootTime late = clock_.Boot() + std::chrono::seconds(60);
    const milliseconds interval{60'000};
    std::set<uint64_t> asked;
    EXPECT_TRUE(Within(milliseconds(60'000) + interval + LateAllowance(interval), [&] {
      asked.clear();
      for (const Request& r : Requests()) {
        if (r.at > late) asked.insert(r.site);
      }
      return asked.size() == kSites;
    }));
    for (const Request& r : Requests()) {
      if (r.at <= late) continue;
      EXPECT_TRUE(is_so(r.text)) << r.text;
    }
  }
  void ExpectMethod(const std::string& method) {
    ExpectAMinuteLater([&](const std::string& r) { return r.rfind(method + " ", 0) == 0; });
  }
  void ExpectLine(const std::string& line) {
    ExpectAMinuteLater(
        [&](const std::string& r) { return r.find("\r\n" + line + "\r\n") != r.npos; });
  }
  // A minute until a site is due, and what its retries take.
  void ExpectRound() {
    EXPECT_TRUE(Within(std::chrono::seconds(90), [&] { return confirmer_.rounds_ > 0; }));
  }

  std::atomic<int> reads_{0};  // of buckets: each begins with asking whether any site has a policy
  std::unique_ptr<sql::Database> watched_;

 private:
  // Waits until the Monitor reads nothing while virtual time stands still. `Until` may have run
  // ahead of it, and turns that it is more than 5 s behind with it leaves out, as after a pause:
  // then it would owe fewer reads than a step counts.
  void CatchUp() {
    int before = -1;
    EXPECT_TRUE(KeepsUp([&] {
      const int now = reads_;
      if (now == before) return true;
      before = now;
      std::this_thread::sleep_for(milliseconds(300));
      return false;
    }));
  }
  static bool KeepsUp(const std::function<bool()>& has) {
    const BootTime until = SystemClock().Boot() + std::chrono::seconds(20);
    while (!has()) {
      if (SystemClock().Boot() > until) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
};

TEST_F(PolicyOfSitesTest, IsUsedWithinAMinuteForChecksAndConfirmations) {
  Begin();
  EXPECT_EQ(MethodsFrom(0), std::set<std::string>{"HEAD"});
  Configure("GET", "simple_http");
  ExpectMethod("GET");
  down_ = true;
  ExpectRound();
  EXPECT_EQ(confirmer_.policies(), std::set<std::string>{"GET simple_http"});
  down_ = false;
  Unconfigure();
  ExpectMethod("HEAD");
}

TEST_F(PolicyOfSitesTest, ChangedRulesAreUsedHereAndByVerifliers) {
  Configure("GET", "full", Rules());
  Begin();
  EXPECT_TRUE(AllFromHave(0, "X-Key: one"));
  Rules other;
  other.headers = R"({"X-Key": "two"})";
  other.keyword = "";
  other.forbidden = "";
  Configure("GET", "full", other);
  ExpectLine("X-Key: two");
  other.keyword = "goodbye";
  other.forbidden = "Fatal error";
  other.headers = R"({"X-Key": "three"})";
  Configure("GET", "full", other);
  ExpectLine("X-Key: three");
  down_ = true;
  ExpectRound();
  const confirm::Question asked = confirmer_.last();
  EXPECT_EQ(asked.profile, "full");
  EXPECT_EQ(asked.timeout, milliseconds(2'500));
  ASSERT_NE(asked.rules, nullptr);
  EXPECT_EQ(asked.rules->keyword, "goodbye");
  EXPECT_EQ(asked.rules->forbidden_keywords, std::vector<std::string>{"Fatal error"});
  EXPECT_EQ(asked.rules->redirect_policy, "alert");
  ASSERT_EQ(asked.rules->headers.size(), 1u);
  EXPECT_EQ(asked.rules->headers[0], std::make_pair(std::string("X-Key"), std::string("three")));
}

// A Veriflier needs all of the check's time to see that a site is silent, and then has to say so.
TEST_F(PolicyOfSitesTest, ARoundOutlastsTheChecksThatItAsksFor) {
  down_ = true;
  Begin();
  EXPECT_TRUE(Until([&] { return confirmer_.rounds_ > 0; }));
  EXPECT_EQ(confirmer_.last().timeout, milliseconds(10'000));
  EXPECT_EQ(confirmer_.last_deadline(), milliseconds(12'000));
}

TEST_F(PolicyOfSitesTest, SoItDoesWithTheLongestChecks) {
  config_.budget = *DeadlineBudget::Of(milliseconds(20'000));
  down_ = true;
  Begin();
  EXPECT_TRUE(Until([&] { return confirmer_.rounds_ > 0; }));
  EXPECT_EQ(confirmer_.last().timeout, milliseconds(20'000));
  EXPECT_EQ(confirmer_.last_deadline(), milliseconds(22'000));
}

TEST_F(PolicyOfSitesTest, AFaultyRowIsCheckedByDefaultsAndSaid) {
  Rules wrong;
  wrong.headers = "X-Key: one";
  wrong.timeout_ms = 5;
  Configure("BREW", "simple_http", wrong);
  Begin();
  EXPECT_EQ(MethodsFrom(0), std::set<std::string>{"HEAD"});
  EXPECT_TRUE(
      Until([&] { return Warnings().find("12 sites can't all be used") != std::string::npos; }));
  EXPECT_NE(Warnings().find("site 12: method: "), std::string::npos) << Warnings();
  Configure("GET", "simple_http", Rules());
  ExpectMethod("GET");
  EXPECT_EQ(Warnings(), "");
}

TEST_F(PolicyOfSitesTest, ARefusedSiteIsSaidAndLooksLateToNobody) {
  const auto move = [&](const std::string& url) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET monitor_url = ? WHERE "
              "jetpack_monitor_site_id = 3",
              {url})
          .status();
    });
  };
  const std::string url = server_.Url("/s/3");
  move("https://10.0.0.1/s/3");
  Begin(kSites - 1);
  EXPECT_TRUE(RequestsFor(3).empty());
  EXPECT_TRUE(Until([&] { return Warnings().find("such as site 3") != std::string::npos; }));
  EXPECT_FALSE(OpenEventOf(3).has_value());
  move(url);
  // Read again within 45 s; its first check comes within its interval.
  EXPECT_TRUE(Within(std::chrono::seconds(45 + 60), [&] { return !RequestsFor(3).empty(); }));
  EXPECT_TRUE(Until([&] { return Warnings().empty(); }));
}

}  // namespace
}  // namespace jetmon::monitor
