"""Of invariant 1: a lease ends, and who lost a range is silent before somebody else has it."""
from __future__ import annotations

from judging import bounds
from judging.story import Request, Row, covers, overlap_ms, range_text
from judging.tenure import Holders, checked_until_ms


class Leases:
    def __init__(self, holders: Holders):
        self.story, self.holders = holders.story, holders
        self._away = [f for f in self.story.faults if f.what == "database"]

    def renewable_until(self, lock: Row, at_ms: float) -> tuple[float, str] | None:
        """The last moment up to then at which the range's lease can have been renewed, and why not
        later; None: just now."""
        reasons = []
        if lock["revoked_at_ms"] and lock["revoked_at_ms"] <= at_ms:
            reasons.append((float(lock["revoked_at_ms"]), "it was revoked"))
        for fault in self._away:
            if fault.from_ms <= at_ms < min(fault.back_ms, fault.until_ms):
                reasons.append((fault.from_ms, "the database went away"))
        return min(reasons) if reasons else None

    def fault_of(self, request: Request, lock: Row, term_ms: float) -> str | None:
        """`term_ms`: for how long the sender may go on after the last renewal."""
        last = self.renewable_until(lock, request.at_ms)
        if last is None:
            return None
        renewed_ms, why = last
        # What the fixture was late to see was sent before.
        stalled = overlap_ms(self.story.stalls, renewed_ms + term_ms, request.at_ms)
        late = request.at_ms - renewed_ms - term_ms - bounds.LEASE_SLACK - stalled
        return None if late <= 0 else (f"{(request.at_ms - renewed_ms) / 1000:.1f} s after {why}: "
                                       "its lease had ended")

    def silences(self, by_site: dict[int, list[Request]]) -> list[str]:
        """A range is freed undrained, or taken over, a grace after its last renewal; its lease is
        shorter than that. Who said goodbye had stopped before."""
        result = []
        for lock in self.holders.grants:
            if not lock["acknowledged_at_ms"]:
                continue
            for instance, until_ms, what in self._ends(lock):
                if self.holders.processes.said_goodbye(instance):
                    continue
                newest = self._newest(lock, instance, until_ms, by_site)
                if newest is not None and until_ms - newest.at_ms < bounds.silence(self.story.unit_s):
                    result.append(
                        f"range {range_text(lock)} (epoch {lock['epoch']}) was {what} "
                        f"{(until_ms - newest.at_ms) / 1000:.2f} s after its owner had asked for "
                        f"site {newest.site_id}: no grace was over")
        return result

    def _ends(self, lock: Row) -> list[tuple[str, float, str]]:
        """(instance, when, what) of each end of a tenure without a drain."""
        tenures = self.holders.tenures(lock["epoch"])
        ends = [(before["owner_instance"], after["from_ms"], "taken over")
                for before, after in zip(tenures.rows, tenures.rows[1:])
                if after["from_ms"] <= checked_until_ms(lock)]
        if lock["released_at_ms"] and not lock["drained"] and tenures.rows:
            ends.append((tenures.rows[-1]["owner_instance"], lock["released_at_ms"], "freed"))
        return ends

    def _newest(self, lock: Row, instance: str, until_ms: float,
                by_site: dict[int, list[Request]]) -> Request | None:
        """The last request of an instance for a site of the range before then."""
        newest = None
        for site in self.story.sites.values():
            if not covers(lock, site.bucket):
                continue
            for request in reversed(by_site.get(site.site_id, [])):
                if newest is not None and request.at_ms <= newest.at_ms:
                    break
                if request.at_ms < until_ms and self._is(request, instance):
                    newest = request
                    break
        return newest

    def _is(self, request: Request, instance: str) -> bool:
        sender = self.story.senders.get(request.source)
        return (sender is not None and sender.role == "monitor" and
                self.holders.processes.instance(sender.name, request.at_ms) == instance)
