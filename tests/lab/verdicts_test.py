"""The same server gets the same verdict from a Monitor, a Veriflier, smoke (by its canaries) and
`jetmon2 probe`, whatever it does: some fifty behaviours in three modes."""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import time
import unittest

from behaviours import KEYWORD, MODES, Behaviour, Behaviours
from lab import SOURCES
from lab_case import LabCase
from launcher.descriptors import PROTOSET, GrpcService
from launcher.rest import Json
from launcher.waiting import wait_until

BUCKETS = (0, 3)
MOST_CANARIES = 50
TIMEOUT_MS = 2000  # a Monitor's in a lab of seconds
METHODS = {"head-legacy": ("HEAD", "legacy"), "get-simple": ("GET", "simple_http"),
           "get-full": ("GET", "full")}
OUTCOMES = {"timeout": "down", "probe_error": "safety"}


def text(seen: Json) -> str:
    outcome = OUTCOMES.get(seen["outcome"], seen["outcome"])
    return f"{outcome} {seen['http_code']} {seen['error_code']} {seen['failure_class']}"


class VerdictsTest(LabCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.servers = Behaviours(cls.folder)
        cls.addClassCleanup(cls.servers.stop)
        cls.table = cls.servers.table
        lab = cls.lab
        lab.settings.sites = len(cls.table) * len(MODES)
        lab.settings.check_flags = (f"--ca_file={cls.servers.ca}",)
        lab.make_database()
        cls.fill()
        lab.start_fixture()
        lab.make_keys()
        lab.start_controlplane()
        lab.start_veriflier(1)

    @classmethod
    def site_id(cls, index: int, mode: int) -> int:
        return 1 + index * len(MODES) + mode

    @classmethod
    def fill(cls) -> None:
        """A site for each behaviour and mode, with the check policy that says so."""
        for index, behaviour in enumerate(cls.table):
            for mode, name in enumerate(MODES):
                site = cls.site_id(index, mode)
                cls.lab.database.execute(
                    "UPDATE jetpack_monitor_sites SET monitor_url = ?, bucket_no = ? WHERE "
                    "jetpack_monitor_site_id = ?", behaviour.url, index % (BUCKETS[1] + 1), site)
                keyword = behaviour.keyword if name == "get-full" else ""
                cls.lab.database.execute(
                    "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, keyword, "
                    "updated_at_ms) VALUES (?, ?, ?, ?, ?)", site, *METHODS[name], keyword or None,
                    int(time.time() * 1000))

    def expected(self, mode: int) -> dict[str, str]:
        return {b.name: b.verdicts[mode] for b in self.table}

    def test_there_are_enough(self) -> None:
        self.assertGreaterEqual(len(self.table), 40)
        self.assertEqual(len({b.name for b in self.table}), len(self.table))

    def test_the_command_line(self) -> None:
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                plain = [b for b in self.table if name != "get-full" or not b.keyword]
                seen = self.probe_list(plain, name)
                for b in self.table:
                    if b not in plain:
                        seen[b.name] = self.probe_one(b)
                self.assertEqual(seen, self.expected(mode))

    def probe_command(self, *words: str) -> list[str]:
        return [self.lab.programs.path("cli/jetmon2"), "probe", "--output=json",
                f"--timeout={TIMEOUT_MS}ms", "--allow-cidr=127.0.0.0/8",
                f"--ca-file={self.servers.ca}", *words]

    def probe_list(self, behaviours: list[Behaviour], mode: str) -> dict[str, str]:
        file = pathlib.Path(self.folder / f"{mode}.txt")
        file.write_text("\n".join(b.url for b in behaviours) + "\n", encoding="ascii")
        done = subprocess.run(
            self.probe_command(f"--file={file}", f"--mode={mode}", "--rate=1000"),
            capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)  # not all are up
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        by_url = {line["url"]: text(line) for line in lines if "url" in line}
        self.assertEqual(lines[-1]["summary"]["checked"], len(behaviours))
        return {b.name: by_url[b.url] for b in behaviours}

    def probe_one(self, behaviour: Behaviour) -> str:
        done = subprocess.run(self.probe_command(behaviour.url, "--keyword", KEYWORD),
                              capture_output=True, text=True, check=False, timeout=60)
        return text(json.loads(done.stdout))

    def test_a_veriflier(self) -> None:
        token = (self.folder / "vantage-1.token").read_text(encoding="ascii").strip()
        key = hashlib.sha256(token.encode()).digest()
        credential = "jc_" + hmac.new(key, b"jetmon.v1/check", hashlib.sha256).hexdigest()
        service = GrpcService("jetmon.v1.VeriflierService",
                              f"127.0.0.1:{self.lab.port['veriflier-1']}", credential,
                              self.lab.programs.path(PROTOSET))
        self.addCleanup(service.close)
        wait_until(self.lab.live_agents, 60, "the Veriflier to register")
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                method, profile = METHODS[name]
                sites = [{"site_id": n + 1, "url": b.url, "method": method, "profile": profile,
                          "timeout_ms": TIMEOUT_MS, "request_id": "r",
                          **({"rules": {"keyword": base64.b64encode(b.keyword.encode())}}
                             if b.keyword and name == "get-full" else {})}
                         for n, b in enumerate(self.table)]
                results = service.stream("CheckSites", {"sites": sites})
                seen = {self.table[int(r["site_id"]) - 1].name: text(r) for r in results}
                self.assertEqual(seen, self.expected(mode))

    def test_smoke(self) -> None:
        body = {"bucket_min": 10, "bucket_max": 11, "owner_host": "monitor-b"}
        run_id = self.open_session(10, 11, "monitor-b")
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                seen = {}
                for low in range(0, len(self.table), MOST_CANARIES):
                    seen.update(self.smoke({**body, "run_id": run_id},
                                           self.table[low:low + MOST_CANARIES], name))
                self.assertEqual(seen, self.expected(mode))

    def smoke(self, body: Json, behaviours: list[Behaviour], mode: str) -> dict[str, str]:
        canaries = [{"name": b.name, "url": b.url, "mode": mode, "expect_success": True,
                     **({"keyword": b.keyword} if b.keyword and mode == "get-full" else {})}
                    for b in behaviours]
        answer = self.call("smoke", {**body, "read_only": True, "wait": "60s",
                                     "canaries": canaries})
        self.assertEqual(answer.status, 200, answer.body)
        job = wait_until(lambda: self.job(answer.body["job_id"]), 60, "smoke to end")
        return {r["name"]: text(r) for r in job["smoke"]["canaries"]}

    def job(self, job_id: str) -> Json | None:
        job = self.lab.api.get(f"/api/v1/rollout/jobs/{job_id}")
        return None if job["status"] == "running" else job

    def test_a_monitor(self) -> None:
        """What it records of each site. That a site is not down, it records nowhere: then its server
        must have been asked, and nothing have been recorded."""
        low, high = BUCKETS
        self.lab.start_monitor("monitor-a")
        run_id = self.open_session(low, high, "monitor-a")
        body = {"run_id": run_id, "bucket_min": low, "bucket_max": high, "owner_host": "monitor-a"}
        self.lab.api.post(f"/api/v1/rollout/sessions/{run_id}/checkpoints", {"kind": "v1_stopped"})
        self.execute("activate-buckets", {**body, "override": [
            {"code": "evidence_missing", "reason": "the sites of this lab fail by design"}]})
        wait_until(lambda: not self.missing(), self.lab.patience, "the Monitor to judge all sites")
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                expected = {b.name: v if (v := b.verdicts[mode]).startswith("down") else "-"
                            for b in self.table}
                seen = {b.name: self.recorded(self.site_id(index, mode))
                        for index, b in enumerate(self.table)}
                self.assertEqual(seen, expected)

    def missing(self) -> list[str]:
        """Behaviours that the Monitor has not yet come to an end with."""
        asked = {path for source, path in self.servers.seen if source == SOURCES["monitor-a"]}
        missing = []
        for index, b in enumerate(self.table):
            for mode, name in enumerate(MODES):
                down = b.verdicts[mode].startswith("down")
                place = b.url.split("127.0.0.1", 1)[1]
                done = (self.recorded(self.site_id(index, mode)) != "-" if down
                        else place in asked)
                if not done:
                    missing.append(f"{b.name} {name}")
        return missing

    def recorded(self, site: int) -> str:
        """All that was recorded of the site's checks, which must say one thing."""
        rows = self.lab.database.rows(
            "SELECT DISTINCT outcome, http_code, error_code, failure_class FROM "
            "jetmon_check_history WHERE site_id = ?", site)
        return "; ".join(" ".join(str(value) for value in row) for row in rows) or "-"


if __name__ == "__main__":
    unittest.main()
