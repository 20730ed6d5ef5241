"""The demo's story, smaller, driven by `jetmon2 api rollout guided`; the judge decides. The judge is
then shown the run's own records, doctored, and must refuse them."""
from __future__ import annotations

import copy
import unittest

from judge import judge
from lab_case import LabCase
from play import HALVES, Play


def broken(story) -> set[int]:
    return {verdict.number for verdict in judge(story) if not verdict.ok}


class StoryTest(LabCase):
    def test_story(self) -> None:
        play = Play(self.lab, HALVES, print)
        play.set_up()
        play.forward()
        play.incidents()
        play.back()
        play.rest()
        story = self.assert_judged_ok()
        self.assertEqual([lock["state"] for lock in story.locks], ["active", "released"])
        self.assertGreater(len(story.events), 0)
        self.assertGreater(len(story.deliveries), 0)
        self.doctored(story)

    def doctored(self, story) -> None:
        """An overlap, a gap and a double notification in what really happened are seen."""
        held = story.locks[0]
        own = [r for r in story.requests if story.senders[r.source].name == "monitor-a"]
        site_id = own[0].site_id
        times = sorted(r.at_ms for r in own if r.site_id == site_id)
        with self.subTest("overlap"):
            overlap = copy.copy(story)
            v1 = next(r for r in story.requests if story.senders[r.source].role == "v1")
            overlap.requests = story.requests + [
                type(v1)(times[2] + 100, own[0].boot_ms, v1.source, site_id, v1.agent)]
            self.assertIn(1, broken(overlap))
        with self.subTest("gap"):
            gap = copy.copy(story)
            gap.requests = [r for r in story.requests if not (
                r.site_id == site_id and times[1] <= r.at_ms <= times[1] + 15_000)]
            self.assertEqual(broken(gap), {2})
        with self.subTest("check after the release"):
            late = copy.copy(story)
            released = story.locks[1]
            mine = [r for r in story.requests if story.senders[r.source].name == "monitor-b"]
            late.requests = story.requests + [
                type(mine[0])(released["released_at_ms"] + 50.0, mine[-1].boot_ms, mine[0].source,
                              mine[0].site_id, mine[0].agent)]
            self.assertIn(1, broken(late))
        with self.subTest("double notification"):
            double = copy.copy(story)
            double.notifications = story.notifications + [
                dict(story.notifications[0], notification_id="ntf_again")]
            self.assertEqual(broken(double), {5})
        with self.subTest("activation without a token"):
            bare = copy.copy(story)
            bare.tokens = [t for t in story.tokens if t["job_id"] != held["activate_job_id"]]
            self.assertEqual(broken(bare), {8})


if __name__ == "__main__":
    unittest.main()
