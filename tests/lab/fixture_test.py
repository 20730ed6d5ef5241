"""The witness and v1's stand-in as processes: what is asked is logged, what is stopped stays so."""
from __future__ import annotations

import json
import socket
import sqlite3
import unittest

from lab import SOURCES, boot_ns
from lab_case import LabCase
from launcher.waiting import wait_until

LEGACY = """CREATE TABLE jetpack_monitor_sites (jetpack_monitor_site_id INTEGER PRIMARY KEY,
  blog_id BIGINT, bucket_no SMALLINT, monitor_url VARCHAR(300), monitor_active TINYINT DEFAULT 1,
  site_status TINYINT DEFAULT 1, last_status_change TIMESTAMP NULL, check_interval TINYINT)"""


class FixtureTest(LabCase):
    SITES = 64
    INTERVAL = 1

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        lab = cls.lab
        with sqlite3.connect(lab.database.path) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(LEGACY)
        db.close()
        lab.port["fixture"] = lab.ports.take()
        lab.database.fill(cls.SITES, 512, cls.INTERVAL, lab.fixture_url + "/s/{n}")
        lab.start_fixture()

    def logged(self, agent: str, count: int) -> list[dict]:
        """The rows of requests with this user agent, once there are so many."""
        def rows() -> list[dict]:
            lines = self.lab.request_log.read_text(encoding="utf-8").splitlines()
            found = [json.loads(line) for line in lines]
            return [row for row in found if row.get("agent") == agent]
        wait_until(lambda: len(rows()) >= count, 5, f"{count} rows of {agent}")
        return rows()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.lab.port["fixture"]), 5,
                                        ("127.0.1.77", 0))

    def ask(self, connection: socket.socket, text: str) -> str:
        connection.sendall(text.encode())
        return connection.recv(65536).decode()

    def test_keep_alive_and_pipelining(self) -> None:
        request = "GET /s/3 HTTP/1.1\r\nHost: x\r\nUser-Agent: ka\r\n\r\n"
        with self.connect() as connection:
            for _ in range(3):
                self.assertIn("site 3", self.ask(connection, request))
            connection.sendall((request * 2).encode())
            rows = self.logged("ka", 5)
        self.assertEqual({(r["site"], r["source"], r["method"]) for r in rows},
                         {(3, "127.0.1.77", "GET")})
        self.assertEqual(sorted(rows, key=lambda r: r["boot_ns"]), rows)

    def test_by_host(self) -> None:
        with self.connect() as connection:
            answer = self.ask(connection, "HEAD / HTTP/1.1\r\nHost: site-9.example:80\r\n"
                                          "User-Agent: by-host\r\nConnection: close\r\n\r\n")
            self.assertTrue(answer.startswith("HTTP/1.1 200"))
            self.assertEqual(connection.recv(1), b"")
        self.assertEqual(self.logged("by-host", 1)[0]["site"], 9)

    def test_broken_off_requests_are_seen(self) -> None:
        with self.connect() as connection:
            connection.sendall(b"HEAD /s/8 HTTP/1.1\r\nHost:")

        def seen() -> bool:
            return '"kind":"partial"' in self.lab.request_log.read_text(encoding="utf-8")
        wait_until(seen, 5, "the partial request")

    def test_states(self) -> None:
        self.lab.set_sites([20], "down", code=503)
        self.lab.set_sites([21], "reset")
        self.lab.set_sites([22], "slow", delay_ms=300)
        head = "HEAD /s/{} HTTP/1.1\r\nHost: x\r\nUser-Agent: states\r\n\r\n"
        with self.connect() as connection:
            self.assertIn(" 503 ", self.ask(connection, head.format(20)))
        with self.connect() as connection:
            with self.assertRaises(ConnectionResetError):
                self.ask(connection, head.format(21))
        with self.connect() as connection:
            self.assertIn(" 200 ", self.ask(connection, head.format(22)))
        rows = {r["site"]: r for r in self.logged("states", 3)}
        self.assertEqual((rows[20]["status"], rows[21]["status"], rows[22]["delay_ms"]),
                         (503, 0, 300))

    def test_malformed_requests_are_refused(self) -> None:
        for text in ("nonsense\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
                     "POST /notify HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"):
            with self.connect() as connection:
                self.assertIn(" 400 ", self.ask(connection, text))

    def test_v1_stops_starts_and_writes(self) -> None:
        lab = self.lab
        lab.start_v1()
        lab.wait_checked("v1", 0, 511, since=0)
        lab.set_sites([5], "down")
        wait_until(lambda: lab.database.site_status(5) == 2, 20, "v1 to find site 5 down")
        bucket = 8 * 10
        stopped = lab.sites_of(0, bucket)
        lab.stop_v1(0, bucket)
        at = boot_ns()
        lab.wait_checked("v1", bucket + 1, 511)
        lab.wait_checked("v1", bucket + 1, 511)
        self.assertEqual(lab.requests.sites_since(SOURCES["v1"], at) & stopped, set())
        lab.set_sites([5], "up")
        self.assertEqual(lab._v1("POST", f"/start?min=0&max={bucket}"), 200)
        wait_until(lambda: lab.database.site_status(5) == 1, 20, "v1 to find site 5 up")
        rows = [json.loads(line) for line in
                (lab.folder / "v1.jsonl").read_text(encoding="utf-8").splitlines()]
        alerts = [r["status"] for r in rows if r["kind"] == "notify" and r["site_id"] == 5]
        self.assertEqual(alerts, [2, 1])
        for bad in ("/stop?min=5&max=4", "/stop?min=0&max=512", "/start", "/elsewhere?min=0&max=1"):
            self.assertEqual(lab._v1("POST", bad), 400)
        self.assertEqual(lab.processes["v1"].stop(), 0)


if __name__ == "__main__":
    unittest.main()
