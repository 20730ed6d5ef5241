#!/usr/bin/python3
"""The bench of the probe engine: what one check costs in processor time, HTTP and HTTPS, against wrk, a
minimal checker in Go and Debian's blackbox_exporter, which ask the same nginx in the same rounds. Run
it by tools/bench.sh probe.

    probe_bench.py PROGRAMS [--rounds N] [--seconds S] [--parts http,https,wide,slow,dns] [--json FILE]

nginx has core 1, each client core 0. A check is a connection of its own. What blackbox_exporter costs is
its process's time; who asks it runs on core 1 and is not counted. Ratios are of the least of all rounds.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from probe_servers import (ASKED_AT_ONCE, CLIENTS_CORE, SERVERS_CORE, Blackbox, Dns, Nginx, Silence, cpu_us,
                           make_certificates, open_files, peak_rss_bytes, pinned)

CONCURRENCY = 64
SITES = 120           # of which TLS sessions are kept
FULL_EVERY = 12       # checks of a site: every 5 minutes, with a full handshake every hour
WIDE_CHECKS, WIDE_CONCURRENCY = 100_000, 10_000
SLOW_TIMEOUT_MS, SLOW_PER_SECOND, SLOW_SECONDS = 2000, 4000, 8
HEAD_SCRIPT = 'wrk.method = "HEAD"\n'
# About what a check takes, to size a turn by; a client runs for about as long as every other.
ABOUT_US, ABOUT_GO_US, ABOUT_TLS_US = 25, 80, 400

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Work:
    """What each client is asked to do in its turn."""
    name: str
    method: str
    path: str
    https: bool = False
    sessions: bool = False
    full_every: int = 0
    peers: tuple[str, ...] = ("wrk", "go", "blackbox")


# "list" is ours too: CheckAll and its thread. "go_free" may use both cores, as Go's programs do.
HTTP = (Work("http_head", "HEAD", "/"),
        Work("http_get_1k", "GET", "/1k", peers=("wrk", "go", "go_free", "blackbox", "list")))
HTTPS = (
    Work("https_full", "GET", "/1k", https=True, full_every=1, peers=("go", "blackbox")),
    Work("https_resumed", "GET", "/1k", https=True, sessions=True, peers=("wrk", "go")),
    Work("https_mixed", "GET", "/1k", https=True, sessions=True, full_every=FULL_EVERY, peers=()),
)


def said(text: str) -> Figures:
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def run(*command: object, free: bool = False) -> Figures:
    line = list(map(str, command)) if free else pinned(CLIENTS_CORE, *command)
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr}")
    return said(done.stdout)


def costs(checks: int, user_us: float, system_us: float, rss_bytes: int) -> Figures:
    """Of a peer that does not print them itself, all of whose checks are known to have succeeded."""
    return {"checks": checks, "up": checks, "cpu_us": (user_us + system_us) / checks,
            "user_us": user_us / checks, "system_us": system_us / checks, "rss_bytes": rss_bytes}


class Bench:
    """The servers, and a turn of each client."""

    def __init__(self, programs: pathlib.Path, folder: pathlib.Path, seconds: float):
        self.folder = folder
        self.seconds = seconds
        self.ours_program = programs / "probe_bench"
        self.go_program = folder / "go_checker"
        self.servers = []
        self.ca, certificate, key = make_certificates(folder)
        (folder / "head.lua").write_text(HEAD_SCRIPT)
        try:
            self.nginx = self.start(Nginx(folder, certificate, key))
            self.blackbox = self.start(Blackbox(folder, self.ca))
        except BaseException:
            self.stop()
            raise

    def start(self, server):
        self.servers.append(server)
        return server

    def stop(self) -> None:
        for server in reversed(self.servers):
            server.stop()

    def build_go(self) -> None:
        source = pathlib.Path(__file__).with_name("go_checker") / "main.go"
        subprocess.run(["go", "build", "-o", self.go_program, source], check=True)

    def checks(self, client: str, work: Work) -> int:
        about = ABOUT_TLS_US if work.https else ABOUT_GO_US if client == "go" else ABOUT_US
        return int(1e6 * self.seconds / about)

    def ours(self, work: Work, *flags: str) -> Figures:
        checks = self.checks("ours", work)
        return self.engine(
            f"--url={self.nginx.url(work.path, work.https)}", f"--checks={checks}",
            f"--mode={work.method.lower()}-simple", f"--ca_file={self.ca}", f"--sites={SITES}",
            f"--full_every={work.full_every}",
            f"--warm_up={SITES * FULL_EVERY if work.sessions else CONCURRENCY}", *flags)

    def engine(self, *flags: str) -> Figures:
        return run(self.ours_program, f"--concurrency={CONCURRENCY}", *flags)

    def go(self, work: Work, free: bool = False) -> Figures:
        return run(self.go_program, f"-url={self.nginx.url(work.path, work.https)}",
                   f"-method={work.method}", f"-checks={self.checks('go', work)}",
                   f"-warm_up={CONCURRENCY}", f"-concurrency={CONCURRENCY}", f"-ca_file={self.ca}",
                   f"-sessions={SITES if work.sessions else 0}", free=free)

    def wrk(self, work: Work) -> Figures:
        command = ["wrk", "-t1", f"-c{CONCURRENCY}", f"-d{max(1, round(self.seconds))}s",
                   "-H", "Connection: close"]
        if work.method == "HEAD":
            command += ["-s", self.folder / "head.lua"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(pinned(CLIENTS_CORE, *command, self.nginx.url(work.path, work.https)),
                                   stdout=subprocess.PIPE, text=True)
        rss = 0
        while process.poll() is None:
            rss = max(rss, peak_rss_bytes(process.pid))
            time.sleep(0.1)
        out = process.stdout.read()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = re.search(r"(\d+) requests in", out)
        if process.returncode != 0 or done is None or "Non-2xx" in out or "Socket errors" in out:
            sys.exit(f"wrk: {out}")
        checks = int(done[1])
        return costs(checks, 1e6 * (after.ru_utime - before.ru_utime),
                     1e6 * (after.ru_stime - before.ru_stime), rss)

    def exporter(self, work: Work) -> Figures:
        target = self.nginx.url(work.path, work.https)
        self.blackbox.must_succeed(work.method, target)
        before = cpu_us(self.blackbox.pid)
        began = self.counted(work)
        succeeded = self.blackbox.ask(work.method, target, max(1, round(self.seconds)))
        checks = self.counted(work) - began - (0 if work.https else 1)
        # The last ones were on their way when wrk stopped; nginx has seen them, nobody their answers.
        if not succeeded <= checks <= succeeded + ASKED_AT_ONCE:
            sys.exit(f"blackbox_exporter: {succeeded} probes have succeeded, nginx saw {checks}")
        user, system = (now - then for now, then in zip(cpu_us(self.blackbox.pid), before))
        return costs(checks, user, system, peak_rss_bytes(self.blackbox.pid))

    def counted(self, work: Work) -> int:
        """Checks that nginx has seen."""
        return sum(self.nginx.handshakes()) if work.https else self.nginx.connections()

    def turn(self, client: str, work: Work) -> Figures:
        """One client's, with what nginx says about it."""
        client_of = {"ours": self.ours, "go": self.go, "wrk": self.wrk, "blackbox": self.exporter,
                     "go_free": lambda same: self.go(same, free=True),
                     "list": lambda same: self.ours(same, "--list")}
        connections = self.nginx.connections()
        full, resumed = self.nginx.handshakes()
        figures = client_of[client](work)
        if figures["up"] != figures["checks"]:
            sys.exit(f"{client}, {work.name}: {figures['up']:.0f} of {figures['checks']:.0f} up")
        if self.nginx.connections() - connections - 1 < figures["checks"]:
            sys.exit(f"{client}, {work.name}: checks have shared a connection")
        if work.https:
            now = self.nginx.handshakes()
            figures["resumed_share"] = (now[1] - resumed) / max(1, sum(now) - full - resumed)
        return figures


def least(turns: list[Figures], figure: str = "cpu_us") -> float:
    return min(one[figure] for one in turns)


GOALS = {
    ("http_head", "wrk"): 1.0, ("http_get_1k", "wrk"): 1.0, ("http_head", "go"): 4.0,
    ("http_get_1k", "go"): 4.0, ("http_head", "blackbox"): 25.0, ("http_get_1k", "blackbox"): 25.0,
    ("https_full", "blackbox"): 1.6, ("https_mixed", "blackbox"): 3.0, ("https_mixed", "wrk"): 1.0,
}


class Report:
    """Prints as it goes, and keeps the flat figures."""

    def __init__(self):
        self.json: dict[str, float] = {}

    def keep(self, name: str, value: float) -> None:
        self.json[name] = float(f"{value:.4g}")

    def say(self, text: str) -> None:
        print(text, flush=True)

    def costs(self, turns: dict[str, dict[str, list[Figures]]]) -> None:
        self.say(f"\n{'CPU of a check':15} {'client':9} {'min us':>8} {'median':>8} {'user':>7}"
                 f" {'system':>7} {'RSS MB':>7} {'resumed':>8} {'peer/ours':>10}  goal")
        for work, clients in turns.items():
            for client, figures in clients.items():
                self._line(work, client, figures, clients["ours"])

    def _line(self, work: str, client: str, figures: list[Figures], ours: list[Figures]) -> None:
        best = min(figures, key=lambda one: one["cpu_us"])
        ratio = best["cpu_us"] / least(ours)
        goal = GOALS.get((work, client))
        self.say(f"{work:15} {client:9} {best['cpu_us']:8.1f}"
                 f" {statistics.median(one['cpu_us'] for one in figures):8.1f}"
                 f" {best['user_us']:7.1f} {best['system_us']:7.1f}"
                 f" {max(one['rss_bytes'] for one in figures) / 1e6:7.1f}"
                 f" {best.get('resumed_share', 0):8.1%} {ratio:10.2f}"
                 f"  {'' if goal is None else f'>= {goal}'}")
        short = {"http_get_1k": "http_get"}.get(work, work)
        if client == "ours":
            self.keep(f"{short}_cpu_us", best["cpu_us"])
            self.keep(f"{short}_rss_bytes", max(one["rss_bytes"] for one in figures))
        else:
            self.keep(f"{short}_vs_{client}", ratio)


def rounds(bench: Bench, works: list[Work], count: int, report: Report) -> None:
    turns = {work.name: {client: [] for client in ("ours", *work.peers)} for work in works}
    for number in range(count):
        for work in works:
            for client, figures in turns[work.name].items():
                figures.append(bench.turn(client, work))
        report.say(f"round {number + 1} of {count}: " + ", ".join(
            f"{name} {clients['ours'][-1]['cpu_us']:.1f}" for name, clients in turns.items()) + " us")
    if "https_mixed" in turns:
        # Neither has a mixture of its own: blackbox_exporter never resumes, wrk always does.
        turns["https_mixed"]["blackbox"] = turns["https_full"]["blackbox"]
        turns["https_mixed"]["wrk"] = turns["https_resumed"]["wrk"]
    report.costs(turns)


def wide(bench: Bench, report: Report) -> None:
    if open_files() < WIDE_CONCURRENCY + 500:
        report.say(f"\n{WIDE_CONCURRENCY:,} checks at a time: left out, only {open_files():,} files may"
                   " be open (ulimit -n)")
        return
    url = bench.nginx.url("/")
    ours = bench.engine(f"--url={url}", f"--checks={WIDE_CHECKS}", "--mode=head-simple",
                        f"--concurrency={WIDE_CONCURRENCY}")
    peer = run(bench.go_program, f"-url={url}", "-method=HEAD", f"-checks={WIDE_CHECKS}",
               f"-concurrency={WIDE_CONCURRENCY}")
    report.say(f"\n{WIDE_CHECKS:,} checks, {WIDE_CONCURRENCY:,} at a time")
    for name, one in (("ours", ours), ("go", peer)):
        report.say(f"  {name:5} {one['up']:,.0f} up, {one['seconds']:.2f} s, {one['cpu_us']:.1f} us CPU"
                   f" a check, RSS {one['rss_bytes'] / 1e6:.0f} MB")
    report.keep("wide_up", ours["up"])
    report.keep("wide_cpu_us", ours["cpu_us"])
    report.keep("wide_rss_bytes", ours["rss_bytes"])
    report.keep("wide_vs_go", peer["cpu_us"] / ours["cpu_us"])


def slow(bench: Bench, report: Report) -> None:
    silence = bench.start(Silence(bench.folder))
    checks = SLOW_PER_SECOND * SLOW_SECONDS
    flags = [f"--url={bench.nginx.url('/')}", f"--checks={checks}", "--mode=head-simple", "--list",
             f"--per_second={SLOW_PER_SECOND}", "--concurrency=4000",
             f"--timeout_ms={SLOW_TIMEOUT_MS}"]
    report.say(f"\n{SLOW_PER_SECOND:,} checks a second for {SLOW_SECONDS} s")
    for name, more in (("without", []), ("with", [f"--slow_url=http://127.0.0.1:{silence.port}/"])):
        one = bench.engine(*flags, *more)
        report.say(f"  {name:8} 5 % that time out in {SLOW_TIMEOUT_MS / 1e3:.0f} s:"
                   f" {one['up']:,.0f} up, {one['timed_out']:,.0f} timed out, {one['seconds']:.2f} s,"
                   f" {one['cpu_us']:.1f} us CPU a check; of the rest p50 {one['check_p50_us']:.0f} us,"
                   f" p99 {one['check_p99_us']:.0f} us")
        for figure in ("check_p50_us", "check_p99_us", "cpu_us"):
            report.keep(f"slow_{name}_{figure}", one[figure])


def dns(bench: Bench, count: int, report: Report) -> None:
    resolver = bench.start(Dns(bench.folder))
    port = bench.nginx.port
    urls = {"an address": f"http://127.0.0.1:{port}/",
            "a name, known": f"http://known.bench.test:{port}/",
            "a name each, asked": f"http://n#.bench.test:{port}/"}
    turns: dict[str, list[Figures]] = {name: [] for name in urls}
    for _ in range(count):
        for name, url in urls.items():
            turns[name].append(bench.engine(
                f"--url={url}", "--checks=20000", f"--warm_up={CONCURRENCY}", "--mode=head-simple",
                f"--resolvers=127.0.0.1:{resolver.port}"))
    report.say("\nCPU of a HEAD, by what stands in the URL")
    for (name, figures), key in zip(turns.items(), ("address", "known", "asked")):
        report.say(f"  {name:20} {least(figures):6.1f} us")
        if any(one["up"] != one["checks"] for one in figures):
            sys.exit("not all were up")
        report.keep(f"dns_{key}_cpu_us", least(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a client's turn, about")
    parser.add_argument("--parts", default="http,https,wide,slow,dns")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parts = arguments.parts.split(",")
    works = [work for part, some in (("http", HTTP), ("https", HTTPS)) if part in parts
             for work in some]
    report = Report()
    with tempfile.TemporaryDirectory(prefix="jetmon-bench-") as folder:
        bench = Bench(arguments.programs.absolute(), pathlib.Path(folder), arguments.seconds)
        try:
            bench.build_go()
            if works:
                rounds(bench, works, arguments.rounds, report)
            if "wide" in parts:
                wide(bench, report)
            if "slow" in parts:
                slow(bench, report)
            if "dns" in parts:
                dns(bench, arguments.rounds, report)
        finally:
            bench.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.json, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
