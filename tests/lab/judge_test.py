"""The judge passes a clean story, and fails on each that was doctored. More of them: judge_*_test."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
from judge_case import JudgeCase, failed  # noqa: E402
from judging.story import Alert, Sender, Span  # noqa: E402


class JudgeTest(JudgeCase):
    def test_clean_story_passes(self) -> None:
        self.assertEqual(failed(self.story), {})

    # --- 1
    def test_overlap_of_v1(self) -> None:
        self.story.requests += s.checks(s.V1, range(3, 4), 30, 40)
        self.assert_fails(1, "v1 asked for site 3 (bucket 0)")

    def test_v1_after_its_stop(self) -> None:
        self.story.requests.append(s.request(20.5, s.V1, 3))
        self.assert_fails(1, "after it had acknowledged its stop")

    def test_check_before_activation(self) -> None:
        self.story.requests.append(s.request(20.5, s.A, 3))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_check_before_acknowledgement(self) -> None:
        self.story.requests.append(s.request(21.3, s.A, 3))
        self.assert_fails(1, "before it had acknowledged")

    def test_check_after_release(self) -> None:
        self.story.requests.append(s.request(60.2, s.A, 3))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_check_after_drain(self) -> None:
        self.story.requests.append(s.request(59.9, s.A, 3))
        self.assert_fails(1, "after it had drained")

    def test_other_monitor(self) -> None:
        self.story.requests.append(s.request(40, s.B, 3))
        self.assert_fails(1, "while monitor-a held it")

    def test_two_instances_by_turns(self) -> None:
        self.story.senders["127.0.1.13"] = Sender("monitor-a-2", "monitor", "monitor-a")
        s.start(self.story, "monitor-a-2", 211, 30)
        for request in [s.request(40, "127.0.1.13", 3), s.request(45, "127.0.1.13", 3)]:
            self.story.requests.append(request)
        self.assert_fails(1, "as instance i-monitor-a-2 while i-monitor-a held it", also=(2,))

    def test_monitor_with_the_agent_of_v1(self) -> None:
        self.story.requests.append(
            dataclasses.replace(s.request(40, s.A, 3), agent="jetmon/1.0 (x)"))
        self.assert_fails(1, "jetmon/1.0", also=(2,))

    def test_confirmation_without_event(self) -> None:
        self.story.requests.append(s.request(40, s.VERIFLIER, 3))
        self.assert_fails(1, "outside of an open event")

    def test_confirmation_after_the_release(self) -> None:
        self.story.requests.append(s.request(62, s.VERIFLIER, 2))
        self.assert_fails(1, "while no Monitor held it")

    def test_probe_outside_of_a_job(self) -> None:
        self.story.requests.append(s.request(50, s.CONTROL, 3))
        self.assert_fails(1, "outside of a smoke")

    def test_comparison_before_its_job(self) -> None:
        self.story.requests.append(s.request(9.5, s.CONTROL, 4))
        self.assert_fails(1, "outside of a smoke")

    def test_comparison_after_its_job_while_v2_is_active(self) -> None:
        self.story.requests.append(s.request(66.5, s.CONTROL, 41))
        self.assert_fails(1, "outside of a smoke")

    def test_comparison_of_another_range(self) -> None:
        self.story.requests.append(s.request(65.5, s.CONTROL, 4))
        self.assert_fails(1, "outside of a smoke")

    def test_unknown_sender(self) -> None:
        self.story.requests.append(s.request(50, "127.0.1.99", 3))
        self.assert_fails(1, "127.0.1.99")

    # --- 2
    def test_gap(self) -> None:
        self.drop(s.A, 7, 30, 40)
        self.assert_fails(2, "site 7 (bucket 0) of monitor-a went unchecked")

    def test_gap_at_the_end(self) -> None:
        self.drop(s.B, 41, 70, 80)
        self.assert_fails(2, "site 41")

    def test_never_checked(self) -> None:
        self.drop(s.B, 50, 0, 80)
        self.assert_fails(2, "was never checked")

    def test_first_check_late(self) -> None:
        self.drop(s.A, 20, 20, 28)
        self.assert_fails(2, "first checked")

    def test_first_checks_in_a_burst(self) -> None:
        self.add_sites(range(100, 200))
        for i in range(100, 200):
            self.story.requests += s.checks(s.B, range(i, i + 1), 31.6, s.END_S)
        self.assert_fails(2, "one fifth")

    def test_gap_of_a_dead_owner_is_excused(self) -> None:
        self.drop(s.A, 7, 30, 40)
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.A and s.ms(29) < r.at_ms < s.ms(33))]
        self.story.faults.append(Span(s.ms(29), s.ms(33), "monitor-a", "paused"))
        self.assertEqual(failed(self.story), {})
        self.story.faults = [Span(s.ms(25), s.ms(29), "monitor-b", "paused")]
        self.assert_fails(2, "site 7")

    def test_gap_while_the_machine_stalled_is_excused(self) -> None:
        self.drop(s.A, 7, 30, 34)
        self.assert_fails(2, "site 7")
        self.story.stalls.append(Span(s.ms(30), s.ms(35)))
        self.assertEqual(failed(self.story), {})

    def test_gap_of_an_edited_site_is_excused(self) -> None:
        self.drop(s.A, 7, 30, 40)
        self.story.edits[7] = [s.ms(29)]
        self.assertEqual(failed(self.story), {})

    # --- 3
    def test_smoke_writes_history(self) -> None:
        self.story.history.append({**s.history(3, 0, 15, 1), "source": "controlplane"})
        self.assert_fails(3, "during smoke job_smoke_1")

    def test_comparison_writes_freshness(self) -> None:
        self.story.runtime.append({"site_id": 4, "bucket_no": 0, "last_checked_at_ms": s.ms(10.6)})
        self.assert_fails(3, "during compare_methods job_compare_1")

    def test_freshness_without_a_check(self) -> None:
        self.story.sites[65] = dataclasses.replace(self.story.sites[33], site_id=65, active=False)
        self.story.runtime.append({"site_id": 65, "bucket_no": 4, "last_checked_at_ms": s.ms(40)})
        self.assert_fails(3, "that no Monitor made")

    def test_smoke_writes_freshness(self) -> None:
        self.story.runtime.append({"site_id": 40, "bucket_no": 4, "last_checked_at_ms": s.ms(25)})
        self.assert_fails(3, "during smoke job_smoke_2")

    # --- 4
    def test_adoption_notifies(self) -> None:
        self.story.notifications.append(s.notification(1, "down", 1, 0, 16.5))
        self.assert_fails(4, "ntf_1_down comes from no confirmation", also=(5,))

    def test_adoption_marked_as_queued(self) -> None:
        self.replace("transitions", {"reason": "adopted"}, notified=1)
        self.assert_fails(4, "adopted queued a notification", also=(6,))

    def test_delivery_of_nothing(self) -> None:
        self.story.deliveries.append("ntf_9_down")
        self.assert_fails(4, "ntf_9_down")

    # --- 5
    def test_double_notification(self) -> None:
        again = dict(s.notification(2, "down", 2, 0, 46.2), notification_id="ntf_2_down_again")
        self.story.notifications.append(again)
        self.assert_fails(5, "event 2 has 2 down")

    def test_up_without_down(self) -> None:
        self.replace("transitions", {"reason": "adopted"}, notified=0)
        self.replace("transitions", {"reason": "recovered"}, notified=0)
        self.replace("events", {"event_id": 1}, notified=0)
        self.assert_fails(5, "nobody was told a down")

    def test_both_versions_tell(self) -> None:
        self.story.v1_alerts.append(Alert(s.ms(65), 2, 2))
        self.assert_fails(5, "site 2: people heard down twice, from v2 and v1")

    def test_notification_of_no_event(self) -> None:
        self.story.notifications.append(s.notification(77, "down", 9, 1, 46))
        self.assert_fails(5, "event 77", also=(4,))

    # --- 6
    def test_transition_missing(self) -> None:
        self.story.transitions = [t for t in self.story.transitions
                                  if (t["event_id"], t["seq"]) != (2, 1)]
        self.assert_fails(6, "event 2: transition 1 is missing")

    def test_transition_from_another_severity(self) -> None:
        self.replace("transitions", {"event_id": 2, "seq": 2}, from_severity=2)
        self.assert_fails(6, "starts from severity 2")

    def test_event_row_differs(self) -> None:
        self.replace("events", {"event_id": 3}, severity=4)
        self.story.sites[40] = dataclasses.replace(self.story.sites[40], status=2)
        self.assert_fails(6, "event 3: severity is 4")

    def test_confirmed_at_another_time(self) -> None:
        self.replace("events", {"event_id": 2}, confirmed_at_ms=s.ms(47))
        self.assert_fails(6, "event 2: confirmed_at_ms")

    def test_transition_after_the_end(self) -> None:
        self.story.transitions.append(s.transition(1, 3, 1, "opened", 0, 3, 2, 36, 1))
        self.assert_fails(6, "comes after its end")

    def test_event_row_missing(self) -> None:
        self.story.events = [e for e in self.story.events if e["event_id"] != 3]
        self.story.sites[40] = dataclasses.replace(self.story.sites[40], status=1)
        self.assert_fails(6, "transitions of event 3", also=(3,))

    # --- 7
    def test_drift_without_an_event(self) -> None:
        self.story.sites[41] = dataclasses.replace(self.story.sites[41], status=2)
        self.assert_fails(7, "site 41")

    def test_drift_of_an_open_event(self) -> None:
        self.story.sites[40] = dataclasses.replace(self.story.sites[40], status=1)
        self.assert_fails(7, "event 3 says 0")

    def test_drift_of_the_time(self) -> None:
        self.story.sites[40] = dataclasses.replace(self.story.sites[40], status_change="other")
        self.assert_fails(7, "last_status_change")

    def test_v1_sites_do_not_drift(self) -> None:
        self.story.sites[9] = dataclasses.replace(self.story.sites[9], status=2)
        self.assertEqual(failed(self.story), {})

    # --- 8
    def test_activation_without_token(self) -> None:
        self.replace("tokens", {"job_id": "job_activate_1"}, consumed_at_ms=0)
        self.assert_fails(8, "activate_buckets job_activate_1 was started by 0 tokens")

    def test_expired_token(self) -> None:
        self.replace("tokens", {"job_id": "job_seed_1"}, expires_at_ms=s.ms(1))
        self.assert_fails(8, "outside of its time")

    def test_token_of_another_key(self) -> None:
        self.replace("tokens", {"job_id": "job_seed_1"}, key_id="key_2")
        self.assert_fails(8, "of another key_id")

    def test_token_of_another_range(self) -> None:
        self.replace("tokens", {"job_id": "job_release_1"}, bucket_max=2)
        self.assert_fails(8, "of another bucket_max")

    def test_one_token_used_twice(self) -> None:
        self.replace("tokens", {"job_id": "job_seed_1"}, job_id="job_activate_1")
        self.assert_fails(8, "by 2 tokens")

    def test_range_lock_out_of_nothing(self) -> None:
        self.replace("locks", {"epoch": 2}, activate_job_id="")
        self.assert_fails(8, "granted by no activation")

    def test_released_by_nobody(self) -> None:
        self.replace("locks", {"epoch": 1}, release_job_id="")
        self.assert_fails(8, "without a release")

    def test_bucket_without_range(self) -> None:
        self.replace("buckets", {"bucket_no": 2}, owner_host="monitor-b", pool="api")
        self.assert_fails(8, "bucket 2 belongs to 'monitor-b'")

    def test_bucket_and_range_differ(self) -> None:
        self.replace("buckets", {"bucket_no": 5}, epoch=1)
        self.assert_fails(8, "bucket 5 has epoch 1")

    def test_overlapping_grants(self) -> None:
        self.story.locks.append(dict(self.story.locks[1], epoch=3, bucket_min=5))
        self.assert_fails(8, "held by epochs [2, 3]")

    def test_target_without_seed(self) -> None:
        self.replace("targets", {"site_id": 3}, updated_at_ms=s.ms(2))
        self.assert_fails(8, "written by no seed")

    def test_adoption_outside_of_a_seed(self) -> None:
        self.replace("transitions", {"reason": "adopted"}, at_ms=s.ms(10))
        self.assert_fails(8, "outside of any seed", also=(3,))

    def test_execution_without_audit(self) -> None:
        self.story.audit = [r for r in self.story.audit if r["operation"] != "RolloutService/Seed"]
        self.assert_fails(8, "no row of its own is in the audit")


class PartTest(JudgeTest):
    """A part of a range went back to v1: the cases above hold there too, and these."""

    def setUp(self) -> None:
        self.story = s.parted_story()

    def test_check_of_the_part_after_it_drained(self) -> None:
        self.story.requests.append(s.request(59.9, s.B, 50))
        self.assert_fails(1, "site 50 (bucket 6) at 1790000059900 after it had drained")

    def test_check_of_the_part_after_its_release(self) -> None:
        self.story.requests.append(s.request(65, s.B, 50))
        self.assert_fails(1, "while nobody of v2 held it")

    def test_v1_checks_the_part_before_it_was_released(self) -> None:
        self.story.requests.append(s.request(59.95, s.V1, 50))
        self.assert_fails(1, "v1 asked for site 50 (bucket 6)")

    def test_v1_checks_the_rest(self) -> None:
        self.story.requests.append(s.request(65, s.V1, 35))
        self.assert_fails(1, "while monitor-b held it")

    def test_the_rest_is_not_checked_while_the_part_drains(self) -> None:
        self.drop(s.B, 35, 57, 66)
        self.assert_fails(2, "site 35 (bucket 4) of monitor-b went unchecked")

    def test_the_part_is_not_checked_before_it_drains(self) -> None:
        self.drop(s.B, 50, 45, 59)
        self.assert_fails(2, "site 50 (bucket 6) of monitor-b went unchecked")

    def test_a_confirmation_in_the_part_after_its_release(self) -> None:
        self.story.requests.append(s.request(65, s.VERIFLIER, 50))
        self.assert_fails(1, "while no Monitor held it")

    def test_a_write_about_the_part_after_its_release(self) -> None:
        self.story.history.append(s.history(50, 6, 65, 2))
        self.assert_fails(3, "history of site 50")

    def test_a_part_that_left_without_a_release(self) -> None:
        self.replace("parts", {"epoch": 2}, job_id="job_seed_2")
        self.assert_fails(8, "part 6-7 of epoch 2 left without a release")

    def test_a_part_released_by_the_job_of_another_range(self) -> None:
        self.replace("jobs", {"job_id": "job_release_part"}, bucket_min=5)
        self.replace("tokens", {"job_id": "job_release_part"}, bucket_min=5)
        self.assert_fails(8, "released by a job of 5-7")

    def test_a_job_that_completed_before_the_part_was_free(self) -> None:
        self.replace("jobs", {"job_id": "job_release_part"}, finished_at_ms=s.ms(59.9))
        self.assert_fails(8, "completed before it was v1's")

    def test_a_part_out_of_the_middle(self) -> None:
        self.replace("locks", {"epoch": 2}, bucket_max=4)
        self.replace("buckets", {"bucket_no": 5}, owner_host=None, pool="v1", epoch=0)
        self.assertIn(8, failed(self.story))
        self.assertTrue(any("was granted 4-7, and has 4-4, 6-7" in text
                            for text in failed(self.story)[8]))

    def test_a_part_that_is_on_its_way(self) -> None:
        # Its range row has it still; its buckets say what its own row says.
        self.replace("locks", {"epoch": 2}, bucket_max=7)
        self.replace("parts", {"epoch": 2}, state="draining", drained=0, drained_at_ms=0,
                     released_at_ms=0)
        self.replace("jobs", {"job_id": "job_release_part"}, state="running", finished_at_ms=0)
        self.story.requests = [r for r in self.story.requests
                               if not (r.source == s.V1 and r.site_id >= 49 and r.at_ms > s.ms(60))]
        self.story.v1_switches.pop()
        for bucket in (6, 7):
            self.replace("buckets", {"bucket_no": bucket}, owner_host="monitor-b", pool="api",
                         owner_instance="i-monitor-b", epoch=2, state="draining")
        self.assertEqual(failed(self.story), {})
        self.replace("buckets", {"bucket_no": 7}, state="active")
        self.assert_fails(8, "bucket 7 has state 'active'")


if __name__ == "__main__":
    unittest.main()
