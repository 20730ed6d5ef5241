"""The judge's figures of a handoff, and how it reads a run's files."""
from __future__ import annotations

import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
from judging import handoff  # noqa: E402
from judging.load import load  # noqa: E402


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
        database = self.path / "jetmon.db"
        db = sqlite3.connect(database)
        db.execute("CREATE TABLE jetpack_monitor_sites (jetpack_monitor_site_id INTEGER, bucket_no "
                   "INT, monitor_url TEXT, monitor_active INT, site_status INT, "
                   "last_status_change TEXT, check_interval INT)")
        db.execute("INSERT INTO jetpack_monitor_sites VALUES (7, 3, 'http://127.0.0.1:18080/s/7', "
                   "1, 1, NULL, 5)")
        for table in ("range_locks", "range_parts", "bucket_locks", "jobs", "confirmation_tokens",
                      "policy_stages", "policy_stage_rows"):
            db.execute(f"CREATE TABLE jetmon_rollout_{table} (x)")
        for table in ("audit_log", "events", "event_transitions", "notifications", "check_history",
                      "false_positives", "check_targets", "endpoint_runtime",
                      "endpoint_check_config"):
            db.execute(f"CREATE TABLE jetmon_{table} (x)")
        db.commit()
        db.close()
        self.lab = {"database": f"sqlite://{database}", "interval_unit_s": 1.0,
                    "request_log": str(self.path / "requests.jsonl"),
                    "v1_log": str(self.path / "v1.jsonl"),
                    "chronicle": str(self.path / "chronicle.jsonl"),
                    "senders": {"127.0.1.5": {"name": "v1", "role": "v1", "host": ""}}}

    def write(self, name: str, *rows: dict, torn: str = "") -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows) + torn
        (self.path / name).write_text(text, encoding="utf-8")

    def test_reads_every_file(self) -> None:
        at = {"wall_ns": 1_790_000_000_000_000_000, "boot_ns": 5_000_000_000}
        ask = {"kind": "request", **at, "source": "127.0.1.5", "agent": "jetmon/1.0", "method": "HEAD", "path": "/s/7",
               "site": 7, "hop": 0, "status": 200, "delay_ms": 0}
        self.write("requests.jsonl", ask, {**ask, "path": "/s/7/r/1", "hop": 1},
                   {**ask, "path": "/s/8"}, {"kind": "stall", **at, "lag_ms": 300},
                   {"kind": "notify", **at, "idempotency_key": "ntf_1_down"}, torn='{"kind": "req')
        self.write("v1.jsonl", {"kind": "v1_started", **at, "min": 0, "max": 511},
                   {"kind": "notify", **at, "site_id": 7, "status": 2})
        later = {"wall_ns": at["wall_ns"] + 9_000_000_000}
        self.write("chronicle.jsonl", {"kind": "fault", "name": "monitor-a", **at},
                   {"kind": "healed", "name": "monitor-a", **later},
                   {"kind": "fault", "name": "monitor-b", **later}, {"kind": "end", **later})
        story = load(self.lab)
        self.assertEqual([(r.site_id, r.hop) for r in story.requests], [(7, 0), (7, 1)])
        self.assertEqual(story.strays, 1)
        self.assertEqual(story.deliveries, ["ntf_1_down"])
        self.assertEqual([span.until_ms - span.from_ms for span in story.stalls], [300])
        self.assertEqual(story.v1_alerts[0].status, 2)
        self.assertEqual([(f.what, f.until_ms - f.from_ms) for f in story.faults],
                         [("monitor-a", 9000), ("monitor-b", float("inf"))])
        self.assertEqual(story.end_ms, 1_790_000_009_000)
        self.assertEqual(story.sites[7].interval_s, 5.0)

    def test_command(self) -> None:
        (self.path / "lab.json").write_text(json.dumps(self.lab), encoding="utf-8")
        done = subprocess.run([sys.executable, HERE / "judge.py", self.path / "lab.json", "--json"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["invariants"]), 8)
        done = subprocess.run([sys.executable, HERE / "judge.py", self.path / "none.json"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
