"""What a fault can have caused, and for how long. Nothing else is excused: a fault of another host,
of the control plane or of a Veriflier keeps no Monitor from checking."""
from __future__ import annotations

from judging import bounds
from judging.story import Row, Span
from judging.tenure import Holders


class Excuses:
    def __init__(self, holders: Holders):
        self.holders, self.story = holders, holders.story
        self._cache: dict[tuple[int, int, bool], list[Span]] = {}
        self._names: dict[str, set[str]] = {}
        for sender in self.story.senders.values():
            if sender.role == "monitor":
                self._names.setdefault(sender.host, set()).add(sender.name)

    def spans(self, lock: Row, needs_database: bool = False) -> list[Span]:
        """The same as faults(), and the times at which the witness itself was away."""
        return self.story.stalls + self.faults(lock, needs_database)

    def faults(self, lock: Row, needs_database: bool = False) -> list[Span]:
        """When the owner of a grant could not check, its recovery included; from a take-over on its
        successor must, in the time that a load takes. `needs_database`: what is asked about can't be
        done without it, where checks go on as long as the lease lasts."""
        key = (lock["epoch"], lock["bucket_min"], needs_database)
        if key not in self._cache:
            self._cache[key] = [*self._of_database(lock, needs_database), *self._of_owner(lock)]
        return self._cache[key]

    def _of_database(self, lock: Row, needs_database: bool) -> list[Span]:
        head = 0.0 if needs_database else bounds.WITHOUT_DATABASE
        return [Span(f.from_ms + head, f.until_ms + bounds.recovery(f), f.what)
                for f in self.story.faults if f.what == "database" and not is_over(f, lock)]

    def _of_owner(self, lock: Row) -> list[Span]:
        names = self._names.get(lock["owner_host"], set())
        tenures = self.holders.tenures(lock["epoch"])
        result = []
        for fault in self.story.faults:
            if fault.what not in names or is_over(fault, lock):
                continue
            row = tenures.at(fault.from_ms)
            hit = self.holders.processes.instance(fault.what, fault.from_ms)
            if row is None or hit != row["owner_instance"]:
                continue  # that process did not hold it
            again = tenures.until_ms(row)  # when it was taken over
            if fault.how == "killed":
                # Whoever comes after it must have been started, and must then take over in time.
                started = self.holders.processes.started(names, fault.from_ms)
                if started:
                    again = min(again, min(started) + bounds.TAKE_OVER)
            else:
                again = min(again, fault.until_ms + bounds.recovery(fault))
            result.append(Span(fault.from_ms, again, fault.what))
        return result

    def of_edits(self, site_id: int) -> list[Span]:
        return [Span(at, at + bounds.EDIT) for at in self.story.edits.get(site_id, [])]

    def lapses(self, lock: Row) -> list[Span]:
        """When the lease of an instance that lives on may have lapsed under its checks."""
        return [span for span, fault in self._of_host(lock["owner_host"]) if not is_over(fault, lock)]

    def of_host(self, host: str) -> list[Span]:
        """When a process of a host that lives on was away, or the database: its lease may have
        lapsed, and what it had read may be old. Who comes after a killed one has read everything
        anew."""
        return [span for span, _ in self._of_host(host)]

    def _of_host(self, host: str) -> list[tuple[Span, Span]]:
        """(fault and recovery, fault)"""
        names = self._names.get(host, set())
        return [(Span(f.from_ms, f.until_ms + bounds.recovery(f), f.what), f)
                for f in self.story.faults
                if f.what == "database" or f.what in names and f.how != "killed"]


def is_over(fault: Span, lock: Row) -> bool:
    """Who acknowledges a range, in the database, has come back from what was before."""
    return min(fault.until_ms, fault.back_ms) <= lock["acknowledged_at_ms"]
