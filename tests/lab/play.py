"""The story that the demo and the end-to-end test play: ranges move to v2, sites fail and recover,
one range moves back. What the sites do is chosen so that every handoff meets open incidents."""
from __future__ import annotations

import dataclasses
from typing import Callable

from lab import BUCKETS, Lab
from launcher.database import bucket_of
from launcher.waiting import LabError, wait_until


@dataclasses.dataclass(frozen=True)
class Part:
    """A range and the host that shall own it."""
    bucket_min: int
    bucket_max: int
    owner: str

    @property
    def text(self) -> str:
        return f"{self.bucket_min}-{self.bucket_max}"


HALVES = [Part(0, BUCKETS // 2 - 1, "monitor-a"), Part(BUCKETS // 2, BUCKETS - 1, "monitor-b")]


@dataclasses.dataclass
class Cast:
    """The sites of one part that something happens to, as far as it has so many."""
    victim: list[int]   # goes down under v2
    patient: list[int]  # down under v1, recovers under v2
    chronic: list[int]  # down under v1, and stays so
    midair: list[int]   # goes down while the range changes hands


def cast(part: Part, sites: int) -> Cast:
    own = [n for n in range(1, sites + 1)
           if part.bucket_min <= bucket_of(n, sites, BUCKETS) <= part.bucket_max]
    return Cast(own[0:1], own[1:2], own[7::101], own[2:5])


class Play:
    def __init__(self, lab: Lab, parts: list[Part], say: Callable[[str], None]):
        self.lab, self.parts, self.say = lab, parts, say
        self.casts = {part: cast(part, lab.settings.sites) for part in parts}

    def down_under_v1(self) -> list[int]:
        return sorted(n for c in self.casts.values() for n in c.patient + c.chronic)

    def set_up(self) -> None:
        """Everything runs, and v1 checks all sites."""
        lab = self.lab
        down = self.down_under_v1()
        lab.start_all(down)
        lab.wait_checked("v1", 0, BUCKETS - 1, since=0)
        self.say(f"v1 checks {lab.settings.sites} sites in {BUCKETS} buckets, {len(down)} of them "
                 f"down; control plane, 2 Monitors and 3 Verifliers run")

    def forward(self) -> None:
        for part in self.parts:
            self.say(f"guided rollout of {part.text} to {part.owner}")
            self.lab.roll_out(part.bucket_min, part.bucket_max, part.owner,
                              lambda part=part: self.fall_midair(part))
            self.say(f"{part.text} is {part.owner}'s")

    def fall_midair(self, part: Part) -> None:
        """Some sites go down, and v1 is stopped when it has seen the first of them fail."""
        midair = self.casts[part].midair
        if not midair:
            return
        self.lab.set_sites(midair, "down")
        wait_until(lambda: any(self.lab.database.site_status(n) != 1 for n in midair),
                   self.lab.patience, "v1 to see a site fail")

    def incidents(self) -> None:
        """A site goes down and is confirmed, another recovers; people hear of both, once."""
        victims = [n for c in self.casts.values() for n in c.victim]
        patients = [n for c in self.casts.values() for n in c.patient]
        self.lab.set_sites(victims, "down", code=503)
        if patients:
            self.lab.set_sites(patients, "up")
        self.say(f"site {victims[0]} goes down" +
                 (f", site {patients[-1]} recovers" if patients else ""))
        for site_id in victims:
            self._heard(site_id, down=True)
        self.lab.plan.expect_requests("veriflier", len(victims))
        self.say(f"site {victims[0]} is confirmed by the Verifliers, people are told")
        for site_id in patients:
            self._heard(site_id, down=False)
        if patients:
            self.say(f"site {patients[-1]} is up again, people are told")
        for part, members in self.casts.items():
            for site_id in members.midair:
                wait_until(lambda s=site_id: self.lab.database.event_state(s) == "down",
                           self.lab.patience, f"site {site_id} of {part.text} to be confirmed")

    def _heard(self, site_id: int, down: bool) -> None:
        """Until database, legacy table and the receiver of notifications have it."""
        database, kind = self.lab.database, "down" if down else "up"
        wait_until(lambda: database.event_state(site_id) == ("down" if down else ""),
                   self.lab.patience, f"site {site_id} to be {kind}")
        if database.site_status(site_id) != (2 if down else 1):
            raise LabError(f"the legacy table does not say that site {site_id} is {kind}")
        expected = database.one(
            "SELECT notification_id FROM jetmon_notifications WHERE site_id = ? AND kind = ? ORDER "
            "BY created_at_ms DESC", site_id, kind)
        if expected is None:
            raise LabError(f"no {kind} notification of site {site_id} is in the outbox")
        wait_until(lambda: self._receiver_has(expected), self.lab.patience,
                   f"the receiver to get {expected}")
        self.lab.plan.expect("downs" if down else "ups")

    def _receiver_has(self, notification_id: str) -> bool:
        self.lab.requests.read_on()
        return any(n["idempotency_key"] == notification_id for n in self.lab.requests.notifications)

    def back(self) -> None:
        """The last part goes back to v1."""
        part = self.parts[-1]
        self.say(f"guided rollback of {part.text}")
        run_id = self.lab.roll_back(part.bucket_min, part.bucket_max, part.owner)
        self.lab.start_v1_range(run_id, part.bucket_min, part.bucket_max)
        self.lab.wait_checked("v1", part.bucket_min, part.bucket_max)
        self.say(f"{part.text} is v1's again, and it has checked every site of it")

    def rest(self) -> None:
        """Two more rounds of checks, then nothing is left to do."""
        for part in 2 * self.parts[:-1]:
            self.lab.wait_checked(part.owner, part.bucket_min, part.bucket_max)
        self.lab.wait_at_rest()
