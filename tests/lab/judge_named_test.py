"""Stories that the judge once took for good ones, and what each stands for: excuses that last too long,
leases that do not end, checks that come too often, rows of somebody else's, and so on."""
from __future__ import annotations

import copy
import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_faults as f  # noqa: E402
from judge_case import JudgeCase  # noqa: E402
from judging.story import FOREVER, Sender, Span, State, Stray  # noqa: E402

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


class WriterTest(JudgeCase):
    """Each row names who had the bucket then."""

    def refuse(self, table: str, match: dict, word: str, **changes) -> None:
        with self.subTest(table=table, **changes):
            self.story = s.clean_story()
            self.replace(table, match, **changes)
            self.assert_fails(3, word)

    def test_another_epoch(self) -> None:
        self.refuse("transitions", {"event_id": 2, "seq": 2}, "which never had bucket 0", epoch=2)
        self.refuse("history", {"site_id": 2}, "which never had bucket 0", epoch=2)
        self.refuse("events", {"event_id": 2}, "which never had bucket 0", projected_epoch=2)

    def test_no_epoch(self) -> None:
        self.refuse("transitions", {"event_id": 2, "seq": 2}, "under epoch 0", epoch=0)
        self.refuse("history", {"site_id": 2}, "under epoch 0", epoch=0)
        self.refuse("events", {"event_id": 2}, "under epoch 0", projected_epoch=0)

    def test_another_instance(self) -> None:
        self.refuse("transitions", {"event_id": 2, "seq": 2}, "while i-monitor-a held", instance="x")
        self.refuse("history", {"site_id": 2}, "while i-monitor-a held", instance="i-monitor-b")
        self.refuse("events", {"event_id": 2}, "while i-monitor-a held", projected_instance="x")

    def test_another_host(self) -> None:
        self.refuse("transitions", {"event_id": 2, "seq": 2}, "by host 'monitor-b'",
                    host="monitor-b")
        self.refuse("history", {"site_id": 2}, "by host 'monitor-b'", host="monitor-b")
        self.refuse("events", {"event_id": 2}, "by host 'monitor-b'", projected_host="monitor-b")

    def test_nobody(self) -> None:
        self.refuse("events", {"event_id": 2}, "nobody says to have projected", projected_epoch=0,
                    projected_instance="", projected_host="", projected_at_ms=0)

    def test_after_the_release(self) -> None:
        self.refuse("events", {"event_id": 2}, "did not hold bucket 0 then",
                    projected_at_ms=s.ms(70))

    def test_a_control_plane_after_the_release(self) -> None:
        mine = {"projected_host": "", "projected_instance": "i-controlplane"}
        self.replace("events", {"event_id": 2}, **mine, projected_at_ms=s.ms(59.5))
        self.assert_ok()
        self.refuse("events", {"event_id": 2}, "no release of epoch 1 ran", **mine,
                    projected_at_ms=s.ms(70))
        self.refuse("events", {"event_id": 2}, "which is no control plane",
                    projected_host="", projected_at_ms=s.ms(59.5))

    def test_a_predecessor(self) -> None:
        self.story = f.taken_over_story()
        self.story.history.append(s.history(50, 6, 74, 2))
        self.assert_fails(3, "by instance 'i-monitor-b' while i-monitor-b-2 held epoch 2")

    def test_a_stranger(self) -> None:
        self.refuse("transitions", {"event_id": 2, "seq": 2}, "which writes no incidents",
                    source="somebody")


class ToldTest(JudgeCase):
    """At least once, too."""

    def without(self, kind: str) -> None:
        self.story.notifications = [n for n in self.story.notifications if n["kind"] != kind]
        self.story.deliveries = [d for d in self.story.deliveries if not d.endswith(kind)]

    def test_a_down_that_was_never_queued(self) -> None:
        self.without("down")
        self.assert_fails(5, "event 2 of site 2 counts as told, and no down is in the outbox")

    def test_an_up_that_was_never_queued(self) -> None:
        self.without("up")
        self.assert_fails(5, "no up is in the outbox")

    def test_a_confirmation_that_told_nobody(self) -> None:
        self.without("down")
        self.replace("transitions", {"event_id": 2, "seq": 2}, notified=0)
        self.replace("events", {"event_id": 2}, notified=0)
        self.story.v1_alerts.pop()
        self.assert_fails(5, "was confirmed, and nobody was told")

    def test_a_down_that_was_never_delivered(self) -> None:
        self.story.deliveries = ["ntf_1_up"]
        self.assert_fails(5, "ntf_2_down is delivered, and the receiver never got it")

    def test_a_down_that_waits_for_ever(self) -> None:
        self.story.deliveries = ["ntf_1_up"]
        self.replace("notifications", {"kind": "down"}, state="queued")
        self.assert_fails(5, "ntf_2_down is queued")

    def test_told_by_v1_without_an_adoption(self) -> None:
        self.replace("transitions", {"reason": "adopted"}, to_severity=3)
        self.replace("transitions", {"event_id": 1, "seq": 2}, from_severity=3)
        self.assert_fails(5, "counts as told by v1, and was not adopted as down", also=(6,))

    def test_an_outage_without_an_event(self) -> None:
        self.story.states.append(State(s.ms(50), (50,), True))
        self.assert_fails(5, "site 50 was down for 30.0 s", also=())

    def test_an_outage_that_began_under_v1(self) -> None:
        self.story.states.append(State(s.ms(10), (50,), True))
        self.assert_fails(5, "site 50 was down for")

    def test_an_outage_whose_event_ended_meanwhile(self) -> None:
        self.story.states[3] = State(s.ms(69), (2, 1), False)
        self.story.states[1] = State(s.ms(35), (40,), False)
        self.assert_fails(5, "site 1 was down for 37.5 s")

    def test_an_outage_that_is_never_confirmed(self) -> None:
        self.story.states.append(State(s.ms(35), (40,), True))
        self.replace("events", {"event_id": 3}, started_at_ms=s.ms(36))
        self.replace("transitions", {"event_id": 3}, at_ms=s.ms(36))
        self.assert_fails(5, "and was not confirmed", also=(3,))


class HandOffTest(JudgeCase):
    """A hand-off leaves no site unchecked for good."""

    def test_v1_forgets_a_site_after_the_release(self) -> None:
        self.drop(s.V1, 9, 60, 80)
        self.assert_fails(2, "site 9 (bucket 1) was not checked by v1")

    def test_v1_takes_a_site_up_late(self) -> None:
        self.drop(s.V1, 9, 60, 72)
        self.assert_fails(2, "site 9 (bucket 1) was not checked by v1 within 6.0 s")

    def test_v1_is_never_started_again(self) -> None:
        self.story.v1_switches.pop()
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.V1 and r.at_ms > s.ms(60))]
        self.story.end_ms = s.ms(130)
        self.assertTrue(any("was nobody's for 70.0 s after epoch 1 was released" in text
                            for text in self.broken()[2]))

    def test_the_new_owner_checks_nothing(self) -> None:
        self.story.requests = [r for r in self.story.requests if r.source != s.B]
        self.assertTrue(any("of monitor-b was never checked" in text for text in self.broken()[2]))

    def test_v1_is_stopped_and_nobody_takes_over(self) -> None:
        self.story = f.given_up_story()
        self.story.locks, self.story.tenures = [], []
        self.assertTrue(any("was nobody's for 62.4 s after v1 was stopped" in text
                            for text in self.broken()[2]))

    def test_an_activation_that_never_ends(self) -> None:
        self.replace("locks", {"epoch": 2}, acknowledged_at_ms=0, state="activating")
        self.story.end_ms = s.ms(200)
        self.assertTrue(any("waited for its acknowledgement for 169.0 s" in text
                            for text in self.broken()[2]))


class StrangerTest(JudgeCase):
    def test_any_address(self) -> None:
        for source in ("127.0.0.1", "10.1.2.3", "127.0.2.1", "::1"):
            with self.subTest(source):
                self.story = s.clean_story()
                self.story.requests.append(s.request(50, source, 3))
                self.assert_fails(1, f"{source}, which is no process of the lab")

    def test_strays(self) -> None:
        for source in (s.B, s.V1, s.VERIFLIER, s.CONTROL, "127.0.0.1"):
            with self.subTest(source):
                self.story = s.clean_story()
                self.story.strays = [Stray(s.ms(50), source, "/s/4711")]
                self.assert_fails(1, "'/s/4711', which is no site of the lab (1 times)")

    def test_a_canary_of_a_smoke_is_no_stray(self) -> None:
        self.story.strays = [Stray(s.ms(15), s.CONTROL, "/s/0")]
        self.assert_ok()


class AuditTest(JudgeCase):
    def test_one_row_for_two_executions(self) -> None:
        stages = [r for r in self.story.audit if r["operation"].endswith("StagePolicy")
                  and r["detail"] == "execute"]
        self.story.audit.remove(stages[1])
        self.assert_fails(8, "stage_policy of rol_B was executed at 1790000042000, and no row")

    def test_the_row_of_another_time(self) -> None:
        self.replace("audit", {"operation": "RolloutService/Seed", "run_id": "rol_A"},
                     at_ms=s.ms(50))
        self.assert_fails(8, "seed of rol_A was executed")

    def test_the_row_of_the_plan(self) -> None:
        self.replace("audit", {"operation": "RolloutService/Seed", "run_id": "rol_A"}, detail="plan")
        self.assert_fails(8, "seed of rol_A was executed")

    def test_the_row_of_another_operation(self) -> None:
        self.replace("audit", {"operation": "RolloutService/ActivateBuckets", "run_id": "rol_A"},
                     operation="RolloutService/Seed")
        self.assert_fails(8, "activate_buckets of rol_A was executed")

    def test_the_row_of_a_refusal(self) -> None:
        self.replace("audit", {"operation": "RolloutService/ActivateBuckets", "run_id": "rol_A"},
                     outcome="invalid_confirmation")
        self.assert_fails(8, "activate_buckets of rol_A was executed")

    def test_a_control_plane_that_died_over_its_call(self) -> None:
        self.replace("audit", {"operation": "RolloutService/Seed", "run_id": "rol_A"}, detail="plan")
        self.story.faults.append(Span(s.ms(16.2), FOREVER, "controlplane", "killed"))
        s.start(self.story, "controlplane", 103, 17)
        self.assert_ok()
        self.story.faults = [Span(s.ms(14), s.ms(14.5), "controlplane", "paused")]
        self.assert_fails(8, "seed of rol_A was executed")


class EditTest(JudgeCase):
    def test_edits_excuse_no_double_check(self) -> None:
        self.story.requests += s.checks(s.V1, range(3, 4), 30, 40)
        self.story.edits[3] = [s.ms(29)]
        self.assert_fails(1, "v1 asked for site 3 (bucket 0)")

    def test_an_edit_excuses_a_minute(self) -> None:
        self.story.edits[41] = [s.ms(-30)]
        self.drop(s.B, 41, 35, 55)
        self.assert_fails(2, "site 41")

    def test_https_and_names_are_judged(self) -> None:
        for url in ("https://127.0.0.1:18443/s/7", "http://site-7.example:18080/",
                    "https://site-7.example/"):
            with self.subTest(url):
                self.story = s.clean_story()
                self.story.sites[7] = dataclasses.replace(self.story.sites[7], url=url)
                self.assert_ok()
                self.drop(s.A, 7, 30, 40)
                self.assert_fails(2, "site 7")


class GivenUpTest(JudgeCase):
    def setUp(self) -> None:
        self.story = f.given_up_story()

    def test_is_accepted(self) -> None:
        self.assert_ok()

    def test_before_its_time(self) -> None:
        self.replace("locks", {"epoch": 1}, draining_at_ms=s.ms(30))
        self.assert_fails(8, "before its owner had had 60 s", also=(2,))

    def test_and_acknowledged(self) -> None:
        self.replace("locks", {"epoch": 1}, acknowledged_at_ms=s.ms(22))
        self.assert_fails(8, "was given up, and acknowledged", also=(2,))

    def test_and_completed(self) -> None:
        self.replace("jobs", {"operation": "activate_buckets"}, state="completed")
        self.assert_fails(8, "was given up, and its activation is completed")

    def test_without_a_release(self) -> None:
        self.replace("locks", {"epoch": 1}, release_job_id="")
        self.assert_fails(8, "is released without a release")

    def test_a_release_that_nobody_asked_for(self) -> None:
        self.replace("locks", {"epoch": 1}, gave_up=0)
        self.assert_fails(8, "release_buckets job_release_1 was started by 0 tokens", also=(2,))

    def test_checks_of_who_never_acknowledged(self) -> None:
        self.story.requests.append(s.request(40, s.A, 3))
        self.assert_fails(1, "before it had acknowledged the range")

    def test_v1_goes_on_meanwhile(self) -> None:
        self.story.requests.append(s.request(75, s.V1, 3))
        self.assert_fails(1, "v1 asked for site 3 (bucket 0)")

    def test_v1_never_gets_it_back(self) -> None:
        copied = copy.copy(self.story)
        copied.requests = [r for r in copied.requests if r.at_ms < s.ms(80)]
        self.story = copied
        self.assert_fails(2, "was not checked by v1")


if __name__ == "__main__":
    unittest.main()
