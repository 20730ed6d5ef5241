#include "controlplane/rollout/test_fault_scenarios.h"

#include <deque>

#include "controlplane/rollout/commits.h"
#include "store/notifications.h"
#include "store/vantages.h"

namespace jetmon::rollout {
namespace {

namespace js = store::job_state;

// Six sites that answer; v1 has one of them as down.
void AddSites(FaultWorld& w, const std::string& path = "/up") {
  for (uint64_t id = 1; id <= 6; ++id) {
    w.rollout().AddSite(id, 2 + id % 4, id == 3 ? 2 : 1, w.SiteUrl(path));
  }
}

// v1's site_status changes, as seed and final reconcile find it.
void ChangeSites(FaultWorld& w) {
  w.rollout().Write([](sql::Transaction& tx) {
    return tx
        .Execute(
            "UPDATE jetpack_monitor_sites SET site_status = CASE WHEN "
            "jetpack_monitor_site_id = 3 THEN 1 WHEN jetpack_monitor_site_id = 5 THEN 2 ELSE "
            "1 END, last_status_change = '2023-11-14 01:00:00'")
        .status();
  });
}

void OpenSession(FaultWorld& w) { w.OpenSession(); }

void Activate(FaultWorld& w) {
  AddSites(w);
  w.monitor().Run();
  const absl::Status s = w.Carry(Operation::kActivate, w.Overridden());
  EXPECT_TRUE(s.ok()) << s;
}

// A granted range that no job drives: as if its activation's execution had left none.
void GrantWithoutJob(FaultWorld& w) {
  AddSites(w);
  const std::string run_id = w.OpenSession();
  w.monitor().Poll();
  w.Stop();
  w.rollout().AddGrant(FaultWorld::kRange, FaultWorld::kOwner, "a-1", run_id, "rjob_none");
}

absl::Status Smoke(FaultWorld& w, std::string* job_id) {
  return w.Once(
      "smoke",
      [&](const Caller& caller) {
        v1::SmokeRequest request;
        request.set_run_id(w.OpenSession());
        request.set_bucket_min(FaultWorld::kRange.min);
        request.set_bucket_max(FaultWorld::kRange.max);
        request.set_read_only(true);
        request.set_wait("0s");
        v1::OperationResponse answer;
        return w.service().Smoke(caller, request, {}, &answer);
      },
      job_id);
}

absl::Status SmokeToItsEnd(FaultWorld& w) {
  std::string job_id;
  if (auto s = Smoke(w, &job_id); !s.ok()) return s;
  return w.Follow(job_id);
}

absl::Status CancelSmoke(FaultWorld& w) {
  std::string job_id;
  if (auto s = Smoke(w, &job_id); !s.ok()) return s;
  if (auto s = w.AwaitState(job_id, js::kRunning); !s.ok()) return s;
  auto s = w.Once("cancel", [&](const Caller& caller) {
    v1::OperationResponse answer;
    return w.service().CancelJob(caller, job_id, &answer);
  });
  return s.ok() ? w.Follow(job_id) : s;
}

absl::Status Preflight(FaultWorld& w, bool with_canary) {
  return w.Once("preflight", [&](const Caller& caller) {
    v1::PreflightRequest request;
    request.set_run_id(w.OpenSession());
    request.set_bucket_min(FaultWorld::kRange.min);
    request.set_bucket_max(FaultWorld::kRange.max);
    if (with_canary) {
      v1::Canary* canary = request.add_canaries();
      canary->set_name("up");
      canary->set_url(w.SiteUrl("/up"));
      canary->set_mode("get-simple");
      canary->set_expect_success(true);
    }
    v1::OperationResponse answer;
    return w.service().Preflight(caller, request, &answer);
  });
}

absl::Status Compare(FaultWorld& w) {
  std::string job_id;
  const absl::Status s = w.Once(
      "compare",
      [&](const Caller& caller) {
        v1::CompareMethodsRequest request;
        request.set_run_id(w.OpenSession());
        request.set_bucket_min(FaultWorld::kRange.min);
        request.set_bucket_max(FaultWorld::kRange.max);
        request.set_from("head-legacy");
        request.set_to("get-simple");
        request.set_wait("0s");
        v1::OperationResponse answer;
        return w.service().CompareMethods(caller, request, {}, &answer);
      },
      &job_id);
  return s.ok() ? w.Follow(job_id) : s;
}

absl::Status Close(FaultWorld& w) {
  return w.Once("close", [&](const Caller& caller) {
    v1::CloseSessionRequest request;
    request.set_run_id(w.OpenSession());
    request.set_reason("done");
    v1::Session session;
    return w.service().CloseSession(caller, request, &session);
  });
}

// A job whose control plane stops in the middle: another goes on with it.
absl::Status CancelSmokeAfterAStop(FaultWorld& w) {
  std::string job_id;
  if (auto s = Smoke(w, &job_id); !s.ok()) return s;
  if (auto s = w.AwaitState(job_id, js::kRunning); !s.ok()) return s;
  w.Stop();
  w.Start();
  return CancelSmoke(w);
}

// A range that was granted under dialect v1, with a tell in that state.
void ActivateUnderV1(FaultWorld& w, const char* state) {
  Activate(w);
  w.rollout().Write([&](sql::Transaction& tx) -> absl::Status {
    auto granted = tx.Execute("UPDATE jetmon_rollout_range_locks SET dialect = 'v1'", {});
    if (!granted.ok()) return granted.status();
    store::Notification n;
    n.notification_id = "ntf_1_down";
    n.event_id = n.site_id = 1;
    n.kind = "down";
    n.bucket = 3;
    n.state = state;
    n.dialect = store::LegacyDialect::kV1;
    return store::QueueNotification(tx, n).status();
  });
}

std::function<absl::Status(FaultWorld&)> Carrying(Operation op) {
  return [op](FaultWorld& w) {
    return w.Carry(op, op == Operation::kActivate ? w.Overridden() : w.Request());
  };
}

// Jobs that probe show that they live every second, and send nothing after half a grace without.
void WithTimeToProbe(FaultWorld& w) {
  w.rollout().options().times.grace = std::chrono::milliseconds(2500);
  w.monitor().Run();
}

// Policies are written and restored in several batches.
void InSmallBatches(FaultWorld& w) {
  w.rollout().options().seed_rows = 2;
  w.monitor().Run();
}

// Half of the sites have a policy by a stage; one site has had another before.
void Stage(FaultWorld& w) {
  AddSites(w);
  w.rollout().Write([](sql::Transaction& tx) {
    return tx
        .Execute(
            "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, revision, "
            "updated_at_ms) VALUES (4, 'GET', 'legacy', 1, 1)")
        .status();
  });
  EXPECT_TRUE(w.CarryPolicy("stage", "50%").ok());
}

std::vector<FaultScenario> Make() {
  using namespace commits;        // NOLINT: names of one list
  std::deque<FaultScenario> all;  // what `add` answers stays where it is
  const auto add = [&all](std::string name, std::vector<std::string_view> commits,
                          std::function<absl::Status(FaultWorld&)> request) -> FaultScenario& {
    FaultScenario s;
    s.name = std::move(name);
    s.commits = std::move(commits);
    s.request = std::move(request);
    return all.emplace_back(std::move(s));
  };
  add("start", {kEnsureBuckets}, [](FaultWorld& w) {
    w.Start();
    return absl::OkStatus();
  }).starts = true;
  add("create_session", {kCreateSession}, [](FaultWorld& w) {
    w.OpenSession();
    return absl::OkStatus();
  });
  add("close_session", {kCloseSession}, Close).before = OpenSession;
  add("checkpoint", {kRecordCheckpoint}, [](FaultWorld& w) {
    return w.Checkpoint("v1_stopped");
  }).before = OpenSession;
  const auto with_vantage = [](FaultWorld& w) {
    AddSites(w);
    w.OpenSession();
    w.rollout().Write([](sql::Transaction& tx) {
      store::Vantage v;
      v.vantage_id = "v-1";
      v.trust = "trusted";
      v.endpoint = "127.0.0.1:1";
      v.revision = 1;
      return store::InsertVantage(tx, v).status();
    });
  };
  add("preflight", {kRecordPreflight}, [](FaultWorld& w) { return Preflight(w, false); }).before =
      with_vantage;
  // Who dies while its canaries are checked leaves a job, which the next control plane ends.
  auto& canaries = add("preflight_canaries", {kBeginPreflight, kRecordPreflight},
                       [](FaultWorld& w) { return Preflight(w, true); });
  // Its job is not renewed: in production a grace outlasts the longest preflight.
  canaries.around = WithTimeToProbe;
  canaries.before = with_vantage;
  canaries.may_leave = {"job: preflight | 2-5 | monitor-a | 0 | failed",
                        // whose end the run's sequence counts
                        "session: 2 | 5 | monitor-a | open | "};
  // Its sites take so long that it shows in between that it lives.
  auto& smoke = add("smoke", {kQueueJob, kClaimJob, kShowLife, kFinishJob}, SmokeToItsEnd);
  smoke.around = WithTimeToProbe;
  smoke.before = [](FaultWorld& w) {
    AddSites(w, "/slow");
    w.OpenSession();
  };
  auto& cancel =
      add("cancel", {kQueueJob, kClaimJob, kRequestCancel, kShowLife, kFinishJob}, CancelSmoke);
  cancel.around = WithTimeToProbe;
  cancel.before = [](FaultWorld& w) {
    AddSites(w, "/silent");
    w.OpenSession();
  };
  auto& stop =
      add("stop",
          {kQueueJob, kClaimJob, kYieldJob, kEnsureBuckets, kRequestCancel, kShowLife, kFinishJob},
          CancelSmokeAfterAStop);
  stop.around = WithTimeToProbe;
  stop.before = cancel.before;
  auto& compare =
      add("compare", {kQueueJob, kClaimJob, kShowLife, kCompareBatch, kFinishJob}, Compare);
  compare.around = WithTimeToProbe;
  compare.before = smoke.before;
  add("seed", {kMakeToken, kExecute, kClaimJob, kSeedBatch, kFinishJob}, Carrying(Operation::kSeed))
      .before = [](FaultWorld& w) {
    AddSites(w);
    w.OpenSession();
  };
  add("final_reconcile", {kMakeToken, kExecute, kClaimJob, kSeedBatch, kFinishJob},
      Carrying(Operation::kFinalReconcile))
      .before = [](FaultWorld& w) {
    AddSites(w);
    EXPECT_TRUE(w.Carry(Operation::kSeed, w.Request()).ok());
    EXPECT_TRUE(w.Checkpoint("v1_stopped").ok());
    ChangeSites(w);
  };
  add("activate",
      {kMakeToken, kExecute, kClaimJob, kActivateLook, kSeedBatch, kBeginActivating, kFinishJob},
      Carrying(Operation::kActivate))
      .before = [](FaultWorld& w) {
    AddSites(w);
    w.OpenSession();
  };
  // The Monitor lives and does not acknowledge: the range goes back by the release job that the
  // giving up has queued.
  auto& given_up = add("activate_given_up",
                       {kMakeToken, kExecute, kClaimJob, kActivateLook, kSeedBatch,
                        kBeginActivating, kGiveUp, kFinishJob, kReleaseLook, kProject, kFree},
                       Carrying(Operation::kActivate));
  given_up.before = [](FaultWorld& w) {
    AddSites(w);
    w.OpenSession();
  };
  given_up.around = [](FaultWorld& w) {
    w.monitor().acknowledges = false;
    w.monitor().Run();
  };
  add("release_drained",
      {kMakeToken, kExecute, kClaimJob, kReleaseLook, kProject, kFree, kFinishJob},
      Carrying(Operation::kRelease))
      .before = Activate;
  auto& dead = add("release_dead_owner",
                   {kMakeToken, kExecute, kClaimJob, kReleaseLook, kProject, kFree, kFinishJob},
                   Carrying(Operation::kRelease));
  dead.before = Activate;
  dead.around = [](FaultWorld& w) {
    w.rollout().options().times.drain_within = std::chrono::minutes(1);
  };
  auto& revoked =
      add("release_revoked",
          {kMakeToken, kExecute, kClaimJob, kReleaseLook, kRevoke, kProject, kFree, kFinishJob},
          Carrying(Operation::kRelease));
  revoked.before = Activate;
  revoked.around = [](FaultWorld& w) {
    w.monitor().drains = false;
    w.monitor().Run();
  };
  // Dialect v1: the range is muted first, and drains once what was told has arrived.
  auto& muted = add("release_muted",
                    {kMakeToken, kExecute, kClaimJob, kReleaseLook, kCancelTells, kProject,
                     kEndMute, kFree, kFinishJob},
                    Carrying(Operation::kRelease));
  muted.before = [](FaultWorld& w) { ActivateUnderV1(w, "queued"); };
  muted.around = [](FaultWorld& w) {
    Options& options = w.rollout().options();
    options.unit = std::chrono::milliseconds(30);
    const std::chrono::milliseconds brief{20};
    options.legacy = {store::LegacyDialect::kV1, brief, brief, brief};
    w.monitor().Run();
  };
  // A tell that nobody knows the end of: the operator says that people were told.
  auto& undecided = add("release_undecided",
                        {kMakeToken, kExecute, kClaimJob, kReleaseLook, kCancelTells,
                         kShowUndecided, kDecide, kProject, kEndMute, kFree, kFinishJob},
                        Carrying(Operation::kRelease));
  undecided.before = [](FaultWorld& w) { ActivateUnderV1(w, "sending"); };
  undecided.around = muted.around;
  const auto releasing_part = [](FaultWorld& w) {
    return w.Carry(Operation::kRelease, w.Request({2, 3}));
  };
  auto& part = add("release_part",
                   {kMakeToken, kExecute, kClaimJob, kReleaseLook, kProject, kFreePart, kFinishJob},
                   releasing_part);
  part.before = Activate;
  auto& revoked_part = add(
      "release_part_revoked",
      {kMakeToken, kExecute, kClaimJob, kReleaseLook, kRevokePart, kProject, kFreePart, kFinishJob},
      releasing_part);
  revoked_part.before = Activate;
  revoked_part.around = revoked.around;
  auto& dead_part =
      add("release_part_dead_owner",
          {kMakeToken, kExecute, kClaimJob, kReleaseLook, kProject, kFreePart, kFinishJob},
          releasing_part);
  dead_part.before = Activate;
  dead_part.around = dead.around;
  // Nobody drives the range any more but the sweep.
  auto& sweep = add(
      "sweep",
      {kEnsureBuckets, kSweep, kClaimJob, kActivateLook, kSeedBatch, kBeginActivating, kFinishJob},
      [](FaultWorld& w) {
        w.Start();
        return w.Settle();
      });
  sweep.before = GrantWithoutJob;
  sweep.starts = true;
  auto& preparing =
      add("release_preparing",
          {kMakeToken, kExecute, kClaimJob, kReleaseLook, kProject, kFree, kFinishJob},
          Carrying(Operation::kRelease));
  preparing.before = GrantWithoutJob;
  preparing.around = [](FaultWorld& w) {
    w.rollout().options().times.sweep = std::chrono::hours(1);
    w.monitor().Run();
  };
  auto& stage = add("stage_policy", {kMakeToken, kExecute, kClaimJob, kPolicyBatch, kFinishJob},
                    [](FaultWorld& w) { return w.CarryPolicy("stage", "100%"); });
  stage.before = Stage;
  stage.around = InSmallBatches;
  auto& back =
      add("roll_back_policy", {kMakeToken, kExecute, kClaimJob, kPolicyRollback, kFinishJob},
          [](FaultWorld& w) { return w.CarryPolicy("rollback-all"); });
  back.before = [](FaultWorld& w) {
    Stage(w);
    EXPECT_TRUE(w.CarryPolicy("stage", "100%").ok());
  };
  back.around = InSmallBatches;
  add("pause_policy", {kMakeToken, kExecute, kClaimJob, kShowLife, kFinishJob}, [](FaultWorld& w) {
    return w.CarryPolicy("pause");
  }).before = Stage;
  return {all.begin(), all.end()};
}

}  // namespace

const std::vector<FaultScenario>& FaultScenarios() {
  static const auto* const all = new std::vector<FaultScenario>(Make());
  return *all;
}

}  // namespace jetmon::rollout
