"""Who held a bucket when, by host and instance; and which instance a process was."""
from __future__ import annotations

import bisect

from judging import bounds
from judging.story import FOREVER, Row, Start, Story, covers, lock_end_ms


def checked_until_ms(lock: Row) -> float:
    """The last moment at which the owner of a range may send."""
    return lock["drained_at_ms"] or lock_end_ms(lock)


class Processes:
    """Names of the launcher's processes -> the instances that they said they were."""

    def __init__(self, story: Story):
        self._by_pid: dict[int, list[Row]] = {}
        for row in story.health:
            if row["kind"] == "monitor":
                self._by_pid.setdefault(row["pid"], []).append(row)
        self._starts: dict[str, list[tuple[float, str]]] = {}
        for start in sorted(story.starts, key=lambda s: s.at_ms):
            self._starts.setdefault(start.name, []).append((start.at_ms, self._instance(start)))
        self._goodbye = {row["instance"] for row in story.health if row["goodbye"]}

    def _instance(self, start: Start) -> str:
        """A pid is given out again: it is the first process of that pid from then on."""
        rows = [row for row in self._by_pid.get(start.pid, [])
                if row["started_at_ms"] >= start.at_ms - bounds.COMMIT]
        return min(rows, key=lambda row: row["started_at_ms"])["instance"] if rows else ""

    def instance(self, name: str, at_ms: float) -> str:
        """Of the process that had this name then; '' if nobody said."""
        starts = self._starts.get(name, [])
        at = bisect.bisect_right(starts, (at_ms, chr(0x10FFFF))) - 1
        return starts[at][1] if at >= 0 else ""

    def started(self, names: set[str], from_ms: float) -> list[float]:
        """When processes of these names were started from then on."""
        return [at for name in names for at, _ in self._starts.get(name, []) if at >= from_ms]

    def said_goodbye(self, instance: str) -> bool:
        return instance in self._goodbye


class Tenures:
    """The instances of one grant, one after the other."""

    def __init__(self, rows: list[Row]):
        self.rows = sorted(rows, key=lambda row: (row["from_ms"], row["revision"]))
        self._from = [row["from_ms"] for row in self.rows]

    def at(self, at_ms: float) -> Row | None:
        """Whose it was then."""
        found = bisect.bisect_right(self._from, at_ms + bounds.ROUNDING) - 1
        return self.rows[found] if found >= 0 else None

    def until_ms(self, row: Row) -> float:
        """When the next one took it over."""
        after = self.rows.index(row) + 1
        return self._from[after] if after < len(self.rows) else FOREVER


class Holders:
    """All grants by bucket and epoch, with their instances."""

    def __init__(self, story: Story):
        self.story = story
        self.processes = Processes(story)
        self.grants = story.grants()
        self.of_bucket: dict[int, list[Row]] = {}
        for lock in self.grants:
            for bucket in range(lock["bucket_min"], lock["bucket_max"] + 1):
                self.of_bucket.setdefault(bucket, []).append(lock)
        rows: dict[int, list[Row]] = {}
        for row in story.tenures:
            rows.setdefault(row["epoch"], []).append(row)
        self._tenures = {epoch: Tenures(some) for epoch, some in rows.items()}
        self._none = Tenures([])

    def tenures(self, epoch: int) -> Tenures:
        return self._tenures.get(epoch, self._none)

    def holder(self, bucket: int, epoch: int) -> Row | None:
        return next((lock for lock in self.of_bucket.get(bucket, []) if lock["epoch"] == epoch), None)

    def may_write(self, lock: Row, at_ms: float) -> bool:
        """A Monitor writes from its acknowledgement until it has drained, or the range is free."""
        return (lock["acknowledged_at_ms"] > 0 and lock["acknowledged_at_ms"] - bounds.ROUNDING
                <= at_ms <= checked_until_ms(lock) + bounds.ROUNDING)


def judge_tenures(holders: Holders) -> list[str]:
    """Each grant has a row of its beginning, the rows tell of one host and of changing instances, and
    the last of them is who the range row names."""
    result = []
    known = set()
    for lock in holders.story.locks:
        known.add(lock["epoch"])
        rows = holders.tenures(lock["epoch"]).rows
        name = f"epoch {lock['epoch']}"
        if not rows or rows[0]["from_ms"] > lock["granted_at_ms"] + bounds.ROUNDING:
            result.append(f"{name} has no record of who was granted it")
            continue
        for before, after in zip(rows, rows[1:]):
            if before["owner_instance"] == after["owner_instance"]:
                result.append(f"{name} was taken over by {after['owner_instance']}, which had it")
        for row in rows:
            if row["owner_host"] != lock["owner_host"]:
                result.append(f"{name} of {lock['owner_host']} was held by {row['owner_host']}")
            if row["from_ms"] > lock_end_ms(lock):
                result.append(f"{name} was taken over by {row['owner_instance']} after its release")
        if rows[-1]["owner_instance"] != lock["owner_instance"]:
            result.append(f"{name} belongs to {lock['owner_instance']}, and "
                          f"{rows[-1]['owner_instance']} had it last")
    result += [f"epoch {row['epoch']}, which was never granted, was held by "
               f"{row['owner_instance']}" for row in holders.story.tenures
               if row["epoch"] not in known]
    return result
