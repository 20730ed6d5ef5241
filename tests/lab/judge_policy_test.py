"""The judge refuses stories whose check policies were doctored."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
from judge_case import JudgeCase, failed  # noqa: E402
from judging.story import Span  # noqa: E402


class PolicyTest(JudgeCase):
    """Of invariant 8: the check policies."""

    def ask(self, second: float, site_id: int, method: str) -> None:
        """Changes how monitor-b's check nearest to that second asked."""
        nearest = min((r for r in self.story.requests if r.site_id == site_id and r.source == s.B),
                      key=lambda r: abs(r.at_ms - s.ms(second)))
        self.story.requests.remove(nearest)
        self.story.requests.append(dataclasses.replace(nearest, method=method))

    def test_stage_without_token(self) -> None:
        self.replace("tokens", {"job_id": "job_stage_1"}, consumed_at_ms=0)
        self.assert_fails(8, "stage_policy job_stage_1 was started by 0 tokens")

    def test_stage_of_no_job(self) -> None:
        self.replace("stages", {"number": 1}, job_id="job_seed_2")
        self.assert_fails(8, "stage 1 of rol_B was applied by no job of its own")

    def test_stage_of_another_range(self) -> None:
        self.replace("stages", {"number": 1}, bucket_min=5)
        self.assert_fails(8, "applied by no job of its own")

    def test_a_write_outside_of_the_range(self) -> None:
        self.replace("stage_rows", {"site_id": 33}, bucket_no=3)
        self.assert_fails(8, "wrote site 33 of bucket 3, outside of its range")

    def test_rollback_by_no_job(self) -> None:
        self.replace("stages", {"number": 2}, rollback_job_id="job_seed_2")
        self.assert_fails(8, "stage 2 of rol_B was rolled back by no job")

    def test_counts_that_do_not_fit(self) -> None:
        for count in ("changed", "restored", "conflicts"):
            with self.subTest(count):
                self.story = s.clean_story()
                self.replace("stages", {"number": 2}, **{count: 7})
                self.assert_fails(8, f"stage 2 of rol_B says {count}: 7")

    def test_rolled_back_and_not_restored(self) -> None:
        self.replace("stage_rows", {"site_id": 37}, state="changed")
        self.assert_fails(8, "stage 2 of rol_B is rolled back, and 1 sites are not")

    def test_rows_of_no_stage(self) -> None:
        self.story.stages.pop(0)
        self.assert_fails(8, "4 policies were written by 'stage_1', which is no stage")

    def test_policy_by_nobody(self) -> None:
        self.story.configs.append({"site_id": 50, "method": "GET", "profile": "legacy",
                                   "revision": s.FIRST_REVISION + 9})
        self.assert_fails(8, "the policy of site 50 (revision 1000000009) was written by no stage")

    def test_policy_that_stayed(self) -> None:
        self.story.configs.append({"site_id": 37, "method": "GET", "profile": "legacy",
                                   "revision": s.FIRST_REVISION + 2})
        self.assert_fails(8, "stands, though its stage was taken back")

    def test_policy_that_is_gone(self) -> None:
        self.story.configs = [c for c in self.story.configs if c["site_id"] != 34]
        self.assert_fails(8, "what stage_1 wrote for site 34 is gone")

    def test_another_policy(self) -> None:
        self.replace("configs", {"site_id": 34}, profile="simple_http")
        self.assert_fails(8, "is not what stage 1 of rol_B wrote")

    def test_an_edit_on_the_record_is_no_fault(self) -> None:
        self.replace("configs", {"site_id": 34}, profile="simple_http",
                     revision=s.FIRST_REVISION + 2)
        self.story.edits[34] = [s.ms(55)]
        self.assertEqual(failed(self.story), {})

    def test_old_method_after_the_stage(self) -> None:
        self.ask(60, 33, "HEAD")
        self.assert_fails(8, "monitor-b asked for site 33 by HEAD after stage 1 of rol_B")

    def test_new_method_before_the_stage(self) -> None:
        self.ask(35, 33, "GET")
        self.assert_fails(8, "monitor-b asked for site 33 by GET after any stage")

    def test_new_method_of_no_member(self) -> None:
        self.ask(57, 37, "HEAD")
        self.assert_fails(8, "monitor-b asked for site 37 by HEAD after stage 2")

    def test_new_method_after_the_rollback(self) -> None:
        self.ask(77, 37, "GET")
        self.assert_fails(8, "site 37 by GET after the rollback of stage 2 of rol_B")

    def test_a_monitor_that_was_away_has_longer(self) -> None:
        self.ask(52, 33, "HEAD")
        self.assert_fails(8, "by HEAD after stage 1")
        self.story.faults.append(Span(s.ms(45), s.ms(48), "monitor-b"))
        self.assertNotIn(8, failed(self.story))



if __name__ == "__main__":
    unittest.main()
