"""The lab: real processes on loopback, started, told, watched and stopped.

Every program runs as its own process with a source address of its own in 127.0.1.0/24, by which the
judge tells who sent a request. All files of a run stand in one folder; lab.json there says where.
"""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import time
import urllib.parse
from typing import Callable

from launcher.database import EmbeddedDatabase, ServerDatabase
from launcher.guided import Answers, Guided
from launcher.plan import Plan
from launcher.ports import Ports
from launcher.processes import Chronicle, Process, start_ticks
from launcher.real_v1 import RealV1
from launcher.request_log import RequestLog
from launcher.rest import Api, Json
from launcher.servers import ENGINES, Access, Servers
from launcher.waiting import LabError, wait_until

BUCKETS = 512
READY_SECONDS = 60  # programs under sanitizers start slowly
SOURCES = {"controlplane": "127.0.1.2", "v1": "127.0.1.5", "monitor-a": "127.0.1.11",
           "monitor-b": "127.0.1.12", "veriflier-1": "127.0.1.21", "veriflier-2": "127.0.1.22",
           "veriflier-3": "127.0.1.23"}
VANTAGES = 3


def boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclasses.dataclass
class Programs:
    """Where the programs are: a folder like bazel-bin."""
    folder: pathlib.Path

    @staticmethod
    def find() -> "Programs":
        """JETMON_BIN, or the runfiles of the test that runs, or bazel-bin of this tree."""
        here = pathlib.Path(__file__).absolute()
        root = here.parents[2]
        for folder in (os.environ.get("JETMON_BIN", ""), root / "bazel-bin", root):
            if folder and (pathlib.Path(folder) / "tests/lab/fixture").exists():
                return Programs(pathlib.Path(folder).absolute())
        raise LabError("the programs are not built; tools/demo.sh builds them")

    def path(self, name: str) -> str:
        return str(self.folder / name)


@dataclasses.dataclass
class Settings:
    sites: int = 2048
    interval: int = 5  # of every site's check_interval, in units
    unit_s: int = 1  # what a minute of check_interval lasts
    detached: bool = False  # processes outlive the launcher
    show: Callable[[str], None] = print
    database: str = "sqlite"  # or mariadb, or galera
    spread: dict[str, int] | None = None  # process -> the server of a cluster that it begins with
    check_flags: tuple[str, ...] = ()  # of every daemon that sends checks
    v1: str = "standin"  # or real: as its source behaves, with a receiver; launcher/real_v1.py
    v1_ranges: str = f"0-{BUCKETS - 1}"  # a real v1 has a host a range, which stops as a whole
    v1_flags: tuple[str, ...] = ()  # of a real v1
    receiver_flags: tuple[str, ...] = ()
    dialect: str = "jetmon2"  # what site_status means; v1 for a real one
    receiver_delay_s: float = 3  # dialect v1: how late the receiver may write
    replica_lag_s: float = 0  # dialect v1: how far behind v1 may read


class Lab:
    def __init__(self, folder: pathlib.Path, programs: Programs, settings: Settings):
        self.folder, self.programs, self.settings = folder.absolute(), programs, settings
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.chronicle = Chronicle(self.folder / "chronicle.jsonl")
        self.servers: Servers | None = None
        if settings.database in ENGINES:
            self.servers = Servers(settings.database, self.folder, self.chronicle,
                                   settings.detached)
            self.database = ServerDatabase(self.servers, settings.spread)
        else:
            self.database = EmbeddedDatabase(self.folder / "jetmon.db")
        self.processes: dict[str, Process] = {}
        self.ports = Ports()
        self.port: dict[str, int] = {}
        self.senders = {source: {"name": name, "role": name.split("-")[0],
                                 "host": name if name.startswith("monitor") else ""}
                        for name, source in SOURCES.items()}
        self.api = Api("")
        self.read_token = ""
        self.requests = RequestLog(self.request_log)
        self.plan = Plan()
        self.real_v1 = RealV1(self) if settings.v1 == "real" else None

    # --- where things are
    @property
    def request_log(self) -> pathlib.Path:
        return self.folder / "requests.jsonl"

    @property
    def fixture_url(self) -> str:
        return f"http://127.0.0.1:{self.port['fixture']}"

    @property
    def notify_url(self) -> str:
        """Where our notifications go."""
        if self.real_v1 is not None:
            return self.real_v1.receiver_url + "/notify"
        return self.fixture_url + "/notify"

    @property
    def word_flags(self) -> tuple[str, ...]:
        """Of control plane and Monitors: what the legacy columns mean."""
        return (f"--legacy_dialect={self.settings.dialect}",
                f"--legacy_receiver_delay={self.settings.receiver_delay_s}s")

    @property
    def unit(self) -> str:
        return f"{self.settings.unit_s}s"

    def describe(self) -> pathlib.Path:
        """Writes lab.json, what the judge needs, and returns its path."""
        path = self.folder / "lab.json"
        path.touch(mode=0o600)
        people = {} if self.real_v1 is None else {"people": str(self.real_v1.people.path)}
        if self.settings.dialect != "jetmon2":
            people.update(dialect=self.settings.dialect,
                          receiver_delay_s=self.settings.receiver_delay_s,
                          replica_lag_s=self.settings.replica_lag_s)
        path.write_text(json.dumps({
            "database": self.database.url, "database_password": self.database.password,
            "request_log": str(self.request_log),
            "v1_log": str(self.folder / "v1.jsonl"), "chronicle": str(self.chronicle.path),
            "interval_unit_s": self.settings.unit_s, "senders": self.senders,
            "plan": self.plan.as_json(), **people,
            "processes": {p.name: [p.pid, p.ticks] for p in self.processes.values()},
            "servers": self.database.processes()}, indent=2),
            encoding="utf-8")
        return path

    # --- starting and stopping
    def start(self, name: str, program: str, *flags: str,
              access: Access | None = None) -> Process:
        """`access`: how it gets to the database, if it does."""
        log = self.logs / f"{name}.log"
        environment = {}
        if access is not None:
            flags, environment = (f"--database={access.url}", *flags), access.environment
        process = Process(name, [self.programs.path(program), *flags], log, self.chronicle,
                          environment, detached=self.settings.detached)
        self.processes[name] = process
        self.describe()
        return process

    def ready(self, process: Process, condition: Callable[[], object], what: str) -> None:
        def is_ready() -> object:
            process.check()
            return condition()
        wait_until(is_ready, READY_SECONDS, what)

    def tool(self, *words: str, **environment: str) -> str:
        """Runs jetmon2; its output. LabError if it fails."""
        done = subprocess.run([self.programs.path("cli/jetmon2"), *words], capture_output=True,
                              text=True, check=False, timeout=120,
                              env={**os.environ, "JETMON_API_CONFIG": "off", **environment})
        if done.returncode != 0:
            raise LabError(f"jetmon2 {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def operator_tool(self, *words: str) -> str:
        """jetmon2 as who may change the schema and the keys."""
        access = self.database.access("migrate")
        return self.tool(*words, f"--database={access.url}", **access.environment)

    def make_database(self, down: list[int] = ()) -> None:
        """Schema and sites; `down` are those that v1 has as down for an hour."""
        self.database.start()
        self.operator_tool("migrate")
        self.database.migrated()
        self.port["fixture"] = self.ports.take()
        self.database.fill(self.settings.sites, BUCKETS, self.settings.interval,
                           self.fixture_url + "/s/{n}")
        self.database.set_v1_status(list(down), 2, 3600)

    def start_fixture(self, down: list[int] = ()) -> None:
        process = self.start("fixture", "tests/lab/fixture",
                             f"--listen=127.0.0.1:{self.port['fixture']}",
                             f"--sites={self.settings.sites + 1}", f"--log={self.request_log}")
        fixture = Api(self.fixture_url)
        self.ready(process, lambda: fixture.call("GET", "/healthz").status, "the fixture")
        if down:
            self.set_sites(down, "down")

    def start_v1(self, ranges: str | None = None) -> None:
        ranges = self.settings.v1_ranges if ranges is None else ranges
        if self.real_v1 is not None:
            self.real_v1.start(ranges)
            return
        self.port["v1"] = self.ports.take()
        process = self.start("v1", "tests/lab/v1_standin",
                             f"--listen=127.0.0.1:{self.port['v1']}", f"--ranges={ranges}",
                             f"--log={self.folder / 'v1.jsonl'}", f"--interval_unit={self.unit}",
                             f"--source_address={SOURCES['v1']}",
                             access=self.database.access("v1"))
        self.ready(process, lambda: self._v1("GET", "/status") == 200, "the v1 stand-in")
        self.plan.expect("v1_starts", len(ranges.split(",")) if ranges else 0)

    def make_keys(self) -> None:
        def make(consumer: str, scope: str) -> str:
            return self.operator_tool("keys", "create", "--consumer", consumer, "--scope", scope)
        self.api.token = make("lab", "admin")
        self.read_token = make("lab-reader", "read")

    def start_controlplane(self) -> None:
        """Starts it, or starts it again on the same ports."""
        for door in ("grpc", "http"):
            self.port.setdefault(door, self.ports.take())
        self.api.url = f"http://127.0.0.1:{self.port['http']}"
        process = self.start(
            "controlplane", "controlplane/jetmon-controlplane",
            f"--grpc_listen=127.0.0.1:{self.port['grpc']}",
            f"--http_listen=127.0.0.1:{self.port['http']}",
            f"--source_address={SOURCES['controlplane']}", "--allow_cidr=127.0.0.0/8",
            f"--bucket_total={BUCKETS}", f"--interval_unit={self.unit}", "--server_host=cp-1",
            *self.word_flags, f"--legacy_replica_lag={self.settings.replica_lag_s}s",
            *self.settings.check_flags,
            access=self.database.access("controlplane"))
        self.ready(process, self.api.is_healthy, "the control plane")

    def start_monitor(self, host: str, name: str = "", source: str = "") -> Process:
        """A Monitor of that host; with a name and source of its own, another instance of it."""
        name = name or host
        source = source or SOURCES[host]
        self.senders[source] = {"name": name, "role": "monitor", "host": host}
        process = self.start(
            name, "monitor/jetmon-monitor", f"--host={host}",
            "--rollout_mode=api-controlled", f"--source_address={source}",
            "--allow_cidr=127.0.0.0/8", f"--interval_unit={self.unit}",
            f"--bucket_total={BUCKETS}", f"--notify_url={self.notify_url}",
            *self.word_flags, *self.settings.check_flags,
            access=self.database.access("monitor", name))
        self.ready(process, lambda: self.monitor_status(pid=process.pid), f"{name} to report")
        return process

    def start_verifliers(self) -> None:
        for n in range(1, VANTAGES + 1):
            self.start_veriflier(n)
        wait_until(lambda: len(self.live_agents()) >= VANTAGES, READY_SECONDS,
                   "the Verifliers to register")

    def start_veriflier(self, n: int) -> None:
        vantage, name = f"vantage-{n}", f"veriflier-{n}"
        token = self.api.put(f"/api/v1/verifliers/vantages/{vantage}",
                             {"enabled": True, "region": f"region-{n}"})["token"]
        token_file = self.folder / f"{vantage}.token"
        token_file.touch(mode=0o600)
        token_file.write_text(token + "\n", encoding="utf-8")
        self.port[name] = self.ports.take()
        self.start(name, "veriflier/jetmon-veriflier",
                   f"--control_plane=127.0.0.1:{self.port['grpc']}", f"--vantage_id={vantage}",
                   f"--vantage_token_file={token_file}",
                   f"--listen=127.0.0.1:{self.port[name]}", f"--agent_id={name}",
                   f"--source_address={SOURCES[name]}", "--allow_cidr=127.0.0.0/8",
                   *self.settings.check_flags)

    def start_all(self, down: list[int] = ()) -> None:
        """Everything, until the control plane, two Monitors and three Verifliers are ready."""
        self.make_database(down)
        self.start_fixture(down)
        if self.real_v1 is not None:
            self.real_v1.start_receiver()
        self.start_v1()
        self.make_keys()
        self.start_controlplane()
        self.start_verifliers()
        for host in ("monitor-a", "monitor-b"):
            self.start_monitor(host)

    def stop(self) -> dict[str, int]:
        """Ends the run in good order: the exit codes. What the judge may miss ends here too. The
        database's servers go on: they hold what is to be judged; see close."""
        self.chronicle.write("end")
        order = sorted(self.processes, key=lambda n: ("monitor" not in n, "veriflier" not in n, n))
        return {name: self.processes[name].stop() for name in order}

    def kill_all(self) -> None:
        """For a run that failed: no questions asked."""
        for process in self.processes.values():
            if process.is_alive():
                process.kill()
        self.close()

    def close(self) -> None:
        """Ends the database's servers."""
        self.database.stop()

    # --- the sites
    def set_sites(self, site_ids: list[int], state: str, **parameters: object) -> None:
        query = urllib.parse.urlencode({"state": state, **parameters})
        answer = Api(self.fixture_url).call(
            "POST", f"/control/site/{','.join(map(str, site_ids))}?{query}")
        if answer.status != 200:
            raise LabError(f"the fixture refused {state} for {site_ids}: {answer.body}")

    def site_in(self, bucket: int, nth: int = 0) -> int:
        """The nth site of a bucket."""
        rows = self.database.rows("SELECT jetpack_monitor_site_id FROM jetpack_monitor_sites WHERE "
                                  "bucket_no = ? ORDER BY 1 LIMIT 1 OFFSET ?", bucket, nth)
        if not rows:
            raise LabError(f"bucket {bucket} has no site {nth}")
        return rows[0][0]

    def sites_of(self, bucket_min: int, bucket_max: int) -> set[int]:
        return {row[0] for row in self.database.rows(
            "SELECT jetpack_monitor_site_id FROM jetpack_monitor_sites WHERE bucket_no BETWEEN ? "
            "AND ? AND monitor_active = 1", bucket_min, bucket_max)}

    @property
    def patience(self) -> float:
        """Seconds in which every site is checked, and an incident confirmed, also on a slow day."""
        return 60 + 3 * self.settings.interval * self.settings.unit_s

    def wait_checked(self, name: str, bucket_min: int, bucket_max: int,
                     since: int | None = None) -> None:
        """Until that process has asked for every site of a range, counted from now (or from
        `since`, by CLOCK_BOOTTIME in ns)."""
        fresh = since is None
        since = boot_ns() if since is None else since
        sites = self.sites_of(bucket_min, bucket_max)
        source = next(s for s, who in self.senders.items() if who["name"] == name)
        wait_until(lambda: sites <= self.requests.sites_since(source, since), self.patience,
                   f"{name} to check the {len(sites)} sites of {bucket_min}-{bucket_max}")
        if fresh:  # what was asked for before may have been counted
            self.plan.expect_requests(self.senders[source]["role"], len(sites))

    def pause_outside_of_transaction(self, name: str) -> None:
        """SIGSTOP, but not within a write transaction: on SQLite that would stop every writer."""
        process = self.processes[name]
        for _ in range(50):
            process.pause()
            if self.database.is_writable(busy_seconds=1):
                return
            process.resume()
        raise LabError(f"{name} sits in a write transaction whenever it is looked at")

    # --- v1's switch
    def _v1(self, method: str, path: str) -> int:
        return Api(f"http://127.0.0.1:{self.port['v1']}").call(method, path).status

    def stop_v1(self, bucket_min: int, bucket_max: int) -> None:
        """Returns when v1 has acknowledged that it stopped the range."""
        if self._v1("POST", f"/stop?min={bucket_min}&max={bucket_max}") != 200:
            raise LabError(f"v1 did not stop {bucket_min}-{bucket_max}")
        self.plan.expect("v1_stops")

    def start_v1_range(self, run_id: str, bucket_min: int, bucket_max: int) -> None:
        """Gives the range back to v1: only after its release completed, and on the record."""
        jobs = self.api.get(f"/api/v1/rollout/jobs?run_id={run_id}")["jobs"]
        if not any(job["operation"] == "release_buckets" and job["state"] == "completed"
                   and job["bucket_min"] <= bucket_min and bucket_max <= job["bucket_max"]
                   for job in jobs):
            raise LabError(f"no release of {bucket_min}-{bucket_max} by {run_id} has completed; v1 "
                           "stays off")
        self.api.post(f"/api/v1/rollout/sessions/{run_id}/checkpoints",
                      {"kind": "v1_started", "note": "by the lab", "bucket_min": bucket_min,
                       "bucket_max": bucket_max})
        if self.real_v1 is not None:
            self.real_v1.start_range(bucket_min, bucket_max)
        elif self._v1("POST", f"/start?min={bucket_min}&max={bucket_max}") != 200:
            raise LabError(f"v1 did not start {bucket_min}-{bucket_max}")
        self.plan.expect("releases")
        self.plan.expect("v1_starts")

    # --- the control plane's view
    def status(self) -> Json:
        return self.api.get("/api/v1/rollout/status")

    def monitor_status(self, pid: int) -> Json | None:
        """What a Monitor's process reports, as the control plane knows it."""
        for monitor in self.status()["monitors"]:
            if int(monitor["pid"]) == pid and monitor["live"]:
                return monitor
        return None

    def live_agents(self) -> list[Json]:
        agents = self.api.get("/api/v1/verifliers/agents?page_size=200")["agents"]
        return [agent for agent in agents if agent["state"] == "live"]

    def range_of(self, bucket: int) -> Json | None:
        """The held range that a bucket is in."""
        for held in self.status()["ranges"]:
            if held["bucket_min"] <= bucket <= held["bucket_max"]:
                return held
        return None

    # --- the operator
    def guided(self, bucket_min: int, bucket_max: int, owner: str, *options: str,
               answers: Answers | None = None) -> Guided:
        """Starts a guided rollout. Its prompts are answered as `answers` says; by default all are,
        and v1 is stopped when it is asked for."""
        command = [self.programs.path("cli/jetmon2"), "api", "rollout", "guided",
                   "--bucket-min", str(bucket_min), "--bucket-max", str(bucket_max),
                   "--owner-host", owner, "--base-url", self.api.url,
                   "--log-dir", str(self.folder / "guided"), *options]
        environment = {"JETMON_API_TOKEN": self.api.token, "JETMON_API_CONFIG": "off"}
        if answers is None:
            answers = self.answers(bucket_min, bucket_max)
        return Guided(command, environment, self.folder / "confirm.fifo", answers,
                      self.settings.show)

    def answers(self, bucket_min: int, bucket_max: int,
                before_stop: Callable[[], object] = lambda: None) -> Answers:
        """What an operator types, and does first."""
        text = f"{bucket_min}-{bucket_max}"

        def stop_v1() -> None:
            before_stop()
            self.stop_v1(bucket_min, bucket_max)
        return {"EXECUTE SEED": None, f"V1 STOPPED {text}": stop_v1, "EXECUTE RECONCILE": None,
                f"ACTIVATE {text}": None, f"RELEASE {text}": None}

    def roll_out(self, bucket_min: int, bucket_max: int, owner: str,
                 before_stop: Callable[[], object] = lambda: None) -> None:
        """A whole guided rollout of one range."""
        answers = self.answers(bucket_min, bucket_max, before_stop)
        self.guided(bucket_min, bucket_max, owner, answers=answers).succeed()
        self.plan.expect("grants")

    def roll_back(self, bucket_min: int, bucket_max: int, owner: str) -> str:
        """A whole guided rollback; the run's id. v1 is still off."""
        held = self.range_of(bucket_min)
        if held is None:
            raise LabError(f"{bucket_min}-{bucket_max} is not held")
        self.guided(bucket_min, bucket_max, owner, "--rollback").succeed()
        return held["run_id"]

    def wait_at_rest(self, seconds: float = 60) -> None:
        """Until no job runs, no notification waits, and no range changes hands."""
        def at_rest() -> bool:
            return not (
                self.database.one("SELECT COUNT(*) FROM jetmon_rollout_jobs WHERE state IN "
                                  "('queued', 'running')")
                or self.database.one("SELECT COUNT(*) FROM jetmon_notifications WHERE state IN "
                                     "('queued', 'sending')")
                or self.database.one("SELECT COUNT(*) FROM jetmon_rollout_range_locks WHERE state "
                                     "NOT IN ('active', 'released') OR part_job_id <> ''"))
        wait_until(at_rest, seconds, "the lab to come to rest")

    def pids(self) -> dict[str, int]:
        """Of all that runs, the database's servers with it."""
        ours = {p.name: (p.pid, p.ticks) for p in self.processes.values()}
        return {name: pid for name, (pid, ticks) in {**self.database.processes(), **ours}.items()
                if start_ticks(pid) == ticks}
