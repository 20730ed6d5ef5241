"""v1 and the receiver alone, as processes: who is told what when, judged by people's log."""
from __future__ import annotations

import sqlite3
import unittest

from lab import boot_ns
from lab_case import LabCase
from launcher.real_v1 import SOURCE, VERIFLIERS, RealV1
from launcher.waiting import wait_until

LEGACY = """CREATE TABLE jetpack_monitor_sites (jetpack_monitor_site_id INTEGER PRIMARY KEY,
  blog_id BIGINT, bucket_no SMALLINT, monitor_url VARCHAR(300), monitor_active TINYINT DEFAULT 1,
  site_status TINYINT DEFAULT 1, last_status_change TIMESTAMP NULL, check_interval TINYINT)"""
LOW, HIGH = (0, 255), (256, 511)  # the two hosts
AN_HOUR_AGO = 200  # 59 minutes of v1's last 118 s here


class AloneCase(LabCase):
    """A table, its sites, a receiver and v1; nothing of ours."""

    SITES = 32
    INTERVAL = 3
    UNIT_S = 2  # a round lasts 6 s, a confirmation about 3 s
    V1 = "real"
    v1: RealV1

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        lab = cls.lab
        if cls.DATABASE == "sqlite":
            with sqlite3.connect(lab.database.path) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(LEGACY)
            db.close()
        lab.database.start()
        lab.port["fixture"] = lab.ports.take()
        lab.database.fill(cls.SITES, 512, cls.INTERVAL, lab.fixture_url + "/s/{n}")
        lab.start_fixture()
        cls.v1 = lab.real_v1
        cls.v1.start_receiver()
        cls.v1.start("0-255,256-511")

    def url(self, site: int) -> str:
        return f"{self.lab.fixture_url}/s/{site}"

    def told(self, site: int) -> list[int]:
        return self.v1.people.told(self.url(site))

    def wait_told(self, site: int, statuses: list[int]) -> None:
        """Until so much has been told of a site: exactly this."""
        wait_until(lambda: len(self.told(site)) >= len(statuses), self.lab.patience,
                   f"{statuses} of site {site}")
        self.assertEqual(self.told(site), statuses)

    def wait_written(self, site: int, statuses: list[int]) -> None:
        wait_until(lambda: len(self.v1.people.wrote(self.url(site))) >= len(statuses),
                   self.lab.patience, f"{statuses} to be written of site {site}")
        self.assertEqual(self.v1.people.wrote(self.url(site)), statuses)
        self.assertEqual(self.lab.database.site_status(site), statuses[-1])

    def bucket(self, site: int) -> int:
        return self.lab.database.one("SELECT bucket_no FROM jetpack_monitor_sites WHERE "
                                     "jetpack_monitor_site_id = ?", site)

    def wait_confirming(self, site: int) -> None:
        wait_until(lambda: self.v1.host(self.bucket(site))["confirming"], self.lab.patience,
                   f"v1 to confirm site {site}", every=0.02)

    def wait_rounds(self, site: int) -> None:
        self.v1.wait_rounds(self.bucket(site))


class V1AloneTest(AloneCase):
    RECEIVER_FLAGS = ("--delay_min=1200ms", "--delay_max=1800ms")

    def tearDown(self) -> None:
        """Each case leaves sites up and v1 running, so that the next one stands for itself."""
        self.v1.answer("ok")

    def test_an_outage_is_told_once_and_written_late(self) -> None:
        site, lab = 3, self.lab
        lab.set_sites([site], "down")
        self.wait_told(site, [0])
        self.assertEqual(lab.database.site_status(site), 1)
        self.wait_written(site, [0])
        self.wait_rounds(site)
        self.assertEqual(self.told(site), [0])
        lab.set_sites([site], "up")
        self.wait_told(site, [0, 1])
        self.assertEqual(lab.database.site_status(site), 0)
        self.wait_written(site, [0, 1])
        self.wait_rounds(site)
        self.assertEqual(self.told(site), [0, 1])
        people = self.v1.people
        told = people.rows("told", url=self.url(site))
        wrote = people.rows("wrote", url=self.url(site))
        for one, other in zip(told, wrote):
            self.assertGreaterEqual(other["boot_ns"] - one["boot_ns"], 1.2e9)
            self.assertEqual((one["sender"], one["id"], one["repeat"], other["rows"]),
                             ("v1", "", False, 1))
            self.assertEqual(one["blog_id"], 100_000 + site)
        # Each of its verifliers has asked.
        for source in VERIFLIERS:
            self.assertIn(site, lab.requests.sites_since(source, 0))

    def test_a_site_down_over_a_stop_and_a_start(self) -> None:
        site, lab = 5, self.lab
        lab.set_sites([site], "down")
        self.wait_confirming(site)
        lab.real_v1.order("stop", *LOW)
        at = boot_ns()
        stopped = lab.sites_of(*LOW)
        self.v1.wait_rounds(HIGH[0])
        self.assertEqual(self.told(site), [])
        asked = {n for source in (SOURCE, *VERIFLIERS)
                 for n in lab.requests.sites_since(source, at)}
        self.assertEqual(asked & stopped, set())
        self.assertTrue(asked)
        # Begun anew, told once, and not again by the host that is started after it was written.
        lab.real_v1.start_range(*LOW)
        self.wait_told(site, [0])
        self.wait_written(site, [0])
        lab.real_v1.order("stop", *LOW)
        lab.real_v1.start_range(*LOW)
        self.wait_rounds(site)
        self.assertEqual(self.told(site), [0])
        # Its end, while nobody looks, is told at the next start.
        lab.real_v1.order("stop", *LOW)
        lab.set_sites([site], "up")
        lab.real_v1.start_range(*LOW)
        self.wait_told(site, [0, 1])
        self.wait_written(site, [0, 1])
        hows = [row["how"] for row in self.v1.log.rows("v1_stopped", min=LOW[0], max=LOW[1])]
        self.assertEqual(hows[-3:], ["stop"] * 3)

    def test_a_duplicate_row(self) -> None:
        site, lab = 7, self.lab
        lab.database.execute(
            "INSERT INTO jetpack_monitor_sites (jetpack_monitor_site_id, blog_id, bucket_no, "
            "monitor_url, check_interval) VALUES (?, ?, ?, ?, 1)", 1000 + site, 100_000 + site,
            self.bucket(site), self.url(site))
        self.wait_rounds(site)
        lab.set_sites([site], "down")
        self.wait_told(site, [0])
        self.wait_written(site, [0])
        self.assertEqual([row["rows"] for row in
                          self.v1.people.rows("wrote", url=self.url(site))], [2])
        self.assertEqual(lab.database.site_status(1000 + site), 0)
        lab.database.set_v1_status([site, 1000 + site], 0, AN_HOUR_AGO)
        self.wait_told(site, [0, 2, 2])
        self.wait_written(site, [0, 2, 2])
        lab.set_sites([site], "up")
        self.wait_told(site, [0, 2, 2, 1, 1])
        self.wait_written(site, [0, 2, 2, 1, 1])
        self.wait_rounds(site)
        self.assertEqual(self.told(site), [0, 2, 2, 1, 1])

    def test_a_kill_loses_what_was_confirmed(self) -> None:
        site = 9
        self.lab.set_sites([site], "down")
        self.wait_confirming(site)
        self.v1.order("kill", *LOW)
        self.assertNotIn(LOW, self.v1.hosts())
        self.v1.wait_rounds(HIGH[0])
        self.assertEqual(self.told(site), [])
        self.v1.start_range(*LOW)
        self.wait_told(site, [0])
        self.lab.set_sites([site], "up")
        self.wait_written(site, [0])
        wait_until(lambda: 1 in self.told(site), self.lab.patience, "its end")

    def test_after_a_sighup_it_goes_on_for_one_more_round(self) -> None:
        site = 24
        self.assertGreaterEqual(self.bucket(site), HIGH[0])
        self.v1.wait_rounds(HIGH[0], 1)
        self.v1.order("hup", *HIGH)
        self.lab.set_sites([site], "down")
        self.wait_told(site, [0])
        wait_until(lambda: HIGH not in self.v1.hosts(), self.lab.patience, "the host to end")
        self.assertEqual(self.v1.log.rows("v1_stopped", min=HIGH[0])[-1]["how"], "hup")
        self.wait_written(site, [0])
        self.lab.set_sites([site], "up")
        self.v1.start_range(*HIGH)
        self.wait_told(site, [0, 1])

    def test_a_silent_receiver_is_asked_twice_at_once(self) -> None:
        site = 11
        self.v1.answer("silent")
        self.lab.database.set_v1_status([site], 2, AN_HOUR_AGO)
        self.wait_told(site, [1, 1])
        first, second = [row["boot_ns"] for row in
                         self.v1.people.rows("told", url=self.url(site))]
        self.assertGreater(second - first, 0.6e9)  # 20 s of v1's
        self.assertLess(second - first, self.INTERVAL * self.UNIT_S * 1e9)
        self.assertEqual([row["attempt"] for row in
                          self.v1.log.rows("tell", url=self.url(site))], [1, 2])

    def test_after_a_failed_last_query_it_reads_below_its_range(self) -> None:
        self.v1.order("stop", *LOW)
        at = boot_ns()
        self.v1.order("stray", *HIGH)
        wait_until(lambda: [row for row in self.v1.log.rows("read", min=224, max=255)
                            if row["boot_ns"] > at], self.lab.patience, "the stray query")
        self.v1.start_range(*LOW)

    def test_what_v1_refuses(self) -> None:
        for low, high in ((0, 100), (200, 300), (5, 4), (0, 512)):
            with self.assertRaisesRegex(Exception, "v1 refused"):
                self.v1.order("stop", low, high)
        with self.assertRaisesRegex(Exception, "v1 refused"):
            self.v1.start_range(100, 200)
        with self.assertRaisesRegex(Exception, "v1 refused"):
            self.v1.order("elsewhere", *LOW)


class V1ReplicaTest(AloneCase):
    """Reads from a replica that is behind: what the receiver has written is told again."""

    INTERVAL = 2
    LAG_S = 10
    V1_FLAGS = (f"--replica_lag={LAG_S}s",)
    RECEIVER_FLAGS = ("--delay_max=0s",)

    def test_told_again_until_the_replica_has_it(self) -> None:
        site = 3
        self.lab.database.set_v1_status([site], 2, AN_HOUR_AGO)
        wait_until(lambda: len(self.told(site)) >= 2, self.lab.patience, "two tells")
        first = self.v1.people.rows("told", url=self.url(site))[0]["boot_ns"]
        wait_until(lambda: boot_ns() > first + (self.LAG_S + 1) * 1e9, self.lab.patience, "the lag")
        self.wait_rounds(site)
        rows = self.v1.people.rows("told", url=self.url(site))
        self.assertEqual({row["status"] for row in rows}, {1})
        slack = (self.LAG_S + self.INTERVAL * self.UNIT_S) * 1e9
        self.assertLess(rows[-1]["boot_ns"], first + slack)
        self.assertGreater(rows[-1]["boot_ns"], first + self.LAG_S * 1e9 / 2)


class V1TestModeTest(AloneCase):
    """DB_UPDATES_ENABLE: v1 writes by itself, and its receiver never does."""

    V1_FLAGS = ("--db_updates",)
    RECEIVER_FLAGS = ("--never_writes=1",)

    def test_the_column_says_it_when_people_hear_it(self) -> None:
        site = 3
        self.lab.set_sites([site], "down")
        self.wait_told(site, [0])
        self.assertEqual(self.lab.database.site_status(site), 0)
        self.wait_rounds(site)
        self.assertEqual(self.told(site), [0])
        self.lab.set_sites([site], "up")
        self.wait_told(site, [0, 1])
        self.assertEqual(self.v1.people.wrote(self.url(site)), [])
        self.assertEqual({code for code in self.lab.stop().values()}, {0})


if __name__ == "__main__":
    unittest.main()
