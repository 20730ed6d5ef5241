#!/usr/bin/python3
"""The bench of the store: what the product does with a million sites, against the same work done raw,
on SQLite and MariaDB, rounds of both in turn. Run it by tools/bench.sh store.

    store_bench.py PROGRAMS [--rows N] [--rounds N] [--engines sqlite,mariadb] [--json FILE]
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/servers"))
import mariadb  # noqa: E402

# A whole seed in three statements: the targets, and what adoption writes for sites that are not up.
RAW_SEED = """
INSERT INTO jetmon_check_targets (site_id, blog_id, bucket_no, url, interval_minutes, phase,
  config_hash, updated_at_ms) SELECT jetpack_monitor_site_id, blog_id, bucket_no, monitor_url,
  check_interval, jetpack_monitor_site_id & 65535, '0123456789abcdef', 1 FROM jetpack_monitor_sites
  WHERE monitor_active = 1;
INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, severity, source, started_at_ms,
  last_seq, projected_status, projected_change) SELECT blog_id, jetpack_monitor_site_id, bucket_no,
  'http', 4, 'rollout:seed', 1, 1, site_status, last_status_change FROM jetpack_monitor_sites WHERE
  monitor_active = 1 AND site_status <> 1;
INSERT INTO jetmon_event_transitions (event_id, seq, site_id, reason, from_severity, to_severity,
  notified, ended, source, epoch, instance, detail, at_ms) SELECT event_id, 1, site_id, 'adopted', 0,
  severity, 0, 0, source, 0, 'raw', 'site_status 2', 1 FROM jetmon_events WHERE ended_at_ms IS NULL;
"""
WRITTEN = ["jetmon_check_targets", "jetmon_endpoint_runtime", "jetmon_events",
           "jetmon_event_transitions", "jetmon_notifications", "jetmon_rollout_range_locks",
           "jetmon_rollout_sessions", "jetmon_rollout_jobs", "jetmon_rollout_checkpoints",
           "jetmon_hosts", "jetmon_process_health"]
RESET = ("UPDATE jetmon_rollout_bucket_locks SET pool = 'v1', owner_host = NULL, owner_instance = "
         "NULL, epoch = 0, state = 'free';")
SITES_A_LOAD = 100_000
BUCKETS = 512


def run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip()[-2000:]}")


def values(command: list[str], text: str = "") -> dict[str, float]:
    """What a part printed: lines of a name and a number."""
    environment = dict(os.environ, JETMON_DATABASE_PASSWORD=mariadb.PASSWORD)
    done = subprocess.run(command, input=text, text=True, capture_output=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


class Sqlite:
    name = "sqlite"

    def __init__(self, folder: pathlib.Path, programs: pathlib.Path):
        self.folder, self.programs = folder, programs
        self.pristine, self.work = folder / "pristine.db", folder / "work.db"

    def bench(self, part: str, *more: str, file: pathlib.Path | None = None) -> dict[str, float]:
        return values([str(self.programs / "store_bench"), f"--part={part}",
                       f"--database=sqlite://{file or self.work}", *more])

    def peer(self, part: str, *more: str) -> dict[str, float]:
        return values([str(self.programs / "store_peer"), f"--part={part}",
                       f"--sqlite={self.work}", *more])

    def generate(self, rows: int) -> None:
        self.bench("generate", f"--rows={rows}", file=self.pristine)
        run(["sqlite3", str(self.pristine), "PRAGMA wal_checkpoint(TRUNCATE)"])

    def fresh(self) -> None:
        for end in ("", "-wal", "-shm"):
            pathlib.Path(f"{self.work}{end}").unlink(missing_ok=True)
        shutil.copy(self.pristine, self.work)
        os.sync()

    def raw_seed(self) -> float:
        return values([str(self.programs / "store_peer"), "--part=script",
                       f"--sqlite={self.work}"], f"BEGIN IMMEDIATE; {RAW_SEED} COMMIT")["seconds"]

    def stop(self) -> None:
        pass


class Mariadb:
    name = "mariadb"

    def __init__(self, folder: pathlib.Path, programs: pathlib.Path):
        self.programs = programs
        self.server = mariadb.Single(folder / "mariadb", ["--innodb-buffer-pool-size=1G"]).start()
        self.node = self.server.node

    def bench(self, part: str, *more: str) -> dict[str, float]:
        return values([str(self.programs / "store_bench"), f"--part={part}",
                       f"--database={self.server.url()}", *more])

    def peer(self, part: str, *more: str) -> dict[str, float]:
        return values([str(self.programs / "store_peer"), f"--part={part}",
                       f"--port={self.node.port}", *more])

    def generate(self, rows: int) -> None:
        self.node.sql((ROOT / "tests/servers/legacy_table.sql").read_text(), "jetmon")
        self.bench("generate", f"--rows={rows}")
        self.node.sql("ANALYZE TABLE jetpack_monitor_sites", "jetmon")

    def fresh(self) -> None:
        self.node.sql("".join(f"TRUNCATE {t};" for t in WRITTEN) + RESET, "jetmon")

    def raw_seed(self) -> float:
        text = ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION;"
                f"{RAW_SEED} COMMIT;")
        began = time.monotonic()
        self.node.sql(text, "jetmon")
        return time.monotonic() - began

    def stop(self) -> None:
        self.server.stop()


class Report:
    def __init__(self) -> None:
        self.json: dict[str, float] = {}
        print(f"{'what':40} {'engine':8} {'ours':>12} {'raw':>12} {'ours/raw':>9}")

    def line(self, what: str, engine: str, ours: float, raw: float | None, unit: str) -> None:
        peer = f"{raw:12.3f} {ours / raw:9.2f}" if raw else f"{'':12} {'':9}"
        print(f"{what + ', ' + unit:40} {engine:8} {ours:12.3f} {peer}", flush=True)

    def keep(self, name: str, value: float) -> None:
        self.json[name] = round(value, 3)


def median(rows: list[dict[str, float]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def seed(engine, rows: int, rounds: int, report: Report) -> None:
    raw, ours, again = [], [], []
    for _ in range(rounds):
        engine.fresh()
        raw.append(engine.raw_seed())
        engine.fresh()
        ours.append(engine.bench("seed"))
        if ours[-1]["targets"] != rows:
            sys.exit(f"{ours[-1]['targets']} targets of {rows} sites")
        again.append(engine.bench("seed"))
    peer, wall = statistics.median(raw), median(ours, "seconds")
    work = statistics.median(r["seconds"] - r["paused_seconds"] for r in ours)
    report.line("seed, with pauses", engine.name, wall, peer, "s")
    report.line("seed, without pauses", engine.name, work, peer, "s")
    report.line("seed again, nothing to do", engine.name, median(again, "seconds"), None, "s")
    rss = max(r["rss_bytes"] for r in ours + again)
    report.line("seed, peak RSS", engine.name, rss / 1e6, None, "MB")
    report.keep(f"seed_1m_vs_raw_{engine.name}", wall / peer)
    report.keep(f"seed_1m_work_vs_raw_{engine.name}", work / peer)
    report.keep("seed_rss_bytes", max(rss, report.json.get("seed_rss_bytes", 0)))


def load(engine, rows: int, rounds: int, report: Report) -> None:
    """On what the last seed left."""
    last = f"--bucket_max={min(BUCKETS, max(1, round(SITES_A_LOAD * BUCKETS / rows))) - 1}"
    raw, ours, store = [], [], []
    engine.bench("load", last)  # warm
    for _ in range(rounds):
        raw.append(engine.peer("load", last))
        ours.append(engine.bench("load", last))
        store.append(engine.bench("read", last))
    sites = median(ours, "sites")
    if sites != median(raw, "sites") or sites != median(store, "sites"):
        sys.exit("the loads differ in what they found")
    peer = median(raw, "seconds")
    # The peer only looks at what it read; a Monitor also makes its table of sites of it.
    report.line(f"load {sites:.0f} sites", engine.name, median(store, "seconds"), peer, "s")
    report.line("and a Monitor's table of them", engine.name, median(ours, "seconds"), peer, "s")
    rss = max(r["rss_bytes"] for r in ours)
    report.line("that Monitor's peak RSS", engine.name, rss / 1e6, None, "MB")
    report.keep(f"load_vs_raw_{engine.name}", median(store, "seconds") / peer)
    report.keep(f"load_with_table_vs_raw_{engine.name}", median(ours, "seconds") / peer)
    report.keep("load_vs_raw", max(median(store, "seconds") / peer,
                                   report.json.get("load_vs_raw", 0)))
    report.keep("load_rss_bytes", max(rss, report.json.get("load_rss_bytes", 0)))


def latencies(engine, rounds: int, report: Report) -> None:
    for part, names in (("claim", ["claim"]), ("fence", ["fence"]),
                        ("event", ["open", "confirm", "close"])):
        raw, ours = [], []
        for _ in range(rounds):
            engine.fresh()
            raw.append(engine.peer(part))
            engine.fresh()
            ours.append(engine.bench(part))
        for name in names:
            for share in ("p50", "p99"):
                key = f"{name}_{share}_us"
                report.line(f"{name}, {share}", engine.name, median(ours, key), median(raw, key),
                            "us")
                report.keep(f"{key}_{engine.name}", median(ours, key))


def incidents(engine, rounds: int, seconds: float, report: Report) -> None:
    raw, ours = [], []
    count = "--count=10000"
    for _ in range(rounds):
        engine.fresh()
        raw.append(engine.peer("incidents", count))
        engine.fresh()
        ours.append(engine.bench("incidents", count))
    mine, peer = median(ours, "incidents_per_s"), median(raw, "incidents_per_s")
    print(f"{'incidents a second, at most':40} {engine.name:8} {mine:12.0f} {peer:12.0f} "
          f"{peer / mine:9.2f}")
    report.keep(f"incidents_per_s_{engine.name}", mine)
    report.keep("incidents_per_s", min(mine, report.json.get("incidents_per_s", mine)))
    engine.fresh()
    paced = engine.bench("paced", f"--seconds={seconds}")
    report.line("10,000 a minute: written late, p99", engine.name, paced["late_p99_us"] / 1e3, None,
                "ms")
    report.line("10,000 a minute: written late, max", engine.name, paced["late_max_us"] / 1e3, None,
                "ms")
    report.keep(f"paced_late_max_ms_{engine.name}", paced["late_max_us"] / 1e3)


def beside_seed(engine, report: Report) -> None:
    """How long a fence takes while a seed runs."""
    engine.fresh()
    fences = engine.bench("fence_beside_seed")
    for share in ("p50", "p99", "max"):
        report.line(f"a fence beside a seed, {share}", engine.name, fences[f"fence_{share}_us"] / 1e3,
                    None, "ms")
    report.keep(f"fence_beside_seed_p99_ms_{engine.name}", fences["fence_p99_us"] / 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="of the paced incidents")
    parser.add_argument("--engines", default="sqlite,mariadb")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    report = Report()
    for kind in (Sqlite, Mariadb):
        if kind.name not in arguments.engines.split(","):
            continue
        with tempfile.TemporaryDirectory(prefix="jetmon-bench-") as folder:
            engine = kind(pathlib.Path(folder), arguments.programs)
            try:
                engine.generate(arguments.rows)
                seed(engine, arguments.rows, arguments.rounds, report)
                load(engine, arguments.rows, arguments.rounds, report)
                latencies(engine, arguments.rounds, report)
                incidents(engine, arguments.rounds, arguments.seconds, report)
                beside_seed(engine, report)
            finally:
                engine.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.json, indent=1) + "\n")


if __name__ == "__main__":
    main()
