"""Invariant 9: stories of people who hear too much or too little, each of which is refused, and of
what is no fault of v2's, which is taken."""
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
from judging.story import Decided, Span, Tell, V1Switch  # noqa: E402

LEAST_REFUSED, LEAST_TAKEN = 30, 10


class TwiceTest(PeopleCase):
    """People hear something again that they know."""

    def test_v2_tells_what_v1_had_told_before_the_activation(self) -> None:
        self.say(134, 2, "v2", 2)
        self.assert_refused("heard down from v1 at 1790000070000, and again from v2")

    def test_v2_tells_what_v1_told_with_its_last_breath(self) -> None:
        self.say(134, 18, "v2", 0)
        self.assert_refused("site 18 (blog 100018")

    def test_v2_tells_down_under_two_ids(self) -> None:
        self.say(163, 6, "v2", 2)
        self.assert_refused("heard down from v2 at 1790000158000, and again from v2")

    def test_a_successor_tells_down_again(self) -> None:
        """monitor-a is killed, and who takes over begins anew."""
        self.succeed("monitor-a-2", "monitor-a", "127.0.1.31", 172)
        self.fault("monitor-a", "killed", 170, 210)
        self.watched(*p.WATCH[:1], (s.A, 103, 170), ("127.0.1.31", 208, 260), *p.WATCH[2:])
        self.say(220, 4, "v2", 2)
        self.assert_refused("site 4 (blog 100004, http://127.0.0.1:18080/s/4): people heard down "
                            "from v2")

    def test_v1_tells_again_what_v2_had_told(self) -> None:
        """The column was not what v2 had told when the range went back."""
        self.say(276, 4, "v1", 0)
        self.assert_refused("heard down from v2 at 1790000158000, and again from v1")

    def test_v1_tells_again_what_it_told_before_v2_had_it(self) -> None:
        self.say(276, 18, "v1", 0)
        self.assert_refused("heard down from v1 at 1790000098000, and again from v1")

    def test_the_third_rollout_tells_what_v1_had_told(self) -> None:
        self.say(392, 7, "v2", 2)
        self.assert_refused("heard down from v1 at 1790000320000, and again from v2")

    def test_the_third_rollout_tells_what_v1_had_told_before_the_first(self) -> None:
        self.say(392, 18, "v2", 2)
        self.assert_refused("and again from v2 at 1790000392000")

    def test_both_rows_of_a_site_are_told_down_by_v2(self) -> None:
        self.say(158.4, 10, "v2", 2, tell_id="ntf_10_row")
        self.assert_refused("heard down from v2 at 1790000158000, and again from v2")

    def test_both_rows_of_a_site_are_told_up_by_v2(self) -> None:
        self.say(196.4, 10, "v2", 1, tell_id="ntf_10_row")
        self.assert_refused("heard up from v2 at 1790000196000, and again from v2")

    def test_v2_tells_up_after_v1(self) -> None:
        self.say(134, 1, "v2", 1)
        self.assert_refused("heard up from v1 at 1790000052000, and again from v2")

    def test_v1_tells_up_after_v2(self) -> None:
        self.say(266, 6, "v1", 1)
        self.assert_refused("heard up from v2 at 1790000186000, and again from v1")

    def test_v2_does_not_wait_for_the_last_word_of_v1(self) -> None:
        """v1's tell was on its way when v2 told."""
        self.silence(18, 0, 110)
        self.say(116, 18, "v2", 2)
        self.say(118, 18, "v1", 0)
        self.story.written.append(p.wrote(119, 18, 0))
        self.assert_refused("heard down from v2 at 1790000116000, and again from v1")

    def test_an_echo_is_adopted_and_told(self) -> None:
        """What the receiver wrote of v2's own up is taken for a word of v1's."""
        self.say(192, 6, "v2", 1)
        self.assert_refused("heard up from v2 at 1790000186000, and again from v2")


class SwallowedTest(PeopleCase):
    """People hear too little."""

    def test_v1_takes_a_suspicion_of_v2_for_told(self) -> None:
        self.unsay(272, 5)
        self.unsay(313, 5)
        self.assert_refused("nobody was told, v1 ought to have by 1790000279250")

    def test_v1_tells_of_it_an_hour_later_only(self) -> None:
        self.unsay(272, 5)
        self.say(300, 5, "v1", 2)
        self.assert_refused("still down at 1790000300000 of an outage that nobody was told of")

    def test_v2_takes_what_v1_had_seen_for_told(self) -> None:
        """v1 was stopped before it had confirmed it."""
        self.silence(3)
        self.assert_refused("went down at 1790000095000 for 105.0 s, and nobody was told, v2 ought")

    def test_v2_says_nothing_of_an_outage(self) -> None:
        self.unsay(410, 8)
        self.assert_refused("nobody was told, v2 ought to have by 1790000416000")

    def test_an_adopted_outage_ends_in_silence(self) -> None:
        self.unsay(178, 2)
        self.assert_refused("up again at 1790000170000, and nobody was told, v2 ought to have")

    def test_v1s_late_word_is_never_ended(self) -> None:
        """The column said 0 when v2 had found the site up."""
        self.unsay(136, 15)
        self.assert_refused("up again at 1790000101000, and nobody was told, v2 ought to have")

    def test_an_end_is_lost_when_the_range_is_muted(self) -> None:
        """v2 had it as up, wrote 1, and told nobody."""
        self.unsay(266, 17)
        self.assert_refused("up again at 1790000255000, and nobody was told, v1 ought to have")

    def test_the_end_of_what_v2_had_told_is_lost_with_v1(self) -> None:
        self.unsay(303, 4)
        self.assert_refused("up again at 1790000300000, and nobody was told, v1 ought to have")

    def test_the_end_of_what_v1_had_told_is_lost_in_the_third_rollout(self) -> None:
        self.unsay(438, 7)
        self.assert_refused("up again at 1790000430000, and nobody was told, v2 ought to have")

    def test_an_end_during_the_hold_is_lost(self) -> None:
        """It was told by v1, and recovers before v2 tells anything."""
        self.play(2, (60, "down"), (106, "up"))
        self.unsay(178, 2)
        self.assert_refused("up again at 1790000106000, and nobody was told")

    def test_an_end_between_stop_and_activation_is_lost(self) -> None:
        self.play(2, (60, "down"), (101, "up"))
        self.unsay(178, 2)
        self.assert_refused("up again at 1790000101000, and nobody was told")

    def test_the_end_of_what_was_down_from_the_beginning(self) -> None:
        self.unsay(42, 11)
        self.assert_refused("up again at 1790000040000, and nobody was told, v1 ought to have")

    def test_the_end_of_a_short_outage_that_was_told(self) -> None:
        self.say(214, 12, "v2", 2)
        self.assert_refused("up again at 1790000213000, and nobody was told")

    def test_a_site_that_does_not_answer(self) -> None:
        self.silence(14)
        self.assert_refused("went down at 1790000140000 for 70.0 s, and nobody was told")

    def test_the_second_outage_of_two(self) -> None:
        """Its event was taken for the one that had ended."""
        self.play(6, (150, "down"), (180, "up"), (205, "down"))
        self.assert_refused("went down at 1790000205000")

    def test_nobody_checks_what_v1_was_stopped_for(self) -> None:
        self.story.end_ms = s.ms(800)
        self.watched(*p.WATCH[:3])
        self.silence(8)
        self.assert_refused("went down at 1790000400000 for 400.0 s, and nobody was told, v2 ought")

    def test_people_drop_what_they_had_never_heard(self) -> None:
        self.unsay(158, 6)
        self.assert_refused("dropped it as a repeat of what they had never heard: ntf_6_158")

    def test_two_tells_share_an_id(self) -> None:
        told = self.unsay(178, 2)
        self.story.people.append(dataclasses.replace(told, id="ntf_3_134"))
        self.assert_refused("under an id of another tell: ntf_3_134")


class UntrueTest(PeopleCase):
    """People hear what is not so."""

    def test_v2_tells_down_of_a_site_that_never_fails(self) -> None:
        self.say(150, 19, "v2", 2)
        self.assert_refused("v2 told down at 1790000150000, and there had been no outage")

    def test_v2_tells_down_of_a_site_that_was_up_again(self) -> None:
        self.say(240, 6, "v2", 2)
        self.assert_refused("v2 told down at 1790000240000, and the site had been seen up before")

    def test_what_was_over_is_told_when_the_hold_ends(self) -> None:
        """It began and ended while v2 waited; the row was not cancelled."""
        self.play(13, (104, "down"), (113, "up"))
        self.say(137, 13, "v2", 2)
        self.say(140, 13, "v2", 1)
        self.assert_refused("v2 told down at 1790000137000, and the site had been seen up before")

    def test_v1_tells_down_of_a_site_that_is_up(self) -> None:
        self.say(330, 6, "v1", 0)
        self.assert_refused("v1 told down at 1790000330000, and the site had been seen up before")

    def test_a_canary_of_one_veriflier_is_told(self) -> None:
        self.story.states += [p.state(150, 19, "down", s.VERIFLIER), p.state(200, 19, "up")]
        self.say(170, 19, "v2", 2)
        self.say(205, 19, "v2", 1)
        self.assert_refused("and there had been no outage")

    def test_v2_tells_up_while_the_site_is_down(self) -> None:
        self.say(470, 8, "v2", 1)
        self.assert_refused("v2 told up at 1790000470000, and the site was down")

    def test_v2_tells_up_while_it_is_still_down_under_v1(self) -> None:
        self.say_later(303, 4, -20)
        self.assert_refused("v1 told up at 1790000283000, and the site was down")

    def test_an_up_without_a_down(self) -> None:
        self.say(218, 12, "v2", 1)
        self.assert_refused("v2 told up at 1790000218000, and nobody had told a down")

    def test_v1_ends_what_nobody_had_told(self) -> None:
        """v2 left a 0 in the column of a site that it had suspected."""
        self.say(266, 12, "v1", 1)
        self.assert_refused("v1 told up at 1790000266000, and nobody had told a down")

    def test_v1_ends_in_the_middle_of_its_time_what_nobody_had_told(self) -> None:
        self.say(70, 19, "v1", 1)
        self.assert_refused("v1 told up at 1790000070000, and nobody had told a down")

    def test_up_before_down(self) -> None:
        self.say_later(186, 6, -34)
        self.assert_refused("nobody had told a down")

    def test_still_down_of_a_site_that_is_up(self) -> None:
        self.say(330, 16, "v1", 2)
        self.assert_refused("v1 told down at 1790000330000, and the site had been seen up before")

    def test_a_site_that_nobody_has(self) -> None:
        self.story.people.append(Tell(s.ms(150), "v2", (7, "http://elsewhere/"), 2, "ntf_x"))
        self.assert_refused("v2 told of blog 7, http://elsewhere/, which is no site")

    def test_the_url_of_another_blog(self) -> None:
        self.story.people.append(Tell(s.ms(150), "v2", (p.key(3)[0], p.key(4)[1]), 2, "ntf_x"))
        self.assert_refused("which is no site")

    def test_an_inactive_site(self) -> None:
        self.story.sites[19] = dataclasses.replace(self.story.sites[19], active=False)
        self.say(150, 19, "v2", 2)
        self.assert_refused("site 19 (blog 100019, http://127.0.0.1:18080/s/19), which is inactive")

    def test_a_stranger(self) -> None:
        self.say(156, 6, "v3", 2)
        self.assert_refused("who is neither v1 nor v2")

    def test_v2_without_an_id(self) -> None:
        self.unsay(410, 8)
        self.say(410, 8, "v2", 2, tell_id="")
        self.assert_refused("v2 told blog 100008, http://127.0.0.1:18080/s/8 down without an id")


class LateTest(PeopleCase):
    """People hear it too late."""

    def refuse_later(self, second: float, site_id: int, by_s: float, word: str) -> None:
        self.story = p.people_story()
        self.say_later(second, site_id, by_s)
        self.assert_refused(word)

    def test_a_down_of_v2(self) -> None:
        self.refuse_later(410, 8, 10, "people were told at 1790000420000, v2 ought to have by")

    def test_a_down_of_v2_after_the_hold(self) -> None:
        self.refuse_later(134, 3, 6, "people were told at 1790000140000, v2 ought to have by")

    def test_an_up_of_v2(self) -> None:
        self.refuse_later(186, 6, 20, "people were told at 1790000206000, v2 ought to have by")

    def test_an_up_of_what_was_adopted(self) -> None:
        self.refuse_later(178, 2, 40, "people were told at 1790000218000, v2 ought to have by")

    def test_a_down_of_v1_after_the_release(self) -> None:
        self.refuse_later(272, 5, 12, "people were told at 1790000284000, v1 ought to have by")

    def test_an_up_of_v1_after_the_release(self) -> None:
        self.refuse_later(266, 17, 20, "people were told at 1790000286000, v1 ought to have by")

    def test_a_fault_that_had_nothing_to_do_with_it(self) -> None:
        """Of another host, of the control plane; and one that was over long before."""
        for name, begin, end in (("monitor-a", 400, 480), ("controlplane", 400, 480),
                                 ("veriflier-1", 400, 480), ("monitor-b", 370, 380),
                                 ("receiver", 370, 380), ("database", 370, 380)):
            with self.subTest(name):
                self.story = p.people_story()
                self.fault(name, "paused", begin, end)
                self.unsay(410, 8)
                self.assert_refused("nobody was told, v2 ought to have by 1790000416000")


class TakenTest(PeopleCase):
    """What v1 repeats by itself, what nobody could know, and what a fault explains."""

    def test_the_clean_story(self) -> None:
        self.assert_taken("18 outages, 16 long enough to be told; downs: v1 8, v2 7; ups: v1 7, v2 8"
                          "; still down 1; repeats: v2 1 dropped, v1 2 by itself; 0 that nobody")

    def test_v1_repeats_a_down_until_it_is_written(self) -> None:
        for second in (75, 80, 85):
            self.say(second, 2, "v1", 0)
        self.assert_taken("v1 5 by itself")

    def test_confirmations_beyond_the_limit(self) -> None:
        self.say(320.2, 7, "v1", 0)
        self.say(320.4, 7, "v1", 0)
        self.assert_taken("v1 4 by itself")

    def test_twins_are_told_still_down_and_up_twice_by_v1(self) -> None:
        self.play(9, (20, "down"), (90, "up"), (150, "down"), (190, "up"))
        self.unsay(62, 9)
        self.unsay(62.1, 9)
        for second, status in ((88, 2), (88.1, 2), (93, 1), (93.1, 1)):
            self.say(second, 9, "v1", status)
        self.assert_taken("still down 3")

    def test_v1_repeats_an_up_until_it_is_written(self) -> None:
        self.say(308, 4, "v1", 1)
        self.say(313, 4, "v1", 1)
        self.assert_taken("v1 4 by itself")

    def test_the_second_of_two_requests_comes_after_the_end(self) -> None:
        """v1 had no answer for 20 s, and sent it once more."""
        self.play(1, (20, "down"), (40, "up"))
        self.say_later(52, 1, -10)
        self.say(72, 1, "v1", 0)
        self.assert_taken("v1 3 by itself")

    def test_v1_ends_at_its_start_what_the_column_says(self) -> None:
        self.say(5, 19, "v1", 1)
        self.assert_taken()

    def test_v1_tells_still_down_at_its_start(self) -> None:
        self.say(3, 11, "v1", 2)
        self.assert_taken("still down 2")

    def test_still_down_after_the_release(self) -> None:
        self.say(290, 4, "v1", 2)
        self.say(290, 18, "v1", 2)
        self.assert_taken("still down 3")

    def test_v2_repeats_what_it_got_no_answer_for(self) -> None:
        for second in (412, 420, 470):
            self.say(second, 8, "v2", 2, tell_id="ntf_8_410", repeat=True)
        self.assert_taken("v2 4 dropped")

    def test_a_short_outage_is_told_with_its_end(self) -> None:
        self.say(214, 12, "v2", 2)
        self.say(219, 12, "v2", 1)
        self.assert_taken()

    def test_the_receiver_never_wrote_v1s_down(self) -> None:
        """So v2 found an outage of which nothing stood in the column."""
        self.unwrite(102, 18)
        self.say(134, 18, "v2", 2)
        self.assert_taken("1 that nobody could know")

    def test_the_receiver_wrote_v1s_down_too_late(self) -> None:
        self.unwrite(102, 18)
        self.story.written.append(p.wrote(133, 18, 0))
        self.say(134, 18, "v2", 2)
        self.assert_taken("1 that nobody could know")

    def test_the_receiver_never_wrote_v1s_up(self) -> None:
        self.play(16, (5, "down"), (95, "up"))
        self.unwrite(94, 16)
        self.say_later(93, 16, 5)
        self.say(134, 16, "v2", 1)
        self.assert_taken("1 that nobody could know")

    def test_the_receiver_never_wrote_a_down_that_ended(self) -> None:
        """Then v1 has no reason to tell its end."""
        self.unwrite(37, 1)
        self.unsay(52, 1)
        self.assert_taken()

    def test_v1_strays_into_what_has_long_been_v2s(self) -> None:
        self.say(170, 4, "v1", 0)
        self.assert_taken("1 that nobody could know")

    def test_the_operator_said_that_nobody_was_told(self) -> None:
        """The release waited for him: v1 may tell it again."""
        self.story.decided.append(Decided(s.ms(258), p.key(4), 2, False))
        self.say(276, 4, "v1", 0)
        self.assert_taken("1 that nobody could know")

    def test_the_operator_said_that_people_were_told(self) -> None:
        self.play(5, (225, "down"), (310, "up"))
        self.unsay(272, 5)
        self.story.decided.append(Decided(s.ms(258), p.key(5), 2, True))
        self.assert_taken()

    def test_rows_of_one_site_on_both_sides(self) -> None:
        """Somebody overrode what preflight had said: v1 keeps row 10."""
        self.story.sites[10] = dataclasses.replace(self.story.sites[10], bucket=2)
        self.story.v1_switches.append(V1Switch(s.ms(-1), "v1_started", 2, 2))
        self.say(160, 9, "v1", 0)
        self.say(199, 9, "v1", 1)
        self.assert_taken("2 that nobody could know")

    def test_a_url_that_v1_finds_down_whatever_it_does(self) -> None:
        self.story.sites[19] = dataclasses.replace(self.story.sites[19],
                                                   url="HTTP://127.0.0.1:18080/s/19")
        self.story.people.append(Tell(s.ms(30), "v1", (100_019, "HTTP://127.0.0.1:18080/s/19"), 0))
        self.assert_taken("1 left out")

    def test_a_url_that_was_edited(self) -> None:
        self.story.edits[19] = [s.ms(140)]
        self.story.people.append(Tell(s.ms(150), "v2", (100_019, "http://before/"), 2, "ntf_x"))
        self.assert_taken("1 left out")

    def test_a_site_that_some_find_down(self) -> None:
        """Slow, or down for the Monitor alone: it may be told, or not."""
        self.play(19, (150, "slow"), (200, "up"))
        self.say(170, 19, "v2", 2)
        self.say(204, 19, "v2", 1)
        self.story.states += [p.state(150, 20, "down", s.A), p.state(200, 20, "up")]
        self.assert_taken()

    def test_nobody_tells_while_the_receiver_is_away(self) -> None:
        self.fault("receiver", "paused", 402, 440)
        self.say_later(410, 8, 40)
        self.assert_taken()

    def test_the_witness_stood_still(self) -> None:
        self.story.stalls.append(Span(s.ms(405), s.ms(425)))
        self.say_later(410, 8, 20)
        self.assert_taken()

    def test_the_owner_was_paused(self) -> None:
        self.fault("monitor-b", "paused", 404, 430)
        self.say_later(410, 8, 30)
        self.assert_taken()

    def test_v1_was_killed_while_it_confirmed(self) -> None:
        """What it had seen is lost with it; it begins anew."""
        self.fault("v1", "killed", 29, 40)
        self.unsay(30, 1)
        self.unsay(35, 1)
        self.say(48, 1, "v1", 0)
        self.say_later(30.5, 9, 20)
        self.assert_taken()

    def test_no_quorum_of_verifliers(self) -> None:
        for name in ("veriflier-1", "veriflier-2"):
            self.fault(name, "killed", 398, 440)
        self.say_later(410, 8, 50)
        self.assert_taken()

    def test_v2_gives_it_up_and_takes_it_again(self) -> None:
        """A release and an activation, and v1 was never started between."""
        self.watched(*p.WATCH[:3], (s.B, 363, 395), (s.B, 430, p.END_S))
        self.say_later(410, 8, 55)
        self.say_later(448, 18, 20)
        self.assert_taken()


class CountTest(unittest.TestCase):
    def test_there_are_enough(self) -> None:
        def stories(*cases: type) -> list[str]:
            return [name for case in cases for name in vars(case) if name.startswith("test_")]
        refused = stories(TwiceTest, SwallowedTest, UntrueTest, LateTest)
        self.assertGreaterEqual(len(refused), LEAST_REFUSED)
        self.assertGreaterEqual(len(stories(TakenTest)), LEAST_TAKEN)
        self.assertEqual(len(refused), len(set(refused)), "a name hides another")


if __name__ == "__main__":
    unittest.main()
