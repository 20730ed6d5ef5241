"""What a run is to show: the judge says nothing of one that shows less (judging/evidence.py)."""
from __future__ import annotations

from collections import Counter
from typing import Any


class Plan:
    """Counts what the launcher saw done. Each figure is one that the judge must find again in the
    logs and in the database: a log that is lost, or cut short, is told."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._requests: Counter[str] | None = Counter()

    def expect(self, what: str, count: int = 1) -> None:
        """`what`: grants, releases, take_overs, v1_starts, v1_stops, downs, ups, given_up,
        told."""
        self._counts[what] += count

    def expect_requests(self, role: str, count: int) -> None:
        """So many more by v1, monitor, veriflier or controlplane."""
        assert self._requests is not None
        self._requests[role] += count

    def may_ask_nobody(self) -> None:
        """The run is about locks: ranges may be given back before a check of theirs is due."""
        self._requests = None

    def as_json(self) -> dict[str, Any]:
        requests = None if self._requests is None else dict(self._requests)
        return {"requests": requests, **self._counts}
