"""Stages of a check policy on a range that a Monitor holds: the fixture sees the new method for exactly
the sites that a stage means, and the old one again after its rollback; what somebody else edited
meanwhile is left alone."""
from __future__ import annotations

import json
import unittest

from lab_case import LabCase
from launcher.rest import Json
from launcher.waiting import wait_until

LOW, HIGH, OWNER, SOURCE = 0, 255, "monitor-a", "127.0.1.11"


class StagesTest(LabCase):
    def test_three_stages_and_back(self) -> None:
        lab = self.lab
        lab.start_all()
        lab.wait_checked("v1", 0, 511, since=0)
        self.activate()
        sites = lab.sites_of(LOW, HIGH)

        before: set[int] = set()
        for size, count in (("10", 10), ("25%", (len(sites) + 3) // 4), ("100%", len(sites))):
            result = self.policy(mode="stage", method="GET", profile="legacy", size=size)
            self.assertEqual(result["cohort"], str(count))
            self.assertEqual(result["changed"], str(count - len(before)))
            self.assertEqual(result["staged"], str(len(before)))
            cohort = self.staged()
            self.assertEqual(len(cohort), count)
            self.assertLess(before, cohort)
            self.wait_asked_by_get(cohort)
            last, before = before, cohort

        # Somebody else, who has it his own way with a site of the third stage.
        edited = min(before - last)
        lab.chronicle.write("edit", site_id=edited)
        lab.database.execute("UPDATE jetmon_endpoint_check_config SET profile = 'simple_http', "
                             "revision = revision + 1 WHERE site_id = ?", edited)

        result = self.policy(mode="rollback-last-stage")
        self.assertEqual(result["stage"], 3)
        self.assertEqual(result["restored"], str(len(before) - len(last) - 1))
        self.assertEqual((result["conflicts"], result["conflict_sites"]), ("1", [str(edited)]))
        self.wait_asked_by_get(last | {edited})

        self.policy(mode="pause")
        plan = self.call("stage-policy", {**self.where, "mode": "stage", "method": "GET",
                                          "profile": "legacy", "size": "50%", "dry_run": True})
        self.assertIn("policy_paused", [w["code"] for w in plan.body["warnings"]])

        result = self.by_cli()
        self.assertEqual((result["stages"], result["restored"], result["conflicts"]),
                         (2, str(len(last)), "0"))
        self.wait_asked_by_get({edited})
        self.assertEqual(self.staged(), {edited})
        kinds = [entry["text"].split()[0] for entry in lab.api.get(
            f"/api/v1/rollout/sessions/{self.where['run_id']}/timeline?page_size=200")["entries"]
                 if entry["kind"] == "checkpoint" and entry["text"].startswith("policy_")]
        self.assertEqual(kinds, 3 * ["policy_staged"] + ["policy_rolled_back", "policy_paused",
                                                         "policy_rolled_back"])
        self.assert_judged_ok()

    def activate(self) -> None:
        run_id = self.open_session(LOW, HIGH, OWNER)
        self.where: Json = {"run_id": run_id, "bucket_min": LOW, "bucket_max": HIGH}
        body = {**self.where, "owner_host": OWNER}
        for name, more in (("preflight", {}), ("smoke", {"read_only": True, "wait": "60s"})):
            answer = self.call(name, {**body, **more})
            self.assertEqual(answer.body.get("status"), "ok", answer.body)
        self.execute("seed", body)
        self.lab.stop_v1(LOW, HIGH)
        self.lab.api.post(f"/api/v1/rollout/sessions/{run_id}/checkpoints", {"kind": "v1_stopped"})
        self.execute("final-reconcile", body)
        self.execute("activate-buckets", body)
        self.lab.wait_checked(OWNER, LOW, HIGH)

    def policy(self, **fields: str) -> Json:
        return self.execute("stage-policy", {**self.where, **fields})["stage_policy"]

    def by_cli(self) -> Json:
        """All stages back, by the CLI; asked for twice, done once."""
        def ask(*words: str) -> Json:
            api = self.lab.api
            return json.loads(self.lab.tool(
                "api", "rollout", "stage-policy", f"--bucket-min={LOW}", f"--bucket-max={HIGH}",
                f"--run-id={self.where['run_id']}", "--mode=rollback-all", *words,
                JETMON_API_URL=api.url, JETMON_API_TOKEN=api.token))

        token = ask("--dry-run")["confirmation_token"]
        done, again = (ask("--execute", f"--confirm={token}", "--wait=60s",
                           "--idempotency-key=back") for _ in range(2))
        self.assertEqual((again["job_id"], again["status"]), (done["job_id"], "ok"))
        return done["stage_policy"]

    def staged(self) -> set[int]:
        """The sites that have a policy of their own."""
        return {row[0] for row in self.lab.database.rows(
            "SELECT site_id FROM jetmon_endpoint_check_config")}

    def wait_asked_by_get(self, sites: set[int]) -> None:
        """Until the owner asks for exactly these by GET; within 60 s, which a lab scales down."""
        requests = self.lab.requests
        wait_until(lambda: requests.sites_by(SOURCE, "GET") == sites, self.lab.patience,
                   f"{OWNER} to ask for {len(sites)} sites by GET")


if __name__ == "__main__":
    unittest.main()
