"""What is wrong with a request is answered with the documented error, changes nothing, and leaves one
row in the audit log; a daemon that can't start says why in one line and exits with 2."""
from __future__ import annotations

import json
import socket
import subprocess
import unittest

from lab_case import LabCase
from launcher.rest import Api, Json

COUNTED = ("jetmon_rollout_sessions", "jetmon_rollout_checkpoints", "jetmon_rollout_range_locks",
           "jetmon_rollout_jobs", "jetmon_rollout_confirmation_tokens", "jetmon_check_targets",
           "jetmon_events", "jetmon_veriflier_vantages")
SEED = "/api/v1/rollout/seed"
SESSIONS = "/api/v1/rollout/sessions"


class BadRequestTest(LabCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        lab = cls.lab
        lab.make_database()
        lab.make_keys()
        lab.start_controlplane()
        cls.run_id = lab.api.post(SESSIONS, {"bucket_min": 0, "bucket_max": 9,
                                             "owner_host": "monitor-a"})["run_id"]

    def state(self) -> list[int]:
        """What a refused request must leave as it is."""
        database = self.lab.database
        used = database.one("SELECT COUNT(*) FROM jetmon_rollout_confirmation_tokens WHERE "
                            "consumed_at_ms > 0")
        return [database.one(f"SELECT COUNT(*) FROM {t}") for t in COUNTED] + [used]

    def audit_rows(self) -> int:
        return self.lab.database.one("SELECT COUNT(*) FROM jetmon_audit_log")

    def refused(self, status: int, code: str, path: str, body: Json | bytes, api: Api | None = None,
                method: str = "POST") -> None:
        with self.subTest(code=code, path=path, body=body):
            before, rows = self.state(), self.audit_rows()
            answer = (api or self.lab.api).call(method, path, body)
            self.assertEqual((answer.status, answer.code), (status, code), answer.body)
            self.assertTrue(answer.body["error"]["message"])
            self.assertEqual(answer.headers.get("x-request-id"), answer.body["error"]["request_id"])
            self.assertEqual(self.state(), before)
            self.assertEqual(self.audit_rows(), rows + 1)

    def seed(self, **changes) -> Json:
        body = {"run_id": self.run_id, "bucket_min": 0, "bucket_max": 9, "dry_run": True, **changes}
        return {name: value for name, value in body.items() if value is not None}

    def token(self, api: Api | None = None) -> str:
        answer = (api or self.lab.api).call("POST", SEED, self.seed())
        self.assertEqual(answer.body.get("status"), "ok", answer.body)
        return answer.body["confirmation_token"]

    def execute(self, token: str, **changes) -> Json:
        return self.seed(dry_run=None, execute=True, confirm=token, **changes)

    def test_json(self) -> None:
        for text in (b"{", b"[]", b"{'run_id': 'x'}", b'{run_id: "x"}', b'{"run_id": "\xff"}',
                     b'{"run_id": "a", "run_id": "b"}', b'{"a":' * 70 + b"1" + b"}" * 70):
            self.refused(400, "malformed_json", SEED, text)
        self.refused(400, "unknown_field", SEED, self.seed(bucket_mini=1))
        self.refused(400, "invalid_field", SEED, self.seed(bucket_min="three"))
        self.refused(413, "body_too_large", SEED, b'{"run_id": "' + b"x" * (1 << 20) + b'"}')

    def test_range(self) -> None:
        for low, high in ((None, 9), (0, None), (9, 0), (0, 512), (600, 700)):
            self.refused(422, "invalid_bucket_range", SEED, self.seed(bucket_min=low,
                                                                      bucket_max=high))
            self.refused(422, "invalid_bucket_range", SESSIONS,
                         {k: v for k, v in (("bucket_min", low), ("bucket_max", high))
                          if v is not None})
        self.refused(422, "run_range_mismatch", SEED, self.seed(bucket_max=10))
        self.refused(404, "run_not_found", SEED, self.seed(run_id="rol_00000000000000000000000000"))

    def test_plan_or_execute(self) -> None:
        self.refused(400, "invalid_field", SEED, self.seed(dry_run=None))
        self.refused(400, "invalid_field", SEED, self.seed(execute=True, confirm="jmr_" + "0" * 48))

    def test_keys(self) -> None:
        url = self.lab.api.url
        self.refused(401, "missing_token", SEED, self.seed(), Api(url))
        self.refused(401, "invalid_token", SEED, self.seed(), Api(url, "jm_" + "A" * 52))
        self.refused(401, "invalid_token", SEED, self.seed(), Api(url, "nonsense"))
        self.refused(403, "insufficient_scope", SEED, self.seed(), Api(url, self.lab.read_token))

    def test_confirmation(self) -> None:
        self.refused(422, "missing_confirmation", SEED, self.seed(dry_run=None, execute=True))
        self.refused(422, "invalid_confirmation", SEED, self.execute("jmr_" + "0" * 48))
        self.refused(422, "invalid_confirmation", SEED, self.execute("nonsense"))
        token = self.token()
        self.refused(422, "invalid_confirmation", SEED, self.execute(token, bucket_max=8))
        self.refused(422, "invalid_confirmation", SEED, self.execute(token, owner_host="monitor-b"))
        self.refused(422, "invalid_confirmation", "/api/v1/rollout/final-reconcile",
                     self.execute(token))
        other = Api(self.lab.api.url, self.lab.operator_tool(
            "keys", "create", "--consumer", "lab", "--scope", "admin"))
        self.refused(422, "invalid_confirmation", SEED, self.execute(token), other)
        self.lab.database.execute("UPDATE jetmon_rollout_confirmation_tokens SET expires_at_ms = 1 "
                                  "WHERE consumed_at_ms = 0")
        self.refused(422, "invalid_confirmation", SEED, self.execute(token))

    def test_token_used_twice(self) -> None:
        body = self.execute(self.token())
        done = self.lab.api.call("POST", SEED, {**body, "wait": "60s"})
        self.assertEqual((done.status, done.body.get("status")), (200, "ok"), done.body)
        self.refused(422, "invalid_confirmation", SEED, body)
        again = self.lab.api.call("POST", SEED, body)
        self.assertIn(done.body["job_id"], json.dumps(again.body["error"]["details"]))

    def test_smoke(self) -> None:
        body = {"run_id": self.run_id, "bucket_min": 0, "bucket_max": 9}
        path = "/api/v1/rollout/smoke"
        self.refused(422, "read_only_required", path, body)
        self.refused(422, "invalid_mode", path, {**body, "read_only": True, "mode": "post-legacy"})
        self.refused(422, "invalid_size", path, {**body, "read_only": True, "sample_size": "-1"})

    def test_routes(self) -> None:
        """These are no calls of ours: nothing to audit."""
        api = self.lab.api
        for method, path, status, code in (("GET", "/api/v1/nowhere", 404, "not_found"),
                                           ("DELETE", SEED, 405, "method_not_allowed"),
                                           ("GET", SESSIONS + "/rol_X", 404, "run_not_found")):
            answer = api.call(method, path)
            self.assertEqual((answer.status, answer.code), (status, code), answer.body)


class DaemonTest(LabCase):
    """Each daemon, started wrongly."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lab.make_database()

    def refuses(self, program: str, *flags: str) -> None:
        with self.subTest(program=program, flags=flags):
            done = subprocess.run([self.lab.programs.path(program), *flags], capture_output=True,
                                  text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2, done)
            said = [line for line in done.stderr.splitlines() if line.strip()]
            self.assertEqual(len(said), 1, done.stderr)

    def test_refusals(self) -> None:
        database = f"--database={self.lab.database.url}"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.lab.ports.take()))
            taken.listen()
            in_use = f"127.0.0.1:{taken.getsockname()[1]}"
            control = "controlplane/jetmon-controlplane"
            free = f"--grpc_listen=127.0.0.1:{self.lab.ports.take()}"
            self.refuses(control, database, free, f"--http_listen={in_use}")
            self.refuses(control, database, f"--grpc_listen={in_use}",
                         f"--http_listen=127.0.0.1:{self.lab.ports.take()}")
            self.refuses(control, "--database=sqlite:///nowhere/at/all.db", free)
            self.refuses(control, database, "--bucket_totals=5")
            self.refuses(control, database, "leftover")
            monitor = "monitor/jetmon-monitor"
            self.refuses(monitor, "--database=sqlite:///nowhere/at/all.db", "--host=monitor-a")
            self.refuses(monitor, database, "--host=monitor-a", "--rollout_mode=asleep")
            self.refuses(monitor, database, "--host=monitor-a", "--no_such_flag=1")
            veriflier = "veriflier/jetmon-veriflier"
            token = self.folder / "vantage.token"
            token.touch(mode=0o600)
            token.write_text("jv_token\n", encoding="utf-8")
            wanted = ["--control_plane=127.0.0.1:1", "--vantage_id=vantage-1",
                      f"--vantage_token_file={token}", "--agent_id=veriflier-1"]
            self.refuses(veriflier, *wanted, f"--listen={in_use}")
            self.refuses(veriflier, *wanted, "--no_such_flag=1")

    def test_help_and_version(self) -> None:
        for program in ("controlplane/jetmon-controlplane", "monitor/jetmon-monitor",
                        "veriflier/jetmon-veriflier"):
            for flag, word in (("--help", "Example"), ("--version", "2.")):
                done = subprocess.run([self.lab.programs.path(program), flag], capture_output=True,
                                      text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 0, done)
                self.assertIn(word, done.stdout)


if __name__ == "__main__":
    unittest.main()
