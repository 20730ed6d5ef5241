"""Of invariant 9: what people hear of one site, tell by tell: down and up take turns."""
from __future__ import annotations

import dataclasses
from collections import Counter

from judging import bounds
from judging.story import FOREVER, UP, Tell
from judging.subjects import Outage
from judging.watch import V1, V2, Spell, Watch

STILL_DOWN = 2  # v1's


@dataclasses.dataclass(frozen=True)
class Known:
    """What people take a site for."""
    down: bool
    by: str  # who told them: v1, v2
    from_ms: float
    until_ms: float  # when it was told last


class Conversation:
    """Hears tells in order; `known` is None until the first of them."""

    def __init__(self, watch: Watch, outages: list[Outage]):
        self.watch, self.story, self.outages = watch, watch.story, outages
        self.known: Known | None = None
        self.history: list[Known] = []
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self._key = watch.subject.key
        self._last_v1: dict[bool, float] = {}

    def hear(self, tells: list[Tell]) -> None:
        decided = sorted((d for d in self.story.decided if d.key == self._key and d.told),
                         key=lambda d: d.at_ms)
        for tell in tells:
            while decided and decided[0].at_ms <= tell.at_ms:
                self._decide(decided.pop(0))
            self._hear(tell)
            if tell.sender == V1:
                self._last_v1[tell.down] = tell.at_ms
        for one in decided:
            self._decide(one)

    def _decide(self, decided) -> None:
        """The operator says that people know: nobody tells them any more."""
        down = decided.status != UP
        if self.known is None or self.known.down != down:
            self._knows(Known(down, V2, decided.at_ms, decided.at_ms))

    def known_at(self, at_ms: float) -> Known | None:
        return next((k for k in reversed(self.history) if k.from_ms <= at_ms), None)

    def _knows(self, known: Known) -> None:
        if self.known is not None and known.from_ms == self.known.from_ms:
            self.history.pop()
        self.known = known
        self.history.append(known)

    def _hear(self, tell: Tell) -> None:
        said = "down" if tell.down else "up"
        wrong = self._untrue(tell)
        if wrong is not None:
            again = self._last_v1.get(tell.down, -FOREVER) if tell.sender == V1 else -FOREVER
            if tell.at_ms - again <= bounds.V1_AGAIN:
                self.counts["v1 again"] += 1  # the second of two identical requests
                return
            self.violations.append(f"{tell.sender} told {said} at {tell.at_ms:.0f}, {wrong}")
        if tell.sender == V1 and tell.status == STILL_DOWN:
            self._still_down(tell)
        elif self.known is not None and self.known.down == tell.down:
            self._again(tell)
        else:
            if self.known is None and not tell.down and not self._may_have_been_told(tell):
                self.violations.append(f"{tell.sender} told up at {tell.at_ms:.0f}, and nobody had "
                                       "told a down")
            self._tells(tell)

    def _tells(self, tell: Tell) -> None:
        self.counts[f"{tell.sender} {'down' if tell.down else 'up'}"] += 1
        self._knows(Known(tell.down, tell.sender, tell.at_ms, tell.at_ms))

    # --- is it true?
    def _untrue(self, tell: Tell) -> str | None:
        unit_s = self.story.unit_s
        began = [o for o in self.outages if o.from_ms <= tell.at_ms + bounds.ROUNDING]
        if tell.down:
            if not began:
                return "and there had been no outage"
            until_ms = self.watch.told_by(self._seen_up(began[-1], tell.sender),
                                          bounds.tell_lag(unit_s), [])
            return None if tell.at_ms <= until_ms else "and the site had been seen up before"
        if not began or began[-1].until_ms <= tell.at_ms or began[-1].unsure_by(tell.at_ms):
            return None
        # It was up before; a tell that is held may come when it is down again.
        until_ms = self.watch.told_by(began[-1].from_ms, bounds.tell_lag(unit_s), [])
        if tell.sender == V2:
            until_ms = max([until_ms] + [self.held_ms(s) for s in self.watch.spells
                                         if s.hand == V2 and s.from_ms <= tell.at_ms < s.until_ms])
        return None if tell.at_ms <= until_ms else "and the site was down"

    def _seen_up(self, outage: Outage, sender: str) -> float:
        """When its next check can have noticed the end of an outage."""
        first = self.watch.first(sender if sender in (V1, V2) else V2, outage.until_ms)
        return min(first, outage.until_ms + 1000 * bounds.allowed_s(self.watch.subject.interval_s))

    def held_ms(self, spell: Spell) -> float:
        """Until when v2 may hold its tells after a load, for v1's last words."""
        looked_ms = min(self.watch.first(V2, spell.loaded_ms), spell.first_by_ms)
        return self.watch.told_by(looked_ms, self.story.receiver_delay_ms + bounds.ORPHANS
                                  + bounds.CONFIRMING, [])

    # --- is it new?
    def _may_have_been_told(self, tell: Tell) -> bool:
        """Before the log begins, people may have been told what v1's column says: v1 ends whatever
        stands there, v2 what was down when somebody looked first."""
        if self.outages and self.outages[0].from_ms <= self.watch.began_ms():
            return True
        if tell.sender == V1:
            return tell.at_ms < self.watch.first(V2, -FOREVER) and tell.at_ms <= \
                self.watch.told_by(self.watch.first(V1, -FOREVER), bounds.v1_up(self.story.unit_s),
                                   [])
        return not self.watch.v1_before(tell.at_ms)

    def _own(self, tell: Tell) -> bool:
        """v1 goes on with what it told itself, without v2 in between."""
        return tell.sender == V1 and self.known is not None and self.known.by == V1 and \
            not self.watch.v2_held_between(self.known.until_ms, tell.at_ms)

    def _excused(self, tell: Tell) -> bool:
        """Nobody could know of what was told before: the receiver never wrote it, or it came too
        late; rows of the site were on both sides; or the operator said that nobody was told."""
        known = self.known
        if known.by == V1 and (self.never_written(known)
                               or self._stray(known.from_ms, bounds.ORPHANS)):
            return True
        if self.watch.split(known.until_ms, tell.at_ms):
            return True
        if tell.sender != V1:
            return False
        if any(d.key == self._key and not d.told and known.from_ms - bounds.V1_AGAIN <= d.at_ms
               <= tell.at_ms for d in self.story.decided):
            return True
        return self._stray(tell.at_ms, self.story.receiver_delay_ms + bounds.ORPHANS)

    def _stray(self, at_ms: float, after_ms: float) -> bool:
        """Did v1 tell that of what had long been v2's?"""
        stopped = self.watch.stopped_ms(at_ms)
        return stopped is not None and self.watch.hand(at_ms) == V2 and at_ms > stopped + after_ms

    def never_written(self, known: Known) -> bool:
        """Where a receiver writes the column, it did not do so within its delay."""
        if not self.story.written:
            return False
        until_ms = known.until_ms + self.story.receiver_delay_ms
        return not any(w.key == self._key and (w.status != UP) == known.down
                       and known.from_ms - bounds.SAME <= w.at_ms <= until_ms
                       for w in self.story.written)

    def _again(self, tell: Tell) -> None:
        """People hear what they know."""
        known = self.known
        if self._own(tell):
            self.counts["v1 again"] += 1
            self._knows(dataclasses.replace(known, until_ms=tell.at_ms))
            return
        if self._excused(tell):
            self.counts["excused"] += 1
        else:
            what = "down" if tell.down else "up"
            self.violations.append(f"people heard {what} from {known.by} at {known.from_ms:.0f}, and "
                                   f"again from {tell.sender} at {tell.at_ms:.0f}")
        self.counts[f"{tell.sender} {'down' if tell.down else 'up'}"] += 1
        self._knows(Known(tell.down, tell.sender, tell.at_ms, tell.at_ms))

    def _still_down(self, tell: Tell) -> None:
        """Never a second down; but who hears it should have heard of the first."""
        self.counts["still down"] += 1
        if self.known is not None and self.known.down:
            return
        if self.known is None:
            fine = self._may_have_been_told(tell)
        else:  # v1 found its own word of before in the column
            fine = self._own(tell) or self._excused(tell)
        if not fine:
            self.violations.append(f"v1 told still down at {tell.at_ms:.0f} of an outage that nobody "
                                   "was told of")
        self._knows(Known(True, V1, tell.at_ms, tell.at_ms))
