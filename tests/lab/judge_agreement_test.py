"""The judge refuses stories in which one row says something else than another, or is missing."""
from __future__ import annotations

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
from judge_case import JudgeCase  # noqa: E402
from judging.story import FOREVER, Span  # noqa: E402


class AgreementTest(JudgeCase):
    def test_a_bucket_without_a_row(self) -> None:
        self.story.buckets = [b for b in self.story.buckets if b["bucket_no"] != 2]
        self.assert_fails(8, "bucket 2 has no row")

    def test_a_bucket_with_two_rows(self) -> None:
        self.story.buckets.append(dict(self.story.buckets[2]))
        self.assert_fails(8, "bucket 2 has 2 rows")

    def test_a_range_of_another_run(self) -> None:
        self.replace("locks", {"epoch": 2}, run_id=s.RUN_A)
        self.assertTrue(any("has run_id 'rol_A', its activation 'rol_B'" in text
                            for text in self.broken()[8]))

    def test_a_range_of_another_owner(self) -> None:
        self.replace("jobs", {"job_id": "job_activate_2"}, owner_host="monitor-a")
        self.assert_fails(8, "has owner_host 'monitor-b', its activation 'monitor-a'")

    def test_an_activation_without_its_evidence(self) -> None:
        for step in ("preflight", "smoke", "final_reconcile"):
            with self.subTest(step):
                self.story = s.clean_story()
                self.replace("jobs", {"operation": step, "run_id": s.RUN_B}, state="failed")
                self.assert_fails(8, f"was granted without a {step} of its run")
                self.replace("locks", {"epoch": 2}, overrides='[{"code": "evidence_missing"}]')
                self.assert_ok()

    def test_times_out_of_order(self) -> None:
        self.replace("locks", {"epoch": 1}, drained_at_ms=s.ms(60.4))
        self.assert_fails(8, "range 0-3 (epoch 1) has times out of order")

    def test_evidence_after_the_grant(self) -> None:
        self.replace("jobs", {"job_id": "job_final_2"}, finished_at_ms=s.ms(31.3))
        self.assert_fails(8, "was granted without a final_reconcile of its run")

    def test_a_site_that_was_never_seeded(self) -> None:
        self.story.targets = [t for t in self.story.targets if t["site_id"] != 50]
        self.assert_fails(8, "site 50 (bucket 6) is held and has no target")

    def test_a_target_of_another_url(self) -> None:
        self.replace("targets", {"site_id": 50}, url="http://127.0.0.1:18080/s/51")
        self.assert_fails(8, "the target of site 50 says bucket 6, http://127.0.0.1:18080/s/51")

    def test_a_transition_of_another_site(self) -> None:
        self.replace("transitions", {"event_id": 3}, site_id=41)
        self.assert_fails(6, "opened of event 3 is of site 41, the event of site 40")

    def test_a_suspicion_that_counts_as_told(self) -> None:
        self.replace("transitions", {"event_id": 2, "seq": 1}, notified=1)
        self.assert_fails(6, "event 2: opened turned notified from 0 to 1")

    def test_an_end_that_takes_back_what_was_told(self) -> None:
        self.replace("transitions", {"event_id": 1, "seq": 2}, notified=0)
        self.replace("events", {"event_id": 1}, notified=0)
        self.assertTrue(any("event 1: recovered turned notified from 2 to 0" in text
                            for text in self.broken()[6]))

    def test_a_notification_of_another_site(self) -> None:
        self.replace("notifications", {"kind": "down"}, site_id=3)
        self.assertTrue(any("ntf_2_down is of site 3, its event of site 2" in text
                            for text in self.broken()[6]))

    def test_freshness_between_two_checks(self) -> None:
        self.replace("runtime", {"site_id": 3}, last_checked_at_ms=s.ms(38.5))
        self.assert_fails(3, "site 3 has a last check that no Monitor made")

    def test_rows_of_another_bucket(self) -> None:
        self.replace("runtime", {"site_id": 3}, bucket_no=1)
        self.assert_fails(3, "runtime of site 3 says bucket 1, it is in 0")
        self.story = s.clean_story()
        self.replace("history", {"site_id": 2}, bucket_no=1)
        self.assert_fails(3, "history of site 2 says bucket 1, it is in 0")

    def test_a_plan_that_left_no_trace(self) -> None:
        self.story.audit = [r for r in self.story.audit if not (
            r["detail"] == "plan" and r["operation"].endswith("ReleaseBuckets"))]
        self.assert_fails(8, "release_buckets of rol_A was planned at")

    def test_a_smoke_that_left_no_trace(self) -> None:
        self.story.audit = [r for r in self.story.audit if not (
            r["operation"].endswith("/Smoke") and r["run_id"] == s.RUN_B)]
        self.assert_fails(8, "smoke job_smoke_2 was begun at")


class SenderTest(JudgeCase):
    """Who is not running does not ask."""

    def test_never_started(self) -> None:
        self.story.starts = [one for one in self.story.starts if one.name != "veriflier-1"]
        self.assert_fails(1, "veriflier-1 asked before it was started (1 times)")

    def test_asked_before_it_was_started(self) -> None:
        self.story.starts = [one for one in self.story.starts if one.name != "v1"]
        s.start(self.story, "v1", 105, 3)
        self.assertTrue(any("v1 asked before it was started" in text
                            for text in self.broken()[1]))

    def test_asked_after_it_was_killed(self) -> None:
        self.story.faults.append(Span(s.ms(40), FOREVER, "veriflier-1", "killed"))
        self.assert_fails(1, "veriflier-1 asked after it had been killed (1 times)")

    def test_asked_in_its_sleep(self) -> None:
        self.story.faults.append(Span(s.ms(44), s.ms(47), "veriflier-1", "paused"))
        self.assert_fails(1, "veriflier-1 asked after it had been paused (1 times)")


if __name__ == "__main__":
    unittest.main()
