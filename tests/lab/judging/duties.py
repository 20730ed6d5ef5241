"""Of invariant 9: what must be told, and by when.

A hand that watches over a site for long enough, from its first check that fails, tells it down; from
its first check that succeeds, up. What a hand-off or a fault interrupts begins anew with the next.
"""
from __future__ import annotations

from judging import bounds
from judging.story import FOREVER, UP
from judging.subjects import Outage, Segment
from judging.watch import V1, V2, Spell, Watch, extended
from judging.words import Conversation, Known


class Duties:
    def __init__(self, watch: Watch, outages: list[Outage], conversation: Conversation):
        self.watch, self.story, self.outages = watch, watch.story, outages
        self.conversation = conversation
        self.long_enough = 0

    def violations(self) -> list[str]:
        result = []
        ends = [o.from_ms for o in self.outages[1:]] + [FOREVER]
        for outage, next_ms in zip(self.outages, ends):
            due, who = self._down_due(outage)
            self.long_enough += due < FOREVER
            # What was down before anybody looked may have been told before the log begins.
            before = outage.from_ms <= self.watch.began_ms()
            if due < FOREVER and not before:
                result += self._down(outage, due, who)
            result += self._up(outage, next_ms, before and due < FOREVER)
        return result

    # --- down
    def _down(self, outage: Outage, due_ms: float, who: str) -> list[str]:
        known = self.conversation.known_at(due_ms)
        if known is not None and known.down:
            return []
        later = next((k for k in self.conversation.history if k.down and due_ms < k.from_ms), None)
        text = f"it went down at {outage.from_ms:.0f} for " \
               f"{(min(outage.until_ms, self.story.end_ms) - outage.from_ms) / 1000:.1f} s, and "
        if later is None or later.from_ms > outage.until_ms + bounds.tell_lag(self.story.unit_s):
            return [f"{text}nobody was told, {who} ought to have by {due_ms:.0f}"]
        return [f"{text}people were told at {later.from_ms:.0f}, {who} ought to have by {due_ms:.0f}"]

    def _down_due(self, outage: Outage) -> tuple[float, str]:
        """When somebody must have told of it, and who; FOREVER: nobody needs to."""
        for spell in self.watch.spells:
            for segment in outage.sure():
                due = self._down_due_in(spell, segment)
                if due <= min(segment.until_ms, spell.tells_until_ms, self.story.end_ms):
                    return due, spell.hand
        return FOREVER, ""

    def _down_due_in(self, spell: Spell, segment: Segment) -> float:
        begin = max(segment.from_ms, spell.from_ms)
        end = min(segment.until_ms, spell.until_ms)
        known = self.conversation.known_at(begin)
        if known is not None and not known.down:  # until then the column may say it is known
            begin = max(begin, self._written_ms(known, spell))
        if begin >= end:
            return FOREVER
        failed = self._check_by(spell, begin, end)
        unit_s = self.story.unit_s
        if spell.hand == V1:
            return self.watch.told_by(failed, bounds.v1_told(unit_s, segment.silent), [])
        first = failed <= self.watch.first(V2, spell.loaded_ms)
        due = self.watch.told_by(failed, bounds.v2_told(unit_s, segment.silent, first),
                                 self.watch.blind)
        return max(due, self.conversation.held_ms(spell))

    def _check_by(self, spell: Spell, begin: float, end: float) -> float:
        """The first check in that time; of v2 the last moment for it, if none is there: so long as a
        hand-off may take. v1 leaves out what it does not read, and nobody promises how often it
        checks."""
        if spell.hand == V1 and self.watch.subject.v1_is_dumb:
            return FOREVER
        found = self.watch.first(spell.hand, begin, end)
        if spell.hand == V1:
            return found
        if self.watch.last(V2, begin, spell.from_ms) is None and begin <= spell.first_by_ms:
            return min(found, spell.first_by_ms)
        return min(found, extended(begin, bounds.first_check_by(self.watch.subject.interval_s),
                                   self.watch.steered))

    # --- up
    def _up(self, outage: Outage, next_ms: float, told_before: bool) -> list[str]:
        """`told_before`: people know of it, though the log does not say so."""
        for spell in self.watch.spells:
            begin, end = max(outage.until_ms, spell.from_ms), min(next_ms, spell.until_ms)
            if begin >= end:
                continue
            due, known = self._up_due(spell, begin, end, told_before)
            if due > min(next_ms, spell.tells_until_ms, self.story.end_ms) or \
                    known is not None and not known.down or known is None and not told_before:
                continue
            later = next((k for k in self.conversation.history
                          if not k.down and due < k.from_ms < next_ms), None)
            text = f"it was up again at {outage.until_ms:.0f}, and "
            text += "nobody was told" if later is None else f"people were told at {later.from_ms:.0f}"
            return [f"{text}, {spell.hand} ought to have by {due:.0f}"]
        return []

    def _up_due(self, spell: Spell, begin: float, end: float,
                told_before: bool) -> tuple[float, Known | None]:
        """When the end must have been told, and what people take the site for then. Who told them
        late, and what the receiver wrote late, was seen late."""
        since = begin
        known = self.conversation.known_at(begin)
        for _ in range(3):  # a tell, and its writing, may each put it off
            due = self._up_due_since(spell, since, end, known)
            known = self.conversation.known_at(due)
            if known is None or not known.down:
                return due, known
            later = max(since, self._written_ms(known, spell))
            if later <= since:
                break
            since = later
        return due, known

    def _written_ms(self, known: Known, spell: Spell) -> float:
        """From when on who watches could read that people know; FOREVER: it was never written, and
        nobody knows in another way. v2 writes itself when it tells."""
        if known.by == V2 or not self.story.written:
            return known.from_ms
        if self.conversation.never_written(known):
            return FOREVER
        # v1 checks by what it read when the round began.
        lag_ms = self.story.replica_lag_ms + 1000 * self.watch.subject.interval_s \
            if spell.hand == V1 else 0
        return lag_ms + min(w.at_ms for w in self.story.written
                            if w.key == self.watch.subject.key and (w.status != UP) == known.down
                            and w.at_ms >= known.from_ms - bounds.SAME)

    def _up_due_since(self, spell: Spell, begin: float, end: float, known: Known | None) -> float:
        if begin >= end:
            return FOREVER
        good, unit_s = self._check_by(spell, begin, end), self.story.unit_s
        if spell.hand == V1:
            return self.watch.told_by(good, bounds.v1_up(unit_s), [])
        adopted = known is None or known.by == V1 or known.from_ms < spell.loaded_ms
        return max(self.watch.told_by(good, bounds.v2_up(unit_s, adopted), []),
                   self.conversation.held_ms(spell))
