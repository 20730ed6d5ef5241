"""The store's tests on a database server: each of their programs is run there once, on a database of
its own, and each of its cases is reported as a case of this test.

    class Binaries(conformance.Suite): ...     see mariadb_test.py and galera_test.py
"""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).absolute().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "servers"))
import mariadb  # noqa: E402  (its folder is known only now)

# The programs that are the suite: every store/*_test.cc that makes a TestDatabase (or looks for
# JETMON_TEST_DATABASE itself). coverage_test.py
# holds this list to the sources.
STORE_TESTS = [
    "activity_test",
    "adoption_test",
    "adoption_v1_test",
    "claims_race_test",
    "comparison_results_test",
    "event_writers_test",
    "events_test",
    "hosts_test",
    "jobs_test",
    "keys_test",
    "late_words_test",
    "legacy_table_test",
    "locks_race_test",
    "locks_states_test",
    "locks_test",
    "mutes_test",
    "notifications_test",
    "parts_race_test",
    "parts_test",
    "policy_stages_test",
    "records_race_test",
    "schema_test",
    "sessions_test",
    "sites_test",
    "slices_test",
    "tell_decisions_test",
    "telling_test",
    "tells_test",
    "tokens_test",
    "twins_test",
    "vantages_test",
    "work_race_test",
]
# A program that takes longer has stopped; unless said otherwise.
LIMIT_SECONDS = 240
# Of what a program says besides.
MOST_LINES = 20


class Outcome:
    """What became of one program: by case, "" or why it failed; and what it left out."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.missing = "the program did not get to it"
        self.ending = ""  # what was wrong with the end of the program itself


def cases_of(program: pathlib.Path) -> list[str]:
    """The names of a GoogleTest program's cases, `Suite.Case`."""
    listed = subprocess.run([str(program), "--gtest_list_tests"], check=True, text=True,
                            capture_output=True, stdin=subprocess.DEVNULL).stdout
    names, suite = [], ""
    for line in listed.splitlines():
        word = line.split("#")[0].strip()
        if line.startswith("Running main"):
            continue
        if not line.startswith(" "):
            suite = word
        elif not word.startswith("DISABLED_"):
            names.append(suite + word)
    return names


def run(program: pathlib.Path, environment: dict[str, str], limit: int) -> Outcome:
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        xml = pathlib.Path(folder, "cases.xml")
        log = pathlib.Path(folder, "log")
        inherited = {k: v for k, v in os.environ.items()
                     if not k.startswith(("GTEST_", "TESTBRIDGE_", "XML_OUTPUT", "JETMON_"))}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(program), f"--gtest_output=xml:{xml}"], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
                env={**inherited, "TEST_TMPDIR": folder, **environment})
            status = ""
            try:
                code = process.wait(limit)
                status = "" if code == 0 else f"exit {code}"
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                status = f"still ran after {limit} s"
        text = log.read_text(errors="replace")
        # What it says besides GoogleTest's own lines: figures.
        said = [line for line in text.splitlines() if re.match(r"\d+ ", line)]
        print("\n".join(said[:MOST_LINES]), flush=True)
        if not xml.exists():
            outcome.ending = outcome.missing = (
                f"the program ended without a report ({status or 'exit 0'}):\n{text[-4000:]}")
            return outcome
        for case in ElementTree.parse(xml).getroot().iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("skipped") is not None:
                outcome.skipped[name] = case.find("skipped").get("message", "")
                continue
            why = [failure.text or failure.get("message") or "failed"
                   for failure in case.iter("failure")]
            outcome.failed[name] = "\n".join(why)
        if status and not any(outcome.failed.values()):
            outcome.ending = f"every case passed, and yet {status}:\n{text[-4000:]}"
    return outcome


class Suite(unittest.TestCase):
    """One program on one engine; made by `suites`."""

    engine = program_name = ""
    program = pathlib.Path()
    limit = LIMIT_SECONDS
    outcome = Outcome()

    @staticmethod
    def environment(program_name: str) -> dict[str, str]:
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.outcome = run(cls.program, cls.environment(cls.program_name), cls.limit)

    def judge(self, case: str) -> None:
        if case in self.outcome.skipped:
            self.skipTest(self.outcome.skipped[case])
        why = self.outcome.failed.get(case, self.outcome.missing)
        if why:
            self.fail(f"{case} of {self.program_name} on {self.engine}:\n{why}")

    def judge_ending(self) -> None:
        if self.outcome.ending:
            self.fail(f"{self.program_name} on {self.engine}: {self.outcome.ending}")


def suites(module: str, engine: str, folder: str, names: list[str],
           environment, limit: int = LIMIT_SECONDS) -> dict[str, type]:
    """A class for each program of `folder` (a Bazel package), by name, with a method for each of
    its cases; they belong to the test `module`. `environment(name)` makes a database for the
    program and says where it is."""
    made = {}
    for name in names:
        program = ROOT / folder / name
        members = {"__module__": module, "engine": engine, "program_name": f"//{folder}:{name}",
                   "program": program, "limit": limit,
                   "environment": staticmethod(lambda _, name=name: environment(name))}
        cases = cases_of(program)
        if not cases:
            raise AssertionError(f"{program} has no test case")
        for case in cases:
            members["test_" + case.replace("/", "_")] = (
                lambda self, case=case: self.judge(case))
        # As sanitizers speak, when all is done.
        members["test_the_program_ended_well"] = lambda self: self.judge_ending()
        made[name] = type(name, (Suite,), members)
    return made


def on_server(module: dict, nodes: int, folder: str, names: list[str],
              limit: int = LIMIT_SECONDS) -> None:
    """Fills a test file's globals with `suites` on one server, or one cluster, of its own."""
    servers: list[Server] = []

    def stop() -> None:
        for server in servers:
            server.stop()

    module["setUpModule"] = lambda: servers.append(Server(nodes))
    module["tearDownModule"] = stop
    module.update(suites(module["__name__"], "MariaDB" if nodes == 1 else "Galera", folder, names,
                         lambda name: servers[0].environment(name), limit))


class Server:
    """A server, or a cluster of three, for one test file; the databases in it are made as asked."""

    def __init__(self, nodes: int, options: list[str] | None = None):
        self._folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        path = pathlib.Path(self._folder.name)
        self.servers = mariadb.Single(path, options) if nodes == 1 else mariadb.Cluster(path, nodes)
        try:
            self.servers.start()
        except BaseException:
            self.stop()
            raise

    def environment(self, name: str) -> dict[str, str]:
        first = self.servers.nodes[0]
        mariadb.grant_all(first, name)
        # The tests of the driver make users of their own.
        first.sql(f"GRANT ALL ON *.* TO '{mariadb.USER}'@'127.0.0.1' WITH GRANT OPTION")
        return {"JETMON_TEST_DATABASE": self.servers.url(name),
                "JETMON_DATABASE_PASSWORD": mariadb.PASSWORD,
                "JETMON_TEST_SERVER_PIDS": ",".join(str(n.pid) for n in self.servers.nodes)}

    def stop(self) -> None:
        self.servers.stop()
        self._folder.cleanup()
