#include "controlplane/rollout/preflight.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/test_service.h"
#include "store/schema.h"

namespace jetmon::rollout {
namespace {

class PreflightTest : public ServiceTest {
 protected:
  PreflightTest() { run_id_ = OpenSession(); }
  v1::OperationResponse Look() { return Preflight(run_id_); }
  // "ok", "warning", "blocker", or "" when there is no such item.
  static std::string Item(const v1::OperationResponse& answer, const std::string& name) {
    for (const auto& item : answer.preflight().items()) {
      if (item.name() == name) return item.status();
    }
    return "";
  }
  static CodeSet Warnings(const v1::OperationResponse& answer) {
    CodeSet codes;
    for (const auto& w : answer.warnings()) codes.insert(w.code());
    return codes;
  }

  std::string run_id_;
};

TEST_F(PreflightTest, PassesAndLeavesEvidenceAndAFinishedJob) {
  monitor_.Run();
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{});
  for (const char* name :
       {"database", "schema", "bucket_range", "legacy_table", "owner", "protocol", "mode",
        "vantages", "discovery", "notifications", "target_safety", "supported_urls"}) {
    EXPECT_EQ(Item(answer, name), "ok") << name;
  }
  for (const auto& item : answer.preflight().items()) {
    if (item.name() != "bucket_range") continue;
    EXPECT_NE(item.text().find("jetmon2 rollout v1-plan-check"), std::string::npos) << item.text();
  }
  EXPECT_EQ(answer.job().state(), "completed");
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_), std::vector<std::string>{"preflight_passed"});
}

TEST_F(PreflightTest, WithoutAMonitorItBlocksAndLeavesNoEvidence) {
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"owner_unavailable"});
  EXPECT_EQ(Item(answer, "owner"), "blocker");
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
  for (const auto& b : answer.blockers()) EXPECT_NE(b.action(), "");
}

TEST_F(PreflightTest, WithoutAHostNothingCanBeSaid) {
  v1::OperationResponse answer;
  auto request = On<v1::PreflightRequest>(OpenSession(kRange, ""));
  EXPECT_EQ(ReasonOf(service_->Preflight(Key(), request, &answer)), v1::INVALID_FIELD);
  request.add_canaries();
  EXPECT_EQ(ReasonOf(service_->Preflight(Key(), request, &answer)), v1::INVALID_CANARY);
}

TEST_F(PreflightTest, ModeAndProtocolOfTheMonitor) {
  monitor_.mode = "standby";
  monitor_.protocol = 99;
  monitor_.Run();
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), (CodeSet{"rollout_mode_blocked", "protocol_mismatch"}));
  EXPECT_EQ(Item(answer, "owner"), "ok");
  EXPECT_EQ(Item(answer, "mode"), "blocker");
  EXPECT_EQ(Item(answer, "protocol"), "blocker");
}

TEST_F(PreflightTest, EnoughVantagesMustAnswer) {
  monitor_.Run();
  silent_ = {"v-2"};
  EXPECT_EQ(Codes(Look()), CodeSet{"vantage_unreachable"});
  AddVantage("v-4");
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{"vantage_unreachable"});
  rollout_.Write([](sql::Transaction& tx) -> absl::Status {
    for (const char* id : {"v-3", "v-4"}) {
      if (auto deleted = store::DeleteVantage(tx, id); !deleted.ok()) return deleted.status();
    }
    return absl::OkStatus();
  });
  EXPECT_EQ(Codes(Look()), CodeSet{"vantages_missing"});
}

TEST_F(PreflightTest, AVantageMustSpeakOurProtocolAndBeWhoItIs) {
  monitor_.Run();
  answers_["v-1"].protocol_min = answers_["v-1"].protocol_max = confirm::kProtocol + 1;
  answers_["v-1"].vantage_id = "v-1";
  EXPECT_EQ(Codes(Look()), CodeSet{"vantage_unreachable"});
  // Two endpoints that report one vantage.
  answers_["v-1"] = answers_["v-2"] = {};
  answers_["v-1"].vantage_id = answers_["v-2"].vantage_id = "v-2";
  for (const char* id : {"v-1", "v-2"}) {
    answers_[id].protocol_min = answers_[id].protocol_max = confirm::kProtocol;
  }
  EXPECT_EQ(Codes(Look()), (CodeSet{"vantage_unreachable", "vantage_duplicate"}));
}

TEST_F(PreflightTest, AMonitorWithLongerChecksBlocks) {
  monitor_.longest_check_ms = 20'000;
  monitor_.Run();
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"longest_check_exceeded"});
  EXPECT_EQ(Item(answer, "owner"), "blocker");
  EXPECT_EQ(answer.blockers(0).text(),
            "checks of host monitor-a may take 20 s, and this control plane frees a range as if "
            "they took 10 s at most");
  EXPECT_NE(answer.blockers(0).action().find("--longest_check"), std::string::npos);
}

// It abstains from every site that is slow, whatever it answers now.
TEST_F(PreflightTest, AVantageWithShorterChecksDoesNotCount) {
  monitor_.Run();
  answers_["v-2"] = *Ask("v-2");
  answers_["v-2"].budget = *DeadlineBudget::Of(std::chrono::milliseconds(5'500));
  auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"vantage_unreachable"});
  EXPECT_EQ(
      answer.blockers(0).text(),
      "2 of the 3 wanted vantages are approved and answer: v-2 makes checks of 5.5 s at most "
      "and abstains from those of 10 s: start its Veriflier with --longest_check=10s or more");
  AddVantage("v-4");
  answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{"vantage_unreachable"});
  EXPECT_EQ(answer.warnings(0).text().find("v-2 makes checks of 5.5 s"), 0u);
  // As much as is asked for is enough.
  answers_["v-2"].budget = DeadlineBudget();
  EXPECT_EQ(Warnings(Look()), CodeSet{});
}

TEST_F(PreflightTest, TwoVantagesMustNotShareAnEndpoint) {
  monitor_.Run();
  rollout_.Write([](sql::Transaction& tx) -> absl::Status {
    auto v = store::GetVantage(tx, "v-3");
    (*v)->endpoint = "127.0.0.1:1";
    return store::UpdateVantage(tx, **v).status();
  });
  EXPECT_EQ(Codes(Look()), CodeSet{"vantage_duplicate"});
}

TEST_F(PreflightTest, HostNamesAndTlsAreSitesAsAnyOther) {
  monitor_.Run();
  rollout_.AddSite(1, 2, 1, "https://127.0.0.1/");
  rollout_.AddSite(2, 3, 1, "http://example.com/");
  rollout_.AddSite(3, 5, 1, "https://example.com:8443/x");
  rollout_.AddSite(4, 6, 1, "http://elsewhere.example.com/");
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.preflight().active_sites(), 3u);
  EXPECT_EQ(answer.preflight().looked_at_sites(), 3u);
  EXPECT_EQ(answer.preflight().refused_sites(), 0u);
  EXPECT_EQ(answer.preflight().examples_size(), 0);
}

TEST_F(PreflightTest, SitesThatTargetSafetyRefusesWarn) {
  monitor_.Run();
  rollout_.AddSite(1, 2, 1, "http://10.0.0.1/");
  rollout_.AddSite(2, 3, 1, "http://localhost/");
  rollout_.AddSite(3, 3, 1, "http://102");
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{"target_refused"});
  EXPECT_EQ(answer.preflight().refused_sites(), 3u);
}

TEST_F(PreflightTest, NotificationsAsTheSessionDeclares) {
  monitor_.notify_configured = false;
  monitor_.Run();
  EXPECT_EQ(Warnings(Look()), CodeSet{"notifications_differ"});
  v1::CreateSessionRequest request;
  request.set_bucket_min(kRange.min);
  request.set_bucket_max(kRange.max);
  request.set_owner_host("monitor-a");
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage("{\"notifications\":\"none\"}",
                                                          request.mutable_metadata())
                  .ok());
  v1::Session session;
  ASSERT_TRUE(service_->CreateSession(Key(), request, &session).ok());
  run_id_ = session.run_id();
  EXPECT_EQ(Warnings(Look()), CodeSet{});
}

TEST_F(PreflightTest, WhatIsHeldBlocks) {
  monitor_.Run();
  const std::string holder = Activate({5, 8});
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"bucket_range_conflict"});
  EXPECT_NE(answer.blockers(0).text().find("monitor-a holds 5-8"), std::string::npos);
}

TEST_F(PreflightTest, ASchemaThatDoesNotFitBlocksAndNothingElseIsSaid) {
  if (!rollout_.embedded()) GTEST_SKIP() << "changes the schema";
  monitor_.Run();
  // A newer build has been here.
  rollout_.Write([](sql::Transaction& tx) {
    return tx
        .Execute(
            "INSERT INTO jetmon_schema_migrations (number, name, oldest_build, applied_at_ms) "
            "VALUES (999, 'from the future', 999, 1)")
        .status();
  });
  auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"schema_mismatch"});
  EXPECT_EQ(Item(answer, "schema"), "blocker");
  EXPECT_EQ(Item(answer, "database"), "ok");
  EXPECT_EQ(answer.preflight().items_size(), 2);
  EXPECT_NE(answer.blockers(0).text().find("999"), std::string::npos);
  // One that an older build left.
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("DELETE FROM jetmon_schema_migrations WHERE number > 1").status();
  });
  answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"schema_mismatch"});
  EXPECT_NE(answer.blockers(0).text().find("jetmon2 migrate"), std::string::npos);
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

// The control plane on a database that a test holds up: at the first statement that has the word,
// so much time passes.
class SlowDatabaseTest : public PreflightTest {
 protected:
  ~SlowDatabaseTest() override { service_.reset(); }
  void HoldUpAt(const std::string& word, std::chrono::milliseconds d) {
    sql::Options options;
    options.clock = &rollout_.clock();
    options.observer = [this, word, d](std::string_view sql, sql::Params) {
      if (armed_ && sql.find(word) != sql.npos && armed_.exchange(false)) rollout_.clock().Push(d);
    };
    slow_ = rollout_.OpenAnother(std::move(options));
    rollout_.parts().db = slow_.get();
    service_ = MakeService();
    monitor_.Run();
    armed_ = true;
  }
  std::atomic<bool> armed_{false};
  std::unique_ptr<sql::Database> slow_;
};

TEST_F(SlowDatabaseTest, ADatabaseThatAnswersTooSlowlyIsABlocker) {
  HoldUpAt("FROM jetmon_schema_migrations", std::chrono::seconds(8));
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"database_unavailable"});
  EXPECT_EQ(Item(answer, "database"), "blocker");
  EXPECT_EQ(answer.preflight().items_size(), 1);
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
  // It was there to record that.
  EXPECT_EQ(answer.job().state(), "blocked");
}

TEST_F(SlowDatabaseTest, SitesThatThereWasNoTimeForAreAWarning) {
  for (uint64_t id = 1; id <= 40; ++id) rollout_.AddSite(id, 2 + id % 4, 1, "http://127.0.0.1/");
  HoldUpAt("s.check_interval >= ?", std::chrono::milliseconds(6'100));
  const auto answer = Look();
  CodeSet warnings = Warnings(answer);
  EXPECT_EQ(warnings.count("urls_not_all_looked_at"), 1u) << answer.ShortDebugString();
  EXPECT_EQ(Item(answer, "supported_urls"), "warning");
  EXPECT_EQ(answer.preflight().active_sites(), 40u);
  EXPECT_LT(answer.preflight().looked_at_sites(), 40u);
}

TEST_F(PreflightTest, ADatabaseThatIsGoneIsABlocker) {
  if (!rollout_.embedded()) GTEST_SKIP() << "takes the file away";
  char folder[] = "/tmp/preflight_XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  store::DatabaseSettings settings;
  settings.url = absl::StrCat("sqlite://", folder, "/a.db");
  auto gone = store::OpenDatabase(settings);
  ASSERT_TRUE(gone.ok()) << gone.status();
  rollout_.parts().db = gone->get();
  service_ = MakeService();
  run_id_ = OpenSession();
  std::filesystem::remove_all(folder);
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"database_unavailable"});
  EXPECT_EQ(Item(answer, "database"), "blocker");
  EXPECT_NE(answer.blockers(0).action(), "");
  EXPECT_EQ(answer.job_id(), "");
  service_.reset();
}

TEST_F(PreflightTest, WhatChangedHandsMeanwhileHasNotPassed) {
  monitor_.Poll();
  monitor_.Run();
  rollout_.parts().ask_status =
      [this](const confirm::Vantage& v, std::chrono::milliseconds,
             const std::function<void(absl::StatusOr<confirm::Facts>)>& done) {
        if (v.vantage_id == "v-1") {
          const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", run_id_, "rjob_other");
          rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
            auto begun = store::GiveUpActivation(tx, lock.epoch, "rjob_back", TestRollout::kNow);
            if (!begun.ok()) return begun.status();
            return store::FreeDrained(tx, lock.epoch, TestRollout::kNow).status();
          });
        }
        done(Ask(v.vantage_id));
      };
  service_ = MakeService();
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"bucket_range_conflict"}) << answer.ShortDebugString();
  EXPECT_EQ(answer.job().state(), "blocked");
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

TEST_F(PreflightTest, WhatIsWrongWithTheRequestIsAnError) {
  const std::string closed = ClosedSession();
  struct Case {
    const char* what;
    v1::ErrorReason reason;
    std::function<void(v1::PreflightRequest*)> spoil;
  };
  const Case cases[] = {
      {"unknown run", v1::RUN_NOT_FOUND, [](auto* r) { r->set_run_id("rol_0"); }},
      {"no run", v1::RUN_NOT_FOUND, [](auto* r) { r->clear_run_id(); }},
      {"closed run", v1::RUN_CLOSED, [&](auto* r) { r->set_run_id(closed); }},
      {"not within the run", v1::RUN_RANGE_MISMATCH, [](auto* r) { r->set_bucket_min(1); }},
      {"no max", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->clear_bucket_max(); }},
      {"reversed", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_max(1); }},
      {"past the total", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_max(16); }},
      {"host", v1::INVALID_FIELD, [](auto* r) { r->set_owner_host("monitor a"); }},
      {"long host", v1::INVALID_FIELD, [](auto* r) { r->set_owner_host(std::string(129, 'a')); }},
  };
  for (const Case& c : cases) {
    auto request = On<v1::PreflightRequest>(run_id_);
    c.spoil(&request);
    v1::OperationResponse answer;
    EXPECT_EQ(ReasonOf(service_->Preflight(Key(), request, &answer)), c.reason) << c.what;
  }
}

TEST_F(PreflightTest, ALegacyTableOfAnotherShapeBlocks) {
  if (!rollout_.embedded()) GTEST_SKIP() << "changes the schema";
  monitor_.Run();
  rollout_.Write([](sql::Transaction& tx) {
    return tx
        .Execute("ALTER TABLE jetpack_monitor_sites RENAME COLUMN last_status_change TO changed")
        .status();
  });
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"legacy_columns_missing"});
  EXPECT_NE(answer.blockers(0).text().find("last_status_change"), std::string::npos);
}

// Dialect v1: what v1 says of a site, and we don't.
class PreflightV1Test : public PreflightTest {
 protected:
  PreflightV1Test() {
    rollout_.options().legacy.dialect = monitor_.dialect = store::LegacyDialect::kV1;
    service_.reset();
    service_ = MakeService();
    monitor_.Run();
  }
  void AddRow(uint64_t id, uint64_t blog, uint32_t bucket, const std::string& url) {
    store::Site site;
    site.site_id = id;
    site.blog_id = blog;
    site.bucket = bucket;
    site.url = url;
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, {site}); });
  }
};

TEST_F(PreflightV1Test, SitesThatV1ReadsOtherwiseWarn) {
  AddRow(1, 1, 2, "http://127.0.0.1/");
  AddRow(2, 2, 3, "http://127.0.0.1:8080/");
  AddRow(3, 3, 3, "HTTP://127.0.0.1/");
  const auto answer = Look();
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{"verdict_may_change"});
  EXPECT_EQ(answer.preflight().differing_sites(), 2u);
  ASSERT_EQ(answer.preflight().differing_examples_size(), 2);
  EXPECT_EQ(answer.preflight().differing_examples(0),
            "http://127.0.0.1:8080/: v1 asks port 80 instead");
  EXPECT_EQ(Item(answer, "verdicts"), "warning");
  EXPECT_EQ(Item(answer, "duplicates"), "ok");
}

TEST_F(PreflightV1Test, ASiteWithARowInAnotherRangeBlocks) {
  AddRow(1, 7, 2, "http://127.0.0.1/");
  AddRow(2, 7, 3, "http://127.0.0.1/");  // both change hands together
  AddRow(3, 8, 2, "http://127.0.0.1/");  // another blog's
  EXPECT_EQ(Look().status(), "ok");
  AddRow(4, 7, 6, "http://127.0.0.1/");
  auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"duplicate_across_ranges"});
  EXPECT_EQ(answer.preflight().duplicates_across_ranges(), 2u);
  ASSERT_EQ(answer.preflight().duplicate_examples_size(), 2);
  EXPECT_EQ(answer.preflight().duplicate_examples(0),
            "blog 7 http://127.0.0.1/: site 1 in bucket 2, site 4 in bucket 6");
  auto request = On<v1::PreflightRequest>(run_id_);
  v1::Override* o = request.add_override();
  o->set_code("duplicate_across_ranges");
  EXPECT_EQ(ReasonOf(service_->Preflight(Key(), request, &answer)), v1::INVALID_FIELD);
  o->set_reason("moved together tonight");
  ASSERT_TRUE(service_->Preflight(Key(), request, &answer).ok());
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(Warnings(answer), CodeSet{"duplicate_across_ranges"});
  EXPECT_NE(answer.warnings(0).text().find("moved together tonight"), std::string::npos);
  o->set_code("evidence_missing");
  EXPECT_EQ(ReasonOf(service_->Preflight(Key(), request, &answer)), v1::INVALID_FIELD);
}

TEST_F(PreflightV1Test, V1sIndexIsNeeded) {
  if (!rollout_.db().dialect().Embedded()) GTEST_SKIP() << "it would change the others' table";
  AddRow(1, 7, 2, "http://127.0.0.1/");
  AddRow(4, 7, 6, "http://127.0.0.1/");
  rollout_.Write(
      [](sql::Transaction& tx) { return tx.Execute("DROP INDEX blog_id_monitor_url").status(); });
  const auto answer = Look();
  EXPECT_EQ(Codes(answer), CodeSet{"legacy_index_missing"});
  EXPECT_NE(answer.blockers(0).text().find("(blog_id)"), std::string::npos);
}

}  // namespace
}  // namespace jetmon::rollout
