"""The judge's figures of a handoff, and how it reads a run's files."""
from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_people as p  # noqa: E402
from judging import evidence, handoff  # noqa: E402
from judging.load import load  # noqa: E402
from judging.story import Decided, Site, Story  # noqa: E402
from synthetic_run import write_run  # noqa: E402


class HandoffTest(unittest.TestCase):
    def test_a_part_has_figures_of_its_own(self) -> None:
        first, part, rest = handoff.measure_all(s.parted_story())
        self.assertEqual((first.buckets, part.buckets, rest.buckets), ("0-3", "6-7", "4-5"))
        self.assertAlmostEqual(part.release_to_drained_s, 0.8, places=3)
        self.assertAlmostEqual(part.release_to_v1_may_start_s, 1.0, places=3)
        self.assertIsNone(rest.release_to_drained_s)

    def test_figures_of_the_clean_story(self) -> None:
        first, second = handoff.measure_all(s.clean_story())
        self.assertAlmostEqual(first.activate_to_first_check_s, 0.6, places=3)
        self.assertAlmostEqual(first.activate_to_all_checked_s, 0.6 + 5 * 31 / 32, places=3)
        # v1's last check of the first site was at second 15, of monitor-a at 21.6.
        self.assertAlmostEqual(first.longest_unchecked_at_activation_s, 6.6, places=3)
        self.assertAlmostEqual(first.release_to_drained_s, 0.8, places=3)
        self.assertAlmostEqual(first.release_to_v1_may_start_s, 1.0, places=3)
        self.assertIsNotNone(first.longest_unchecked_at_release_s)
        self.assertIsNone(second.release_to_drained_s)

    def test_a_site_never_taken_again_is_said(self) -> None:
        story = s.clean_story()
        story.requests = [r for r in story.requests
                          if not (r.site_id == 5 and r.at_ms > s.ms(60))]
        self.assertIsNone(handoff.measure_all(story)[0].longest_unchecked_at_release_s)


class LoadTest(unittest.TestCase):
    """The files of a run, in the shape that the programs write them."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def run_with(self, story: Story) -> dict:
        return write_run(self.path, story)

    def write(self, name: str, *rows: dict, torn: str = "") -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows) + torn
        (self.path / name).write_text(text, encoding="utf-8")

    def test_reads_every_file(self) -> None:
        lab = self.run_with(Story(unit_s=1.0, sites={
            7: Site(7, 3, "http://127.0.0.1:18080/s/7", 5),
            9: Site(9, 3, "https://site-9.example:18443/", 5)}))
        lab["senders"] = {"127.0.1.5": {"name": "v1", "role": "v1", "host": ""}}
        at = {"wall_ns": 1_790_000_000_000_000_000, "boot_ns": 5_000_000_000}
        ask = {"kind": "request", **at, "source": "127.0.1.5", "agent": "jetmon/1.0",
               "method": "HEAD", "path": "/s/7", "site": 7, "hop": 0, "status": 200, "delay_ms": 0}
        down = {"kind": "state", **at, "state": "down", "detail": "state=down&code=503",
                "sites": [7, 9]}
        self.write("requests.jsonl", ask, {**ask, "path": "/s/7/r/1", "hop": 1, "status": 302},
                   {**ask, "path": "/s/8", "site": 8}, {**ask, "path": "/", "site": 9},
                   {"kind": "stray", **at, "source": "127.0.0.9", "path": "/x", "method": "GET",
                    "agent": ""},
                   {"kind": "partial", **at, "source": "127.0.1.5", "path": "/s/7", "method": "GET",
                    "agent": ""},
                   {"kind": "stall", **at, "lag_ms": 300}, down,
                   {"kind": "other", "wall_ns": at["wall_ns"] + 32_000_000_000,
                    "boot_ns": at["boot_ns"] + 1_000_000_000}, {"kind": "other", **at},
                   {**down, "state": "never", "detail": "state=never&source=127.0.1.5"},
                   {"kind": "notify", **at, "idempotency_key": "ntf_1_down"}, torn='{"kind": "req')
        self.write("v1.jsonl", {"kind": "v1_started", **at, "min": 0, "max": 511},
                   {"kind": "notify", **at, "site_id": 7, "status": 2})
        later = {"wall_ns": at["wall_ns"] + 9_000_000_000}
        self.write("chronicle.jsonl", {"kind": "start", "name": "v1", "pid": 17, **at},
                   {"kind": "fault", "name": "monitor-a", "what": "paused", **at},
                   {"kind": "returns", "name": "monitor-a", **later},
                   {"kind": "healed", "name": "monitor-a", **later},
                   {"kind": "fault", "name": "controlplane", "what": "killed", **at},
                   {"kind": "start", "name": "controlplane", "pid": 18, **later},
                   {"kind": "fault", "name": "controlplane", "what": "killed", **later},
                   {"kind": "fault", "name": "monitor-b", "what": "killed", **later},
                   {"kind": "end", **later})
        story = load(lab)
        self.assertEqual([(r.site_id, r.hop, r.failed) for r in story.requests],
                         [(7, 0, False), (7, 1, True), (9, 0, False), (7, 0, True)])
        self.assertEqual([(one.source, one.path) for one in story.strays],
                         [("127.0.1.5", "/s/8"), ("127.0.0.9", "/x")])
        self.assertEqual(story.deliveries, ["ntf_1_down"])
        self.assertEqual([span.until_ms - span.from_ms for span in story.stalls],
                         [300, 31_000])  # the second: the wall clock was set
        self.assertEqual([(one.site_ids, one.down, one.source) for one in story.states],
                         [((7, 9), True, ""), ((7, 9), True, "127.0.1.5")])
        self.assertEqual(story.v1_alerts[0].status, 2)
        self.assertEqual([(one.name, one.pid) for one in story.starts],
                         [("v1", 17), ("controlplane", 18)])
        self.assertEqual([(f.what, f.how, f.until_ms - f.from_ms, f.back_ms - f.from_ms)
                          for f in story.faults],
                         [("monitor-a", "paused", 9000, 9000),
                          ("controlplane", "killed", 9000, float("inf")),
                          ("controlplane", "killed", float("inf"), float("inf")),
                          ("monitor-b", "killed", float("inf"), float("inf"))])
        self.assertEqual((story.end_ms, story.ended), (1_790_000_009_000, True))
        self.assertEqual(story.sites[7].interval_s, 5.0)

    def judge(self, *options: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, HERE / "judge.py", self.path / "lab.json", *options],
                              capture_output=True, text=True, check=False)

    def test_the_clean_run(self) -> None:
        self.run_with(s.clean_story())
        done = self.judge("--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["invariants"]), 8)

    def test_a_doctored_run(self) -> None:
        story = s.clean_story()
        story.requests.append(s.request(40, s.V1, 3))
        self.run_with(story)
        done = self.judge()
        self.assertEqual(done.returncode, 1)
        self.assertIn("invariant 1: NOT OK: v1 asked for site 3", done.stdout)

    def assert_no_verdict(self, word: str) -> None:
        done = self.judge()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn(word, done.stderr)

    def assert_lacks(self, story: Story, word: str) -> None:
        """What the command does with it is shown by the other cases."""
        self.assertTrue(any(word in text for text in evidence.lacks(story)), evidence.lacks(story))

    def test_no_run(self) -> None:
        self.assert_no_verdict("can't read the run")

    def test_people(self) -> None:
        """Their log comes back as it was written, and with it what else invariant 9 asks for."""
        story = p.clean_run()
        story.dialect = "v1"
        story.written.append(p.wrote(6, 1, 0))
        story.decided.append(Decided(s.ms(58), p.key(4), 2, True))
        story.states += [p.state(10, 5, "never"), p.state(11, 6, "slow")]
        read = load(self.run_with(story))
        for name in ("people", "written", "decided", "dialect", "receiver_delay_ms", "mute_ms",
                     "replica_lag_ms", "has_people", "sites"):
            self.assertEqual(getattr(read, name), getattr(story, name), name)
        self.assertEqual({(x.silent, x.unsure) for x in read.states if x.site_ids[0] in (5, 6)},
                         {(True, False), (False, True)})
        # What v2 told people is what the receiver of its notifications has got.
        self.assertEqual(set(read.deliveries), {"ntf_1_up", "ntf_2_down"})

    def test_the_clean_run_with_people(self) -> None:
        self.run_with(p.clean_run())
        done = self.judge()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("invariant 9: ok: 3 outages, 1 long enough to be told; downs: v1 1, v2 1; "
                      "ups: v1 1, v2 1", done.stdout)

    def test_people_hear_of_an_end_again(self) -> None:
        story = p.clean_run()
        story.people.append(dataclasses.replace(story.people[-1], at_ms=s.ms(62),
                                                key=story.people[0].key))
        self.run_with(story)
        done = self.judge("--json")
        self.assertEqual(done.returncode, 1)
        broken = [one["number"] for one in json.loads(done.stdout)["invariants"] if not one["ok"]]
        self.assertEqual(broken, [9])

    def test_a_run_without_people(self) -> None:
        self.run_with(s.clean_story())
        self.assertNotIn("invariant 9", self.judge().stdout)

    def test_the_plan_calls_for_people(self) -> None:
        story = s.clean_story()
        story.plan["told"] = 0
        self.run_with(story)
        self.assert_no_verdict("the plan calls for people's log, and the run keeps none")

    def test_people_heard_less_than_the_plan(self) -> None:
        story = p.clean_run()
        story.people = story.people[:2]
        self.run_with(story)
        self.assert_no_verdict("2 told are there, the plan calls for 5")

    def test_peoples_log_is_lost(self) -> None:
        self.run_with(p.clean_run())
        (self.path / "people.jsonl").unlink()
        self.assert_no_verdict("people.jsonl is not there")

    def test_a_dialect_that_nobody_knows(self) -> None:
        lab = self.run_with(s.clean_story())
        (self.path / "lab.json").write_text(json.dumps({**lab, "dialect": "v3"}))
        self.assert_no_verdict("the judge knows no dialect 'v3'")

    def test_an_empty_story(self) -> None:
        self.run_with(Story(plan={"grants": 0}))
        self.assert_no_verdict("no verdict without evidence: the request log holds no request")

    def test_a_missing_log(self) -> None:
        for name in ("requests.jsonl", "v1.jsonl", "chronicle.jsonl"):
            with self.subTest(name):
                self.run_with(s.clean_story())
                (self.path / name).unlink()
                self.assert_no_verdict(f"{name} is not there")

    def test_an_empty_log(self) -> None:
        for name, word in (("requests.jsonl", "holds no request"), ("v1.jsonl", "0 v1_starts"),
                           ("chronicle.jsonl", "tells of no start")):
            with self.subTest(name):
                self.run_with(s.clean_story())
                self.write(name)
                self.assert_no_verdict(word)

    def test_no_plan(self) -> None:
        story = s.clean_story()
        story.plan = {}
        self.run_with(story)
        self.assert_no_verdict("has no plan")

    def test_a_run_that_did_not_end(self) -> None:
        self.run_with(s.clean_story())
        log = self.path / "chronicle.jsonl"
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        self.assert_no_verdict("does not tell of the run's end")

    def test_less_than_the_plan(self) -> None:
        for role in ("v1", "monitor", "veriflier", "controlplane"):
            with self.subTest(role):
                story = s.clean_story()
                story.plan["requests"][role] = 10_000
                self.assert_lacks(story, f"requests of {role} are there, the plan calls for 10000")
        for name in ("grants", "releases", "released", "take_overs", "v1_starts", "v1_stops",
                     "downs", "ups", "given_up"):
            with self.subTest(name):
                story = s.clean_story()
                story.plan[name] = 3
                self.assert_lacks(story, f" {name} are there, the plan calls for 3")

    def test_a_run_about_locks_may_ask_nobody(self) -> None:
        story = s.clean_story()
        story.requests, story.plan["requests"] = [], None
        self.assertEqual(evidence.lacks(story), [])
        story.locks = []
        self.assert_lacks(story, "no range was ever granted")

    def test_a_plan_that_nobody_understands(self) -> None:
        story = s.clean_story()
        story.plan["miracles"] = 0
        self.assert_lacks(story, "'miracles', which nobody knows")


if __name__ == "__main__":
    unittest.main()
