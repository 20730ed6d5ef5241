"""The embedded database, as the lab needs it: filled with sites, asked, and seen to be writable."""
from __future__ import annotations

import pathlib
import sqlite3
import time
from typing import Any

from launcher.waiting import LabError

BUSY_SECONDS = 30


def bucket_of(site_id: int, sites: int, buckets: int) -> int:
    """Sites 1 to `sites` lie evenly over the buckets."""
    if sites < buckets:
        return (site_id - 1) * buckets // sites
    return (site_id - 1) % buckets


class Database:
    def __init__(self, path: pathlib.Path):
        self.path = path
        self.url = f"sqlite://{path}"

    def _connect(self, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=busy_seconds, isolation_level=None)

    def fill(self, sites: int, buckets: int, interval: int, url: str) -> None:
        """Sites 1 to `sites`, spread evenly over the buckets, up; `url` has {n} for the site."""
        db = self._connect()
        try:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT INTO jetpack_monitor_sites (jetpack_monitor_site_id, blog_id, bucket_no, "
                "monitor_url, check_interval) VALUES (?, ?, ?, ?, ?)",
                [(n, 100_000 + n, bucket_of(n, sites, buckets), url.format(n=n), interval)
                 for n in range(1, sites + 1)])
            db.execute("COMMIT")
        finally:
            db.close()

    def set_v1_status(self, site_ids: list[int], status: int, seconds_ago: int) -> None:
        """What v1 has found out about some sites before the lab begins."""
        db = self._connect()
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - seconds_ago))
        try:
            db.executemany("UPDATE jetpack_monitor_sites SET site_status = ?, "
                           "last_status_change = ? WHERE jetpack_monitor_site_id = ?",
                           [(status, at, site_id) for site_id in site_ids])
        finally:
            db.close()

    def execute(self, sql: str, *values: Any) -> None:
        db = self._connect()
        try:
            db.execute(sql, values)
        finally:
            db.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        db = self._connect()
        db.row_factory = sqlite3.Row
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None if there is none."""
        rows = self.rows(sql, *values)
        return rows[0][0] if rows else None

    def is_writable(self, busy_seconds: float) -> bool:
        """Whether a write transaction can begin: nobody sits in one."""
        db = self._connect(busy_seconds)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            db.close()

    def event_state(self, site_id: int) -> str:
        """'seems down', 'down' or '' by the open event of a site."""
        severity = self.one("SELECT severity FROM jetmon_events WHERE site_id = ? AND ended_at_ms "
                            "IS NULL", site_id)
        return {None: "", 3: "seems down", 4: "down"}.get(severity, str(severity))

    def site_status(self, site_id: int) -> int:
        status = self.one("SELECT site_status FROM jetpack_monitor_sites WHERE "
                          "jetpack_monitor_site_id = ?", site_id)
        if status is None:
            raise LabError(f"there is no site {site_id}")
        return status
