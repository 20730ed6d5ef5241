"""Writes a story down as the files of a run, in the shape that the programs give them."""
from __future__ import annotations

import dataclasses
import json
import pathlib
import sqlite3
from typing import Any, Iterable

from judging.load import TABLES
from judging.story import FOREVER, Row, State, Story
from synthetic import T0

SITE_COLUMNS = ("jetpack_monitor_site_id INTEGER, bucket_no INT, monitor_url TEXT, monitor_active "
                "INT, site_status INT, last_status_change TEXT, check_interval INT, blog_id INT")


def write_table(db: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["empty"]
    db.execute(f"CREATE TABLE {table} ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    db.executemany(f"INSERT INTO {table} VALUES ({marks})",
                   [[row.get(name) for name in names] for row in rows])


def write_database(path: pathlib.Path, story: Story) -> None:
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE jetpack_monitor_sites ({SITE_COLUMNS})")
    db.executemany("INSERT INTO jetpack_monitor_sites VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [
        (s.site_id, s.bucket, s.url, int(s.active), s.status, s.status_change or None,
         round(s.interval_s / story.unit_s), s.blog_id) for s in story.sites.values()])
    for field, table in TABLES.items():
        write_table(db, table, getattr(story, field))
    db.commit()
    db.close()


def write_lines(path: pathlib.Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def at(ms: float) -> Row:
    return {"wall_ns": round(ms * 1e6), "boot_ns": round((ms - T0 + 5_000_000) * 1e6)}


def request_rows(story: Story) -> list[Row]:
    rows = [{"kind": "request", **at(r.at_ms), "boot_ns": round(r.boot_ms * 1e6),
             "source": r.source, "agent": r.agent, "method": r.method, "path": f"/s/{r.site_id}",
             "site": r.site_id, "hop": r.hop, "status": 500 if r.failed else 200,
             "delay_ms": r.delay_ms} for r in story.requests]
    rows += [{"kind": "notify", **at(story.end_ms - 1), "idempotency_key": key}
             for key in story.deliveries]
    return rows + [{"kind": "state", **at(s.at_ms), "sites": list(s.site_ids), **what(s)}
                   for s in story.states]


def what(state: State) -> Row:
    """How the fixture is told to answer so."""
    if state.unsure:
        return {"state": "slow", "detail": f"source={state.source}&delay_ms=1500"}
    kind = "never" if state.silent else "down" if state.down else "up"
    return {"state": kind, "detail": f"source={state.source}"}


def people_rows(story: Story) -> list[Row]:
    rows = [{"kind": "told", **at(t.at_ms), "sender": t.sender, "id": t.id, "blog_id": t.key[0],
             "url": t.key[1], "status": t.status, "repeat": t.repeat} for t in story.people]
    return rows + [{"kind": "wrote", **at(w.at_ms), "blog_id": w.key[0], "url": w.key[1],
                    "status": w.status} for w in story.written]


def v1_rows(story: Story) -> list[Row]:
    rows = [{"kind": s.kind, **at(s.at_ms), "min": s.bucket_min, "max": s.bucket_max}
            for s in story.v1_switches]
    return rows + [{"kind": "notify", **at(a.at_ms), "site_id": a.site_id, "status": a.status}
                   for a in story.v1_alerts]


def chronicle_rows(story: Story) -> list[Row]:
    rows = [{"kind": "start", **at(s.at_ms), "name": s.name, "pid": s.pid} for s in story.starts]
    for fault in story.faults:
        rows.append({"kind": "fault", **at(fault.from_ms), "name": fault.what, "what": fault.how})
        if fault.until_ms != FOREVER:
            rows.append({"kind": "healed", **at(fault.until_ms), "name": fault.what})
    rows += [{"kind": "decided", **at(d.at_ms), "blog_id": d.key[0], "url": d.key[1],
              "status": d.status, "as": "told" if d.told else "untold"} for d in story.decided]
    return sorted(rows, key=lambda row: row["wall_ns"]) + [{"kind": "end", **at(story.end_ms)}]


def write_run(folder: pathlib.Path, story: Story) -> dict[str, Any]:
    """Into that folder; what its lab.json says."""
    database = folder / "jetmon.db"
    database.unlink(missing_ok=True)
    write_database(database, story)
    write_lines(folder / "requests.jsonl", request_rows(story))
    write_lines(folder / "v1.jsonl", v1_rows(story))
    write_lines(folder / "chronicle.jsonl", chronicle_rows(story))
    lab = {"database": f"sqlite://{database}", "interval_unit_s": story.unit_s,
           "request_log": str(folder / "requests.jsonl"), "v1_log": str(folder / "v1.jsonl"),
           "chronicle": str(folder / "chronicle.jsonl"), "plan": story.plan,
           "senders": {source: dataclasses.asdict(who) for source, who in story.senders.items()}}
    if story.has_people:
        write_lines(folder / "people.jsonl", people_rows(story))
        lab |= {"people": str(folder / "people.jsonl"), "dialect": story.dialect,
                "receiver_delay_s": story.receiver_delay_ms / 1000,
                "mute_s": story.mute_ms / 1000, "replica_lag_s": story.replica_lag_ms / 1000}
    (folder / "lab.json").write_text(json.dumps(lab), encoding="utf-8")
    return lab
