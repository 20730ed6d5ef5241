"""v1 as it is on the other side: outages begin, are confirmed and end at every step of a hand-off,
forward, back and forward again. People hear of each once, and of its end once; the judge decides."""
from __future__ import annotations

import unittest

from lab_case import RealV1Case
from launcher.real_v1 import RealV1
from launcher.waiting import wait_until

LOW, HIGH = 0, 255


class TellsTest(RealV1Case):
    RECEIVER_FLAGS = ("--delay_min=100ms", "--delay_max=2s", "--seed=7")
    v1: RealV1

    def url(self, site: int) -> str:
        return f"{self.lab.fixture_url}/s/{site}"

    def told(self, site: int, sender: str = "") -> list[int]:
        rows = self.v1.people.rows("told", url=self.url(site))
        return [r["status"] for r in rows if not r["repeat"] and sender in ("", r["sender"])]

    def wait_told(self, site: int, sender: str, up: bool, since: int) -> None:
        """Until this sender has told so, counted from `since` of its words on."""
        wait_until(lambda: any((s == 1) == up for s in self.told(site, sender)[since:]),
                   self.lab.patience, f"{sender} to tell that site {site} is "
                   f"{'up' if up else 'down'}")

    def wait_column(self, site: int, down: bool) -> None:
        wait_until(lambda: (self.lab.database.site_status(site) != 1) == down, self.lab.patience,
                   f"the column of site {site}")

    def wait_event(self, site: int, state: str) -> None:
        wait_until(lambda: self.lab.database.event_state(site) == state, self.lab.patience,
                   f"site {site} to be '{state}'")

    def down(self, *sites: int) -> None:
        self.lab.set_sites(list(sites), "down", code=503)

    def up(self, *sites: int) -> None:
        self.lab.set_sites(list(sites), "up")

    def test_outages_at_every_step(self) -> None:
        lab = self.lab
        lab.start_all()
        self.v1 = lab.real_v1
        self.sites = [lab.site_in(bucket) for bucket in range(8, 248, 8)]
        self.v1.wait_rounds(LOW)
        with self.subTest("forward"):
            self.forward()
        with self.subTest("back"):
            self.back()
        with self.subTest("forward again"):
            self.again()
        self.up(*self.sites)
        for site in self.sites:
            self.wait_column(site, down=False)
            self.wait_event(site, "")
        lab.wait_at_rest()
        self.assert_judged_ok()

    def forward(self) -> None:
        told, late, unconfirmed, calm = self.sites[0:4]
        self.down(told)
        self.wait_told(told, "v1", up=False, since=0)
        self.wait_column(told, down=True)

        def before_stop() -> None:
            self.down(late)  # its word is on its way to the column when v1 stops
            self.wait_told(late, "v1", up=False, since=0)
            self.down(unconfirmed)
        self.lab.roll_out(LOW, HIGH, "monitor-a", before_stop)
        self.wait_told(unconfirmed, "v2", up=False, since=0)
        self.down(calm)
        self.wait_told(calm, "v2", up=False, since=0)
        self.assertEqual(self.told(told, "v2") + self.told(late, "v2"), [])
        self.up(told, late, unconfirmed, calm)
        for site in (told, late, unconfirmed, calm):
            self.wait_told(site, "v2", up=True, since=0)
        self.lab.plan.expect("told", 8)

    def back(self) -> None:
        stays, ends, suspected, recovers = self.sites[4:8]
        self.down(stays, ends, recovers)
        for site in (stays, ends, recovers):
            self.wait_told(site, "v2", up=False, since=0)
        self.down(suspected)
        self.wait_event(suspected, "seems down")
        self.assertEqual(self.lab.database.site_status(suspected), 1)
        self.up(ends)  # while the range is muted, or right before
        run_id = self.lab.roll_back(LOW, HIGH, "monitor-a")
        self.up(recovers)
        self.lab.start_v1_range(run_id, LOW, HIGH)
        self.wait_told(suspected, "v1", up=False, since=0)
        self.wait_told(recovers, "v1", up=True, since=0)
        self.v1.wait_rounds(LOW)
        self.assertEqual([s for s in self.told(stays, "v1") if s == 0], [])
        self.up(stays, suspected)
        for site in (stays, suspected):
            self.wait_told(site, "v1", up=True, since=0)
        self.wait_column(ends, down=False)
        self.lab.plan.expect("told", 6)

    def again(self) -> None:
        told, fresh = self.sites[8:10]
        self.down(told)
        self.wait_told(told, "v1", up=False, since=0)
        self.wait_column(told, down=True)

        def before_stop() -> None:
            self.up(told)  # its end is v1's to tell, or ours
            self.down(fresh)
        self.lab.roll_out(LOW, HIGH, "monitor-a", before_stop)
        self.wait_told(fresh, "v2", up=False, since=0)
        wait_until(lambda: 1 in self.told(told), self.lab.patience, "the end of the outage")
        self.lab.plan.expect("told", 3)


if __name__ == "__main__":
    unittest.main()
