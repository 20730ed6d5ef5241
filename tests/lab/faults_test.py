"""Processes that die or sleep at the worst moment; every run ends before the judge. A Monitor that dies
and whose range is released is in ways_test."""
from __future__ import annotations

import time
import unittest

from lab import SOURCES, boot_ns
from lab_case import LabCase
from launcher.waiting import wait_until

RELEASE_SECONDS = 47  # a grace of 32 s, polls, and the release itself


class FaultCase(LabCase):
    SITES = 128

    def hand_over(self) -> None:
        self.lab.start_all()
        self.lab.wait_checked("v1", 0, 511, since=0)
        self.lab.roll_out(0, 255, "monitor-a")

    def give_back(self) -> tuple[str, float]:
        """Releases monitor-a's range; the run, and how long the release took."""
        started = time.monotonic()
        run_id = self.lab.roll_back(0, 255, "monitor-a")
        return run_id, time.monotonic() - started


class SucceededMonitorTest(FaultCase):
    def test_a_new_instance_takes_the_range_over(self) -> None:
        self.hand_over()
        self.lab.processes["monitor-a"].kill()
        self.lab.start_monitor("monitor-a", "monitor-a-2", "127.0.1.13")
        since = boot_ns()
        wait_until(lambda: self.lab.requests.sites_since("127.0.1.13", since), RELEASE_SECONDS,
                   "the new instance to check")
        self.lab.chronicle.write("healed", name="monitor-a")
        for _ in range(2):  # long enough that a site which it forgot is missed
            self.lab.wait_checked("monitor-a-2", 0, 255)
        self.lab.plan.expect("take_overs")
        held = self.lab.range_of(0)
        self.assertEqual((held["state"], held["owner_host"]), ("active", "monitor-a"))
        run_id, _ = self.give_back()
        self.lab.start_v1_range(run_id, 0, 255)
        self.lab.wait_checked("v1", 0, 255)
        self.lab.wait_at_rest()
        self.assert_judged_ok(killed=("monitor-a",))


class PausedMonitorTest(FaultCase):
    def test_a_paused_monitor_sends_and_writes_nothing_when_it_wakes(self) -> None:
        self.hand_over()
        lab, process = self.lab, self.lab.processes["monitor-a"]
        # Incidents under way, so that there is something that it would want to write and confirm.
        victims = sorted(lab.sites_of(0, 255))[:10]
        lab.set_sites(victims, "down")
        wait_until(lambda: any(lab.database.event_state(n) for n in victims), lab.patience,
                   "a first failure")
        lab.pause_outside_of_transaction("monitor-a")
        paused_at, paused_ms = boot_ns(), time.time_ns() // 1_000_000
        run_id, seconds = self.give_back()
        self.assertLess(seconds, RELEASE_SECONDS)
        lab.start_v1_range(run_id, 0, 255)
        lab.wait_checked("v1", 0, 255)
        process.resume()
        wait_until(lambda: self.is_standby(process.pid), 60, "monitor-a to return to standby")
        self.assertLess(lab.requests.newest(SOURCES["monitor-a"]), paused_at)
        instance = lab.database.one(
            "SELECT owner_instance FROM jetmon_rollout_range_locks WHERE run_id = ?", run_id)
        self.assertEqual(lab.database.one(
            "SELECT COUNT(*) FROM jetmon_event_transitions WHERE instance = ? AND at_ms > ?",
            instance, paused_ms), 0)
        lab.wait_at_rest()
        self.assert_judged_ok()
        self.assertLess(lab.requests.newest(SOURCES["monitor-a"]), paused_at)

    def is_standby(self, pid: int) -> bool:
        monitor = self.lab.monitor_status(pid)
        return monitor is not None and monitor["state"] == "standby"


class KilledControlPlaneTest(FaultCase):
    # So many that a seed takes several batches.
    SITES = 20_000
    INTERVAL = 60

    def test_guided_goes_on_after_the_control_plane_was_killed(self) -> None:
        lab = self.lab
        lab.start_all()
        guided = lab.guided(0, 255, "monitor-a", answers={})
        guided.wait_for("EXECUTE SEED")
        with self.subTest("between plan and execute"):
            lab.processes["controlplane"].kill()
            guided.answer("EXECUTE SEED")
            self.assertNotEqual(guided.finish(), 0)
            self.assertEqual(self.seed_states(), [])
            lab.start_controlplane()
        with self.subTest("during a seed"):
            guided = lab.guided(0, 255, "monitor-a", "--resume")
            self.kill_during_seed()
            self.assertNotEqual(guided.finish(), 0)
            lab.start_controlplane()
        since = boot_ns()
        lab.guided(0, 255, "monitor-a", "--resume").succeed()
        lab.plan.expect("grants")
        self.assertEqual(self.seed_states(), ["completed"])
        self.assertEqual(lab.range_of(0)["state"], "active")
        lab.wait_checked("monitor-a", 0, 255, since)
        lab.wait_at_rest()
        self.assert_judged_ok()

    def seed_states(self) -> list[str]:
        return [row[0] for row in self.lab.database.rows(
            "SELECT state FROM jetmon_rollout_jobs WHERE operation = 'seed' ORDER BY created_at_ms")]

    def kill_during_seed(self) -> None:
        """Kills the control plane while the job is under way: some is done, and more is not."""
        process = self.lab.processes["controlplane"]

        def under_way() -> bool:
            rows = self.lab.database.rows(
                "SELECT state, done, total FROM jetmon_rollout_jobs WHERE operation = 'seed'")
            return bool(rows) and rows[0]["state"] == "running" and rows[0]["done"] > 0
        wait_until(under_way, 60, "the seed to be under way", every=0.002)
        process.kill()
        self.assertEqual(self.seed_states(), ["running"])


if __name__ == "__main__":
    unittest.main()
