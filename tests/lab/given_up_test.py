"""An activation that its owner never acknowledges: it is given up, the range is v1's again, and nobody
was told anything. With the owner back, the same run hands the range over."""
from __future__ import annotations

import unittest

from lab import SOURCES, boot_ns
from lab_case import LabCase
from launcher.rest import Json
from launcher.waiting import wait_until

LOW, HIGH = 0, 255
OWNER = "monitor-a"
# The activation waits for 60 s; the owner's lease has not moved for a grace of 30 s by then.
GIVE_UP_SECONDS = 90
DOWN = 5  # a site that v1 has as down for an hour


class GivenUpTest(LabCase):
    SITES = 256

    def test_an_activation_that_nobody_acknowledges(self) -> None:
        lab = self.lab
        lab.start_all(down=[DOWN])
        lab.wait_checked("v1", 0, 511, since=0)
        self.run_id = self.open_session(LOW, HIGH, OWNER)
        self.body: Json = {"run_id": self.run_id, "bucket_min": LOW, "bucket_max": HIGH,
                           "owner_host": OWNER}
        began = boot_ns()
        self.prepare()
        given_up = self.give_up()
        lab.start_v1_range(self.run_id, LOW, HIGH)
        lab.wait_checked("v1", LOW, HIGH)
        self.assertFalse(lab.requests.sites_since(SOURCES[OWNER], began),
                         "the owner of a range that it never had has checked sites")

        owner = lab.processes[OWNER]
        owner.resume()
        wait_until(lambda: lab.monitor_status(owner.pid), lab.patience, f"{OWNER} to report")
        # What was proved before is void: the same steps again.
        answer = self.call("activate-buckets", {**self.body, "dry_run": True})
        self.assertEqual(answer.body["status"], "blocked", answer.body)
        self.prepare()
        done = self.execute("activate-buckets", self.body)
        self.assertEqual(done["activate"]["range_state"], "active")
        for _ in range(2):  # each round of checks, and so the intervals between them, is judged
            lab.wait_checked(OWNER, LOW, HIGH)
        wait_until(lambda: lab.database.event_state(DOWN) == "down", lab.patience,
                   f"site {DOWN} to be down still")
        lab.wait_at_rest()
        story = self.assert_judged_ok()
        self.assertEqual([(lock["gave_up"], lock["state"]) for lock in story.locks],
                         [(1, "released"), (0, "active")])
        self.assertEqual(story.locks[0]["release_job_id"], given_up)
        self.assertEqual(story.notifications, [])

    def prepare(self) -> None:
        """All that comes before the activation; v1 is off after it."""
        answer = self.call("preflight", self.body)
        self.assertEqual((answer.status, answer.body.get("status")), (200, "ok"), answer.body)
        answer = self.call("smoke", {**self.body, "read_only": True, "wait": "60s"})
        self.assertEqual((answer.status, answer.body.get("status")), (200, "ok"), answer.body)
        self.execute("seed", self.body)
        self.lab.stop_v1(LOW, HIGH)
        self.lab.api.post(f"/api/v1/rollout/sessions/{self.run_id}/checkpoints",
                          {"kind": "v1_stopped"})
        self.execute("final-reconcile", self.body)

    def give_up(self) -> str:
        """The owner sleeps between plan and execute; the job that took the range back to v1."""
        lab = self.lab
        token = self.plan("activate-buckets", self.body)
        lab.pause_outside_of_transaction(OWNER)
        answer = self.call("activate-buckets",
                           {**self.body, "execute": True, "confirm": token, "wait": "0s"})
        self.assertEqual(answer.body.get("status"), "running", answer.body)
        failed = self.ended(answer.body["job_id"])
        self.assertEqual(failed["state"], "failed")
        self.assertIn("did not acknowledge", failed["error"])
        rows = lab.database.rows("SELECT gave_up, release_job_id FROM jetmon_rollout_range_locks")
        self.assertEqual([row[0] for row in rows], [1])
        back = self.ended(rows[0][1])
        self.assertEqual((back["operation"], back["state"]), ("release_buckets", "completed"))
        self.assertIsNone(lab.range_of(LOW))
        lab.plan.expect("given_up")
        return rows[0][1]

    def ended(self, job_id: str) -> Json:
        """The job, once it has ended."""
        def job() -> Json | None:
            rows = self.lab.database.rows("SELECT operation, state, error FROM jetmon_rollout_jobs "
                                          "WHERE job_id = ?", job_id)
            self.assertEqual(len(rows), 1, f"there is no job {job_id!r}")
            operation, state, error = rows[0]
            if state in ("queued", "running"):
                return None
            return {"operation": operation, "state": state, "error": error}
        return wait_until(job, GIVE_UP_SECONDS, f"job {job_id} to end")


if __name__ == "__main__":
    unittest.main()
