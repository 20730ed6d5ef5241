#!/usr/bin/python3
"""Decides the invariants 1 to 8 of a lab run from what the fixture saw and the database holds, and
invariant 9, of people, where the run keeps a log of what they were told.

    judge.py LAB.json [--json]

prints one line an invariant, `invariant N: ok: evidence` or `invariant N: NOT OK: what`, then the
figures of each handoff. Exit status: 0 all hold, 1 one does not, 2 it can't be judged: a file can't
be read, or there is less than the run's plan calls for, which a sentence on stderr says.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parent))

from judging import evidence, handoff, incidents, ownership, pace, people, rollout  # noqa: E402
from judging.load import ERRORS, load  # noqa: E402
from judging.story import Story, Verdict  # noqa: E402

JUDGES = (ownership.judge_1, pace.judge_2, incidents.judge_3, incidents.judge_4,
          incidents.judge_5, incidents.judge_6, incidents.judge_7, rollout.judge_8)


def judge(story: Story) -> list[Verdict]:
    """The verdict on each invariant, 1 to 8, and on 9 where there is people's log."""
    return [one(story) for one in JUDGES] + ([people.judge_9(story)] if story.has_people else [])


def as_json(verdicts: list[Verdict], handoffs: list[handoff.Handoff]) -> str:
    return json.dumps({
        "ok": all(v.ok for v in verdicts),
        "invariants": [{"number": v.number, "ok": v.ok, "evidence": v.evidence,
                        "violations": v.violations} for v in verdicts],
        "handoffs": [dataclasses.asdict(h) for h in handoffs]}, indent=2)


def main() -> int:
    parser = argparse.ArgumentParser(description="Judges a lab run.")
    parser.add_argument("lab", help="lab.json of the run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        story = load(json.loads(pathlib.Path(arguments.lab).read_text(encoding="utf-8")))
    except ERRORS as error:
        print(f"judge: can't read the run: {error!r}", file=sys.stderr)
        return 2
    lacks = evidence.lacks(story)
    if lacks:
        print("judge: no verdict without evidence: " + "; ".join(lacks), file=sys.stderr)
        return 2
    verdicts, handoffs = judge(story), handoff.measure_all(story)
    if arguments.json:
        print(as_json(verdicts, handoffs))
    else:
        for verdict in verdicts:
            print(verdict.line())
        for one in handoffs:
            print("\n".join(one.lines()))
    return 0 if all(verdict.ok for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
