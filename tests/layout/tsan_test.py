"""Which tests run under ThreadSanitizer (`tools/test.sh --tsan`): those with the tag `tsan`. This is
the one place that says which have to have it; docs/testing.md says it in words.

A C++ test has to, if a library that it names starts threads, if it starts threads itself, or if its
name says that it races. Whoever is left out stands below, with the reason.
"""
from __future__ import annotations

import re
import unittest

import build_files
import sources

# Of a library or a test: it starts threads, or is called on those of gRPC.
STARTS = re.compile(r"\bstd::(?:jthread|async)\b|\bstd::thread\b(?!::)"
                    r"|::(?:Client|Server)\w*Reactor\b|\bgrpc::ServerBuilder\b")
# Libraries that hand out what another's threads do.
AS_WELL = {"//probe:engine": "its reactor's thread calls back"}
# Every thread of a program uses these, and they start none.
TO_BE_TAGGED = {"//controlplane/access:rate_limiter_test", "//controlplane/rpc:dispatcher_test",
                "//controlplane/rollout:prober_test"}

ONE_PROCESS_MORE = "each of its processes is killed on the way, and TSan reports at the end"
ONE_ASKS = "one asks at a time; race_test, parts_test, planned_test and policy_jobs_test ask at once"
ONE_ENGINE = "what is sent and judged, by the engine's one thread; engine_*_test run that under TSan"
LEFT_OUT = {
    "//cli:terminal_test": "the thread plays the person at the terminal",
    "//controlplane/rollout:canaries_test": ONE_ASKS,
    "//controlplane/rollout:compare_test": ONE_ASKS,
    "//controlplane/rollout:fault_points_test": ONE_PROCESS_MORE,
    "//controlplane/rollout:gates_test": ONE_ASKS,
    "//controlplane/rollout:overrides_test": ONE_ASKS,
    "//controlplane/rollout:policy_test": ONE_ASKS,
    "//controlplane/rollout:preflight_test": ONE_ASKS,
    "//controlplane/rollout:service_test": ONE_ASKS,
    "//controlplane/rollout:smoke_test": ONE_ASKS,
    "//controlplane/rollout:timeline_test": ONE_ASKS,
    "//probe:curl_table_test": ONE_ENGINE,
    "//probe:hostile_dns_test": ONE_ENGINE,
    "//probe:hostile_handshake_test": ONE_ENGINE,
    "//probe:hostile_location_test": ONE_ENGINE,
    "//probe:hostile_memory_test": ONE_ENGINE,
    "//probe:hostile_table_test": ONE_ENGINE,
    "//probe:hostile_tls_test": ONE_ENGINE,
    "//store/sql:mysql_error_test": "a table of errors",
    "//store/sql:url_test": "a parser",
}


def starts_threads(target: build_files.Target) -> bool:
    return any(STARTS.search(sources.code_of(path)) for path in target.srcs
               if path in sources.all_files())


def reasons(test: build_files.Target) -> list[str]:
    """Why the test has to be tagged; none if it need not."""
    found = []
    if test.name.endswith("race_test"):
        found.append("it races")
    if starts_threads(test):
        found.append("it starts threads")
    if test.label in TO_BE_TAGGED:
        found.append("threads share what it tests")
    for label in test.deps:
        library = sources.targets().get(label)
        if label in AS_WELL or (library is not None and not library.testonly
                                and starts_threads(library)):
            found.append(f"{label} starts threads")
    return found


class TsanTest(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.tests = {label: t for label, t in sources.targets().items() if t.rule == "cc_test"}

    def test_there_is_something_to_look_at(self) -> None:
        self.assertGreater(len(self.tests), 130)
        for label in ("//monitor:ownership_test", "//controlplane/rollout:race_test",
                      "//controlplane/gateway:http_server_test", "//probe:engine_load_test",
                      "//veriflier:service_test", "//store:locks_race_test"):
            self.assertTrue(reasons(self.tests[label]), label)
            self.assertIn("tsan", self.tests[label].tags, label)
        self.assertEqual(reasons(self.tests["//controlplane/gateway:router_test"]), [])

    def test_what_runs_threads_is_tagged(self) -> None:
        missing = {label: reasons(t) for label, t in self.tests.items()
                   if reasons(t) and "tsan" not in t.tags and label not in LEFT_OUT}
        self.assertEqual(missing, {}, "these need the tag `tsan`, or a reason to be left out")

    def test_who_is_left_out_would_have_to_be_tagged_else(self) -> None:
        self.assertEqual(sorted(set(LEFT_OUT) - set(self.tests)), [], "there are no such tests")
        idle = [label for label in LEFT_OUT
                if "tsan" in self.tests[label].tags or not reasons(self.tests[label])]
        self.assertEqual(idle, [], "these need no reason")


if __name__ == "__main__":
    unittest.main()
