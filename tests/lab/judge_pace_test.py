"""Stories that the judge once took for good ones: excuses that last too long, leases that do not end,
checks that come too often, successors that never check."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_faults as f  # noqa: E402
from judge_case import JudgeCase, failed  # noqa: E402
from judging.story import FOREVER, Sender, Span  # noqa: E402

BLINK_S = 0.01  # of a fault that is hardly one


class ExcuseTest(JudgeCase):
    """A fault excuses only what it can have caused."""

    def blink(self, second: float, what: str = "database") -> None:
        self.story.faults.append(Span(s.ms(second), s.ms(second + BLINK_S), what, "paused",
                                      s.ms(second + BLINK_S)))

    def test_silent_after_a_blink_of_the_database(self) -> None:
        self.drop(s.A, 7, 30, 59)
        self.blink(29.9)
        self.assert_fails(2, "site 7 (bucket 0) of monitor-a went unchecked")

    def test_forgotten_for_good_after_a_blink(self) -> None:
        self.drop(s.B, 41, 40, 80)
        self.blink(39.9)
        self.assert_fails(2, "site 41")

    def test_never_checked_after_a_blink(self) -> None:
        self.drop(s.B, 50, 0, 80)
        self.blink(31.2)
        self.assert_fails(2, "was never checked")

    def test_first_checked_long_after_a_blink(self) -> None:
        self.drop(s.B, 50, 0, 55)
        self.blink(31.2)
        self.assert_fails(2, "site 50 (bucket 6) of monitor-b was first checked late")

    def test_silent_after_a_blink_of_its_own(self) -> None:
        self.drop(s.A, 7, 30, 59)
        self.blink(29.9, "monitor-a")
        self.assert_fails(2, "site 7")

    def test_a_short_loss_of_the_database_keeps_nobody_from_checking(self) -> None:
        self.drop(s.B, 41, 50, 57)
        self.story.faults.append(Span(s.ms(50), s.ms(55), "database"))
        self.assert_fails(2, "site 41")

    def test_a_long_loss_of_the_database_does(self) -> None:
        self.drop(s.B, 41, 64, 76)
        self.assert_fails(2, "site 41")
        self.story.faults.append(Span(s.ms(50), s.ms(73), "database"))
        self.drop_all(s.B, 64, 73)
        self.assert_ok()

    def test_a_blink_while_the_range_is_short(self) -> None:
        """What is left of a range's time is no longer than a long fault's recovery."""
        self.drop(s.A, 7, 51, 59)
        self.blink(50.9, "monitor-a")
        self.assert_fails(2, "site 7")

    def drop_all(self, source: str, from_s: float, until_s: float) -> None:
        self.story.requests = [r for r in self.story.requests if not (
            r.source == source and s.ms(from_s) <= r.at_ms <= s.ms(until_s))]

    def test_a_dead_veriflier_excuses_nobody(self) -> None:
        self.story.faults.append(Span(s.ms(35), FOREVER, "veriflier-3", "killed"))
        self.assert_ok()
        self.drop(s.A, 7, 40, 50)
        self.assert_fails(2, "site 7")

    def test_a_dead_control_plane_excuses_no_gap(self) -> None:
        self.drop(s.A, 7, 40, 50)
        self.story.faults.append(Span(s.ms(35), FOREVER, "controlplane", "killed"))
        s.start(self.story, "controlplane", 103, 60)
        self.assert_fails(2, "site 7")

    def burst(self) -> None:
        self.add_sites(range(100, 200))
        for i in range(100, 200):
            self.story.requests += s.checks(s.B, range(i, i + 1), 31.6, s.END_S)

    def test_a_burst_long_before_a_fault(self) -> None:
        self.burst()
        self.story.faults.append(Span(s.ms(70), s.ms(70.5), "monitor-b", "paused"))
        self.assert_fails(2, "one fifth")

    def test_a_burst_with_a_dead_veriflier(self) -> None:
        self.burst()
        self.story.faults.append(Span(s.ms(30), FOREVER, "veriflier-3", "killed"))
        self.assert_fails(2, "one fifth")

    def test_a_burst_while_another_owner_is_dead(self) -> None:
        self.burst()
        self.story.faults.append(Span(s.ms(31), s.ms(36), "monitor-a", "paused"))
        self.assertIn(2, self.broken())

    def ask_by_head(self, second: float) -> None:
        nearest = min((r for r in self.story.requests if r.site_id == 33 and r.source == s.B),
                      key=lambda r: abs(r.at_ms - s.ms(second)))
        self.story.requests.remove(nearest)
        self.story.requests.append(dataclasses.replace(nearest, method="HEAD"))

    def test_an_old_policy_for_good_over_a_dead_veriflier(self) -> None:
        self.ask_by_head(75)
        self.story.faults.append(Span(s.ms(35), FOREVER, "veriflier-3", "killed"))
        self.assert_fails(8, "monitor-b asked for site 33 by HEAD after stage 1")

    def test_an_old_policy_for_good_over_another_owner(self) -> None:
        self.ask_by_head(55)
        self.story.faults.append(Span(s.ms(41), s.ms(52), "monitor-a", "paused"))
        self.assertIn(8, self.broken())

    def test_an_old_policy_for_good_after_a_blink(self) -> None:
        self.ask_by_head(75)
        self.blink(41)
        self.assert_fails(8, "monitor-b asked for site 33 by HEAD after stage 1")


class LeaseTest(JudgeCase):
    def test_a_lease_ends_without_a_database(self) -> None:
        self.story.faults.append(Span(s.ms(40), s.ms(62), "database", "paused", s.ms(61)))
        self.assert_fails(1, "after the database went away: its lease had ended")

    def test_a_lease_may_be_renewed_as_soon_as_the_database_returns(self) -> None:
        self.story.faults.append(Span(s.ms(40), s.ms(62), "database", "paused", s.ms(56)))
        self.assert_ok()

    def test_a_revoked_lease_ends(self) -> None:
        self.replace("locks", {"epoch": 1}, revoked_at_ms=s.ms(40))
        self.assert_fails(1, "after it was revoked: its lease had ended")

    def test_a_confirmation_after_the_lease(self) -> None:
        self.replace("locks", {"epoch": 1}, revoked_at_ms=s.ms(15))
        self.assertTrue(any("veriflier-1" in text and "its lease had ended" in text
                            for text in self.broken()[1]))

    def test_freed_while_its_owner_was_at_work(self) -> None:
        self.replace("locks", {"epoch": 1}, drained=0, drained_at_ms=0)
        self.assert_fails(1, "no grace was over")

    def test_taken_over_while_the_other_was_at_work(self) -> None:
        self.story = f.taken_over_story()
        self.replace("tenures", {"owner_instance": "i-monitor-b-2"}, from_ms=s.ms(41.5))
        self.assert_fails(1, "was taken over 1.", also=(2,))


class OftenTest(JudgeCase):
    def test_once_more(self) -> None:
        self.story.requests.append(s.request(40, s.A, 7))
        self.assert_fails(2, "too early")

    def test_twice_as_often(self) -> None:
        self.story.requests += s.checks(s.A, range(7, 8), 25, 58)
        self.assert_fails(2, "too early")

    def test_all_a_little_too_fast(self) -> None:
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.B and r.site_id == 60)]
        self.story.requests += [s.request(32 + 4.5 * n, s.B, 60) for n in range(10)]
        self.assert_fails(2, "too early")

    def test_the_check_after_the_first_may_come_early(self) -> None:
        self.drop(s.B, 60, 0, 37)
        self.story.requests.append(s.request(35, s.B, 60))
        self.assert_ok()

    def test_a_late_check_is_followed_early(self) -> None:
        late = next(r for r in self.story.requests if r.source == s.B and r.site_id == 60
                    and r.at_ms > s.ms(50))
        self.story.requests.remove(late)
        self.story.requests.append(dataclasses.replace(
            late, at_ms=late.at_ms + 900, boot_ms=late.boot_ms + 900))
        self.assert_ok()

    def test_a_fault_does_not_free_all_that_follows(self) -> None:
        self.story.faults.append(Span(s.ms(44), s.ms(44.5), "monitor-b", "paused"))
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.B and s.ms(44) < r.at_ms < s.ms(44.5))]
        self.story.requests += [s.request(45 + n / 2, s.B, 60) for n in range(5)]
        self.assert_fails(2, "site 60 (bucket 7) was checked by i-monitor-b")

    def test_a_fault_before_the_range_was_acknowledged(self) -> None:
        self.story.faults.append(Span(s.ms(10), s.ms(31.3), "monitor-b", "paused"))
        self.assert_ok()
        self.story.requests.append(s.request(38.5, s.B, 60))
        self.story.requests.append(s.request(39.5, s.B, 60))
        self.assert_fails(2, "site 60 (bucket 7) was checked by i-monitor-b")

    def test_a_retry_of_what_had_not_failed(self) -> None:
        before = next(r for r in self.story.requests if r.source == s.A and r.site_id == 7)
        second = (before.at_ms - s.T0) / 1000
        self.story.requests += [s.request(second + 5 + n, s.A, 7) for n in (1, 2)]
        self.assert_fails(2, "site 7 (bucket 0) was checked by i-monitor-a")

    def test_a_retry_too_soon(self) -> None:
        self.story.requests.append(dataclasses.replace(s.request(42.1, s.A, 2), failed=True))
        self.assert_fails(2, "site 2 (bucket 0)")

    def test_retries_of_what_is_known_to_be_down(self) -> None:
        self.story.requests += [dataclasses.replace(s.request(52.8 + n, s.A, 2), failed=True)
                                for n in range(3)]
        self.assert_fails(2, "site 2 (bucket 0)")

    def test_a_veriflier_that_goes_on_asking(self) -> None:
        self.story.requests += [s.request(43 + n / 10, s.VERIFLIER, 2) for n in range(9)]
        self.assert_fails(1, "more often than a Monitor had found it down")

    def test_a_second_instance_before_the_take_over(self) -> None:
        self.story = f.taken_over_story()
        self.assert_ok()
        self.story.requests.append(s.request(70.5, f.B2, 50))
        self.assert_fails(1, "as instance i-monitor-b-2 while i-monitor-b held it", also=(2,))

    def test_the_first_instance_after_the_take_over(self) -> None:
        self.story = f.taken_over_story()
        self.story.requests.append(s.request(74, s.B, 50))
        self.assert_fails(1, "as instance i-monitor-b while i-monitor-b-2 held it", also=(2,))

    def test_side_by_side(self) -> None:
        self.story.senders["127.0.1.13"] = Sender("monitor-b-2", "monitor", "monitor-b")
        s.start(self.story, "monitor-b-2", 212, 41)
        self.story.requests += s.checks("127.0.1.13", range(33, 65), 42, s.END_S)
        self.assert_fails(1, "as instance i-monitor-b-2 while i-monitor-b held it", also=(2, 8))

    def test_a_process_that_never_said_who_it_is(self) -> None:
        self.story.health = [h for h in self.story.health if h["host"] != "monitor-b"]
        self.assert_fails(1, "as an instance that nobody knows", also=(2,))


class SuccessorTest(JudgeCase):
    """monitor-b is killed at 40 s; who comes after it takes the range over at 72 s."""

    def setUp(self) -> None:
        self.story = f.taken_over_story()

    def test_is_accepted(self) -> None:
        self.assert_ok()

    def test_a_successor_that_forgets_a_site(self) -> None:
        self.story.end_ms = s.ms(100)
        self.story.requests += [r for r in s.checks(f.B2, range(33, 65), 83, 100)]
        self.drop(f.B2, 50, 72, 100)
        self.assert_fails(2, "site 50 (bucket 6) of monitor-b was never checked", also=(8,))

    def test_a_successor_that_takes_a_site_up_late(self) -> None:
        self.story.end_ms = s.ms(100)
        self.story.requests += [r for r in s.checks(f.B2, range(33, 65), 83, 100)]
        self.drop(f.B2, 50, 72, 84)
        self.assert_fails(2, "site 50 (bucket 6) of monitor-b was first checked late", also=(8,))

    def test_a_successor_that_waits(self) -> None:
        """It runs, and takes over only when somebody looks."""
        self.story.end_ms = s.ms(110)
        self.story.requests = [r for r in self.story.requests if r.source != f.B2]
        self.replace("tenures", {"owner_instance": "i-monitor-b-2"}, from_ms=s.ms(108))
        self.assertTrue(any("of monitor-b went unchecked" in text for text in self.broken()[2]))

    def test_the_kill_of_who_does_not_hold_the_range(self) -> None:
        self.story.faults = [Span(s.ms(40), FOREVER, "monitor-b-2", "killed")]
        self.assert_fails(2, "of monitor-b went unchecked")


class LateThenInPhase(JudgeCase):
    """A lease lapses while the database is away. What is late then is followed in its phase."""

    def setUp(self) -> None:
        super().setUp()
        self.story.faults.append(Span(s.ms(30), s.ms(50), "database"))
        away = [r for r in self.story.requests
                if r.source in (s.A, s.B) and s.ms(44.9) < r.at_ms < s.ms(50.2)]
        self.assertGreater(len(away), 0)
        self.story.requests = [r for r in self.story.requests if r not in away]

    def test_a_late_check_and_the_next_in_the_phase(self) -> None:
        self.story.requests.append(s.request(52.4, s.A, 7))
        self.assertNotIn("too early", str(failed(self.story)))

    def test_but_not_time_and_again(self) -> None:
        self.story.requests += [s.request(50.5 + 0.3 * n, s.A, 7) for n in range(6)]
        self.assertIn("too early", str(failed(self.story)[2]))


if __name__ == "__main__":
    unittest.main()
