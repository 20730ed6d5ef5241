"""What site_status means, by who else writes it: Jetmon 2 in Go (jetmon2), or version 1 (v1); and
what invariants 5 and 7 expect of outbox and columns then."""
from __future__ import annotations

from judging import bounds
from judging.story import FOREVER, Key, Row, Site, Story, covers

JETMON2, V1 = "jetmon2", "v1"
DIALECTS = (JETMON2, V1)
SEEMS_DOWN, DOWN = 3, 4
DOWN_TOLD, UP, STILL_DOWN = 0, 1, 2
STATUS_OF = {SEEMS_DOWN: 0, DOWN: 2}  # jetmon2: 0 seems down, 2 down
TOLD_BY_V1 = 2  # an event's `notified`
# Of an outbox row of dialect v1. `recorded`: there is no receiver.
TOLD_STATES, DROPPED_STATES = ("sending", "delivered", "recorded"), ("cancelled", "superseded")
STATES = ("queued", *TOLD_STATES, *DROPPED_STATES)


def tells_down(story: Story, status: int) -> bool:
    """Of a tell of v1's."""
    return status != UP if story.dialect == V1 else status == 2


class Columns:
    """What the legacy columns of a site may say while v2 holds it."""

    def __init__(self, story: Story):
        self.story = story
        self._keys = {site.site_id: (site.blog_id, site.url) for site in story.sites.values()}
        # Rows of one (blog, URL) are told once, and all of them say so.
        self._rows: dict[Key | None, list[Row]] = {}
        for row in story.notifications:
            self._rows.setdefault(self._keys.get(row["site_id"]), []).append(row)
        self._opened = {t["event_id"]: t["at_ms"] for t in sorted(
            story.transitions, key=lambda t: -t["seq"])}

    def allowed(self, site: Site, event: Row | None) -> tuple[int, ...]:
        """`event`: the open one."""
        if self.story.dialect == JETMON2:
            return (UP if event is None else STATUS_OF.get(event["severity"], UP),)
        if event is None:
            return (DOWN_TOLD, STILL_DOWN) if self._end_waits(site) else (UP,)
        if event["notified"] == TOLD_BY_V1:
            return (DOWN_TOLD, STILL_DOWN)  # by v1, nobody says when
        told_ms = self._told_ms(site, event)
        if told_ms == FOREVER:
            return (UP,)
        old = self.story.end_ms >= told_ms + 1000 * bounds.STILL_DOWN_MIN * self.story.unit_s
        return (DOWN_TOLD, STILL_DOWN) if old else (DOWN_TOLD,)

    def time_differs(self, site: Site, event: Row | None) -> bool:
        """Is last_status_change not what was projected? In dialect v1 only a tell sets it, and it
        is there then."""
        if event is None or self.story.dialect == V1 and site.status == UP:
            return False
        return (event["projected_change"] or "") != site.status_change or \
            self.story.dialect == V1 and not site.status_change

    def _told_ms(self, site: Site, event: Row) -> float:
        """When its down passed the point from which on it is told; FOREVER: it has not."""
        since = self._opened.get(event["event_id"], event["started_at_ms"])
        return min((n.get("sent_at_ms") or n["created_at_ms"]
                    for n in self._rows.get((site.blog_id, site.url), [])
                    if n["kind"] == "down" and n["state"] in TOLD_STATES
                    and (n["event_id"] == event["event_id"] or n["created_at_ms"] >= since
                         and n["site_id"] != site.site_id)), default=FOREVER)

    def _end_waits(self, site: Site) -> bool:
        """It has recovered, and the up has not been sent."""
        last = max(self._rows.get((site.blog_id, site.url), []),
                   key=lambda n: (n["created_at_ms"], n["kind"]), default=None)
        return last is not None and (last["kind"], last["state"]) == ("up", "queued")


class Outbox:
    """Which rows of the outbox invariant 5 counts, by their events."""

    def __init__(self, story: Story):
        self.story = story
        self.v1 = story.dialect == V1
        self.rows = [n for n in story.notifications
                     if not (self.v1 and n["state"] in DROPPED_STATES)]
        keys = {site.site_id: (site.blog_id, site.url) for site in story.sites.values()}
        self._there = {(n["event_id"], n["kind"]): n["state"] for n in story.notifications}
        self._twins = {(keys.get(n["site_id"]), n["kind"]) for n in self.rows}
        sites_of: dict[Key, int] = {}
        for key in keys.values():
            sites_of[key] = sites_of.get(key, 0) + 1
        self._twin_of = {site_id: key for site_id, key in keys.items() if sites_of[key] > 1}

    def has(self, event: Row, kind: str) -> bool:
        """A row that tells, or told, of it; in dialect v1 also one that need not tell any more, or
        that of another row of the same (blog, URL)."""
        return (event["event_id"], kind) in self._there or self.has_twin(event, kind)

    def has_twin(self, event: Row, kind: str) -> bool:
        """Another row of the same (blog, URL) told it, for both."""
        return self.v1 and (self._twin_of.get(event["site_id"]), kind) in self._twins

    def told(self, event: Row) -> bool:
        """Do people know that it is down, so that they must hear of its end?"""
        if not self.v1:
            return bool(event["notified"])
        return event["notified"] == TOLD_BY_V1 or self._there.get(
            (event["event_id"], "down")) in TOLD_STATES

    def must_be_told(self, event: Row, at_ms: float) -> bool:
        """Of what was confirmed, or has ended, then. In dialect v1 an owner that is about to release tells nothing
        new: v1 does, and people's log shows it (invariant 9)."""
        return not (self.v1 and any(lock.get("muted_at_ms") and covers(lock, event["bucket_no"])
                                    and at_ms >= lock["muted_at_ms"] - bounds.SAME
                                    for lock in self.story.grants()))

    def may_wait(self, n: Row) -> bool:
        """May it still be on its way at the end of the run? In dialect v1 tells wait for v1's last."""
        held_ms = self.story.receiver_delay_ms + bounds.ORPHANS if self.v1 else 0
        states = ("queued", "sending") if self.v1 else ("queued",)
        return n["created_at_ms"] > self.story.end_ms - bounds.DELIVERY - held_ms and \
            n["state"] in states

    def unknown_states(self) -> list[str]:
        return [f"{n['notification_id']} is {n['state']!r}, which dialect v1 does not know"
                for n in self.story.notifications if self.v1 and n["state"] not in STATES]
