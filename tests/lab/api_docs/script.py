"""The story of the page: two runs, told through REST, with the errors that a client will meet."""
from __future__ import annotations

from api_docs.exchange import Recorder
from lab import Lab
from launcher.rest import Json
from launcher.waiting import wait_until

LOW, HIGH = 0, 255
PART_LOW = 192
OTHER_LOW, OTHER_HIGH = 256, 511


class Script:
    def __init__(self, lab: Lab):
        self.lab, self.record = lab, Recorder(lab.api)
        self.run_id = self.seed_job = ""
        self.where: Json = {}

    def tell(self) -> None:
        self.begin()
        self.look_before()
        self.seed()
        self.look_at_jobs()
        self.reconcile()
        self.activate()
        self.look_after()
        self.stage()
        self.give_back()
        self.take_long()

    def begin(self) -> None:
        record = self.record
        record.get("capabilities", "capabilities")
        session = record.post("create_session", "sessions", {
            "bucket_min": LOW, "bucket_max": HIGH, "owner_host": "monitor-a",
            "change_ref": "CHG-1024", "metadata": {"team": "uptime"}})
        self.run_id = session["run_id"]
        self.where = {"run_id": self.run_id, "bucket_min": LOW, "bucket_max": HIGH}
        record.get("get_session", f"sessions/{self.run_id}")
        record.get("list_sessions", "sessions", state="open", page_size=10)

    def look_before(self) -> None:
        record = self.record
        record.blocked("preflight_blocked", "preflight", {**self.where, "owner_host": "monitor-x"},
                       "owner_unavailable")
        front_page = {"name": "front page", "url": self.lab.fixture_url + "/healthz",
                      "mode": "get-simple"}
        record.done("preflight", "preflight", {
            **self.where, "canaries": [{**front_page, "expect_http_code": 200}]})
        record.refused("run_range_mismatch", "preflight", {**self.where, "bucket_max": 300})
        # All of them: which ones a smaller sample takes depends on the run's id.
        sites = len(self.lab.sites_of(LOW, HIGH))
        record.done("smoke", "smoke", {**self.where, "read_only": True, "sample_size": str(sites),
                                       "wait": "60s"})
        record.blocked("smoke_canary", "smoke", {
            **self.where, "read_only": True, "sample_size": str(sites), "wait": "60s",
            "canaries": [{**front_page, "expect_http_code": 503}]}, "canary_mismatch")
        record.refused("invalid_size", "smoke", {**self.where, "read_only": True,
                                                 "sample_size": "ten"})
        record.refused("invalid_canary", "preflight", {**self.where, "canaries": [
            {"name": "home", "url": "http://127.0.0.1/", "mode": "head-legacy",
             "expect_http_code": 99}]})
        job_id = record.done("compare", "compare-methods", {
            **self.where, "from": "head-legacy", "to": "get-simple", "sample_size": str(sites),
            "wait": "60s"})["job_id"]
        record.get("comparison_results", f"jobs/{job_id}/comparison-results", page_size=2)

    def seed(self) -> None:
        record = self.record
        plan = record.done("seed_plan", "seed", {**self.where, "dry_run": True})
        record.refused("missing_confirmation", "seed", {**self.where, "execute": True})
        execute = {**self.where, "execute": True, "confirm": plan["confirmation_token"],
                   "wait": "60s"}
        self.seed_job = record.done("seed", "seed", execute)["job_id"]
        record.refused("invalid_confirmation", "seed", execute)

    def look_at_jobs(self) -> None:
        self.record.get("get_job", f"jobs/{self.seed_job}")
        self.record.get("list_jobs", "jobs", run_id=self.run_id, page_size=2)

    def reconcile(self) -> None:
        record = self.record
        record.blocked("activate_blocked", "activate-buckets", {**self.where, "dry_run": True},
                       "evidence_missing")
        record.done("activate_override", "activate-buckets", {
            **self.where, "dry_run": True, "override": [
                {"code": "evidence_missing", "reason": "rehearsal on an empty range"}]})
        self.lab.stop_v1(LOW, HIGH)
        record.post("checkpoint", f"sessions/{self.run_id}/checkpoints",
                    {"kind": "v1_stopped", "note": "host v1-07, by hand"})
        plan = record.done("reconcile_plan", "final-reconcile", {**self.where, "dry_run": True})
        record.done("reconcile", "final-reconcile", {
            **self.where, "execute": True, "confirm": plan["confirmation_token"], "wait": "60s"})

    def activate(self) -> None:
        record = self.record
        plan = record.done("activate_plan", "activate-buckets", {**self.where, "dry_run": True})
        self.lab.api.post(f"/api/v1/rollout/sessions/{self.run_id}/checkpoints", {
            "kind": "note", "note": "somebody else was here"})
        execute = {**self.where, "execute": True, "wait": "60s"}
        record.refused("plan_changed", "activate-buckets",
                       {**execute, "confirm": plan["confirmation_token"]})
        plan = self.lab.api.post("/api/v1/rollout/activate-buckets",
                                 {**self.where, "dry_run": True})
        record.done("activate", "activate-buckets",
                    {**execute, "confirm": plan["confirmation_token"]})

    def look_after(self) -> None:
        record, where = self.record, {"bucket_min": LOW, "bucket_max": HIGH}
        gate = f"/api/v1/rollout/activity-check?bucket_min={LOW}&bucket_max={HIGH}"
        wait_until(lambda: self.lab.api.get(gate)["status"] == "ok", self.lab.patience,
                   "every site to be checked")
        sites = len(self.lab.sites_of(LOW, HIGH))
        wait_until(lambda: [int(m["targets"]) for m in self.lab.status()["monitors"]] == [sites, 0],
                   self.lab.patience, "the owner to report its sites")
        record.get("status", "status")
        record.gate("coverage", "bucket-coverage", **where)
        record.gate("activity", "activity-check", **where, since="15m")
        record.gate("drift", "projection-drift", **where)

    def stage(self) -> None:
        record, path = self.record, "stage-policy"
        stage = {**self.where, "mode": "stage", "method": "GET", "profile": "legacy"}
        record.refused("size_required", path, {**stage, "dry_run": True})
        plan = record.done("stage_plan", path, {**stage, "size": "25%", "dry_run": True})
        record.done("stage", path, {**stage, "size": "25%", "execute": True,
                                    "confirm": plan["confirmation_token"], "wait": "60s"})
        back = {**self.where, "mode": "rollback-last-stage"}
        plan = self.lab.api.post("/api/v1/rollout/stage-policy", {**back, "dry_run": True})
        record.done("stage_back", path, {**back, "execute": True, "wait": "60s",
                                         "confirm": plan["confirmation_token"]})

    def give_back(self) -> None:
        """The upper quarter first, then the rest."""
        record, path = self.record, "release-buckets"
        part = {**self.where, "bucket_min": PART_LOW}
        plan = record.done("release_part_plan", path, {**part, "dry_run": True})
        record.done("release_part", path, {**part, "execute": True, "wait": "60s",
                                           "confirm": plan["confirmation_token"]})
        record.post("checkpoint_part", f"sessions/{self.run_id}/checkpoints", {
            "kind": "v1_started", "bucket_min": PART_LOW, "bucket_max": HIGH})
        self.lab.start_v1_range(self.run_id, PART_LOW, HIGH)
        rest = {**self.where, "bucket_max": PART_LOW - 1}
        plan = record.done("release_plan", path, {**rest, "dry_run": True})
        record.done("release", path, {**rest, "execute": True, "wait": "60s",
                                      "confirm": plan["confirmation_token"]})
        self.lab.start_v1_range(self.run_id, LOW, PART_LOW - 1)
        record.get("notifications", "notifications", bucket_min=LOW, bucket_max=HIGH,
                   state="sending")
        record.refused("not_undecided", "notifications:decide", {
            **self.where, "decision": "untold", "all": True, "note": "its host was away"})
        record.get("timeline", f"sessions/{self.run_id}/timeline", page_size=200)
        record.post("close_session", f"sessions/{self.run_id}:close", {"reason": "rehearsed"})

    def take_long(self) -> None:
        """A job that takes long enough to be watched and cancelled: its sites answer slowly."""
        lab, record = self.lab, self.record
        where = {"bucket_min": OTHER_LOW, "bucket_max": OTHER_HIGH}
        run_id = lab.api.post("/api/v1/rollout/sessions", where)["run_id"]
        slow = sorted(lab.sites_of(OTHER_LOW, OTHER_HIGH))
        lab.set_sites(slow, "slow", delay_ms=8000)
        ask = {"run_id": run_id, **where, "read_only": True, "wait": "0s"}
        key = {"idempotency_key": "deploy-42-smoke"}
        job_id = lab.api.call("POST", "/api/v1/rollout/smoke", ask, **key).body["job_id"]
        wait_until(lambda: lab.database.one("SELECT state FROM jetmon_rollout_jobs WHERE job_id = "
                                            "?", job_id) == "running", 60, "the smoke to run")
        record.post("smoke_running", "smoke", ask, **key)
        record.watch("watch_job", f"jobs/{job_id}:watch",
                     lambda: record.post("cancel_job", f"jobs/{job_id}:cancel", {}))
        record.refused("not_cancellable", f"jobs/{job_id}:cancel", {})
        lab.set_sites(slow, "up")
