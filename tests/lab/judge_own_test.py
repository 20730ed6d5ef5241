"""Stories aimed at what each invariant promises; each is refused."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_faults as f  # noqa: E402
from judge_case import JudgeCase  # noqa: E402
from judging.story import Alert, Site, V1Switch  # noqa: E402

LEAST = 25  # of these stories are asked for


class OwnerTest(JudgeCase):
    """1: who may ask."""

    def test_v1_asks_for_what_it_was_never_started_for(self) -> None:
        self.story.sites[70] = Site(70, 9, "http://127.0.0.1:18080/s/70", s.INTERVAL_S)
        self.story.requests.append(s.request(5, s.V1, 70))
        self.assert_fails(1, "before it was started")

    def test_a_monitor_asks_for_what_nobody_was_granted(self) -> None:
        self.story.sites[70] = Site(70, 9, "http://127.0.0.1:18080/s/70", s.INTERVAL_S)
        self.story.requests.append(s.request(40, s.B, 70))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_the_other_owner_goes_on_where_one_ended(self) -> None:
        self.story.requests.append(s.request(64, s.B, 3))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_v1_asks_once_more_while_the_range_is_prepared(self) -> None:
        self.story.requests.append(s.request(31.1, s.V1, 40))
        self.assert_fails(1, "while monitor-b held it (epoch 2)")

    def test_a_redirect_is_followed_after_the_release(self) -> None:
        self.story.requests.append(dataclasses.replace(s.request(60.4, s.A, 3), hop=1))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_a_confirmation_of_what_has_ended(self) -> None:
        self.story.requests.append(s.request(40, s.VERIFLIER, 1))
        self.assert_fails(1, "outside of an open event")

    def test_a_confirmation_of_what_was_confirmed(self) -> None:
        self.story.requests.append(s.request(58, s.VERIFLIER, 2))
        self.assert_fails(1, "long after event 2 had been confirmed")

    def test_a_confirmation_before_the_event(self) -> None:
        self.story.requests.append(s.request(71, s.VERIFLIER, 40))
        self.assert_fails(1, "outside of an open event")

    def test_a_comparison_that_asks_three_times(self) -> None:
        self.story.requests.append(s.request(10.8, s.CONTROL, 4))
        self.assert_fails(1, "comparison job_compare_1 asked 3 times for site 4")

    def test_a_smoke_that_goes_on_after_its_end(self) -> None:
        self.story.requests.append(s.request(26.5, s.CONTROL, 40))
        self.assert_fails(1, "outside of a smoke")

    def test_a_monitor_that_was_granted_and_has_not_acknowledged(self) -> None:
        self.story.requests += s.checks(s.B, range(33, 65), 31.1, 31.4)
        self.assert_fails(1, "before it had acknowledged the range")


class PaceTest(JudgeCase):
    """2: every site in time."""

    def test_all_a_little_too_slow(self) -> None:
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.B and r.site_id == 60)]
        self.story.requests += [s.request(32 + 6.2 * n, s.B, 60) for n in range(8)]
        self.assert_fails(2, "site 60 (bucket 7) of monitor-b went unchecked for 6.20 s")

    def test_all_stand_still_for_a_while(self) -> None:
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.B and s.ms(50) < r.at_ms < s.ms(58))]
        self.assert_fails(2, "of monitor-b went unchecked")

    def test_silent_before_it_drains(self) -> None:
        self.drop(s.A, 9, 50, 59)
        self.assert_fails(2, "site 9 (bucket 1) of monitor-a went unchecked")

    def test_a_site_with_a_longer_interval(self) -> None:
        self.story.sites[60] = dataclasses.replace(self.story.sites[60], interval_s=10)
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.B and r.site_id == 60)]
        self.story.requests += [s.request(32 + 12 * n, s.B, 60) for n in range(5)]
        self.assert_fails(2, "site 60 (bucket 7) of monitor-b went unchecked for 12.00 s")

    def test_a_range_that_does_not_drain(self) -> None:
        self.story.end_ms = s.ms(300)
        self.replace("locks", {"epoch": 1}, released_at_ms=s.ms(250), drained_at_ms=s.ms(60))
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.V1 and r.at_ms > s.ms(60))]
        self.assertTrue(any("of monitor-a drained for 191.0 s" in text
                            for text in self.broken()[2]))

    def test_a_successor_takes_a_site_up_twice(self) -> None:
        self.story = f.taken_over_story()
        self.story.requests += [s.request(79.6 + n / 10, f.B2, 50) for n in range(2)]
        self.assert_fails(2, "was checked by i-monitor-b-2")


class TraceTest(JudgeCase):
    """3: nothing is written by who may not."""

    def test_a_false_positive_by_a_smoke(self) -> None:
        self.story.false_positives.append({"event_id": 9, "site_id": 3, "at_ms": s.ms(15)})
        self.assert_fails(3, "false positive of event 9 was written")

    def test_freshness_after_the_release(self) -> None:
        self.replace("runtime", {"site_id": 3}, last_checked_at_ms=s.ms(70))
        self.assert_fails(3, "runtime of site 3 was written")

    def test_an_incident_by_a_comparison(self) -> None:
        self.story.transitions.append(s.transition(4, 1, 4, "opened", 0, 3, 0, 10.5, 1))
        self.story.events.append(s.event(4, 4, 0, 3, 0, 10.5, None, None, "", 1, 10.5))
        self.assert_fails(3, "during compare_methods job_compare_1")

    def test_an_incident_without_a_check(self) -> None:
        self.story.sites[65] = dataclasses.replace(self.story.sites[33], site_id=65, active=False)
        self.story.transitions.append(s.transition(4, 1, 65, "opened", 0, 3, 0, 50, 2))
        self.story.events.append(s.event(4, 65, 4, 3, 0, 50, None, None, "", 1, 50, 2))
        self.assert_fails(3, "event 4 of site 65 was opened without a check of monitor-b")

    def test_an_outbox_row_while_v1_has_the_range(self) -> None:
        self.replace("notifications", {"kind": "down"}, created_at_ms=s.ms(65))
        self.assert_fails(3, "notification ntf_2_down was written", also=(4,))

    def test_a_seed_under_an_epoch_that_was_not_prepared(self) -> None:
        self.replace("transitions", {"reason": "adopted"}, epoch=1)
        self.assert_fails(3, "by a control plane under epoch 1, which was not being prepared")


class SilenceTest(JudgeCase):
    """4: adoption tells nobody anything."""

    def test_an_up_of_what_v1_had_seen_recover(self) -> None:
        self.replace("transitions", {"reason": "recovered"}, reason="v1_recovered", at_ms=s.ms(20.7),
                     source="rollout:seed", epoch=0, instance="i-controlplane", host="")
        self.replace("events", {"event_id": 1}, end_reason="v1_recovered", ended_at_ms=s.ms(20.7))
        self.replace("notifications", {"kind": "up"}, created_at_ms=s.ms(20.7))
        self.assert_fails(4, "ntf_1_up comes from no confirmation or recovery")

    def test_a_down_of_a_suspicion(self) -> None:
        self.story.notifications.append(s.notification(3, "down", 40, 4, 72.8))
        self.story.deliveries.append("ntf_3_down")
        self.assert_fails(4, "ntf_3_down comes from no confirmation or recovery")

    def test_a_promotion_that_counts_as_queued(self) -> None:
        self.replace("transitions", {"event_id": 2, "seq": 2}, reason="promoted")
        self.assert_fails(4, "event 2: promoted queued a notification", also=(5, 6))


class OnceTest(JudgeCase):
    """5: one down, one up, in this order, whoever tells."""

    def test_two_ups(self) -> None:
        self.story.notifications.append(dict(s.notification(1, "up", 1, 0, 36.8),
                                             notification_id="ntf_1_up_again"))
        self.story.deliveries.append("ntf_1_up_again")
        self.assert_fails(5, "event 1 has 2 up")

    def test_an_up_before_its_down(self) -> None:
        self.story.notifications.append(s.notification(1, "down", 1, 0, 37))
        self.story.deliveries.append("ntf_1_down")
        self.assert_fails(5, "event 1 has an up before its down", also=(4,))

    def test_v1_tells_of_the_end_again(self) -> None:
        self.story.v1_alerts.append(Alert(s.ms(62), 1, 1))
        self.assert_fails(5, "site 1: people heard up twice, from v2 and v1")

    def test_v2_tells_again_what_v1_had_told(self) -> None:
        self.story.v1_alerts.append(Alert(s.ms(19), 2, 2))
        self.assert_fails(5, "site 2: people heard down twice, from v1 and v2")

    def test_recorded_where_a_receiver_is(self) -> None:
        self.replace("notifications", {"kind": "down"}, state="recorded")
        self.story.deliveries.remove("ntf_2_down")
        self.story.deliveries.remove("ntf_2_down")
        self.assert_fails(5, "ntf_2_down is recorded, and the receiver never got it")


class ReplayTest(JudgeCase):
    """6: transitions make the rows."""

    def test_a_change_that_left_no_transition(self) -> None:
        self.replace("events", {"event_id": 3}, last_seq=2)
        self.assert_fails(6, "event 3: last_seq is 2")

    def test_an_end_that_left_no_transition(self) -> None:
        self.replace("events", {"event_id": 2}, ended_at_ms=s.ms(58), end_reason="recovered")
        self.assertTrue(any("event 2: " in text for text in self.broken()[6]))

    def test_a_number_given_twice(self) -> None:
        self.replace("transitions", {"event_id": 2, "seq": 2}, seq=1)
        self.assert_fails(6, "event 2: transition 2 is missing")

    def test_an_event_without_any(self) -> None:
        self.story.transitions = [t for t in self.story.transitions if t["event_id"] != 3]
        self.assert_fails(6, "event 3: severity is 3")

    def test_told_in_the_row_alone(self) -> None:
        self.replace("events", {"event_id": 3}, notified=2)
        self.assert_fails(6, "event 3: notified is 2", also=(5,))

    def test_two_incidents_at_once(self) -> None:
        self.story.transitions.append(s.transition(4, 1, 40, "opened", 0, 3, 0, 76, 2))
        self.story.events.append({**s.event(4, 40, 4, 3, 0, 76, None, None, "", 1, 72.8, 2)})
        self.assert_fails(6, "site 40 had events 3 and 4 open at once")


class DriftTest(JudgeCase):
    """7: the columns say what the incidents say."""

    def test_down_after_its_end(self) -> None:
        self.story.transitions.append(s.transition(3, 2, 40, "probe_cleared", 3, 0, 0, 76, 2,
                                                   ended=1))
        self.replace("events", {"event_id": 3}, severity=0, ended_at_ms=s.ms(76), last_seq=2,
                     end_reason="probe_cleared")
        self.assert_fails(7, "site 40 (bucket 4) has site_status 0, no open event says 1")

    def test_more_than_it_seems(self) -> None:
        self.story.sites[40] = dataclasses.replace(self.story.sites[40], status=2)
        self.assert_fails(7, "event 3 says 0")


class ExecutionTest(JudgeCase):
    """8: what changes was asked for."""

    def test_two_ranges_of_one_host(self) -> None:
        self.replace("locks", {"epoch": 2}, owner_host="monitor-a")
        self.assertTrue(any("monitor-a held epochs 1 and 2 at once" in text
                            for text in self.broken()[8]))

    def test_a_bucket_granted_twice(self) -> None:
        self.replace("locks", {"epoch": 2}, bucket_min=3)
        self.assertTrue(any("epochs 1 and 2 held buckets of 3-7 at once" in text
                            for text in self.broken()[8]))

    def test_a_token_used_before_it_was_given(self) -> None:
        self.replace("tokens", {"job_id": "job_seed_1"}, created_at_ms=s.ms(16.5))
        self.assert_fails(8, "used outside of its time")

    def test_a_token_of_another_run(self) -> None:
        self.replace("tokens", {"job_id": "job_release_1"}, run_id=s.RUN_B)
        self.assert_fails(8, "of another run_id")

    def test_a_token_for_another_deed(self) -> None:
        self.replace("tokens", {"job_id": "job_release_1"}, operation="seed")
        self.assert_fails(8, "of another operation")

    def test_an_activation_that_failed_and_holds(self) -> None:
        self.replace("jobs", {"job_id": "job_activate_2"}, state="failed")
        self.assert_fails(8, "was acknowledged, and its activation failed")

    def test_an_activation_that_was_undone_before_it_looked(self) -> None:
        """No fault, but where the release came later than the job's end."""
        self.replace("jobs", {"job_id": "job_activate_1"}, state="failed", finished_at_ms=s.ms(59.5))
        self.assert_ok()
        self.replace("jobs", {"job_id": "job_activate_1"}, finished_at_ms=s.ms(40))
        self.assert_fails(8, "was acknowledged, and its activation failed")

    def test_an_activation_that_completed_too_soon(self) -> None:
        self.replace("jobs", {"job_id": "job_activate_2"}, finished_at_ms=s.ms(31.4))
        self.assert_fails(8, "completed before its owner had acknowledged")

    def test_a_release_that_completed_too_soon(self) -> None:
        self.replace("jobs", {"job_id": "job_release_1"}, finished_at_ms=s.ms(59.9))
        self.assert_fails(8, "its release job completed before it was v1's")

    def test_a_grant_without_a_tenure(self) -> None:
        self.story.tenures = [t for t in self.story.tenures if t["epoch"] == 1]
        self.assert_fails(8, "epoch 2 has no record of who was granted it", also=(1, 3))

    def test_a_tenure_of_another_host(self) -> None:
        self.replace("tenures", {"epoch": 1}, owner_host="monitor-b")
        self.assert_fails(8, "epoch 1 of monitor-a was held by monitor-b")

    def test_a_take_over_after_the_release(self) -> None:
        self.story.tenures.append(s.tenure(self.story.locks[0], 70, "i-monitor-a-2"))
        self.assertTrue(any("epoch 1 was taken over by i-monitor-a-2 after its release" in text
                            for text in self.broken()[8]))

    def test_a_take_over_that_the_range_does_not_know(self) -> None:
        self.story = f.taken_over_story()
        self.replace("locks", {"epoch": 2}, owner_instance="i-monitor-b")
        self.assertTrue(any("epoch 2 belongs to i-monitor-b, and i-monitor-b-2 had it last" in text
                            for text in self.broken()[8]))

    def test_a_bucket_that_stayed_behind(self) -> None:
        self.replace("buckets", {"bucket_no": 1}, pool="api")
        self.assert_fails(8, "bucket 1 belongs to None (api) without a range lock")

    def test_v1_is_started_for_what_v2_holds(self) -> None:
        self.story.v1_switches.append(V1Switch(s.ms(55), "v1_started", 4, 7))
        self.assert_fails(8, "v1 was started for 4-7 at 1790000055000, while monitor-b held 4-7",
                          also=(2,))


class CountTest(unittest.TestCase):
    def test_there_are_enough(self) -> None:
        """Every test here but this one refuses a story."""
        cases = [case for case in globals().values()
                 if isinstance(case, type) and issubclass(case, JudgeCase)]
        stories = [name for case in cases for name in vars(case) if name.startswith("test_")]
        self.assertEqual(len(stories), len(set(stories)), "a name hides another")
        self.assertGreaterEqual(len(stories), LEAST)


if __name__ == "__main__":
    unittest.main()
