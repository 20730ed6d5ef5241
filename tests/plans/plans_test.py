"""How the engines find the rows of every statement that the store runs: through an index, and in the
order that it gives, on tables that have grown.

The statements, with the values that they were run with, are what the store's tests and those of seed,
rollout and the Monitor leave in JETMON_TEST_STATEMENTS; so a statement that nobody wrote down here is
looked at too.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "servers")]
import mariadb  # noqa: E402  (its folder is known only now)
import plans_data  # noqa: E402

# Tables that stay small, and why: they may be read whole.
SMALL = {
    "jetmon_counters": "two rows",
    "jetmon_schema_migrations": "one row a migration",
    "jetmon_schema_lock": "one row",
    "jetmon_rollout_bucket_locks": "one row a bucket, 512",
    "jetmon_bucket_activity": "one row a bucket, 512",
    "jetmon_hosts": "one row a Monitor host",
    "jetmon_veriflier_vantages": "tens",
    "jetmon_api_keys": "tens",
    "jetmon_process_health": "one row a process; those long gone are removed. An index on what every "
                             "heartbeat changes would cost more than it saves",
}
# Statements that may sort, and why. A piece of their text each.
MAY_SORT = {
    "ORDER BY s.jetpack_monitor_site_id + 0 LIMIT 1 OFFSET":
        "ids of one bucket, where v1's table has no index in that order",
    "state IN ('preparing', 'activating', 'active', 'draining', 'revoked') ORDER BY bucket_min":
        "ranges that are held: one a host",
    "WHERE state IN ('queued', 'running') ORDER BY job_id LIMIT 1000": "jobs under way",
    "jetmon_veriflier_agents WHERE vantage_id = ? ORDER BY CASE": "the agents of one vantage",
    "INSERT INTO jetmon_check_targets": "MariaDB keeps apart what it reads of a table that it writes",
    "ORDER BY 1": "of slices_test, which has the condition only from the store",
}
# Statements that may read a grown table whole, and why.
MAY_SCAN: dict[str, str] = {
    "SELECT site_id FROM jetmon_endpoint_check_config LIMIT 1": "one row, whichever: is there any?",
    " FROM jetpack_monitor_sites LIMIT 1": "one row, whichever: is there such a column?",
}
# Nothing asks for a row of these yet.
WRITTEN_ONLY = {"jetmon_event_transitions", "jetmon_check_history", "jetmon_false_positives",
                "jetmon_rollout_range_tenures"}

TESTS = [f"store/{name}_test" for name in (
    "activity",
    "adoption_v1",
    "comparison_results",
    "events",
    "hosts",
    "jobs",
    "keys",
    "late_words",
    "locks",
    "locks_states",
    "notifications",
    "parts",
    "policy_stages",
    "sessions",
    "sites",
    "slices",
    "tells",
    "tokens",
    "twins",
    "vantages",
)] + [
    "controlplane/rollout/gates_test",
    "controlplane/rollout/mute_test",
    "controlplane/rollout/seed_test",
    "controlplane/rollout/service_test",
    "monitor/ownership_test",
    "monitor/parts_test",
    "monitor/site_policy_test",
]


def excused(table: dict[str, str], sql: str) -> bool:
    return any(piece in sql for piece in table)


def is_first_page(sql: str) -> bool:
    """It takes the first rows in the order of an index, and no others."""
    return " WHERE " not in sql and " ORDER BY " in sql and " LIMIT " in sql


def shape(sql: str) -> str:
    """Statements that differ in how many rows or ids they have are one."""
    sql = re.sub(r"(\((\?, )*\?\))(, \((\?, )*\?\))+", r"\1", sql)
    return re.sub(r"IN \(\?(, \?)*\)", "IN (?)", sql)


def literals(file: pathlib.Path) -> list[str]:
    """The string literals of a source, those that stand behind each other as one."""
    text = re.sub(r"//[^\n]*", "", file.read_text(encoding="utf-8"))
    joined = re.sub(r'"\s+"', "", text)
    return [m.replace("\\n", "\n") for m in re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined)
            if len(m) >= 15]


def sources(tests: bool) -> list[str]:
    # The real files: their tree is the checkout, also when Bazel runs this from a folder of links.
    root = pathlib.Path(os.path.realpath(__file__)).parent.parent.parent
    found = []
    for room in ("store", "controlplane/rollout", "monitor"):
        for file in (root / room).rglob("*.[ch]*"):
            test = file.stem.endswith("_test") or "fixture" in file.name or "test_" in file.name
            if test == tests:
                found += literals(file)
    return found


def record(url: str, folder: pathlib.Path) -> list[tuple[str, list]]:
    """What the tests' programs run, on an embedded database each if there is no URL: one statement
    of each shape, with the values of a run of it. What only a test itself runs is left out."""
    file = folder / "statements"
    file.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GTEST_", "XML_OUTPUT"))}
    environment.update(TEST_TMPDIR=str(folder), JETMON_TEST_STATEMENTS=str(file),
                       JETMON_DATABASE_PASSWORD=mariadb.PASSWORD)
    if url:
        environment["JETMON_TEST_DATABASE"] = url
    for test in TESTS:
        done = subprocess.run([ROOT / test], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=environment)
        if done.returncode != 0:
            raise AssertionError(f"{test} failed: {done.stdout[-3000:]}")
    known: dict[str, tuple[str, list]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        sql, *values = json.loads(line)
        if re.match(r"SELECT|UPDATE|DELETE|INSERT .*SELECT", sql, re.DOTALL):
            known[shape(sql)] = (sql, values)
    own, product = sources(tests=True), sources(tests=False)
    return [(sql, values) for sql, values in known.values()
            if not any(map(sql.startswith, own)) or any(map(sql.startswith, product))]


def literal(value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def inlined(sql: str, values: list) -> str:
    rest = iter(values)
    pieces = re.split(r"('(?:[^']|'')*'|\?)", sql)
    return "".join(literal(next(rest)) if piece == "?" else piece for piece in pieces)


class Plans:
    """What both engines' tests do; `faults` is the engine's."""

    maxDiff = None

    def test_every_statement_uses_an_index(self):
        bad = []
        for sql, values in self.statements:
            for fault in self.faults(sql, values):
                bad.append(f"{fault}\n    {sql}\n    {values}")
        self.assertFalse(bad, "\n".join(bad))

    def test_a_scan_and_a_sort_are_found(self):
        for sql in ("SELECT event_id FROM jetmon_events WHERE http_code = 500",
                    "SELECT event_id FROM jetmon_events WHERE site_id = 7 ORDER BY failure_class",
                    "UPDATE jetmon_notifications SET attempts = 1 WHERE url = 'x'",
                    "SELECT blog_id FROM jetpack_monitor_sites WHERE monitor_url = 'x'"):
            self.assertNotEqual(self.faults(sql, []), [], sql)
        self.assertEqual(self.faults("SELECT value FROM jetmon_counters", []), [])

    def test_there_is_something_to_look_at(self):
        text = "\n".join(sql for sql, _ in self.statements)
        self.assertGreater(len(self.statements), 100)
        for table in list(plans_data.ROWS) + list(SMALL):
            if not table.startswith("jetmon_schema") and table not in WRITTEN_ONLY:
                self.assertIn(table, text)

    def test_what_is_excused_is_run(self):
        text = "\n".join(sql for sql, _ in self.statements)
        for piece in [*MAY_SORT, *MAY_SCAN]:
            self.assertIn(piece, text)


SCHEMA_OF_THE_ENGINE = ("information_schema", "pragma_", "@@")


def tables_of(sql: str) -> dict[str, str]:
    """The tables of a statement by the names that it has for them."""
    found = {}
    for table, alias in re.findall(r"(?:FROM|JOIN|UPDATE|INTO) (\w+)(?: ([a-z])\b)?", sql):
        found[alias or table] = table
    return found


class OnSqlite(Plans, unittest.TestCase):
    """Without ANALYZE: nobody runs it on an embedded database."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        folder = pathlib.Path(cls.folder.name)
        cls.statements = record("", folder)
        file = folder / "grown.db"
        subprocess.run([ROOT / "cli/jetmon2", "migrate", f"--database=sqlite://{file}"],
                       check=True, capture_output=True)
        cls.db = sqlite3.connect(file, isolation_level=None)
        cls.db.execute("BEGIN")
        for sql in plans_data.statements():
            cls.db.execute(sql)
        cls.db.execute("COMMIT")
        cls.db.create_function("jetmon_hash16", 1, lambda text: text, deterministic=True)

    @classmethod
    def tearDownClass(cls):
        cls.db.close()
        cls.folder.cleanup()

    def faults(self, sql: str, values: list) -> list[str]:
        if any(word in sql for word in SCHEMA_OF_THE_ENGINE):
            return []
        tables = tables_of(sql)
        found = []
        for *_, detail in self.db.execute("EXPLAIN QUERY PLAN " + sql, values):
            scan = re.match(r"SCAN (\w+)", detail)
            if (scan and tables.get(scan[1], scan[1]) not in SMALL and not excused(MAY_SCAN, sql)
                    and not is_first_page(sql) and "CONSTANT ROW" not in detail):
                found.append(f"SQLite: {detail}")
            if ("TEMP B-TREE" in detail and not excused(MAY_SORT, sql)
                    and not set(tables.values()) <= set(SMALL)):
                found.append(f"SQLite: {detail}")
        return found


class OnMariadb(Plans, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        folder = pathlib.Path(cls.folder.name)
        cls.server = mariadb.Single(folder / "server").start()
        cls.node = cls.server.node
        cls.addClassCleanup(cls.stop)
        cls.node.sql("CREATE DATABASE recorded")
        cls.statements = record(cls.server.url("recorded"), folder)
        cls.node.sql((ROOT / "tests/servers/legacy_table.sql").read_text(), "jetmon")
        subprocess.run([ROOT / "cli/jetmon2", "migrate", f"--database={cls.server.url()}"],
                       check=True, capture_output=True,
                       env=dict(os.environ, JETMON_DATABASE_PASSWORD=mariadb.PASSWORD))
        cls.node.sql("BEGIN;" + ";".join(plans_data.statements()) + "; COMMIT; ANALYZE TABLE "
                     + ", ".join(plans_data.ROWS), "jetmon")

    @classmethod
    def stop(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def faults(self, sql: str, values: list) -> list[str]:
        if any(word in sql for word in SCHEMA_OF_THE_ENGINE):
            return []
        tables = tables_of(sql)
        found = []
        for line in self.node.sql("SET sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES'; EXPLAIN "
                                  + inlined(sql, values), "jetmon").splitlines():
            _, _, name, kind, *_, extra = line.split("\t")
            if name == "NULL" or tables.get(name, name) in SMALL:
                continue
            if (kind == "ALL" or kind == "index" and not is_first_page(sql)) and not excused(
                    MAY_SCAN, sql):
                found.append(f"MariaDB: {line}")
            if re.search("filesort|temporary", extra) and not excused(MAY_SORT, sql):
                found.append(f"MariaDB: {line}")
        return found


if __name__ == "__main__":
    unittest.main()
