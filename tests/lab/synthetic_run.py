"""Writes a story down as the files of a run, in the shape that the programs give them."""
from __future__ import annotations

import dataclasses
import json
import pathlib
import sqlite3
from typing import Any, Iterable

from judging.load import TABLES
from judging.story import FOREVER, Row, Story

SITE_COLUMNS = ("jetpack_monitor_site_id INTEGER, bucket_no INT, monitor_url TEXT, monitor_active "
                "INT, site_status INT, last_status_change TEXT, check_interval INT")


def write_table(db: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["empty"]
    db.execute(f"CREATE TABLE {table} ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    db.executemany(f"INSERT INTO {table} VALUES ({marks})",
                   [[row.get(name) for name in names] for row in rows])


def write_database(path: pathlib.Path, story: Story) -> None:
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE jetpack_monitor_sites ({SITE_COLUMNS})")
    db.executemany("INSERT INTO jetpack_monitor_sites VALUES (?, ?, ?, ?, ?, ?, ?)", [
        (s.site_id, s.bucket, s.url, int(s.active), s.status, s.status_change or None,
         round(s.interval_s / story.unit_s)) for s in story.sites.values()])
    for field, table in TABLES.items():
        write_table(db, table, getattr(story, field))
    db.commit()
    db.close()


def write_lines(path: pathlib.Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def at(ms: float) -> Row:
    return {"wall_ns": round(ms * 1e6)}


def request_rows(story: Story) -> list[Row]:
    rows = [{"kind": "request", **at(r.at_ms), "boot_ns": round(r.boot_ms * 1e6),
             "source": r.source, "agent": r.agent, "method": r.method, "path": f"/s/{r.site_id}",
             "site": r.site_id, "hop": r.hop, "status": 500 if r.failed else 200,
             "delay_ms": r.delay_ms} for r in story.requests]
    rows += [{"kind": "notify", **at(story.end_ms - 1), "boot_ns": 0, "idempotency_key": key}
             for key in story.deliveries]
    rows += [{"kind": "state", **at(s.at_ms), "boot_ns": 0, "sites": list(s.site_ids),
              "state": "down" if s.down else "up", "detail": f"source={s.source}"}
             for s in story.states]
    return rows


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
    (folder / "lab.json").write_text(json.dumps(lab), encoding="utf-8")
    return lab
