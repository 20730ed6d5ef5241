"""The receiver is away while a range goes back to v1: nobody knows whether people were told. The
release waits for an operator, and what is said is what becomes of it: told once, by one of the two."""
from __future__ import annotations

import json
import unittest

from lab_case import RealV1Case
from launcher.real_v1 import RealV1
from launcher.rest import Json
from launcher.waiting import wait_until

LOW, HIGH = 0, 255
UNDECIDED_S = 120  # what is sending is waited for for 60 s


class UndecidedTest(RealV1Case):
    RECEIVER_FLAGS = ("--delay_min=100ms", "--delay_max=1s", "--seed=5")
    v1: RealV1

    def senders(self, site: int, up: bool) -> list[str]:
        """Who told this of a site, in order; what was only repeated is left out."""
        rows = self.v1.people.rows("told", url=f"{self.lab.fixture_url}/s/{site}")
        return [r["sender"] for r in rows if not r["repeat"] and (r["status"] == 1) == up]

    def wait_told(self, site: int, sender: str, up: bool) -> None:
        wait_until(lambda: sender in self.senders(site, up), self.lab.patience,
                   f"{sender} to tell that site {site} is {'up' if up else 'down'}")

    def sending(self) -> int:
        return self.lab.database.one(
            "SELECT COUNT(*) FROM jetmon_notifications WHERE state = 'sending'")

    def rollout(self, *words: str) -> Json:
        api = self.lab.api
        return json.loads(self.lab.tool("api", "rollout", *words, f"--bucket-min={LOW}",
                                        f"--bucket-max={HIGH}", JETMON_API_URL=api.url,
                                        JETMON_API_TOKEN=api.token))

    def release_blocked(self) -> str:
        """A guided rollback that ends as blocked; its run."""
        held = self.lab.range_of(LOW)
        guided = self.lab.guided(LOW, HIGH, "monitor-a", "--rollback")
        code = guided.finish(UNDECIDED_S)
        text = "\n".join(guided.output)
        self.assertEqual(code, 3, text)
        self.assertIn("notifications_undecided", text)
        self.assertIn("notifications decide --run-id " + held["run_id"], text)
        listed = self.rollout("notifications", "list")["notifications"]
        self.assertEqual([(n["kind"], n["state"]) for n in listed], [("down", "sending")])
        return held["run_id"]

    def decide(self, run_id: str, decision: str) -> None:
        said = self.rollout("notifications", "decide", f"--run-id={run_id}",
                            f"--decision={decision}", "--all", "--note=a test")
        self.assertEqual((said["decided"], said["left"]), ("1", "0"))

    def go_on(self, run_id: str) -> None:
        self.lab.guided(LOW, HIGH, "monitor-a", "--rollback", "--resume").succeed()
        self.lab.start_v1_range(run_id, LOW, HIGH)
        self.v1.wait_rounds(LOW)

    def test_told_and_untold(self) -> None:
        lab = self.lab
        lab.start_all()
        self.v1 = lab.real_v1
        known, lost = lab.site_in(40), lab.site_in(80)
        self.v1.wait_rounds(LOW)
        lab.roll_out(LOW, HIGH, "monitor-a")
        with self.subTest("it was taken, and its answer is lost"):
            self.v1.answer("error")
            lab.set_sites([known], "down", code=503)
            self.wait_told(known, "v2", up=False)
            run_id = self.release_blocked()
            self.decide(run_id, "told")
            self.v1.answer("ok")
            self.go_on(run_id)
            self.assertEqual(self.senders(known, up=False), ["v2"])
            lab.set_sites([known], "up")
            self.wait_told(known, "v1", up=True)
            self.assertEqual(self.senders(known, up=True), ["v1"])
        lab.roll_out(LOW, HIGH, "monitor-a")
        with self.subTest("it was lost with its receiver"):
            wait_until(lambda: self.v1.pending_writes() == 0, lab.patience, "the last write")
            receiver = lab.processes["receiver"]
            receiver.pause()
            lab.set_sites([lost], "down", code=503)
            wait_until(lambda: self.sending() == 1, lab.patience, "a request that is not answered")
            run_id = self.release_blocked()
            receiver.kill()
            self.v1.start_receiver()
            self.decide(run_id, "untold")
            self.go_on(run_id)
            self.wait_told(lost, "v1", up=False)
            self.assertEqual(self.senders(lost, up=False), ["v1"])
            lab.set_sites([lost], "up")
            self.wait_told(lost, "v1", up=True)
        lab.plan.expect("told", 4)
        lab.wait_at_rest()
        self.assert_judged_ok()


if __name__ == "__main__":
    unittest.main()
