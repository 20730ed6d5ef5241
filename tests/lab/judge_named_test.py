"""More stories that the judge once took for good ones: rows of somebody else's, what nobody was told,
hand-offs that leave a site to nobody, strangers, executions without a trace, edits, what is given up."""
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
from judge_case import JudgeCase, failed  # noqa: E402
from judging.story import FOREVER, Span, State, Stray  # noqa: E402


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

    def test_nobody_once_a_seed_has_taken_a_newer_word_of_v1(self) -> None:
        self.replace("events", {"event_id": 2}, projected_epoch=0, projected_instance="",
                     projected_host="", projected_at_ms=0)
        again = s.job("job_seed_again", "seed", s.RUN_A, 0, 3, 70, 71)
        self.story.jobs.append(again)
        self.story.tokens.append(s.token_for(again))
        self.assertNotIn("nobody says", str(failed(self.story).get(3, "")))

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
