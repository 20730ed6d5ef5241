"""The program durable_writer, and what its log and its tables must agree on."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.servers import LAB_DATABASE
from launcher.waiting import wait_until

if TYPE_CHECKING:
    from lab import Lab

THREADS = 4
MORE = 20  # so many more numbers show that it is at work again


class DurableWriter:
    def __init__(self, lab: Lab, first: int):
        """Starts it; `first` is the server of a cluster that it begins with."""
        self._lab, self._log = lab, lab.folder / "durable_writer.jsonl"
        for thread in range(THREADS):
            lab.database.execute(f"INSERT INTO {LAB_DATABASE}.totals VALUES (?, 0)", thread)
        access = lab.servers.access("", first, LAB_DATABASE)
        self._process = lab.start("durable_writer", "tests/lab/durable_writer",
                                  f"--log={self._log}", f"--threads={THREADS}", access=access)
        self.wait_working()

    def _said(self, what: str) -> list[int]:
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [row["number"] for row in map(json.loads, lines) if row["kind"] == what]

    def wait_working(self) -> None:
        """Until some more numbers are done."""
        wanted = len(self._said("done")) + MORE

        def working() -> bool:
            self._process.check()
            return len(self._said("done")) >= wanted
        wait_until(working, self._lab.patience, "the durable writer to write")

    def faults(self) -> list[str]:
        """Ends it; what of its log and its tables does not agree."""
        code = self._process.stop()
        result = [] if code == 0 else [f"the writer ended with {code}"]
        done, failed = set(self._said("done")), set(self._said("failed"))
        there = {row[0] for row in self._lab.database.rows(
            f"SELECT number FROM {LAB_DATABASE}.numbers")}
        result += [f"{n} was reported as done and is not there" for n in sorted(done - there)]
        result += [f"{n} was reported as failed and is there" for n in sorted(failed & there)]
        result += [f"{n} is there and was not reported" for n in sorted(there - done - failed)]
        # The number is the key; what was done twice, or by half, shows in the count beside it.
        totals = self._lab.database.one(f"SELECT SUM(n) FROM {LAB_DATABASE}.totals")
        if totals != len(there):
            result.append(f"the totals say {totals}, there are {len(there)} numbers")
        print(f"durable writer: {len(done)} done, {len(self._said('unknown'))} times unknown at "
              f"first, {len(failed)} failed; {len(there)} rows")
        return result
