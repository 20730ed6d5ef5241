"""The database, as the lab needs it: filled with sites, asked, and seen to be writable. The same on
an embedded one and on a server."""
from __future__ import annotations

import pathlib
import re
import sqlite3
import threading
import time
from typing import Any, Sequence

import pymysql
from pymysql.constants import FIELD_TYPE

from launcher.servers import PROBE, Access, Servers
from launcher.waiting import LabError

BUSY_SECONDS = 30
PAUSE_SECONDS = 0.2
CONNECT_SECONDS, ANSWER_SECONDS = 3, 6
SITES_AT_ONCE = 1000
# Which server of a cluster a process begins with; it goes on with the others when that one fails.
SPREAD = {"controlplane": 0, "monitor-a": 1, "monitor-b": 2, "v1": 0}


def bucket_of(site_id: int, sites: int, buckets: int) -> int:
    """Sites 1 to `sites` lie evenly over the buckets."""
    if sites < buckets:
        return (site_id - 1) * buckets // sites
    return (site_id - 1) % buckets


class Database:
    """What both engines have. Statements are written with ? for values."""

    url: str  # with all rights
    password = ""

    def access(self, role: str, process: str = "") -> Access:
        """How a process of a role reaches it; its name says which server of a cluster it prefers."""
        raise NotImplementedError

    def start(self) -> None:
        """Before the first migration."""

    def migrated(self) -> None:
        """After the first migration."""

    def stop(self) -> None:
        """For good."""

    def processes(self) -> dict[str, tuple[int, int | None]]:
        """Of its servers: name -> pid and start ticks."""
        return {}

    def execute(self, sql: str, *values: Any) -> None:
        """Runs one statement, and commits. It may run twice when a connection was lost."""
        raise NotImplementedError

    def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        """All rows; a column by number or by name."""
        raise NotImplementedError

    def is_writable(self, busy_seconds: float) -> bool:
        """Whether a write transaction can begin: nobody sits in one that stops all others."""
        raise NotImplementedError

    def fill(self, sites: int, buckets: int, interval: int, url: str) -> None:
        """Sites 1 to `sites`, spread evenly over the buckets, up; `url` has {n} for the site."""
        for low in range(1, sites + 1, SITES_AT_ONCE):
            ids = range(low, min(low + SITES_AT_ONCE, sites + 1))
            self.execute(
                "INSERT INTO jetpack_monitor_sites (jetpack_monitor_site_id, blog_id, bucket_no, "
                "monitor_url, check_interval) VALUES " + ", ".join(["(?, ?, ?, ?, ?)"] * len(ids)),
                *[value for n in ids for value in (n, 100_000 + n, bucket_of(n, sites, buckets),
                                                   url.format(n=n), interval)])

    def set_v1_status(self, site_ids: list[int], status: int, seconds_ago: int) -> None:
        """What v1 has found out about some sites before the lab begins."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - seconds_ago))
        for low in range(0, len(site_ids), SITES_AT_ONCE):
            ids = site_ids[low:low + SITES_AT_ONCE]
            self.execute("UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? "
                         f"WHERE jetpack_monitor_site_id IN ({', '.join('?' * len(ids))})", status,
                         at, *ids)

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None if there is none."""
        rows = self.rows(sql, *values)
        return rows[0][0] if rows else None

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


class EmbeddedDatabase(Database):
    def __init__(self, path: pathlib.Path):
        self.path = path
        self.url = f"sqlite://{path}"

    def access(self, role: str, process: str = "") -> Access:
        return Access(self.url)

    def _connect(self, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=busy_seconds, isolation_level=None)

    def execute(self, sql: str, *values: Any) -> None:
        db = self._connect()
        try:
            db.execute(sql, values)
        finally:
            db.close()

    def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        db = self._connect()
        db.row_factory = sqlite3.Row
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def is_writable(self, busy_seconds: float) -> bool:
        db = self._connect(busy_seconds)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            db.close()


class Row(tuple):
    """A row of a server's, with names as sqlite3.Row has them."""

    names: dict[str, int]

    def __getitem__(self, key: int | str) -> Any:
        return tuple.__getitem__(self, self.names[key] if isinstance(key, str) else key)


def connect(url: str, password: str) -> pymysql.connections.Connection:
    """To the first server of the URL that answers and may be written. pymysql.Error if none is."""
    user, hosts, database = re.fullmatch(r"mysql://([^@]+)@([^/]+)/(\w+)", url).groups()
    # Times come as text, as SQLite keeps them.
    texts = {kind: text for kind, text in pymysql.converters.conversions.items()
             if kind not in (FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATETIME)}
    failure: Exception | None = None
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        try:
            connection = pymysql.connect(
                host=name, port=int(port), user=user, password=password, database=database,
                autocommit=True, connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS,
                write_timeout=ANSWER_SECONDS, conv=texts)
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION time_zone = '+00:00'")
                # On a cluster: what was committed anywhere is seen.
                cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
                if (cursor.fetchone() or ("", ""))[1] == "ON":
                    cursor.execute("SET SESSION wsrep_sync_wait = 1")
                    cursor.execute("SELECT 1")  # fails on a node that is not in the majority
            return connection
        except (pymysql.Error, OSError) as error:
            failure = error
    raise failure or LabError(f"{url} names no server")


class ServerDatabase(Database):
    """A connection a thread, made anew when it is lost."""

    def __init__(self, servers: Servers, spread: dict[str, int] | None = None):
        self.servers, self._spread = servers, spread or SPREAD
        everything = servers.access("", first=2)
        self.url, self.password = everything.url, everything.password
        self._own = threading.local()

    def access(self, role: str, process: str = "") -> Access:
        name = process or role
        return self.servers.access(role, first=self._spread.get(name, sum(name.encode())))

    def start(self) -> None:
        self.servers.start()

    def migrated(self) -> None:
        self.servers.grant()

    def stop(self) -> None:
        self.servers.stop()

    def processes(self) -> dict[str, tuple[int, int | None]]:
        return self.servers.processes()

    def _run(self, sql: str, values: Sequence[Any], seconds: float) -> Sequence[Row]:
        limit = time.monotonic() + seconds
        while True:
            try:
                return self._run_once(sql, values)
            except (pymysql.OperationalError, pymysql.InterfaceError, OSError) as error:
                self._forget()
                if time.monotonic() > limit:
                    raise LabError(f"the database does not answer: {error}") from error
                time.sleep(PAUSE_SECONDS)

    def _run_once(self, sql: str, values: Sequence[Any]) -> Sequence[Row]:
        if getattr(self._own, "connection", None) is None:
            self._own.connection = connect(self.url, self.password)
        with self._own.connection.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values or ())
            if cursor.description is None:
                return []
            names = {column[0]: i for i, column in enumerate(cursor.description)}
            kind = type("NamedRow", (Row,), {"names": names})
            return [kind(row) for row in cursor.fetchall()]

    def _forget(self) -> None:
        connection = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            try:
                connection.close()
            except (pymysql.Error, OSError):
                pass  # it was lost already

    def execute(self, sql: str, *values: Any) -> None:
        self._run(sql, values, BUSY_SECONDS)

    def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        return self._run(sql, values, BUSY_SECONDS)

    def is_writable(self, busy_seconds: float) -> bool:
        # A process that is stopped in a transaction stops nobody but who wants the same rows, and
        # its server ends that transaction after 5 s.
        return True

    def takes_writes(self) -> bool:
        """Whether a row can be written now, through any server."""
        try:
            self._run_once(PROBE, ())
            return True
        except (pymysql.Error, OSError):
            self._forget()
            return False
