"""Of invariant 9: who watched, and how long a fault, a hold or a release excuses. Each story is shown
with what excuses it, and refused without, or the other way round."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_people as p  # noqa: E402
from judge_case import PeopleCase  # noqa: E402
from judging.story import FOREVER, Decided, Site, Span, Tell  # noqa: E402
from judging.watch import extended  # noqa: E402

B2 = "127.0.1.31"
UNTOLD = "went down at 1790000400000 for"


class ExtendedTest(unittest.TestCase):
    def test_what_lies_in_spans_does_not_count(self) -> None:
        self.assertEqual(extended(10, 5, []), 15)
        self.assertEqual(extended(10, 5, [Span(0, 9), Span(15, 20)]), 15)
        self.assertEqual(extended(10, 5, [Span(0, 12)]), 17)
        self.assertEqual(extended(10, 5, [Span(11, 14), Span(12, 13), Span(16, 18)]), 20)
        self.assertEqual(extended(10, 5, [Span(12, FOREVER)]), FOREVER)
        self.assertEqual(extended(FOREVER, 5, [Span(12, 20)]), FOREVER)


class FaultTest(PeopleCase):
    def test_the_database_was_away(self) -> None:
        self.say_later(410, 8, 38)
        self.assert_refused(UNTOLD)
        self.fault("database", "killed", 404, 430)
        self.assert_taken()

    def test_the_database_was_away_under_v1(self) -> None:
        self.silence(1)
        self.assert_refused("went down at 1790000020000")
        self.fault("database", "killed", 22, 40)
        self.assert_taken()

    def test_two_faults_one_in_the_other(self) -> None:
        self.say_later(410, 8, 70)
        self.fault("database", "killed", 404, 460)
        self.assert_taken()
        self.fault("monitor-b", "paused", 420, 421)
        self.assert_taken()

    def kill_b(self, again_s: float | None) -> None:
        """monitor-b is killed at 404; its successor checks from then on."""
        self.fault("monitor-b", "killed", 404, FOREVER if again_s is None else again_s)
        self.story.end_ms = s.ms(800)
        self.succeed("monitor-b-2", "monitor-b", B2, 406)
        later = () if again_s is None else ((B2, again_s, 800),)
        self.watched(*p.WATCH[:3], (s.B, 363, 404), *later)
        for second, site_id in ((438, 7), (448, 18)):
            self.unsay(second, site_id)
            self.play(site_id, (90, "down"))
        self.silence(7)
        self.silence(18)
        self.say(98, 7, "v1", 0)
        self.say(98, 18, "v1", 0)
        self.unsay(410, 8)

    def test_the_owner_was_killed(self) -> None:
        """Its successor holds its tells, as after an activation."""
        self.kill_b(450)
        self.say(484, 8, "v2", 2)
        self.assert_taken()

    def test_the_successor_tells_too_late(self) -> None:
        self.kill_b(450)
        self.say(500, 8, "v2", 2)
        self.assert_refused("people were told at 1790000500000, v2 ought to have by 1790000487000")

    def test_the_successor_does_not_take_it_over(self) -> None:
        self.kill_b(None)
        self.assert_refused("nobody was told, v2 ought to have by 17900004")

    def test_the_dead_has_no_successor(self) -> None:
        self.kill_b(None)
        self.story.starts.pop()
        self.assert_taken()

    def test_a_successor_of_another_host_is_none(self) -> None:
        self.kill_b(None)
        self.story.senders[B2] = dataclasses.replace(self.story.senders[B2], host="monitor-a")
        self.assert_taken()

    def test_what_was_due_before_it_was_killed(self) -> None:
        self.fault("monitor-b", "killed", 418, FOREVER)
        self.watched(*p.WATCH[:3], (s.B, 363, 418))
        self.silence(7, 420)
        self.silence(18, 420)
        self.unsay(410, 8)
        self.assert_refused(UNTOLD)

    def test_a_pause_between_two_checks_is_no_release(self) -> None:
        self.unsay(410, 8)
        self.watched(*p.WATCH[:3], (s.B, 363, 430), (s.B, 470, p.END_S))
        self.fault("monitor-b", "paused", 430, 470)
        self.assert_refused(UNTOLD)

    def test_a_stall_between_two_checks_is_no_release(self) -> None:
        self.unsay(410, 8)
        self.watched(*p.WATCH[:3], (s.B, 363, 430), (s.B, 470, p.END_S))
        self.story.stalls.append(Span(s.ms(430), s.ms(470)))
        self.assert_refused(UNTOLD)

    def test_a_gap_without_a_database_is_no_release(self) -> None:
        self.unsay(410, 8)
        self.watched(*p.WATCH[:3], (s.B, 363, 430), (s.B, 470, p.END_S))
        self.fault("database", "killed", 430, 460)
        self.assert_refused(UNTOLD)

    def test_a_fault_of_before_makes_no_gap(self) -> None:
        """It was released at 412 s, and taken again."""
        self.watched(*p.WATCH[:3], (s.B, 363, 412), (s.B, 440, p.END_S))
        self.fault("monitor-b", "paused", 370, 371)
        self.say_later(410, 8, 60)
        self.say_later(438, 7, 30)
        self.say_later(448, 18, 20)
        self.assert_taken()

    def test_the_receiver_was_away_for_long(self) -> None:
        """The next attempt comes after as long as all before it."""
        self.say_later(410, 8, 70)
        self.fault("receiver", "killed", 412, 442)
        self.assert_taken()
        self.story.faults.clear()
        self.fault("receiver", "killed", 412, 422)
        self.assert_refused(UNTOLD)

    def test_the_receiver_was_away_under_v1(self) -> None:
        self.silence(16, 0, 70)
        self.assert_refused("went down at 1790000005000")
        self.say(52, 16, "v1", 0)
        self.story.written.append(p.wrote(54, 16, 0))
        self.assert_refused("people were told at 1790000052000, v1 ought to have by")
        self.fault("receiver", "killed", 10, 24)
        self.assert_taken()


class HandOffTest(PeopleCase):
    def test_an_up_that_waited_comes_when_it_is_down_again(self) -> None:
        self.play(2, (60, "down"), (104, "up"), (111, "down"), (170, "up"))
        self.say(134, 2, "v2", 1)
        self.say(137, 2, "v2", 2)
        self.assert_taken()

    def test_an_up_that_waited_for_nothing(self) -> None:
        """The same long after the hold."""
        self.play(2, (60, "down"), (200, "up"), (207, "down"))
        self.unsay(178, 2)
        self.say(230, 2, "v2", 1)
        self.assert_refused("v2 told up at 1790000230000, and the site was down")

    def test_v1_tells_while_it_stops(self) -> None:
        """What its last check had found, though the site was up then."""
        self.play(1, (70, "down"), (99, "up"))
        self.silence(1)
        self.say(119, 1, "v1", 0)
        self.story.written.append(p.wrote(121, 1, 0))
        self.say(137, 1, "v2", 1)
        self.assert_refused("v1 ought to have by 1790000085250")
        self.play(1, (87, "down"), (99, "up"))
        self.assert_taken()
        self.say_later(119, 1, 6)
        self.assert_refused("v1 told down at 1790000125000, and the site had been seen up before")

    def test_v1_tells_again_just_after_its_second_stop(self) -> None:
        self.play(4, (150, "down"))
        self.unsay(303, 4)
        self.story.written = [w for w in self.story.written if w.key != p.key(4)]
        self.say(370, 4, "v1", 0)
        self.assert_refused("heard down from v2 at 1790000158000, and again from v1 at 1790000370000")

    def test_v1_strays_long_after_its_second_stop(self) -> None:
        self.say(470, 8, "v1", 0)
        self.assert_taken("1 that nobody could know")

    def test_v2_cannot_know_what_v1_strays_into(self) -> None:
        self.say(409, 8, "v1", 0)
        self.assert_taken("1 that nobody could know")

    def test_a_decision_of_another_site_or_time(self) -> None:
        self.say(276, 4, "v1", 0)
        self.story.decided += [Decided(s.ms(258), p.key(6), 2, False),
                               Decided(s.ms(100), p.key(4), 2, False),
                               Decided(s.ms(280), p.key(4), 2, False)]
        self.assert_refused("heard down from v2 at 1790000158000, and again from v1")

    def test_the_operator_confirms_what_people_know(self) -> None:
        self.story.decided.append(Decided(s.ms(258), p.key(4), 2, True))
        self.assert_taken()

    def test_the_run_ends_in_a_release(self) -> None:
        """monitor-b was muted at 465 s, or had been killed: then it ought to have told before."""
        self.unsay(410, 8)
        self.silence(18, 440)
        self.play(18, (90, "down"))
        self.play(8, (455, "down"))
        self.story.end_ms = s.ms(560)
        self.watched(*p.WATCH[:3], (s.B, 363, 485))
        self.assert_taken()
        self.fault("monitor-b", "killed", 486, FOREVER)
        self.assert_refused("went down at 1790000455000")

    def test_the_control_plane_keeps_a_hand_off_waiting(self) -> None:
        self.story.end_ms = s.ms(600)
        self.watched(*p.WATCH[:3])
        for site_id in (7, 8, 18):
            self.silence(site_id, 361)
            self.play(site_id, (310, "down"))
        self.silence(18)
        self.say(320, 8, "v1", 0)
        self.say(320, 18, "v1", 0)
        self.play(3, (95, "down"), (200, "up"), (365, "down"))
        self.assert_refused("went down at 1790000365000 for 235.0 s, and nobody was told, v2 ought")
        self.fault("controlplane", "killed", 362, 590)
        self.assert_taken()

    def test_another_host_takes_it_without_v1_between(self) -> None:
        """What was to be told is muted with the first, and begins anew with the second."""
        self.watched(*p.WATCH[:3], (s.B, 363, 412), (s.A, 414, p.END_S))
        self.say_later(410, 8, 37)
        self.say_later(438, 7, 10)
        self.assert_taken()

    def test_a_rehearsal_of_buckets_that_were_never_v1s(self) -> None:
        self.story.sites[30] = Site(30, 9, "http://127.0.0.1:18080/s/30", s.INTERVAL_S,
                                    blog_id=100_030)
        self.story.requests += p.checks_of(30, ((s.A, 103, 260),))
        self.say(136, 30, "v2", 1)  # the column had said 0
        self.assert_taken()
        self.story.states += [p.state(150, 30, "down"), p.state(200, 30, "up")]
        self.assert_refused("site 30 (blog 100030, http://127.0.0.1:18080/s/30): it went down")


class ColumnTest(PeopleCase):
    """What v1 and v2 know, they know by the column."""

    def test_v1_reads_an_old_column(self) -> None:
        self.play(5, (238, "down"), (275, "up"))
        self.say_later(313, 5, -11)
        self.assert_refused("people were told at 1790000302000, v1 ought to have by")
        self.story.replica_lag_ms = 15_000
        self.assert_taken()

    def test_the_column_still_says_down(self) -> None:
        """v1's up was never written: v2 takes the next outage for one that people know."""
        self.play(16, (5, "down"), (88, "up"), (150, "down"), (230, "up"))
        self.say(240, 16, "v2", 1)
        self.assert_refused("went down at 1790000150000")
        self.unwrite(94, 16)
        self.assert_taken("1 that nobody could know")

    def test_v1_finds_its_own_down_in_the_column(self) -> None:
        """Its up is not written yet when the site fails again."""
        self.play(16, (5, "down"), (90, "up"), (94, "down"), (97, "up"))
        self.unwrite(94, 16)
        self.story.written.append(p.wrote(97.5, 16, 1))
        self.say(95, 16, "v1", 2)
        self.say(98, 16, "v1", 1)
        self.assert_taken("still down 2")

    def test_a_down_is_written_late(self) -> None:
        """v1 ends it when it can know."""
        self.play(1, (20, "down"), (36, "up"))
        self.unsay(35, 1)
        self.unwrite(37, 1)
        self.story.written.append(p.wrote(34, 1, 0))
        self.say_later(52, 1, 3)
        self.assert_refused("people were told at 1790000055000, v1 ought to have by")
        self.story.receiver_delay_ms = 15_000
        self.unwrite(34, 1)
        self.story.written.append(p.wrote(44, 1, 0))
        self.assertFalse(any("site 1 (" in text for text in self.violations()))

    def test_down_since_before_the_first_check(self) -> None:
        """v1 had it then, so nobody had been told before."""
        self.play(19, (0, "down"), (90, "up"))
        self.assert_refused("went down at 1790000000000 for 90.0 s, and nobody was told, v1 ought")

    def test_nobody_ever_checks_it(self) -> None:
        self.story.requests = [r for r in self.story.requests if r.site_id != 19]
        self.play(19, (50, "down"), (90, "up"))  # v1 may not read it
        self.assert_taken()
        self.play(19, (50, "down"))
        self.story.end_ms = s.ms(540)
        self.assert_refused("went down at 1790000050000 for 490.0 s, and nobody was told, v2 ought")

    def test_a_short_outage_before_the_log_begins(self) -> None:
        self.play(19, (-5, "down"), (2, "up"))
        self.assert_taken()


class SubjectTest(PeopleCase):
    def test_a_url_that_v1_cannot_tell_of(self) -> None:
        for number, end in ((19, "?x=\u00e9"), (20, "?x= y")):
            url = self.story.sites[number].url + end
            self.story.sites[number] = dataclasses.replace(self.story.sites[number], url=url)
            self.play(number, (20, "down"), (90, "up"), (150, "down"), (300, "up"))
            for second, status in ((158, 2), (390, 1)):  # the end, when v2 has it again
                self.story.people.append(Tell(s.ms(second), "v2", (100_000 + number, url), status,
                                              f"ntf_{number}_{second}"))
        self.assert_taken()
        self.story.people.append(Tell(s.ms(170), "v2", (100_020, url), 2, "again"))
        self.assert_refused("heard down from v2 at 1790000158000, and again from v2")

    def test_a_site_that_was_edited(self) -> None:
        self.say_later(410, 8, 60)
        self.story.edits[8] = [s.ms(398)]
        self.assert_taken()
        self.story.edits[8] = [s.ms(300)]
        self.assert_refused(UNTOLD)

    def test_a_site_that_was_switched_off(self) -> None:
        self.silence(8)
        self.story.sites[8] = dataclasses.replace(self.story.sites[8], active=False)
        self.assert_taken()
        self.say(410, 8, "v2", 2)
        self.assert_refused("which is inactive")
        self.story.edits[8] = [s.ms(450)]
        self.assert_taken("1 left out")

    def test_the_site_of_an_edited_row_is_judged_on(self) -> None:
        self.story.edits[8] = [s.ms(300)]
        self.say(470, 8, "v2", 2)
        self.assert_refused("heard down from v2 at 1790000410000, and again from v2")

    def test_down_for_v1_alone(self) -> None:
        self.story.states += [p.state(20, 19, "down", s.V1), p.state(60, 19, "up")]
        self.say(35, 19, "v1", 0)
        self.say(62, 19, "v1", 1)
        self.assert_taken()

    def test_it_fails_in_another_way_meanwhile(self) -> None:
        """One outage, which takes as long as a silent one's."""
        self.play(8, (400, "down"), (403, "never"), (410, "down"))
        self.say_later(410, 8, 14)
        self.assert_taken()
        self.say_later(424, 8, 10)
        self.assert_refused(UNTOLD)

    def test_slow_from_some_time_on(self) -> None:
        """Until then it was plainly down."""
        self.play(6, (150, "down"), (180, "slow"), (240, "up"))
        self.say(170, 6, "v2", 1, tell_id="ntf_early")
        self.assert_refused("v2 told up at 1790000170000, and the site was down")


if __name__ == "__main__":
    unittest.main()
