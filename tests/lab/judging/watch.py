"""Who watched over a site when, by v1's own log, the launcher's chronicle and the requests that the
fixture saw: v1 where it was started, v2 where it was stopped. v2's database is not asked."""
from __future__ import annotations

import bisect
import dataclasses

from judging import bounds
from judging.story import FOREVER, Request, Sender, Span, Story, V1Switch
from judging.subjects import Subject, Truth
from judging.told import blind_spans

V1, V2, BOTH = "v1", "v2", "both"  # both: rows of one subject are on both sides


@dataclasses.dataclass(frozen=True)
class Spell:
    """One hand's watch over a site, between two hand-offs or faults."""
    hand: str
    from_ms: float
    until_ms: float
    tells_until_ms: float  # later on it may check, and leave the telling to who comes next
    first_by_ms: float  # when its first check must have been made at the latest
    loaded_ms: float  # v2's last load: the first round is faster, and tells wait for v1's last ones


def extended(from_ms: float, need_ms: float, spans: list[Span]) -> float:
    """When so much time has passed that none of the spans lies in."""
    at_ms = from_ms
    for span in sorted(spans, key=lambda s: s.from_ms):
        if span.until_ms <= at_ms:
            continue
        if span.from_ms >= at_ms + need_ms:
            break
        need_ms -= max(0.0, span.from_ms - at_ms)
        at_ms = span.until_ms
    return at_ms + need_ms


class Watch:
    """Over one subject."""

    def __init__(self, watches: "Watches", subject: Subject):
        self.story, self.subject = watches.story, subject
        requests = watches.truth.requests(subject.number)
        roles = {source: s.role for source, s in self.story.senders.items()}
        self.requests = {V1: [r for r in requests if roles.get(r.source) == "v1"],
                         V2: [r for r in requests if roles.get(r.source) == "monitor"]}
        self._times = {hand: [r.at_ms for r in some] for hand, some in self.requests.items()}
        self.buckets = {row.bucket for row in subject.active}
        self.switches = [s for s in watches.switches
                         if any(s.bucket_min <= b <= s.bucket_max for b in self.buckets)]
        self.excuses = watches.excuses + [Span(at, at + bounds.EDIT) for row in subject.rows
                                          for at in self.story.edits.get(row.site_id, [])]
        self.steered = self.excuses + watches.steered
        # The receiver was away: v1 tries again in its next round, v2 after as long as it has tried.
        round_ms = 1000 * bounds.allowed_s(subject.interval_s)
        self._unheard = [Span(f.from_ms, f.until_ms + bounds.DELIVERY + max(round_ms, min(
            bounds.BACK_OFF, f.until_ms - f.from_ms))) for f in self.story.faults
            if f.what == "receiver"]
        self.blind = watches.blind
        self.spells = self._spells()

    # --- checks
    def first(self, hand: str, from_ms: float, until_ms: float = FOREVER) -> float:
        """The first check of that hand in a time; FOREVER if there is none."""
        times = self._times[hand]
        at = bisect.bisect_left(times, from_ms)
        return times[at] if at < len(times) and times[at] < until_ms else FOREVER

    def last(self, hand: str, before_ms: float, from_ms: float = -FOREVER) -> float | None:
        times = self._times[hand]
        at = bisect.bisect_left(times, before_ms) - 1
        return times[at] if at >= 0 and times[at] >= from_ms else None

    def began_ms(self) -> float:
        """When somebody had it first: what was before that, nobody saw begin."""
        return min([self.first(V2, -FOREVER)] + [s.at_ms for s in self.switches
                                                 if s.kind == "v1_started"])

    def told_by(self, from_ms: float, need_ms: float, spans: list[Span]) -> float:
        """When something is told that takes so much time, with what the spans take from it; it is
        under way in the last of it."""
        sent_ms = extended(from_ms, need_ms - bounds.CONFIRMING, self.excuses + spans)
        return extended(sent_ms, bounds.CONFIRMING, self.excuses + self._unheard)

    # --- hands
    def hand(self, at_ms: float) -> str:
        held = set()
        for bucket in self.buckets:
            last = None
            for switch in self.switches:
                if switch.at_ms <= at_ms and switch.bucket_min <= bucket <= switch.bucket_max:
                    last = switch
            held.add(V1 if last is not None and last.kind == "v1_started" else V2)
        return held.pop() if len(held) == 1 else BOTH

    def split(self, from_ms: float, until_ms: float) -> bool:
        """Were its rows on both sides at some moment of that time?"""
        moments = [from_ms, *(s.at_ms for s in self.switches if from_ms < s.at_ms <= until_ms)]
        return any(self.hand(at) == BOTH for at in moments)

    def stopped_ms(self, at_ms: float) -> float | None:
        """The last time v1 was stopped for it up to then."""
        return max((s.at_ms for s in self.switches if s.kind == "v1_stopped"
                    and s.at_ms <= at_ms), default=None)

    def v2_held_between(self, from_ms: float, until_ms: float) -> bool:
        """Did v1 lose it to v2 after that moment, and have it back before this one?"""
        starts = [s.at_ms for s in self.switches if s.kind == "v1_started"
                  and from_ms < s.at_ms <= until_ms]
        return bool(starts) and self.first(V2, from_ms, max(starts)) < FOREVER

    def v1_before(self, at_ms: float) -> bool:
        return any(s.kind == "v1_started" and s.at_ms <= at_ms for s in self.switches)

    def _spells(self) -> list[Spell]:
        """From each change of hands to the next, and within it from fault to fault."""
        edges = [-FOREVER, *sorted({s.at_ms for s in self.switches}), FOREVER]
        result: list[tuple[str, float, float]] = []
        for begin, end in zip(edges, edges[1:]):
            hand = self.hand(begin)
            if result and result[-1][0] == hand:
                begin = result.pop()[1]
            result.append((hand, begin, end))
        return [spell for hand, begin, end in result if hand != BOTH
                for one in self._between_owners(hand, begin, end)
                for spell in self._between_faults(hand, *one)]

    def _between_owners(self, hand: str, begin_ms: float,
                        end_ms: float) -> list[tuple[float, float]]:
        """v2 may have released it and taken it again, without v1 between: another host asks, or
        nobody has for a while, though nothing was wrong."""
        if hand == V1:
            return [(begin_ms, end_ms)]
        quiet_ms = 1000 * bounds.allowed_s(self.subject.interval_s) + bounds.limit(
            self.story.unit_s) + bounds.CONFIRMING
        mine = [r for r in self.requests[V2] if begin_ms <= r.at_ms < end_ms]
        hosts = {source: s.host for source, s in self.story.senders.items()}
        result = []
        for one, other in zip(mine, mine[1:]):
            if hosts[one.source] == hosts[other.source] and other.at_ms - one.at_ms <= extended(
                    0.0, quiet_ms, [Span(s.from_ms - one.at_ms, s.until_ms - one.at_ms)
                                    for s in self.story.stalls]):
                continue
            if not any(f.from_ms - bounds.WAKE <= other.at_ms and f.until_ms >= one.at_ms
                       for f in self.story.faults if self._may_hit(f)):
                result.append((begin_ms, one.at_ms + bounds.ROUNDING))
                begin_ms = one.at_ms + bounds.ROUNDING
        return result + [(begin_ms, end_ms)]

    def _may_hit(self, fault: Span) -> bool:
        return fault.what == "database" or any(s.role == "monitor" and s.name == fault.what
                                               for s in self.story.senders.values())

    def _between_faults(self, hand: str, begin_ms: float, end_ms: float) -> list[Spell]:
        tells_until = end_ms if hand == V1 else self._muted_ms(begin_ms, end_ms)
        window_ms = bounds.first_check_by(self.subject.interval_s)
        # Whom nobody had before may stay nobody's: then its first check is its beginning.
        first_by = FOREVER if hand == V1 else extended(begin_ms, window_ms, self.steered) \
            if begin_ms > -FOREVER else self.first(V2, begin_ms, end_ms)
        result, loaded, since = [], begin_ms, begin_ms
        for fault in sorted(self.story.faults, key=lambda f: f.from_ms):
            before = fault.from_ms < begin_ms and fault.how == "killed"
            if before or fault.from_ms >= end_ms or fault.until_ms <= begin_ms or \
                    not self._hits(fault, hand, begin_ms, end_ms):
                continue
            if fault.from_ms > since:
                result.append(Spell(hand, since, fault.from_ms, min(tells_until, fault.from_ms),
                                    first_by, loaded))
            back, by = self._after(fault, hand)
            looked = hand == V1 or self.last(V2, fault.from_ms, begin_ms) is not None
            since, first_by = max(since, back), by if looked else max(first_by, by)
            loaded = since if fault.how == "killed" and fault.what != "database" else loaded
        result.append(Spell(hand, since, end_ms, tells_until, first_by, loaded))
        return [s for s in result if s.from_ms < s.until_ms]

    def _muted_ms(self, begin_ms: float, end_ms: float) -> float:
        """v2 checks on while it is muted: it is for so long at most before the last check."""
        if end_ms == FOREVER:
            late_ms = 1000 * bounds.allowed_s(self.subject.interval_s) + bounds.CONFIRMING
            last = self.last(V2, FOREVER, begin_ms)
            quiet = last is not None and last + late_ms < self.story.end_ms
            # A process that was killed is quiet too; what it must tell, its fault says.
            if not quiet or any(f.from_ms <= last + late_ms and f.until_ms > last
                                for f in self.story.faults):
                return FOREVER
        last = self.last(V2, end_ms, begin_ms)
        return end_ms if last is None else last - self.story.mute_ms

    # --- faults
    def _hits(self, fault: Span, hand: str, from_ms: float, until_ms: float) -> bool:
        """Was it one of who watched then? The hand begins to count anew after it."""
        if fault.what == "database":
            return True
        hit = next((s for s in self.story.senders.values() if s.name == fault.what), None)
        if hit is None or hit.role != ("v1" if hand == V1 else "monitor"):
            return False
        if hand == V1:
            return True
        before = self.last(V2, fault.from_ms + bounds.WAKE, from_ms)
        if before is not None:
            return self._sender_at(before).name == hit.name
        after = self.first(V2, fault.from_ms, until_ms)
        return after < FOREVER and self._sender_at(after).host == hit.host

    def _sender_at(self, at_ms: float) -> Sender:
        """Who made the check of that moment."""
        request = self.requests[V2][bisect.bisect_left(self._times[V2], at_ms)]
        return self.story.senders[request.source]

    def _after(self, fault: Span, hand: str) -> tuple[float, float]:
        """From when on, and with a first check until when, it is watched again."""
        interval_s = self.subject.interval_s
        if hand == V1:
            return fault.until_ms, FOREVER
        if fault.how != "killed" or fault.what == "database":
            since = fault.until_ms + bounds.recovery(fault) if fault.until_ms < FOREVER else FOREVER
            return since, since + 1000 * bounds.allowed_s(interval_s)
        # Its successor loads the range. What it had sent itself may be seen a little later.
        senders = {s.name: s for s in self.story.senders.values()}
        started = [s.at_ms for s in self.story.starts if s.at_ms > fault.from_ms and s.name in senders
                   and senders[s.name].host == senders[fault.what].host]
        loaded = min(started, default=FOREVER) + bounds.TAKE_OVER + bounds.LOAD
        return (fault.from_ms + bounds.WAKE,
                loaded + 1000 * bounds.allowed_s(bounds.first_window_s(interval_s)))


class Watches:
    def __init__(self, story: Story):
        self.story, self.truth = story, Truth(story)
        self.switches: list[V1Switch] = sorted(story.v1_switches, key=lambda s: s.at_ms)
        # The witness was away.
        self.excuses = story.stalls
        # A hand-off waits for the control plane.
        self.steered = [Span(f.from_ms, f.until_ms + bounds.RESUME) for f in story.faults
                        if f.what == "controlplane"]
        self.blind = blind_spans(story)

    def over(self, subject: Subject) -> Watch:
        return Watch(self, subject)
