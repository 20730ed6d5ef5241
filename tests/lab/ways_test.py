"""The same rollout, driven over REST by curl and over gRPC by a Python client; test story_test drives
it by the CLI. A range goes to one owner and back, to another owner, and back when that one is dead; its
sites are compared while v1 has them, and while v2 has."""
from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import unittest
from collections import Counter

from judge import judge
from judging.story import Story
from lab import SOURCES
from lab_case import LabCase
from launcher.descriptors import PROTOSET, GrpcService
from launcher.rest import Json
from launcher.waiting import wait_until


class Curl:
    """RolloutService by curl."""

    def __init__(self, url: str, token: str):
        self._url, self._token = url, token

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "75",
                   "--request", method, "--header", f"authorization: Bearer {self._token}",
                   self._url + "/api/v1/rollout/" + path]
        if body is not None:
            command += ["--header", "content-type: application/json", "--data", json.dumps(body)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    def session(self, body: Json) -> Json:
        return self.ask("POST", "sessions", body)

    def checkpoint(self, run_id: str, kind: str) -> Json:
        return self.ask("POST", f"sessions/{run_id}/checkpoints", {"kind": kind})

    def operation(self, name: str, body: Json) -> Json:
        return self.ask("POST", name, body)

    def gate(self, name: str, low: int, high: int) -> Json:
        return self.ask("GET", f"{name}?bucket_min={low}&bucket_max={high}")

    def job(self, job_id: str) -> Json:
        return self.ask("GET", f"jobs/{job_id}")


class Grpc(GrpcService):
    """RolloutService over gRPC."""

    CALLS = {"preflight": "Preflight", "smoke": "Smoke", "seed": "Seed",
             "final-reconcile": "FinalReconcile", "activate-buckets": "ActivateBuckets",
             "release-buckets": "ReleaseBuckets", "bucket-coverage": "GetBucketCoverage",
             "activity-check": "CheckActivity", "projection-drift": "GetProjectionDrift",
             "compare-methods": "CompareMethods"}

    def __init__(self, address: str, token: str, descriptors: str):
        super().__init__("jetmon.v1.RolloutService", address, token, descriptors)

    def session(self, body: Json) -> Json:
        return self.ask("CreateSession", body)

    def checkpoint(self, run_id: str, kind: str) -> Json:
        return self.ask("RecordCheckpoint", {"run_id": run_id, "kind": kind})

    def operation(self, name: str, body: Json) -> Json:
        return self.ask(self.CALLS[name], body)

    def gate(self, name: str, low: int, high: int) -> Json:
        return self.ask(self.CALLS[name], {"bucket_min": low, "bucket_max": high})

    def job(self, job_id: str) -> Json:
        return self.ask("GetJob", {"job_id": job_id})


LOW, HIGH = 0, 255
COMPARED = 40  # sites


class WaysTest(LabCase):
    def test_there_and_back_by_two_owners(self) -> None:
        lab = self.lab
        lab.start_all(down=[5])
        lab.wait_checked("v1", 0, 511, since=0)
        curl = Curl(lab.api.url, lab.api.token)
        grpc_client = Grpc(f"127.0.0.1:{lab.port['grpc']}", lab.api.token,
                           lab.programs.path(PROTOSET))
        self.addCleanup(grpc_client.close)
        body = self.there(curl, "monitor-a")
        self.assertTrue(self.back(curl, body)["drained"])
        body = self.there(grpc_client, "monitor-b")
        self.fail_site(min(lab.sites_of(LOW, HIGH)))
        lab.processes["monitor-b"].kill()
        released = self.back(grpc_client, body)
        self.assertEqual((released["drained"], released["how"]), (False, "owner_dead"))
        lab.wait_at_rest()
        story = self.assert_judged_ok(killed=("monitor-b",))
        self.assertEqual([(lock["owner_host"], lock["state"]) for lock in story.locks],
                         [("monitor-a", "released"), ("monitor-b", "released")])
        self.look_at_comparisons(story)

    def look_at_comparisons(self, story: Story) -> None:
        """Each site twice, and the judge does not take one that comes later."""
        jobs = [job for job in story.jobs if job["operation"] == "compare_methods"]
        self.assertEqual(len(jobs), 4)
        for job in jobs:
            sent = [r for r in story.requests if r.source == SOURCES["controlplane"]
                    and job["created_at_ms"] <= r.at_ms <= job["finished_at_ms"]]
            self.assertEqual(sorted(Counter(r.site_id for r in sent).values()), [2] * COMPARED)
            late = copy.copy(story)
            late.requests = story.requests + [
                dataclasses.replace(sent[0], at_ms=job["finished_at_ms"] + 50.0)]
            self.assertEqual([v.number for v in judge(late) if not v.ok], [1])

    def there(self, client: Curl | Grpc, owner: str) -> Json:
        """From v1 to that owner; what the run's requests begin with."""
        where = {"bucket_min": LOW, "bucket_max": HIGH, "owner_host": owner}
        run_id = client.session(where)["run_id"]
        body = {**where, "run_id": run_id}
        self.good(client.operation("preflight", body))
        self.finished(client, client.operation("smoke", {**body, "read_only": True, "wait": "60s"}))
        self.compare(client, run_id)
        self.planned(client, "seed", body)
        self.lab.stop_v1(LOW, HIGH)
        client.checkpoint(run_id, "v1_stopped")
        self.planned(client, "final-reconcile", body)
        done = self.planned(client, "activate-buckets", body)
        self.assertEqual(done["activate"]["range_state"], "active")
        self.lab.plan.expect("grants")
        self.good(client.gate("bucket-coverage", LOW, HIGH))
        self.lab.wait_checked(owner, LOW, HIGH)
        self.compare(client, run_id)
        self.good(client.gate("projection-drift", LOW, HIGH))
        return body

    def compare(self, client: Curl | Grpc, run_id: str) -> None:
        done = self.finished(client, client.operation("compare-methods", {
            "run_id": run_id, "bucket_min": LOW, "bucket_max": HIGH, "from": "head-legacy",
            "to": "get-simple", "sample_size": str(COMPARED), "wait": "60s"}))
        self.assertEqual(int(done["compare"]["compared"]), COMPARED)

    def back(self, client: Curl | Grpc, body: Json) -> Json:
        """To v1 again; the release's result."""
        released = self.planned(client, "release-buckets", body)["release"]
        self.assertTrue(released["v1_may_start"])
        self.lab.start_v1_range(body["run_id"], LOW, HIGH)
        self.lab.wait_checked("v1", LOW, HIGH)
        return released

    def fail_site(self, site_id: int) -> None:
        """An incident of v2's own, confirmed and sent, is open from now on."""
        lab = self.lab
        lab.set_sites([site_id], "down")
        wait_until(lambda: lab.database.event_state(site_id) == "down", lab.patience,
                   f"site {site_id} to be confirmed")

    def planned(self, client: Curl | Grpc, name: str, body: Json) -> Json:
        plan = self.good(client.operation(name, {**body, "dry_run": True}))
        return self.finished(client, client.operation(name, {
            **body, "execute": True, "confirm": plan["confirmation_token"], "wait": "60s"}))

    def finished(self, client: Curl | Grpc, answer: Json) -> Json:
        """The job's good end, however long it takes."""
        def is_finished() -> Json | None:
            now = client.job(answer["job_id"])
            return None if now["status"] == "running" else now
        return self.good(wait_until(is_finished, 120, f"{answer['operation']} to end"))

    def good(self, answer: Json) -> Json:
        self.assertEqual(answer["status"], "ok", answer)
        return answer


if __name__ == "__main__":
    unittest.main()
