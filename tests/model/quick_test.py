"""The quick cases of tests/model/cases.txt, and that cases.txt says what it seems to say."""
from __future__ import annotations

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import model  # pylint: disable=wrong-import-position

MODELS = ("handoff.pml", "incident.pml", "partial.pml", "tells.pml")


class Models(unittest.TestCase):
    """One test a quick case is added below."""

    def check(self, case: model.Case) -> None:
        self.assertEqual(model.missing_tools(), [], "run tools/setup.sh")
        result = model.check(case)
        self.assertEqual(result.got, case.want, f"{case}: {result}")


class Cases(unittest.TestCase):

    def test_there_are_quick_ones_of_every_model_and_end(self):
        quick = {(case.model, case.want) for case in model.cases() if case.quick}
        self.assertEqual(quick, {(name, want) for want in ("holds", "broken")
                                 for name in MODELS})

    def test_flags_are_switches_of_their_model(self):
        for case in model.cases():
            self.assertEqual(model.unknown_flags(case), [], str(case))

    def test_every_rule_is_removed_somewhere(self):
        for name in MODELS:
            rules = {switch for switch in model.switches(name) if switch.startswith("R_")}
            removed = {flag[2:].split("=")[0] for case in model.cases() if case.model == name
                       for flag in case.flags}
            self.assertEqual(rules - removed, set(), name)

    def test_no_case_comes_twice(self):
        seen = [str(case) for case in model.cases()]
        self.assertEqual(sorted(seen), sorted(set(seen)))


class Reading(unittest.TestCase):

    def test_a_line_that_is_no_case_is_named(self):
        for line in ("holds safe handoff.pml", "maybe safe quick handoff.pml",
                     "holds safe quick handoff", "holds deep quick handoff.pml"):
            with self.assertRaisesRegex(ValueError, "line 2"):
                model.parse_cases(f"# a comment\n{line}\n")

    def test_a_flag_that_no_macro_has_is_told(self):
        for flag in ("-DR_TAKE_SEK=0", "-DR_TAKE_SEQ", "R_TAKE_SEQ=0", "-DLIVE=1"):
            case = model.Case("broken", "safe", True, "handoff.pml", (flag,))
            self.assertEqual(model.unknown_flags(case), [flag])

    def test_a_search_that_did_not_end_proves_nothing(self):
        log = "State-vector 148 byte, depth reached 9, errors: 0\n"
        self.assertEqual(model._judge("safe", log), "holds")
        self.assertEqual(model._judge("safe", log + "Warning: Search not completed"), "unfinished")
        self.assertEqual(model._judge("safe", "pan: out of memory").split(":")[0], "unfinished")

    def test_broken_is_an_assertion_of_the_protocol_or_a_cycle(self):
        def judged(kind: str, why: str) -> str:
            return model._judge(kind, f"pan:1: {why} (at depth 9)\nerrors: 1\n").split(":")[0]
        self.assertEqual(judged("safe", "assertion violated  !(v1_runs)"), "broken")
        self.assertEqual(judged("live", "acceptance cycle"), "broken")
        self.assertEqual(judged("live", "assertion violated  !(v1_runs)"), "unfinished")
        self.assertEqual(judged("safe", "assertion violated (x<=NE)"), "unfinished")
        self.assertEqual(judged("safe", "invalid end state"), "unfinished")


def _add(number: int, case: model.Case) -> None:
    name = "".join(c if c.isalnum() else "_" for c in f"{case.want} {case}".replace("-D", ""))
    setattr(Models, f"test_{number:02}_{name}", lambda self: self.check(case))


for _number, _case in enumerate((case for case in model.cases() if case.quick), 1):
    _add(_number, _case)
