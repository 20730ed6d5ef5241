"""A site that never answers is Down as one that refuses is, at production's times.

Nothing is scaled, a check may take 10 s. The other labs' checks of two seconds hide what lies between
a check's time and its round's."""
from __future__ import annotations

import json
import unittest

from lab import BUCKETS, SOURCES, VANTAGES, boot_ns
from lab_case import LabCase
from launcher.waiting import wait_until

UNIT_S = 60
# Defaults of a Monitor: local failures before Verifliers are asked, a unit between two of them.
FAILURES = 3
CHECK_S = 10  # --longest_check
ROUND_S = CHECK_S + 2
# Ticks of the scheduler, commits, and a machine with more to do.
SLACK_S = 15
SEVERITY_DOWN = 4


class ProductionTimesTest(LabCase):
    SITES = 64
    INTERVAL = 1  # a minute

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lab.settings.unit_s = UNIT_S

    def test_a_silent_site_is_down_like_one_that_refuses(self) -> None:
        lab = self.lab
        silent, refusing, slow = 7, 8, 9
        lab.start_all()
        self.activate()
        # Up all the same: an answer just within its time, seen by the Monitor only.
        lab.set_sites([slow], "slow", delay_ms=1000 * (CHECK_S - 3))
        lab.set_sites([silent], "never")
        lab.set_sites([refusing], "reset")
        since = boot_ns()
        longest = UNIT_S + (FAILURES - 1) * UNIT_S + FAILURES * CHECK_S + ROUND_S + SLACK_S
        for site in (refusing, silent):
            wait_until(lambda: lab.database.event_state(site) == "down", longest,
                       f"site {site} to be Down")
        self.assert_down_after(refusing, since, 0, 0)
        # The Monitor's own check, then those of the Verifliers, side by side.
        self.assert_down_after(silent, since, 2 * CHECK_S, CHECK_S + ROUND_S)
        for site in (silent, refusing):
            self.assert_confirmed_by_all(site)
            self.assertEqual(lab.database.site_status(site), 2)
        self.assertEqual(lab.database.event_state(slow), "")
        self.assertEqual(lab.database.rows("SELECT site_id FROM jetmon_false_positives"), [])
        self.assertEqual({agent["longest_check_ms"] for agent in lab.live_agents()}, {20_000})
        lab.wait_at_rest()
        self.assert_judged_ok()

    def activate(self) -> None:
        """Hands all buckets to monitor-a, quickly: nothing has to be smoked here."""
        lab = self.lab
        low, high = 0, BUCKETS - 1
        run_id = self.open_session(low, high, "monitor-a")
        body = {"run_id": run_id, "bucket_min": low, "bucket_max": high}
        answer = self.call("preflight", {**body, "owner_host": "monitor-a"})
        self.assertEqual((answer.status, answer.body.get("blockers")), (200, []), answer.body)
        self.execute("seed", body)
        lab.stop_v1(low, high)
        lab.api.post(f"/api/v1/rollout/sessions/{run_id}/checkpoints", {"kind": "v1_stopped"})
        self.execute("final-reconcile", body)
        self.execute("activate-buckets", {**body, "owner_host": "monitor-a", "override": [
            {"code": "evidence_missing", "reason": "a lab of its own for the times"}]})

    def assert_down_after(self, site: int, since: int, least_s: float, most_s: float) -> None:
        """Down so long after the Monitor began the check after which it asks Verifliers."""
        at = sorted(at_ms for source, site_id, at_ms in self.requests_since(since)
                    if site_id == site and source == SOURCES["monitor-a"])
        down_ms = self.lab.database.one(
            "SELECT at_ms FROM jetmon_event_transitions WHERE site_id = ? AND to_severity = ? "
            "ORDER BY transition_id LIMIT 1", site, SEVERITY_DOWN)
        took_s = (down_ms - at[FAILURES - 1]) / 1000
        print(f"site {site} was Down {took_s:.1f} s after its last check began")
        # The database keeps whole milliseconds.
        self.assertGreaterEqual(took_s, least_s - 0.001, site)
        self.assertLessEqual(took_s, most_s + SLACK_S, site)

    def requests_since(self, since: int) -> list[tuple[str, int, float]]:
        """(source, site, Unix ms) of what the fixture was asked for."""
        rows = [json.loads(line) for line in
                self.lab.request_log.read_text(encoding="utf-8").splitlines()]
        return [(row["source"], row["site"], row["wall_ns"] / 1e6) for row in rows
                if row["kind"] == "request" and row["boot_ns"] >= since]

    def assert_confirmed_by_all(self, site: int) -> None:
        """Every Veriflier said that it is down, and people were told so."""
        rows = self.lab.database.rows(
            "SELECT reason FROM jetmon_event_transitions WHERE site_id = ? ORDER BY transition_id",
            site)
        self.assertEqual([row[0] for row in rows], ["opened", "verifier_confirmed"])
        told = self.lab.database.rows(
            "SELECT kind, checks FROM jetmon_notifications WHERE site_id = ?", site)
        self.assertEqual([row[0] for row in told], ["down"])
        votes = [check for check in json.loads(told[0][1]) if check["type"] == 2]
        self.assertEqual(sorted((check["host"], check["status"]) for check in votes),
                         [(f"vantage-{n}", 0) for n in range(1, VANTAGES + 1)])


if __name__ == "__main__":
    unittest.main()
