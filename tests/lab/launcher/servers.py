"""The database servers of a lab, their users, and what can be done to them. What takes the database
away altogether is a fault of "database" in the chronicle, healed when it can be written again; a node
that a cluster loses is none for the judge: who was on it goes on with the others."""
from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
from typing import Callable

from launcher.processes import Chronicle, start_ticks
from launcher.waiting import LabError, wait_until

ROOT = pathlib.Path(__file__).absolute().parents[3]
sys.path.insert(0, str(ROOT / "tests/servers"))

import mariadb  # noqa: E402

ENGINES = ("mariadb", "galera")
GRANTS = ROOT / "docs/database/grants.sql"
DATABASE = "jetmon"
HOST = "127.0.0.1"
HEAL_SECONDS = 90

# v1's table as v1 made it; no statement of v2's makes or alters it on a server.
LEGACY_TABLE = ROOT / "tests/servers/legacy_table.sql"
# What the lab itself writes stands apart: a row to see whether anything can be written, and the
# tables of durable_writer.
LAB_DATABASE = "lab"
LAB_TABLES = """CREATE DATABASE lab;
CREATE TABLE lab.probe (id INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB;
INSERT INTO lab.probe VALUES (1, 0);
CREATE TABLE lab.numbers (number BIGINT NOT NULL PRIMARY KEY, thread INT NOT NULL) ENGINE=InnoDB;
CREATE TABLE lab.totals (thread INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB;"""
PROBE = "UPDATE lab.probe SET n = n + 1 WHERE id = 1"
# What v1 itself may do.
V1_GRANTS = """CREATE USER '{v1}'@'{host}' IDENTIFIED BY '{v1_password}';
GRANT SELECT, UPDATE (site_status, last_status_change) ON {database}.jetpack_monitor_sites
  TO '{v1}'@'{host}';"""


@dataclasses.dataclass(frozen=True)
class Access:
    """What a program needs to reach the database."""
    url: str
    password: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"JETMON_DATABASE_PASSWORD": self.password} if self.password else {}


# Roles and their users; the lab's own may do anything.
USERS = {role: Access(f"jetmon_{role}", f"{role}-of-the-lab")
         for role in ("migrate", "controlplane", "monitor", "v1")}
LAB_USER = Access(mariadb.USER, mariadb.PASSWORD)


def parts_of_grants(text: str) -> tuple[str, str]:
    """What is run before and after the first migration."""
    before, mark, after = text.partition("-- part 2")
    if not mark:
        raise LabError(f"{GRANTS} has no part 2")
    return before, "--" + after


def fill_in(text: str, users: dict[str, Access]) -> str:
    """The statements for our database and users. LabError for a placeholder that nobody fills."""
    values = {"database": DATABASE, "host": HOST}
    for role, user in users.items():
        values[role], values[f"{role}_password"] = user.url, user.password
    statements = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    try:
        return re.sub(r"\{(\w+)\}", lambda m: values[m[1]], statements)
    except KeyError as error:
        raise LabError(f"{GRANTS} asks for {error}, which is none of {sorted(values)}") from None


class Servers:
    """One MariaDB, or a Galera cluster of three, in a folder of the run."""

    def __init__(self, engine: str, folder: pathlib.Path, chronicle: Chronicle, detached: bool):
        self.engine, self.chronicle = engine, chronicle
        if engine == "galera":
            # A node that dies gets back from the others what it had not yet on its disk.
            self._group = mariadb.Cluster(folder / "servers", detached=detached)
        else:
            self._group = mariadb.Single(folder / "servers",
                                         ["--innodb-flush-log-at-trx-commit=1"], detached)
        self._hit: str | None = None  # by a fault that is not healed yet

    # --- where they are
    @property
    def nodes(self) -> list[mariadb.Node]:
        return self._group.nodes

    def name(self, index: int) -> str:
        return "database" if len(self.nodes) == 1 else f"database-{index + 1}"

    def access(self, role: str, first: int = 0, database: str = DATABASE) -> Access:
        """The URL of a role's user ("": the lab's own), the hosts from number `first` on."""
        user = USERS[role] if role else LAB_USER
        ports = [node.port for node in self.nodes]
        first %= len(ports)
        hosts = ",".join(f"{HOST}:{port}" for port in ports[first:] + ports[:first])
        return Access(f"mysql://{user.url}@{hosts}/{database}", user.password)

    def processes(self) -> dict[str, tuple[int, int | None]]:
        """Name -> pid and start ticks, of the ones that were started."""
        return {self.name(i): (node.pid, start_ticks(node.pid))
                for i, node in enumerate(self.nodes) if node.process is not None}

    # --- beginning and end
    def start(self) -> None:
        """Starts them, with v1's table and the users as they are before the first migration."""
        try:
            self._group.start()
            before, _ = parts_of_grants(GRANTS.read_text(encoding="utf-8"))
            node = self.nodes[0]
            node.sql(LEGACY_TABLE.read_text(encoding="utf-8"), DATABASE)
            node.sql(LAB_TABLES)
            node.sql(fill_in(before, USERS) + fill_in(V1_GRANTS, USERS), DATABASE)
        except mariadb.ServerError as error:
            raise LabError(f"the database servers: {error}") from error

    def grant(self) -> None:
        """The rights that name tables that the first migration makes."""
        _, after = parts_of_grants(GRANTS.read_text(encoding="utf-8"))
        try:
            self.nodes[0].sql(fill_in(after, USERS), DATABASE)
        except mariadb.ServerError as error:
            raise LabError(f"{GRANTS}: {error}") from error

    def stop(self) -> None:
        self._group.stop()

    # --- faults
    def _fault(self, index: int, what: str) -> None:
        self._hit = self.name(index)
        self.chronicle.write("fault", name=self._hit, what=what)

    def kill(self, index: int = 0) -> None:
        """kill -9. The rest of a cluster goes on without it: see wait_healed."""
        self._fault(index, "killed")
        self.nodes[index].kill()

    def restart(self, index: int = 0) -> None:
        """A killed server comes back; a cluster's node with what it missed."""
        node = self.nodes[index]
        self.chronicle.write("returns", name=self.name(index))
        try:
            if self.engine == "galera":
                self._group.rejoin(node)
                self._group.wait_size(len(self.nodes))
            else:
                node.spawn()
                node.wait_ready()
        except mariadb.ServerError as error:
            raise LabError(f"{self.name(index)} did not come back: {error}") from error

    def pause(self, index: int = 0) -> None:
        self._fault(index, "paused")
        self.nodes[index].pause()

    def resume(self, index: int = 0) -> None:
        self.chronicle.write("returns", name=self.name(index))
        self.nodes[index].resume()

    def wait_whole(self) -> None:
        """Until every server is back and, in a cluster, in step with the others."""
        try:
            if self.engine == "galera":
                self._group.wait_size(len(self.nodes), HEAL_SECONDS)
            else:
                self.nodes[0].wait_ready(HEAL_SECONDS)
        except mariadb.ServerError as error:
            raise LabError(str(error)) from error

    def wait_healed(self, writes: Callable[[], object]) -> None:
        """Until `writes` can write again, through whichever server."""
        wait_until(writes, HEAL_SECONDS, "the database to take writes again")
        if self._hit is not None:
            self.chronicle.write("healed", name=self._hit)
        self._hit = None
