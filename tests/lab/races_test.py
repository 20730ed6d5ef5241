"""Activations that can't both hold, executed at the same moment: exactly one wins, every time."""
from __future__ import annotations

import threading
import unittest

from lab_case import LabCase
from launcher.rest import Answer, Json
from launcher.waiting import wait_until

ROUNDS = 100  # contests of each kind
HOSTS = 8
WIDTH = 20  # buckets of one range
OVERRIDE = [{"code": "evidence_missing", "reason": "a rehearsal of the race"}]


class Contest:
    """Two activations that exclude each other."""

    def __init__(self, first: tuple[int, int, str], second: tuple[int, int, str]):
        self.sides = (first, second)


def overlapping(n: int) -> Contest:
    """Two hosts want ranges that share half of their buckets."""
    low = 60 * n
    return Contest((low, low + WIDTH - 1, f"host-{2 * n}"),
                   (low + WIDTH // 2, low + WIDTH // 2 + WIDTH - 1, f"host-{2 * n + 1}"))


def same_owner(n: int) -> Contest:
    """One host is to have two ranges."""
    low = 60 * n
    return Contest((low, low + WIDTH - 1, f"host-{n}"),
                   (low + WIDTH + 5, low + 2 * WIDTH + 4, f"host-{n}"))


class RacesTest(LabCase):
    SITES = 512
    INTERVAL = 60

    def test_one_of_two_wins(self) -> None:
        lab = self.lab
        lab.make_database()
        lab.start_fixture()
        lab.start_v1("")  # the races are about locks; v1 is stopped everywhere
        lab.make_keys()
        lab.start_controlplane()
        lab.start_verifliers()
        for n in range(HOSTS):
            lab.start_monitor(f"host-{n}", source=f"127.0.1.{31 + n}")
        lab.plan.may_ask_nobody()
        self.sessions: dict[tuple[int, int, str], str] = {}
        for kind, contests in ((overlapping, HOSTS // 2), (same_owner, HOSTS)):
            won = 0
            while won < ROUNDS:
                batch = [kind(n) for n in range(contests)]
                for contest, winners in self.play(batch):
                    self.assertEqual(len(winners), 1, f"{kind.__name__}: {contest.sides}")
                    won += 1
            print(f"{kind.__name__}: exactly one won, {won} of {won}")
            lab.plan.expect("released", won)
        lab.wait_at_rest()
        self.assert_judged_ok()

    def play(self, batch: list[Contest]) -> list[tuple[Contest, list[Json]]]:
        """Plans both sides of every contest, executes all at once, gives everything back."""
        sides = [(contest, side) for contest in batch for side in contest.sides]
        plans = [self.plan_side(side) for _, side in sides]
        answers: list[Answer | None] = [None] * len(sides)
        barrier = threading.Barrier(len(sides))

        def run(i: int) -> None:
            body, token = plans[i]
            barrier.wait()
            answers[i] = self.call("activate-buckets", {**body, "execute": True, "confirm": token,
                                                        "wait": "0s"})
        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(sides))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [body for (body, _), answer in zip(plans, answers) if self.is_granted(answer)]
        result = [(contest, [b for b in won if self.key(b) in contest.sides]) for contest in batch]
        for body in won:
            self.give_back(body)
        wait_until(lambda: not lab_ranges(self), 120, "all ranges to be v1's again")
        return result

    def plan_side(self, side: tuple[int, int, str]) -> tuple[Json, str]:
        low, high, owner = side
        if side not in self.sessions:
            self.sessions[side] = self.open_session(low, high, owner)
        body = {"run_id": self.sessions[side], "bucket_min": low, "bucket_max": high,
                "owner_host": owner, "override": OVERRIDE}
        return body, self.plan("activate-buckets", body)

    def is_granted(self, answer: Answer | None) -> bool:
        """A loser is blocked, or its plan changed; nothing else will do."""
        assert answer is not None
        if answer.status == 200 and answer.body["status"] in ("running", "ok"):
            return True
        if answer.status == 200:
            self.assertEqual(answer.body["status"], "blocked", answer.body)
            codes = {b["code"] for b in answer.body["blockers"]}
            self.assertLessEqual(codes, {"bucket_range_conflict", "owner_range_conflict"}, codes)
            return False
        self.assertEqual((answer.status, answer.code), (422, "plan_changed"), answer.body)
        return False

    @staticmethod
    def key(body: Json) -> tuple[int, int, str]:
        return body["bucket_min"], body["bucket_max"], body["owner_host"]

    def give_back(self, body: Json) -> None:
        """Releases; an acknowledgement between plan and execute changes the plan: once more, then."""
        request = {k: v for k, v in body.items() if k != "override"}
        for _ in range(5):
            token = self.plan("release-buckets", request)
            answer = self.call("release-buckets", {**request, "execute": True, "confirm": token,
                                                   "wait": "0s"})
            if answer.code != "plan_changed":
                break
        self.assertEqual(answer.status, 200, answer.body)


def lab_ranges(case: RacesTest) -> list[Json]:
    return case.lab.status()["ranges"]


if __name__ == "__main__":
    unittest.main()
