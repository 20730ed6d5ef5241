"""The same server gets the same verdict from a Monitor, a Veriflier, smoke (by its canaries) and
`jetmon2 probe`, whatever it does: some seventy behaviours in three modes."""
from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import pathlib
import subprocess
import time
import unittest
from collections import Counter
from typing import Callable

from behaviours import MODES, Behaviour, Behaviours, Rules
from lab import READY_SECONDS, SOURCES
from lab_case import LabCase
from launcher.descriptors import PROTOSET, GrpcService
from launcher.rest import Json
from launcher.waiting import LabError, wait_until

BUCKETS = (0, 3)
MOST_CANARIES = 50
TIMEOUT_MS = 2000  # a Monitor's in a lab of seconds
METHODS = {"head-legacy": ("HEAD", "legacy"), "get-simple": ("GET", "simple_http"),
           "get-full": ("GET", "full")}
SEVERITY_DOWN = 4
STATUS_UP, STATUS_DOWN = 1, 2
OUTCOMES = {"timeout": "down", "probe_error": "safety"}


def text(seen: Json) -> str:
    outcome = OUTCOMES.get(seen["outcome"], seen["outcome"])
    return f"{outcome} {seen['http_code']} {seen['error_code']} {seen['failure_class']}"


def rules_of(behaviour: Behaviour, mode: str) -> Rules:
    return behaviour.rules if mode == "get-full" else Rules()


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
        lab.settings.check_flags = (f"--ca_file={cls.servers.ca}",
                                    f"--resolvers={cls.servers.resolver}")
        lab.make_database()
        cls.fill()
        lab.start_fixture()
        lab.make_keys()
        lab.start_controlplane()
        lab.start_veriflier(1)
        wait_until(lab.live_agents, READY_SECONDS, "the Veriflier to register")

    @classmethod
    def site_id(cls, index: int, mode: int) -> int:
        return 1 + index * len(MODES) + mode

    @classmethod
    def site_url(cls, behaviour: Behaviour, mode: str) -> str:
        """Of its own for each site, so that a server tells which was asked for."""
        return f"{behaviour.url}?{mode}"

    @classmethod
    def fill(cls) -> None:
        """A site for each behaviour and mode, with the check policy that says so."""
        for index, behaviour in enumerate(cls.table):
            for mode, name in enumerate(MODES):
                site = cls.site_id(index, mode)
                cls.lab.database.execute(
                    "UPDATE jetpack_monitor_sites SET monitor_url = ?, bucket_no = ? WHERE "
                    "jetpack_monitor_site_id = ?", cls.site_url(behaviour, name),
                    index % (BUCKETS[1] + 1), site)
                rules = rules_of(behaviour, name)
                header = dict([rules.header.split(": ")]) if rules.header else None
                cls.lab.database.execute(
                    "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, keyword, "
                    "forbidden_keyword, redirect_policy, headers, updated_at_ms) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)", site, *METHODS[name], rules.keyword or None,
                    rules.forbidden or None, rules.redirects,
                    json.dumps(header) if header else None, int(time.time() * 1000))

    def expected(self, mode: int) -> dict[str, str]:
        return {b.name: b.verdicts[mode] for b in self.table}

    def test_there_are_enough(self) -> None:
        self.assertGreaterEqual(len(self.table), 40)
        self.assertEqual(len({b.name for b in self.table}), len(self.table))

    def test_the_command_line(self) -> None:
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                plain = [b for b in self.table if rules_of(b, name) == Rules()]
                seen = self.probe_list(plain, name)
                for b in self.table:
                    if b not in plain:
                        seen[b.name] = self.probe_one(b)
                self.assertEqual(seen, self.expected(mode))

    def probe_command(self, *words: str) -> list[str]:
        return [self.lab.programs.path("cli/jetmon2"), "probe", "--output=json",
                f"--timeout={TIMEOUT_MS}ms", "--allow-cidr=127.0.0.0/8",
                f"--ca-file={self.servers.ca}", f"--resolvers={self.servers.resolver}", *words]

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
        rules = behaviour.rules
        words = ["--redirects", rules.redirects]
        for option, value in (("--keyword", rules.keyword), ("--forbid", rules.forbidden),
                              ("--header", rules.header)):
            if value:
                words += [option, value]
        done = subprocess.run(self.probe_command(behaviour.url, "--mode=get-full", *words),
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
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                method, profile = METHODS[name]
                sites = [{"site_id": n + 1, "url": b.url, "method": method, "profile": profile,
                          "timeout_ms": TIMEOUT_MS, "request_id": "r",
                          "rules": self.wire_rules(rules_of(b, name))}
                         for n, b in enumerate(self.table)]
                results = service.stream("CheckSites", {"sites": sites})
                seen = {self.table[int(r["site_id"]) - 1].name: text(r) for r in results}
                self.assertEqual(seen, self.expected(mode))

    @staticmethod
    def wire_rules(rules: Rules) -> Json:
        def encoded(value: str) -> str:
            return base64.b64encode(value.encode()).decode()
        name, _, value = rules.header.partition(": ")
        return {"keyword": encoded(rules.keyword), "redirect_policy": rules.redirects,
                "forbidden_keywords": [encoded(rules.forbidden)] if rules.forbidden else [],
                "headers": [{"name": name, "value": encoded(value)}] if name else []}

    def test_smoke(self) -> None:
        """All smokes at once, each of a range of its own: canaries have the default 10 s each."""
        buckets = itertools.count(BUCKETS[1] + 1)
        asked = {name: [b for b in self.table
                        if rules_of(b, name) == Rules(keyword=rules_of(b, name).keyword)]
                 for name in MODES}
        jobs = [(mode, self.smoke(next(buckets), asked[name][low:low + MOST_CANARIES], name))
                for mode, name in enumerate(MODES)
                for low in range(0, len(asked[name]), MOST_CANARIES)]
        seen: dict[int, dict[str, str]] = {mode: {} for mode in range(len(MODES))}
        for mode, job_id in jobs:
            job = wait_until(lambda: self.job(job_id), 60, "smoke to end")
            seen[mode].update({r["name"]: text(r) for r in job["smoke"]["canaries"]})
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                self.assertEqual(seen[mode], {b.name: b.verdicts[mode] for b in asked[name]})

    def smoke(self, bucket: int, behaviours: list[Behaviour], mode: str) -> str:
        """Starts one; its job's id."""
        canaries = [{"name": b.name, "url": b.url, "mode": mode, "expect_success": True,
                     "keyword": rules_of(b, mode).keyword} for b in behaviours]
        answer = self.call("smoke", {
            "bucket_min": bucket, "bucket_max": bucket, "owner_host": "monitor-b",
            "run_id": self.open_session(bucket, bucket, "monitor-b"), "read_only": True,
            "wait": "0s", "canaries": canaries})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.body["job_id"]

    def job(self, job_id: str) -> Json | None:
        job = self.lab.api.get(f"/api/v1/rollout/jobs/{job_id}")
        return None if job["status"] == "running" else job

    def test_a_monitor(self) -> None:
        """What it records of each site's checks, and, once a Veriflier has confirmed what is down,
        of the site. That a check went well it records nowhere: then the site must have been asked
        for twice, because the second check begins when the first has ended."""
        low, high = BUCKETS
        monitor = self.lab.start_monitor("monitor-a")
        run_id = self.open_session(low, high, "monitor-a")
        body = {"run_id": run_id, "bucket_min": low, "bucket_max": high, "owner_host": "monitor-a"}
        self.lab.api.post(f"/api/v1/rollout/sessions/{run_id}/checkpoints", {"kind": "v1_stopped"})
        self.execute("activate-buckets", {**body, "override": [
            {"code": "evidence_missing", "reason": "the sites of this lab fail by design"}]})
        self.await_nothing(self.missing, "judge")
        refused = sum(v.startswith("safety") for b in self.table for v in b.verdicts)
        said = f"{refused} sites are not checked: target safety refuses them"
        wait_until(lambda: any(warning.startswith(said) for warning in self.warnings(monitor.pid)),
                   self.lab.patience, f"the Monitor to say: {said}")
        for mode, name in enumerate(MODES):
            with self.subTest(name):
                expected = {b.name: v if (v := b.verdicts[mode]).startswith("down") else "-"
                            for b in self.table}
                seen = {b.name: self.recorded(self.site_id(index, mode))
                        for index, b in enumerate(self.table)}
                self.assertEqual(seen, expected)
        self.check_incidents()

    def warnings(self, pid: int) -> list[str]:
        status = self.lab.monitor_status(pid)
        return status["warnings"] if status else []

    def await_nothing(self, left: Callable[[], list[str]], what: str) -> None:
        """Until nothing is left for the Monitor to do; who fails learns what was."""
        try:
            wait_until(lambda: not left(), self.lab.patience, f"the Monitor to {what} all sites")
        except LabError as error:
            self.fail(f"{error}: {left()}")

    def check_incidents(self) -> None:
        """The Veriflier confirms exactly what is down, and version 1's table says so."""
        down = {self.site_id(index, mode): b.verdicts[mode].startswith("down")
                for index, b in enumerate(self.table) for mode in range(len(MODES))}
        rows = self.lab.database.rows
        self.await_nothing(lambda: [str(site) for site in self.unconfirmed(down)], "report")
        self.assertEqual(
            dict(rows("SELECT site_id, severity FROM jetmon_events")),
            {site: SEVERITY_DOWN for site, is_down in down.items() if is_down})
        self.assertEqual(
            dict(rows("SELECT jetpack_monitor_site_id, site_status FROM jetpack_monitor_sites")),
            {site: STATUS_DOWN if is_down else STATUS_UP for site, is_down in down.items()})
        self.assertEqual(rows("SELECT site_id FROM jetmon_false_positives"), [])

    def unconfirmed(self, down: dict[int, bool]) -> set[int]:
        confirmed = {row[0] for row in self.lab.database.rows(
            "SELECT site_id FROM jetmon_event_transitions WHERE reason = 'verifier_confirmed'")}
        return {site for site, is_down in down.items() if is_down} - confirmed

    def missing(self) -> list[str]:
        """Behaviours that the Monitor has not yet come to an end with."""
        asked = Counter(place for source, place in self.servers.seen
                        if source == SOURCES["monitor-a"])
        missing = []
        for index, b in enumerate(self.table):
            for mode, name in enumerate(MODES):
                site = self.site_id(index, mode)
                place = ":" + self.site_url(b, name).split(":", 2)[2]
                if b.verdicts[mode].startswith("down"):
                    done = self.recorded(site) != "-"
                elif b.verdicts[mode].startswith("safety 0"):
                    done = True  # nothing is sent there; the Monitor says so
                else:
                    done = asked[place] >= 2
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
