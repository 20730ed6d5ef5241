"""The launcher's own parts, without the system."""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import demo
from launcher.database import bucket_of
from launcher.guided import Guided
from launcher.ports import Ports
from launcher.processes import Chronicle, Process, start_ticks, stop_strangers
from launcher.real_v1 import batch_for
from launcher.servers import GRANTS, ROOT, USERS, fill_in, parts_of_grants
from launcher.waiting import LabError, wait_until

# Asks for two phrases, as guided does; ends with 4 at a wrong one.
PROMPTS = """
import sys
fifo = open(sys.argv[sys.argv.index('--confirm-file') + 1])
for phrase in ('EXECUTE SEED', 'V1 STOPPED 0-9'):
    print('Type exactly:', phrase, flush=True)
    if fifo.readline().strip() != phrase:
        sys.exit(4)
    print('confirmed:', phrase, flush=True)
"""


def held_by(pid: int) -> set[str]:
    """What the open descriptors of a process lead to."""
    held = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    return held


class FolderCase(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.chronicle = Chronicle(self.folder / "chronicle.jsonl")


class RealV1Test(unittest.TestCase):
    def test_a_batch_reads_the_range_and_nothing_else(self) -> None:
        for low, high in ((0, 511), (0, 255), (0, 32), (8, 15), (7, 7), (3, 4), (0, 64)):
            size = batch_for(low, high)
            with self.subTest(low=low, high=high, size=size):
                self.assertLessEqual(size, min(32, high - low + 1))
                self.assertTrue(size == 1 or (high - low) % size)


class GuidedTest(FolderCase):
    def guided(self, answers: dict) -> Guided:
        return Guided([sys.executable, "-c", PROMPTS], {}, self.folder / "fifo", answers,
                      lambda line: None)

    def test_answers_prompts_in_order(self) -> None:
        done = []
        guided = self.guided({"EXECUTE SEED": None,
                              "V1 STOPPED 0-9": lambda: done.append("stopped")})
        guided.succeed()
        self.assertEqual(done, ["stopped"])

    def test_by_hand(self) -> None:
        guided = self.guided({})
        guided.wait_for("EXECUTE SEED")
        guided.answer("EXECUTE SEED")
        guided.wait_for("V1 STOPPED 0-9")
        guided.answer("something else")
        self.assertEqual(guided.finish(), 4)

    def test_a_deed_that_fails_ends_it(self) -> None:
        def fail() -> None:
            raise LabError("v1 does not stop")
        guided = self.guided({"EXECUTE SEED": None, "V1 STOPPED 0-9": fail})
        with self.assertRaisesRegex(LabError, "v1 does not stop"):
            guided.finish()

    def test_waiting_for_what_never_comes(self) -> None:
        guided = self.guided({"EXECUTE SEED": None, "V1 STOPPED 0-9": None})
        with self.assertRaisesRegex(LabError, "ended with 0 before 'ACTIVATE'"):
            guided.wait_for("ACTIVATE")


class ProcessTest(FolderCase):
    def start(self, *command: str, detached: bool = False) -> Process:
        process = Process("p", list(command), self.folder / "p.log", self.chronicle,
                          detached=detached)
        self.addCleanup(lambda: process.is_alive() and process.kill())
        return process

    def test_stop_pause_and_resume(self) -> None:
        process = self.start("sleep", "100")
        process.pause()
        wait_until(lambda: "T" in pathlib.Path(f"/proc/{process.pid}/stat").read_text().split()[2],
                   5, "the process to stop")
        self.assertEqual(process.stop(), -15)
        text = self.chronicle.path.read_text(encoding="utf-8")
        for kind in ("start", "fault", "exit"):
            self.assertIn(f'"kind": "{kind}"', text)

    def test_its_end_is_told_with_its_log(self) -> None:
        process = self.start("sh", "-c", "echo wrong flag >&2; exit 2")
        process.wait(5)
        with self.assertRaisesRegex(LabError, "p ended with 2:\nwrong flag"):
            process.check()

    def test_holds_no_descriptor_of_ours(self) -> None:
        with open(self.folder / "ours", "w", encoding="utf-8") as ours:
            os.set_inheritable(ours.fileno(), True)
            process = self.start("sleep", "100", detached=True)
        # The program's own loader opens and closes libraries at first.
        wait_until(lambda: held_by(process.pid) == {"/dev/null", str(self.folder / "p.log")}, 5,
                   "the process to hold its log and nothing else")

    def test_stop_strangers_spares_a_reused_pid(self) -> None:
        mine, other = self.start("sleep", "100"), self.start("sleep", "100")
        # A child that nobody waits for stays a zombie: it counts as gone.
        stop_strangers({"mine": [mine.pid, mine.ticks], "other": [other.pid, other.ticks + 1]})
        self.assertIsNone(start_ticks(mine.pid))
        self.assertTrue(other.is_alive())


class GrantsTest(unittest.TestCase):
    """docs/database/grants.sql, as text; roles_test runs it."""

    TEXT = GRANTS.read_text(encoding="utf-8")

    def test_every_table_of_ours_is_there(self) -> None:
        schema = (ROOT / "docs/database/schema.md").read_text(encoding="utf-8")
        ours = set(re.findall(r"^## `(jetmon_\w+)`", schema, flags=re.MULTILINE))
        self.assertGreater(len(ours), 20)
        before, _ = parts_of_grants(self.TEXT)
        made = set(re.findall(r"GRANT CREATE[^;]* ON \{database\}\.(\w+) ", before))
        self.assertEqual(made, ours)

    def test_no_role_but_migrate_makes_tables(self) -> None:
        _, after = parts_of_grants(self.TEXT)
        self.assertNotRegex(after, r"\b(CREATE|ALTER|INDEX|DROP|ALL|GRANT OPTION)\b[^;]* ON \{")
        self.assertNotRegex(self.TEXT, r" ON (\*|\{database\})\.\*")

    def test_placeholders(self) -> None:
        filled = fill_in(self.TEXT, USERS)
        self.assertNotIn("{", filled)
        self.assertNotIn("--", filled)
        with self.assertRaisesRegex(LabError, "nobody"):
            fill_in("GRANT SELECT ON {nobody}", USERS)
        with self.assertRaisesRegex(LabError, "part 2"):
            parts_of_grants("GRANT SELECT")


class SizesTest(unittest.TestCase):
    def test_ports_are_free_and_low(self) -> None:
        ports = Ports()
        taken = [ports.take() for _ in range(50)]
        self.assertEqual(len(set(taken)), 50)
        self.assertTrue(all(port < 32768 for port in taken))

    def test_sites_lie_evenly(self) -> None:
        for sites in (2048, 512, 100, 3):
            counts = [0] * 512
            for n in range(1, sites + 1):
                counts[bucket_of(n, sites, 512)] += 1
            self.assertLessEqual(max(counts) - min(counts), 1)
        # Fewer sites than buckets lie apart, not all in front.
        self.assertGreater(bucket_of(3, 3, 512), 300)

    def test_interval_fits_the_column(self) -> None:
        for seconds in (1, 5, 127, 128, 131, 300, 3600):
            interval, unit = demo.split_interval(seconds)
            self.assertEqual(interval * unit, seconds)
            self.assertLessEqual(interval, 127)

    def test_ranges(self) -> None:
        part = demo.parse_range("5-9")
        self.assertEqual((part.bucket_min, part.bucket_max, part.owner), (5, 9, "monitor-a"))
        for bad in ("9-5", "0-512", "x", "1", "-1-5", "1-2-3", ""):
            with self.assertRaises(argparse.ArgumentTypeError):
                demo.parse_range(bad)

    def test_usage_errors(self) -> None:
        here = pathlib.Path(__file__).absolute().parent
        for flags in (["--sites", "0"], ["--interval", "x"], ["--range", "9-5"], ["--nonsense"],
                      ["--keep", "--stop"]):
            done = subprocess.run([sys.executable, here / "demo.py", *flags], capture_output=True,
                                  check=False)
            self.assertEqual(done.returncode, 2, flags)


if __name__ == "__main__":
    unittest.main()
