"""Of invariant 5: at least once, too. An outage that lasts is found, confirmed and told; what is to be
told gets to the receiver."""
from __future__ import annotations

from judging import bounds
from judging.dialect import Outbox
from judging.excuses import Excuses
from judging.story import FOREVER, Row, Site, Span, Story, overlap_ms
from judging.tenure import Holders

DOWN = 4
CONFIRMS = ("verifier_confirmed", "local_confirmed", "quorum_degraded")
TAKES_AS_DOWN = ("adopted", "promoted")


def judge_outbox(story: Story) -> list[str]:
    """Every Down that counts as told has its down in the outbox, or its adoption; every recovery of
    one has its up; all of the outbox was received."""
    outbox = Outbox(story)
    changes: dict[int, list[Row]] = {}
    for t in story.transitions:
        changes.setdefault(t["event_id"], []).append(t)
    result = outbox.unknown_states()
    for event in story.events:
        name = f"event {event['event_id']} of site {event['site_id']}"
        mine = changes.get(event["event_id"], [])
        confirmed = [t for t in mine if t["reason"] in CONFIRMS]
        adopted = any(t["reason"] in TAKES_AS_DOWN and t["to_severity"] == DOWN for t in mine)
        if confirmed and not event["notified"] and not (
                outbox.v1 and (outbox.has(event, "down")
                               or not outbox.must_be_told(event, confirmed[0]["at_ms"]))):
            result.append(f"{name} was confirmed, and nobody was told")
        if event["notified"] == 1 and not outbox.has(event, "down"):
            result.append(f"{name} counts as told, and no down is in the outbox")
        if event["notified"] == 2 and not adopted:
            result.append(f"{name} counts as told by v1, and was not adopted as down")
        if outbox.told(event) and event["end_reason"] == "recovered" and \
                not outbox.has(event, "up") and outbox.must_be_told(event, event["ended_at_ms"]):
            result.append(f"{name} was told, has recovered, and no up is in the outbox")
    received = set(story.deliveries)
    for n in outbox.rows:
        if n["notification_id"] in received or outbox.may_wait(n):
            continue
        result.append(f"{n['notification_id']} is {n['state']}, and the receiver never got it")
    return result


def verifliers(story: Story) -> set[str]:
    """Those that the launcher started: the vantages that are enabled."""
    names = {s.name for s in story.senders.values() if s.role == "veriflier"}
    return names & {start.name for start in story.starts}


def needed_votes(story: Story) -> int:
    return min(bounds.PEER_LIMIT, len(verifliers(story)) // 2 + 1)


def blind_spans(story: Story) -> list[Span]:
    """When so many Verifliers were away that no quorum was left: what fails stays Seems Down then."""
    names = verifliers(story)
    faults = [f for f in story.faults if f.what in names]
    edges = sorted({f.from_ms for f in faults} | {f.until_ms + bounds.RESUME for f in faults})
    result = []
    for begin, end in zip(edges, edges[1:]):
        away = {f.what for f in faults if f.from_ms <= begin and end <= f.until_ms + bounds.RESUME}
        if len(names) - len(away) < needed_votes(story):
            result.append(Span(begin, end))
    return result


def judge_confirmations(story: Story) -> list[str]:
    """What the Verifliers confirmed, so many of them had asked for as a quorum takes."""
    names = {source: (s.role, s.name) for source, s in story.senders.items()}
    by_site = story.by_site()
    started = {e["event_id"]: e["started_at_ms"] for e in story.events}
    result = []
    for t in story.transitions:
        if t["reason"] != "verifier_confirmed":
            continue
        begun = started.get(t["event_id"], t["at_ms"])
        asked = {names[r.source][1] for r in by_site.get(t["site_id"], [])
                 if names.get(r.source, ("",))[0] == "veriflier" and begun <= r.at_ms <= t["at_ms"]
                 + bounds.SAME}
        if len(asked) < needed_votes(story):
            result.append(f"event {t['event_id']} of site {t['site_id']} was confirmed by "
                          f"{len(asked)} Verifliers that asked, {needed_votes(story)} are needed")
    return result


class Outages:
    """What the fixture held down, as long as somebody of v2 watched over it."""

    def __init__(self, story: Story):
        self.story, self.holders = story, Holders(story)
        self.excuses = Excuses(self.holders)
        self.events_of: dict[int, list[Row]] = {}
        for event in story.events:
            self.events_of.setdefault(event["site_id"], []).append(event)
        self.blind = blind_spans(story)

    def spans(self) -> list[tuple[int, float, float]]:
        """(site, from, until) of each time that a site was down for everybody."""
        since: dict[int, float] = {}
        result = []
        for state in sorted(self.story.states, key=lambda s: s.at_ms):
            for site_id in state.site_ids:
                if site_id in since:
                    result.append((site_id, since.pop(site_id), state.at_ms))
                if state.down and not state.source:
                    since[site_id] = state.at_ms
        return result + [(site_id, at_ms, self.story.end_ms) for site_id, at_ms in since.items()]

    def steps_ms(self, site: Site) -> tuple[float, float]:
        """In what time an outage is found, and in what time it is confirmed."""
        timeout = bounds.check_timeout(self.story.unit_s)
        first = 1000 * bounds.allowed_s(site.interval_s) + timeout
        retry = 1000 * self.story.unit_s + timeout
        confirmed = first + (bounds.LOCAL_FAILURES - 1) * retry
        confirmed += bounds.round_ms(self.story.unit_s)
        # A second failure may have to agree before an event is opened at all.
        return first + retry + bounds.WRITE, confirmed + bounds.CONFIRMING

    def faults(self) -> list[str]:
        result = []
        for site_id, down_ms, up_ms in self.spans():
            site = self.story.sites.get(site_id)
            if site is None or not site.active:
                continue
            for lock in self.holders.of_bucket.get(site.bucket, []):
                if lock["acknowledged_at_ms"]:
                    result += self._within(site, lock, down_ms, up_ms)
        return result

    def _within(self, site: Site, lock: Row, down_ms: float, up_ms: float) -> list[str]:
        """Of the part of an outage that falls into a grant."""
        begin = max(down_ms, lock["acknowledged_at_ms"])
        ends = [lock["draining_at_ms"], lock["released_at_ms"]]
        end = min([up_ms, self.story.end_ms, *(e for e in ends if e)])
        if end <= begin:
            return []
        # A successor begins anew, and counts failures from the first.
        window_ms = bounds.LOAD + 1000 * bounds.first_window_s(site.interval_s)
        away = self.excuses.spans(lock, True) + self.excuses.of_edits(site.site_id)
        away += [Span(row["from_ms"], row["from_ms"] + window_ms)
                 for row in self.holders.tenures(lock["epoch"]).rows[1:]]
        lasted = end - begin - overlap_ms(away, begin, end)
        found_ms, confirmed_ms = self.steps_ms(site)
        text = f"site {site.site_id} was down for {lasted / 1000:.1f} s from {begin:.0f} on, under " \
               f"{lock['owner_host']}"
        # Still open at the end of it: nobody saw it up meanwhile.
        events = [e for e in self.events_of.get(site.site_id, [])
                  if e["started_at_ms"] <= end and (e["ended_at_ms"] or FOREVER) >= end - bounds.SAME]
        if lasted > found_ms and not events:
            return [f"{text}, and has no event"]
        lasted -= overlap_ms(self.blind, begin, end)
        confirmed = [e for e in events if 0 < e["confirmed_at_ms"] <= end]
        if lasted > confirmed_ms and not confirmed:
            return [f"{text}, and was not confirmed"]
        return []


def judge_told(story: Story) -> list[str]:
    return judge_outbox(story) + judge_confirmations(story) + Outages(story).faults()
