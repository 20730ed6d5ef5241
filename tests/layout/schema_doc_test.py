"""docs/database/schema.md against what the migrations make: each table, each column, nothing else."""
import os
import re
import sqlite3
import subprocess
import tempfile
import unittest

PAGE = "docs/database/schema.md"
# Made on a server only, by whoever migrates.
SERVER_ONLY = {"jetmon_schema_lock": ["id", "holder", "seq"]}


def documented() -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    columns: list[str] = []
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            if heading := re.match(r"## `(\w+)`", line):
                columns = tables.setdefault(heading.group(1), [])
            elif (cell := re.match(r"\| ([^|]*) \|", line)) and "`" in cell.group(1):
                columns += re.findall(r"`(\w+)`", cell.group(1))
    return tables


def made() -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "jetmon.db")
        subprocess.run(["cli/jetmon2", "migrate", f"--database=sqlite://{path}"], check=True)
        connection = sqlite3.connect(path)
        names = [row[0] for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        tables = {name: [row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})")]
                  for name in names}
        connection.close()
    return {**tables, **SERVER_ONLY}


class SchemaPageTest(unittest.TestCase):
    def test_every_table_and_column_stands_there(self) -> None:
        page, database = documented(), made()
        self.assertEqual(sorted(page), sorted(database))
        self.assertGreater(len(database), 20)
        for table, columns in database.items():
            with self.subTest(table):
                self.assertEqual(sorted(page[table]), sorted(columns))


if __name__ == "__main__":
    unittest.main()
