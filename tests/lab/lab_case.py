"""What the tests that run a whole lab have in common."""
from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
import unittest

from judge import judge
from judging import evidence, handoff
from judging.load import load
from judging.story import Story
from lab import BUCKETS, Lab, Programs, Settings
from launcher.rest import Answer, Json


class LabCase(unittest.TestCase):
    """A lab of its own for each class; its files are kept where Bazel looks if a test failed."""

    SITES = 256
    INTERVAL = 5
    # Bazel runs the same cases on several engines: python_test's `env`.
    DATABASE = os.environ.get("JETMON_LAB_DATABASE", "sqlite")
    SPREAD: dict[str, int] | None = None
    CHECK_FLAGS: tuple[str, ...] = ()
    UNIT_S = 1
    V1 = "standin"
    V1_FLAGS: tuple[str, ...] = ()
    RECEIVER_FLAGS: tuple[str, ...] = ()
    DIALECT = "jetmon2"
    RECEIVER_DELAY_S, REPLICA_LAG_S = 3.0, 0.0
    V1_RANGES = f"0-{BUCKETS - 1}"
    lab: Lab

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        cls.addClassCleanup(cls.put_away)
        cls.lab = Lab(cls.folder, Programs.find(),
                      Settings(cls.SITES, cls.INTERVAL, database=cls.DATABASE, spread=cls.SPREAD,
                               check_flags=cls.CHECK_FLAGS, unit_s=cls.UNIT_S, v1=cls.V1,
                               v1_flags=cls.V1_FLAGS, receiver_flags=cls.RECEIVER_FLAGS,
                               dialect=cls.DIALECT, receiver_delay_s=cls.RECEIVER_DELAY_S,
                               replica_lag_s=cls.REPLICA_LAG_S, v1_ranges=cls.V1_RANGES))

    @classmethod
    def put_away(cls) -> None:
        cls.lab.kill_all()
        outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
        if outputs:
            shutil.copytree(cls.folder, pathlib.Path(outputs) / cls.__name__,
                            ignore=shutil.ignore_patterns("*.fifo", "*.token", "data"),
                            dirs_exist_ok=True)
        shutil.rmtree(cls.folder, ignore_errors=True)

    def story(self) -> Story:
        return load(json.loads(self.lab.describe().read_text(encoding="utf-8")))

    def assert_judged_ok(self, killed: tuple[str, ...] = ()) -> Story:
        """Ends the run, and lets the judge decide. `killed` processes end as they were told to."""
        codes = self.lab.stop()
        story = self.story()
        self.assertEqual(evidence.lacks(story), [])
        for one in handoff.measure_all(story):
            print("\n".join(one.lines()))
        lines = [verdict.line() for verdict in judge(story)]
        print("\n".join(lines))
        self.assertEqual([line for line in lines if "NOT OK" in line], [])
        self.assertEqual({n: c for n, c in codes.items() if c != 0 and n not in killed}, {})
        return story

    # --- an operator that uses the API step by step
    def open_session(self, low: int, high: int, owner: str) -> str:
        return self.lab.api.post("/api/v1/rollout/sessions", {
            "bucket_min": low, "bucket_max": high, "owner_host": owner})["run_id"]

    def call(self, operation: str, body: Json) -> Answer:
        return self.lab.api.call("POST", f"/api/v1/rollout/{operation}", body)

    def plan(self, operation: str, body: Json) -> str:
        """The confirmation token of a plan that must not be blocked."""
        answer = self.call(operation, {**body, "dry_run": True})
        self.assertEqual((answer.status, answer.body.get("status")), (200, "ok"), answer.body)
        return answer.body["confirmation_token"]

    def execute(self, operation: str, body: Json) -> Json:
        """Plans, executes and waits for the end, which must be good."""
        token = self.plan(operation, body)
        answer = self.call(operation, {**body, "execute": True, "confirm": token, "wait": "60s"})
        self.assertEqual((answer.status, answer.body.get("status")), (200, "ok"), answer.body)
        if operation == "activate-buckets":
            self.lab.plan.expect("grants")
        return answer.body


class RealV1Case(LabCase):
    """v1 as its source behaves on the other side, and its receiver: dialect v1."""

    SITES = 64
    INTERVAL = 3
    UNIT_S = 2
    V1, DIALECT = "real", "v1"
    V1_RANGES = "0-255,256-511"
    RECEIVER_DELAY_S = 3.0
