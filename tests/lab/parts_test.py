"""A part of a range goes back to v1 while its owner keeps the rest; and what dies meanwhile."""
from __future__ import annotations

import unittest

from lab import boot_ns
from lab_case import LabCase
from launcher.rest import Json
from launcher.waiting import wait_until

# A grace of 32 s, polls, and the release itself.
RELEASE_SECONDS = 50


class PartCase(LabCase):
    SITES = 512

    def begin(self) -> None:
        """monitor-a has 0-99."""
        self.lab.start_all()
        self.lab.wait_checked("v1", 0, 511, since=0)
        self.lab.roll_out(0, 99, "monitor-a")

    def held(self) -> list[tuple[int, int, str]]:
        return sorted((r["bucket_min"], r["bucket_max"], r["owner_host"])
                      for r in self.lab.status()["ranges"])

    def begin_release(self, run_id: str, low: int, high: int) -> str:
        """Executes the release and does not wait for it: its job."""
        body: Json = {"run_id": run_id, "bucket_min": low, "bucket_max": high}
        token = self.plan("release-buckets", body)
        answer = self.call("release-buckets",
                           {**body, "execute": True, "confirm": token, "wait": "0s"})
        self.assertEqual(answer.body.get("status"), "running", answer.body)
        return answer.body["job_id"]

    def part(self, job_id: str) -> tuple[str, int]:
        """State, and whether its owner has drained it."""
        rows = self.lab.database.rows(
            "SELECT state, drained FROM jetmon_rollout_range_parts WHERE job_id = ?", job_id)
        self.assertEqual(len(rows), 1)
        return rows[0][0], rows[0][1]

    def wait_completed(self, job_id: str) -> Json:
        def state() -> str:
            return self.lab.database.one(
                "SELECT state FROM jetmon_rollout_jobs WHERE job_id = ?", job_id)
        wait_until(lambda: state() not in ("queued", "running"), RELEASE_SECONDS,
                   "the release to end")
        self.assertEqual(state(), "completed")
        return self.lab.api.get(f"/api/v1/rollout/jobs/{job_id}")["release"]

    def wait_severity(self, site_ids: list[int], severity: str) -> None:
        for site_id in site_ids:
            wait_until(lambda n=site_id: self.lab.database.event_state(n) == severity,
                       self.lab.patience, f"site {site_id} to be {severity or 'up'}")


class PartsTest(PartCase):
    def test_parts_from_both_ends(self) -> None:
        lab = self.lab
        self.begin()
        down = [lab.site_in(10), lab.site_in(50), lab.site_in(90)]
        lab.set_sites(down, "down")
        self.wait_severity(down, "down")

        # The front, by the guided rollback; v1 goes on with what v2 has found.
        run_id = lab.roll_back(0, 29, "monitor-a")
        self.assertEqual(self.held(), [(30, 99, "monitor-a")])
        self.assertEqual([lab.database.site_status(n) for n in down], [2, 2, 2])
        lab.start_v1_range(run_id, 0, 29)
        lab.wait_checked("v1", 0, 29)
        lab.wait_checked("monitor-a", 30, 99)
        lab.set_sites(down, "up")
        self.wait_severity(down[1:], "")
        wait_until(lambda: lab.database.site_status(down[0]) == 1, lab.patience,
                   "v1 to see that the site is up")

        # Another owner has it next, beside the first; who gives, and takes, says what is left.
        lab.roll_out(0, 29, "monitor-b")
        self.assertEqual(self.held(), [(0, 29, "monitor-b"), (30, 99, "monitor-a")])
        lab.wait_checked("monitor-b", 0, 29)
        middle = self.call("release-buckets", {"run_id": run_id, "bucket_min": 40,
                                               "bucket_max": 50, "dry_run": True}).body
        self.assertEqual([b["code"] for b in middle["blockers"]], ["owner_range_conflict"])

        # The back, while the control plane is killed: the Monitor drains without it, and whoever
        # comes next ends the release.
        job_id = self.begin_release(run_id, 80, 99)
        lab.processes["controlplane"].kill()
        self.assertEqual(self.part(job_id), ("draining", 0))
        wait_until(lambda: self.part(job_id) == ("draining", 1), lab.patience,
                   "monitor-a to drain the part")
        lab.wait_checked("monitor-a", 30, 79)
        lab.start_controlplane()
        done = self.wait_completed(job_id)
        self.assertEqual((done["how"], done["part"], done["kept_bucket_min"],
                          done["kept_bucket_max"]), ("drained", True, 30, 79))
        lab.start_v1_range(run_id, 80, 99)
        lab.wait_checked("v1", 80, 99)

        # All of what is left.
        other = lab.roll_back(0, 29, "monitor-b")
        self.assertEqual(lab.roll_back(30, 79, "monitor-a"), run_id)
        self.assertEqual(self.held(), [])
        lab.start_v1_range(other, 0, 29)
        lab.start_v1_range(run_id, 30, 79)
        lab.wait_checked("v1", 0, 99)
        lab.wait_at_rest()
        story = self.assert_judged_ok()
        self.assertEqual(len(story.parts), 2)


class KilledOwnerTest(PartCase):
    def test_an_owner_that_dies_while_a_part_drains(self) -> None:
        lab = self.lab
        self.begin()
        down = [lab.site_in(10), lab.site_in(50)]
        lab.set_sites(down, "down")
        self.wait_severity(down, "down")
        run_id = lab.range_of(0)["run_id"]
        job_id = self.begin_release(run_id, 0, 29)
        lab.processes["monitor-a"].kill()
        self.assertEqual(self.part(job_id), ("draining", 0))
        lab.start_monitor("monitor-a", "monitor-a-2", "127.0.1.13")
        since = boot_ns()
        # Freed over the unrenewed lease, or found drained by the successor, whichever is first.
        done = self.wait_completed(job_id)
        self.assertIn(done["how"], ("owner_dead", "drained"))
        lab.start_v1_range(run_id, 0, 29)
        lab.wait_checked("v1", 0, 29)
        wait_until(lambda: lab.requests.sites_since("127.0.1.13", since), RELEASE_SECONDS,
                   "the new instance to check")
        lab.chronicle.write("healed", name="monitor-a")
        lab.wait_checked("monitor-a-2", 30, 99)
        lab.plan.expect("take_overs")
        self.assertEqual(self.held(), [(30, 99, "monitor-a")])
        self.assertFalse(lab.requests.sites_since("127.0.1.13", since) & lab.sites_of(0, 29))
        lab.set_sites(down, "up")
        self.wait_severity(down[1:], "")
        lab.roll_back(30, 99, "monitor-a")
        lab.start_v1_range(run_id, 30, 99)
        lab.wait_checked("v1", 0, 99)
        lab.wait_at_rest()
        self.assert_judged_ok(killed=("monitor-a",))


if __name__ == "__main__":
    unittest.main()
