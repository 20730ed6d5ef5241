"""The database dies, or sleeps, under a rollout and under Monitors at work: a server alone, or one node
of a cluster, on which the control plane and monitor-a are. The judge and a writer with a log of its own
say what came of it. Runs on mariadb and on galera (JETMON_LAB_DATABASE)."""
from __future__ import annotations

import subprocess
import time
import unittest

from lab import SOURCES, boot_ns
from lab_case import LabCase
from launcher.durable_writer import DurableWriter
from launcher.guided import Guided
from launcher.waiting import wait_until

AWAY_SECONDS = 20
LEASE_SECONDS = 15
HIT = 0  # the server that faults hit


class DatabaseFaultCase(LabCase):
    SITES = 512
    SPREAD = {"controlplane": HIT, "monitor-a": HIT, "monitor-b": 1, "v1": 2}

    def begin(self) -> None:
        self.lab.start_all()
        self.lab.wait_checked("v1", 0, 511, since=0)
        self.writer = DurableWriter(self.lab, first=HIT)

    @property
    def alone(self) -> bool:
        """Whether the database is away altogether when the server is."""
        return len(self.lab.servers.nodes) == 1

    def heal(self) -> None:
        """After the server came back, or has been given up by the others."""
        self.lab.servers.wait_healed(self.lab.database.takes_writes)

    def last_as_long_as(self, since: float, seconds: float = AWAY_SECONDS) -> None:
        """A fault's length is part of the fault."""
        time.sleep(max(0.0, since + seconds - time.monotonic()))

    def go_on(self, guided: Guided, low: int, high: int, owner: str, *options: str) -> None:
        """A guided rollout that met a fault has gone on, or said what is wrong and how to resume."""
        if guided.finish() != 0:
            text = "\n".join(guided.output)
            self.assertRegex(text, r"Stopped at [\w-]+: \S+")
            self.assertRegex(text, r"Go on with: jetmon2 api rollout guided .*--resume")
            self.lab.guided(low, high, owner, *options, "--resume").succeed()

    def end(self) -> None:
        """The range goes back; the judge and the writer decide."""
        lab = self.lab
        run_id = lab.roll_back(0, 255, "monitor-a")
        lab.start_v1_range(run_id, 0, 255)
        lab.wait_checked("v1", 0, 255)
        lab.wait_at_rest()
        self.assertEqual(self.writer.faults(), [])
        self.assert_judged_ok()

    def wait_incident(self, site_id: int, state: str) -> None:
        lab = self.lab
        wait_until(lambda: lab.database.event_state(site_id) == state, lab.patience,
                   f"site {site_id} to be {state or 'up'}")


class KilledServerTest(DatabaseFaultCase):
    def test_kill_9_and_restart(self) -> None:
        self.begin()
        self.kill_during_seed()
        self.kill_while_active()
        self.end()

    def kill_during_seed(self) -> None:
        lab = self.lab
        guided = lab.guided(0, 255, "monitor-a")
        self.wait_seed_under_way()
        lab.servers.kill(HIT)
        killed = time.monotonic()
        if self.alone:
            self.look_at_what_is_said()
            self.last_as_long_as(killed)
            lab.servers.restart(HIT)
        self.heal()
        self.go_on(guided, 0, 255, "monitor-a")
        self.assertEqual(lab.range_of(0)["state"], "active")
        lab.plan.expect("grants")
        if not self.alone:
            lab.servers.restart(HIT)
        self.writer.wait_working()
        lab.wait_checked("monitor-a", 0, 255)

    def kill_while_active(self) -> None:
        lab = self.lab
        victim = lab.site_in(5)
        lab.set_sites([victim], "down")
        lab.servers.kill(HIT)
        killed_at = boot_ns()
        if self.alone:
            lab.servers.restart(HIT)
        self.heal()
        self.wait_incident(victim, "down")
        lab.set_sites([victim], "up")
        self.wait_incident(victim, "")
        lab.wait_checked("monitor-a", 0, 255, since=killed_at)
        if not self.alone:
            lab.servers.restart(HIT)
        self.writer.wait_working()

    def wait_seed_under_way(self) -> None:
        def under_way() -> bool:
            rows = self.lab.database.rows(
                "SELECT state, done FROM jetmon_rollout_jobs WHERE operation = 'seed'")
            return bool(rows) and rows[0]["state"] == "running" and rows[0]["done"] > 0
        wait_until(under_way, 60, "the seed to be under way", every=0.002)

    def look_at_what_is_said(self) -> None:
        """A call answers 503, and a program that starts says one line."""
        answer = self.lab.api.call("GET", "/api/v1/rollout/status")
        self.assertEqual((answer.status, answer.code), (503, "database_unavailable"))
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        health = self.lab.api.call("GET", "/api/v1/health")
        self.assertNotEqual(health.body.get("status"), "ok")
        for code, role, program, *flags in (
                (2, "controlplane", "controlplane/jetmon-controlplane",
                 "--http_listen=127.0.0.1:0", "--grpc_listen=127.0.0.1:0"),
                (2, "monitor", "monitor/jetmon-monitor", "--host=monitor-c"),
                (1, "migrate", "cli/jetmon2", "migrate")):
            access = self.lab.database.access(role)
            done = subprocess.run(
                [self.lab.programs.path(program), *flags, f"--database={access.url}"],
                env=access.environment, capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, code, (program, done.stderr))
            self.assertRegex(done.stderr,
                             r"\A[^\n]*127\.0\.0\.1:\d+: the server can't be reached; [^\n]*\n\Z")


class FrozenServerTest(DatabaseFaultCase):
    def test_freeze_while_active(self) -> None:
        self.begin()
        lab = self.lab
        lab.roll_out(0, 255, "monitor-a")
        lab.wait_checked("monitor-a", 0, 255)
        victim = lab.site_in(5)
        lab.set_sites([victim], "down")
        paused_at, paused = boot_ns(), time.monotonic()
        lab.servers.pause(HIT)
        if self.alone:
            self.last_as_long_as(paused)
            # Within its lease a Monitor goes on; after it, it sends nothing.
            newest = lab.requests.newest(SOURCES["monitor-a"])
            self.assertGreater(newest, paused_at)
            self.assertLess(newest, paused_at + LEASE_SECONDS * 1_000_000_000)
            lab.servers.resume(HIT)
            self.heal()
        else:
            self.heal()
            # The others have gone on without it, and so does who was on it.
            lab.wait_checked("monitor-a", 0, 255)
            self.last_as_long_as(paused)
            lab.servers.resume(HIT)
        lab.servers.wait_whole()
        self.wait_incident(victim, "down")
        lab.set_sites([victim], "up")
        self.wait_incident(victim, "")
        lab.wait_checked("monitor-a", 0, 255)
        self.writer.wait_working()
        self.end()


if __name__ == "__main__":
    unittest.main()
