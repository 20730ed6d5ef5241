#!/usr/bin/env python3
"""Counts test cases from a Bazel build event file, and closes with
`N passed, N failed, N skipped`, alone on the last line.

    count_tests.py EVENTS.json BAZEL_EXIT_STATUS

Counted as failed besides the cases that failed: a run (a program, or one shard of it) that crashed
or ran out of time without saying which case it was, one whose report can't be read, a program in
whose reports there is no case, and one that was not built or not run. Exits 1 if anything failed,
if Bazel failed otherwise, or if no case passed.
"""
from __future__ import annotations

import dataclasses
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

# Bazel's exit codes: all well; some tests failed; built, but no test matched the pattern.
KNOWN_ENDS = (0, 3, 4)


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def cases(self) -> int:
        return self.passed + self.failed + self.skipped

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def line(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def in_report(path: str) -> Counts:
    """The cases of one JUnit file, as GoogleTest, xmlrunner and Bazel itself write it. A disabled
    case of GoogleTest's (`notrun`) is none."""
    counts = Counts()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        elif case.find("skipped") is not None:
            counts.skipped += 1
        elif case.get("status") != "notrun":
            counts.passed += 1
    return counts


def of_run(result: dict) -> tuple[Counts, str]:
    """The cases of one run of a program, and what is wrong with the run itself."""
    counts, readable = Counts(), False
    for output in result.get("testActionOutput", []):
        if output["name"] == "test.xml":
            path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
            try:
                counts, readable = in_report(path), True
            except (OSError, ElementTree.ParseError):
                pass
    if result["status"] != "PASSED":
        return counts, "" if counts.failed else f"ended as {result['status']}"
    return counts, "" if readable else "has no report that can be read"


class Tally:
    """What the events tell of each test program."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.wrong: list[str] = []  # one line for each failure that is no case's
        self.failed_labels: set[str] = set()
        self._tests: set[str] = set()
        self._expected: dict[tuple, str] = {}
        self._results: dict[tuple, dict] = {}

    def read(self, events: Iterable[dict]) -> None:
        for event in events:
            (kind, about), = list(event["id"].items())[:1]
            if kind == "targetConfigured" and event.get("configured", {}).get(
                    "targetKind", "").endswith("_test rule"):
                self._tests.add(about["label"])
            elif kind == "targetCompleted":
                self._completed(about["label"], event)
            elif kind == "testResult" and "testResult" in event:
                key = self._run(about)
                last = self._results.get(key, {"attempt": 0})
                if about.get("attempt", 1) >= last["attempt"]:
                    self._results[key] = {**event["testResult"],
                                          "attempt": about.get("attempt", 1)}

    @staticmethod
    def _run(about: dict) -> tuple:
        return about["label"], about.get("run", 1), about.get("shard", 1)

    def _completed(self, label: str, event: dict) -> None:
        if not event.get("completed", {}).get("success"):
            if label in self._tests:
                self._fail(label, "was not built")
            return
        for child in event.get("children", []):
            if "testResult" in child:
                self._expected[self._run(child["testResult"])] = label

    def _fail(self, label: str, why: str) -> None:
        self.counts.failed += 1
        self.failed_labels.add(label)
        self.wrong.append(f"{label} {why}")

    def cut(self) -> None:
        """The events end in the middle of one: Bazel was killed."""
        self.counts.failed += 1
        self.wrong.append("the build event file ends in the middle")

    def close(self, status: int) -> None:
        """All events were read, and Bazel ended so."""
        by_label: dict[str, Counts] = {}
        for (label, _, shard), result in sorted(self._results.items()):
            counts, why = of_run(result)
            by_label.setdefault(label, Counts()).add(counts)
            if why:
                self._fail(label, f"{why} (shard {shard})")
        for run, label in sorted(self._expected.items()):
            if run not in self._results:
                self._fail(label, f"did not run (shard {run[2]})")
        for label, counts in by_label.items():
            self.counts.add(counts)
            if counts.failed:
                self.failed_labels.add(label)
            elif counts.cases == 0 and label not in self.failed_labels:
                self._fail(label, "has no test case")
        if status not in KNOWN_ENDS and self.counts.failed == 0:
            self.counts.failed = 1
            self.wrong.append(f"the build failed (bazel exit {status}), see above")
        if status == 3 and self.counts.failed == 0:
            self.counts.failed = 1
            self.wrong.append("bazel says that a test failed, see above")


def main() -> int:
    tally = Tally()
    with open(sys.argv[1], encoding="utf-8") as events:
        try:
            tally.read(json.loads(line) for line in events)
        except json.JSONDecodeError:
            tally.cut()
    tally.close(int(sys.argv[2]))
    for line in tally.wrong:
        print(line)
    for label in sorted(tally.failed_labels):
        print(f"failed: {label}")
    if tally.counts.cases == 0:
        print("no test ran")
    print(tally.counts.line())
    return 0 if tally.counts.failed == 0 and tally.counts.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
