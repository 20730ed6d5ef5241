"""What tools/count_tests.py makes of Bazel's events and of the reports that they name."""
from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = pathlib.Path(__file__).absolute().parent / "count_tests.py"

PASSED = '<testcase classname="A" name="p" status="run" result="completed"/>'
FAILED = '<testcase name="f"><failure message="no">x</failure></testcase>'
ERROR = '<testcase name="e"><error message="no">x</error></testcase>'
# As GoogleTest, as xmlrunner.
SKIPPED = '<testcase name="s" status="run" result="skipped"><skipped message="why"/></testcase>'
SKIPPED_TOO = '<testcase name="s"><skipped type="skip" message="why"/></testcase>'
DISABLED = '<testcase name="d" status="notrun" result="suppressed"/>'


class CountTestsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.events: list[dict] = []

    def report(self, *cases: str) -> str:
        """A report with these cases; its path has what a URI escapes."""
        path = self.folder / f"a report {len(list(self.folder.iterdir()))}.xml"
        path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>",
                        encoding="utf-8")
        return path.as_uri()

    def configured(self, label: str, kind: str = "cc_test rule") -> None:
        self.events.append({"id": {"targetConfigured": {"label": label}},
                            "configured": {"targetKind": kind}})

    def completed(self, label: str, shards: int = 1, built: bool = True) -> None:
        children = [{"testResult": {"label": label, "run": 1, "shard": n + 1, "attempt": 1}}
                    for n in range(shards if built else 0)]
        self.events.append({"id": {"targetCompleted": {"label": label}}, "children": children,
                            "completed": {"success": True} if built else {}})

    def result(self, label: str, uri: str | None, status: str = "PASSED", shard: int = 1,
               attempt: int = 1) -> None:
        outputs = [{"name": "test.log", "uri": "file:///nowhere"}]
        if uri is not None:
            outputs.append({"name": "test.xml", "uri": uri})
        about = {"label": label, "run": 1, "shard": shard, "attempt": attempt}
        self.events.append({"id": {"testResult": about},
                            "testResult": {"status": status, "testActionOutput": outputs}})

    def ran(self, label: str, *cases: str, status: str = "PASSED") -> None:
        """A program of one shard."""
        self.configured(label)
        self.completed(label)
        self.result(label, self.report(*cases), status)

    def count(self, status: int, more: str = "") -> tuple[int, list[str]]:
        """The exit code and the lines."""
        path = self.folder / "events"
        path.write_text("".join(json.dumps(e) + "\n" for e in self.events) + more,
                        encoding="utf-8")
        done = subprocess.run([sys.executable, PROGRAM, str(path), str(status)], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_cases_are_counted_over_programs(self) -> None:
        self.ran("//a:one", PASSED, PASSED)
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(0), (0, ["3 passed, 0 failed, 0 skipped"]))

    def test_skipped_is_skipped(self) -> None:
        self.ran("//a:one", PASSED, SKIPPED, DISABLED)
        self.ran("//a:two", SKIPPED_TOO)
        self.assertEqual(self.count(0), (0, ["1 passed, 0 failed, 2 skipped"]))

    def test_failures_and_errors_fail_and_name_their_program(self) -> None:
        self.ran("//a:one", PASSED, FAILED, ERROR, status="FAILED")
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(3),
                         (1, ["failed: //a:one", "2 passed, 2 failed, 0 skipped"]))

    def test_a_program_without_a_case_fails(self) -> None:
        self.ran("//a:none")
        self.ran("//a:disabled", DISABLED)
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(0), (1, [
            "//a:disabled has no test case", "//a:none has no test case", "failed: //a:disabled",
            "failed: //a:none", "1 passed, 2 failed, 0 skipped"]))

    def test_a_shard_without_a_case_is_none_of_that(self) -> None:
        self.configured("//a:one")
        self.completed("//a:one", shards=2)
        self.result("//a:one", self.report(PASSED), shard=1)
        self.result("//a:one", self.report(), shard=2)
        self.assertEqual(self.count(0), (0, ["1 passed, 0 failed, 0 skipped"]))

    def test_a_run_that_did_not_end_well_fails_though_its_cases_passed(self) -> None:
        for status in ("TIMEOUT", "FAILED", "INCOMPLETE", "REMOTE_FAILURE"):
            with self.subTest(status):
                self.events = []
                self.ran("//a:one", PASSED, status=status)
                self.assertEqual(self.count(3), (1, [
                    f"//a:one ended as {status} (shard 1)", "failed: //a:one",
                    "1 passed, 1 failed, 0 skipped"]))

    def test_one_of_several_shards_that_ran_out_of_time_fails(self) -> None:
        self.configured("//a:one")
        self.completed("//a:one", shards=2)
        self.result("//a:one", self.report(PASSED), shard=1)
        self.result("//a:one", None, "TIMEOUT", shard=2)
        self.assertEqual(self.count(3), (1, ["//a:one ended as TIMEOUT (shard 2)",
                                             "failed: //a:one", "1 passed, 1 failed, 0 skipped"]))

    def test_a_case_that_failed_in_a_run_out_of_time_is_one_failure(self) -> None:
        self.ran("//a:one", FAILED, status="TIMEOUT")
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(3), (1, ["failed: //a:one", "1 passed, 1 failed, 0 skipped"]))

    def test_a_report_that_is_missing_or_cut_fails(self) -> None:
        self.configured("//a:missing")
        self.completed("//a:missing")
        self.result("//a:missing", None)
        cut = self.folder / "cut.xml"
        cut.write_text("<testsuites><testsuite><testcase name='a' ", encoding="utf-8")
        self.configured("//a:cut")
        self.completed("//a:cut")
        self.result("//a:cut", cut.as_uri())
        self.ran("//a:two", PASSED)
        code, lines = self.count(0)
        self.assertEqual((code, lines[-1]), (1, "1 passed, 2 failed, 0 skipped"))
        self.assertIn("//a:missing has no report that can be read (shard 1)", lines)
        self.assertIn("//a:cut has no report that can be read (shard 1)", lines)

    def test_what_was_not_built_or_not_run_fails(self) -> None:
        self.ran("//a:two", PASSED)
        self.configured("//a:unbuilt")
        self.completed("//a:unbuilt", built=False)
        self.configured("//a:stopped")
        self.completed("//a:stopped", shards=2)
        self.result("//a:stopped", self.report(PASSED), shard=1)
        # What is only built is no test.
        self.configured("//a:library", "cc_library rule")
        self.completed("//a:library", shards=0)
        self.assertEqual(self.count(1), (1, [
            "//a:unbuilt was not built", "//a:stopped did not run (shard 2)",
            "failed: //a:stopped", "failed: //a:unbuilt", "2 passed, 2 failed, 0 skipped"]))

    def test_the_last_attempt_counts(self) -> None:
        self.configured("//a:one")
        self.completed("//a:one")
        self.result("//a:one", self.report(FAILED), "FAILED", attempt=1)
        self.result("//a:one", self.report(PASSED), attempt=2)
        self.assertEqual(self.count(0), (0, ["1 passed, 0 failed, 0 skipped"]))

    def test_a_build_that_failed_fails_though_every_test_passed(self) -> None:
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(1), (1, ["the build failed (bazel exit 1), see above",
                                             "1 passed, 1 failed, 0 skipped"]))
        self.assertEqual(self.count(3), (1, ["bazel says that a test failed, see above",
                                             "1 passed, 1 failed, 0 skipped"]))

    def test_events_that_end_in_the_middle_fail(self) -> None:
        self.ran("//a:two", PASSED)
        self.assertEqual(self.count(0, more='{"id": {"testRe'),
                         (1, ["the build event file ends in the middle",
                              "1 passed, 1 failed, 0 skipped"]))

    def test_nothing_at_all_is_no_success(self) -> None:
        self.assertEqual(self.count(4), (1, ["no test ran", "0 passed, 0 failed, 0 skipped"]))
        self.assertEqual(self.count(1), (1, ["the build failed (bazel exit 1), see above",
                                             "0 passed, 1 failed, 0 skipped"]))
        self.ran("//a:one", SKIPPED)
        self.assertEqual(self.count(0), (1, ["0 passed, 0 failed, 1 skipped"]))


if __name__ == "__main__":
    unittest.main()
