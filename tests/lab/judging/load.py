"""Reads a story from a lab's files: lab.json names them."""
from __future__ import annotations

import json
import pathlib
import re
import sqlite3
import urllib.parse
from typing import Any, Iterator, Protocol

import pymysql
from pymysql.constants import FIELD_TYPE

from judging import bounds
from judging.bounds import check_timeout
from judging.dialect import DIALECTS, JETMON2
from judging.story import (FOREVER, Alert, Decided, Request, Row, Sender, Site, Span, Start, State,
                           Story, Stray, Tell, V1Switch, Written)
from judging.subjects import fixture_number

# What reading a run may fail with.
ERRORS = (OSError, ValueError, KeyError, sqlite3.Error, pymysql.Error)
ANSWER_SECONDS = 60


class Reader(Protocol):
    """One database, read as it is."""

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, columns by name."""


class SqliteReader:
    def __init__(self, path: str):
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self._db.row_factory = sqlite3.Row
        self._db.execute("BEGIN")  # one moment for all tables

    def rows(self, table: str) -> list[Row]:
        return [dict(row) for row in self._db.execute(f"SELECT * FROM {table}")]


class ServerReader:
    """A MySQL server, or the first of a cluster's that answers."""

    def __init__(self, url: str, password: str):
        match = re.fullmatch(r"mysql://([^@]+)@([^/]+)/(\w+)", url)
        if match is None:
            raise ValueError(f"the judge can't read {url}")
        user, hosts, database = match.groups()
        # Times as text, like SQLite's.
        conversions = {kind: text for kind, text in pymysql.converters.conversions.items()
                       if kind not in (FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATETIME)}
        failure: Exception | None = None
        for host in hosts.split(","):
            name, _, port = host.rpartition(":")
            try:
                self._db = pymysql.connect(
                    host=name, port=int(port), user=user, password=password, database=database,
                    conv=conversions, cursorclass=pymysql.cursors.DictCursor, connect_timeout=5,
                    read_timeout=ANSWER_SECONDS)
                self._begin()
                return
            except pymysql.Error as error:
                failure = error
        raise failure or ValueError(f"{url} names no server")

    def _begin(self) -> None:
        """One moment for all tables, in which all is there that was committed before on any node."""
        with self._db.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00'")
            cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
            if (cursor.fetchone() or {}).get("Value") == "ON":
                cursor.execute("SET SESSION wsrep_sync_wait = 1")
                cursor.execute("SELECT 1")
            self._db.rollback()
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def rows(self, table: str) -> list[Row]:
        with self._db.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return list(cursor.fetchall())


def open_database(url: str, password: str) -> Reader:
    """Of a URL as our programs take it."""
    if url.startswith("sqlite://"):
        return SqliteReader(url.removeprefix("sqlite://"))
    return ServerReader(url, password)


TABLES = {
    "locks": "jetmon_rollout_range_locks",
    "parts": "jetmon_rollout_range_parts",
    "tenures": "jetmon_rollout_range_tenures",
    "health": "jetmon_process_health",
    "buckets": "jetmon_rollout_bucket_locks",
    "jobs": "jetmon_rollout_jobs",
    "tokens": "jetmon_rollout_confirmation_tokens",
    "audit": "jetmon_audit_log",
    "events": "jetmon_events",
    "transitions": "jetmon_event_transitions",
    "notifications": "jetmon_notifications",
    "history": "jetmon_check_history",
    "false_positives": "jetmon_false_positives",
    "targets": "jetmon_check_targets",
    "runtime": "jetmon_endpoint_runtime",
    "stages": "jetmon_rollout_policy_stages",
    "stage_rows": "jetmon_rollout_policy_stage_rows",
    "configs": "jetmon_endpoint_check_config",
}


def json_lines(path: str) -> Iterator[Row]:
    """The whole lines of a file; a last one that is being written is left out."""
    file = pathlib.Path(path)
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def load_sites(reader: Reader, unit_s: float) -> dict[int, Site]:
    sites = {}
    for row in reader.rows("jetpack_monitor_sites"):
        site = Site(row["jetpack_monitor_site_id"], row["bucket_no"], row["monitor_url"],
                    row["check_interval"] * unit_s, bool(row["monitor_active"]),
                    row["site_status"], row["last_status_change"] or "", row.get("blog_id", 0))
        sites[site.site_id] = site
    return sites


def load_state(row: Row, at_ms: float, timeout_ms: float) -> State:
    """`down`: whatever asks finds it so. What is slow, or redirects, is left to whoever checks."""
    query = urllib.parse.parse_qs(row["detail"])
    code = int(query.get("code", ["500"])[0])
    delay_ms = int(query.get("delay_ms", ["0"])[0])
    down = row["state"] in ("reset", "never") or row["state"] == "down" and code >= 400 \
        or row["state"] == "slow" and delay_ms > 2 * timeout_ms
    silent = down and row["state"] in ("never", "slow")
    unsure = not down and (row["state"] == "redirect" or row["state"] == "slow"
                           and delay_ms >= timeout_ms / 2)
    return State(at_ms, tuple(row["sites"]), down, query.get("source", [""])[0], silent, unsure)


class SiteFinder:
    """Tells which site a row of the request log is about."""

    def __init__(self, sites: dict[int, Site]):
        self._by_number = {fixture_number(site.url): site.site_id for site in sites.values()}
        self._by_number.pop(None, None)

    def find(self, row: Row) -> int | None:
        number = row.get("site")
        if number is None:  # broken off, or no site of the fixture's: its path may tell
            number = fixture_number("http://fixture" + row["path"])
        return self._by_number.get(number)


# A wall clock that runs ahead by so much of CLOCK_BOOTTIME was set, ms: a virtual machine that was
# stopped, for example. Nobody could check anything in the time that it left out.
CLOCK_STEP = 100.0


def load_requests(story: Story, path: str) -> None:
    finder = SiteFinder(story.sites)
    timeout_ms = check_timeout(story.unit_s)
    ahead_ms: float | None = None
    for row in json_lines(path):
        at_ms, boot_ms = row["wall_ns"] / 1e6, row["boot_ns"] / 1e6
        story.end_ms = max(story.end_ms, at_ms)
        if ahead_ms is not None and at_ms - boot_ms - ahead_ms > CLOCK_STEP:
            story.stalls.append(Span(boot_ms + ahead_ms, at_ms))
        ahead_ms = at_ms - boot_ms
        if row["kind"] in ("request", "partial", "stray"):
            site_id = finder.find(row)
            if site_id is None and row["kind"] == "partial" and row["source"] in story.senders \
                    and row["path"] in ("", "/"):
                continue  # of a site that only its host names, which was not read any more
            if site_id is None:
                story.strays.append(Stray(at_ms, row["source"], row["path"]))
                continue
            failed = not 200 <= row.get("status", 0) < 300
            story.requests.append(Request(at_ms, boot_ms, row["source"], site_id, row["agent"],
                                          row.get("hop", 0), row.get("delay_ms", 0),
                                          row["method"],
                                          failed or row.get("delay_ms", 0) >= timeout_ms))
        elif row["kind"] == "state":
            story.states.append(load_state(row, at_ms, timeout_ms))
        elif row["kind"] == "notify":
            story.deliveries.append(row["idempotency_key"])
        elif row["kind"] == "stall":
            story.stalls.append(Span(at_ms - row["lag_ms"], at_ms))


def load_v1(story: Story, path: str) -> None:
    for row in json_lines(path):
        at_ms = row["wall_ns"] / 1e6
        if row["kind"] == "notify":
            story.v1_alerts.append(Alert(at_ms, row["site_id"], row["status"]))
        elif row["kind"] in ("v1_started", "v1_stopped"):
            story.v1_switches.append(V1Switch(at_ms, row["kind"], row["min"], row["max"]))


def load_people(story: Story, path: str) -> None:
    """Who was told what. What v2 told them counts as received, too."""
    story.has_people = True
    for row in json_lines(path):
        if row["kind"] not in ("told", "wrote"):
            continue
        at_ms, key = row["wall_ns"] / 1e6, (row["blog_id"], row["url"])
        if row["kind"] == "wrote":
            story.written.append(Written(at_ms, key, row["status"]))
            continue
        story.people.append(Tell(at_ms, row["sender"], key, row["status"], row["id"],
                                 row["repeat"]))
        if row["sender"] == "v2":
            story.deliveries.append(row["id"])


def load_chronicle(story: Story, path: str) -> None:
    """What the launcher did: starts, faults (until healed or started again, or for good),
    edits, what the operator decided, the end."""
    faults: dict[str, Row] = {}
    for row in json_lines(path):
        at_ms = row["wall_ns"] / 1e6
        name = row.get("name", "")
        if row["kind"] == "fault":
            faults.setdefault(name, {"at_ms": at_ms, "how": row.get("what", "")})
        elif row["kind"] == "returns" and name in faults:
            faults[name].setdefault("back_ms", at_ms)
        elif row["kind"] == "healed" and name in faults:
            story.faults.append(span_of(name, faults.pop(name), at_ms))
        elif row["kind"] == "start":
            story.starts.append(Start(at_ms, name, row["pid"]))
            if name in faults:  # it was killed, and is there again
                story.faults.append(span_of(name, faults.pop(name), at_ms))
        elif row["kind"] == "edit":
            story.edits.setdefault(row["site_id"], []).append(at_ms)
        elif row["kind"] == "decided":
            story.decided.append(Decided(at_ms, (row["blog_id"], row["url"]), row["status"],
                                         row["as"] == "told"))
        elif row["kind"] == "end":
            story.end_ms = at_ms
            story.ended = True
    story.faults += [span_of(name, fault, FOREVER) for name, fault in faults.items()]


def span_of(name: str, fault: Row, until_ms: float) -> Span:
    return Span(fault["at_ms"], until_ms, name, fault["how"], fault.get("back_ms", FOREVER))


def load_terms(story: Story, lab: dict[str, Any]) -> None:
    """What this run's programs were told about v1 and its receiver."""
    story.dialect = lab.get("dialect", JETMON2)
    if story.dialect not in DIALECTS:
        raise ValueError(f"the judge knows no dialect {story.dialect!r}")
    if "receiver_delay_s" in lab:
        story.receiver_delay_ms = 1000 * lab["receiver_delay_s"]
    story.replica_lag_ms = 1000 * lab.get("replica_lag_s", 0)
    story.mute_ms = 1000 * lab["mute_s"] if "mute_s" in lab else bounds.mute(
        story.receiver_delay_ms)


def load(lab: dict[str, Any]) -> Story:
    """`lab`: database and its database_password, request_log, v1_log, chronicle, interval_unit_s,
    senders (source address -> {name, role, host}), plan (see evidence.py); where they differ from
    what Story says: people (a log), dialect, receiver_delay_s,
    replica_lag_s, mute_s."""
    reader = open_database(lab["database"], lab.get("database_password", ""))
    story = Story()
    story.senders = {source: Sender(**who) for source, who in lab["senders"].items()}
    story.unit_s = lab["interval_unit_s"]
    story.plan = lab.get("plan", {})
    logs = ["request_log", "v1_log", "chronicle"] + (["people"] if lab.get("people") else [])
    story.missing = [lab[name] for name in logs if not pathlib.Path(lab[name]).exists()]
    load_terms(story, lab)
    story.sites = load_sites(reader, lab["interval_unit_s"])
    # A Monitor's turn over its buckets is scaled as its intervals are, down to 5 s.
    story.policy_seen_ms = max(10_000, 1000 * lab["interval_unit_s"])
    for field, table in TABLES.items():
        setattr(story, field, reader.rows(table))
    load_requests(story, lab["request_log"])
    load_v1(story, lab["v1_log"])
    load_chronicle(story, lab["chronicle"])
    if lab.get("people"):
        load_people(story, lab["people"])
    return story
