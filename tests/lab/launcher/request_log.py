"""Follows the fixture's request log while it grows."""
from __future__ import annotations

import collections
import json
import pathlib


class RequestLog:
    """Counts per source address which sites were asked for; reads on from where it was."""

    def __init__(self, path: pathlib.Path):
        self._path, self._offset, self._rest = path, 0, b""
        # source -> site -> boot_ns of the last request.
        self.last: dict[str, dict[int, int]] = collections.defaultdict(dict)
        # The same, of the method.
        self.methods: dict[str, dict[int, str]] = collections.defaultdict(dict)
        self.notifications: list[dict] = []
        self.requests = 0

    def read_on(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = self._rest + file.read()
            self._offset = file.tell()
        lines = data.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            row = json.loads(line)
            if row["kind"] in ("request", "partial"):
                self.requests += 1
                self.last[row["source"]][row.get("site", -1)] = row["boot_ns"]
                self.methods[row["source"]][row.get("site", -1)] = row["method"]
            elif row["kind"] == "notify":
                self.notifications.append(row)

    def sites_since(self, source: str, boot_ns: int) -> set[int]:
        """The sites that this source asked for since a moment."""
        self.read_on()
        return {site for site, at in self.last[source].items() if at >= boot_ns}

    def sites_by(self, source: str, method: str) -> set[int]:
        """The sites whose last request from this source was by that method."""
        self.read_on()
        return {site for site, last in self.methods[source].items() if last == method}

    def newest(self, source: str) -> int:
        """boot_ns of the newest request from a source; 0 if there is none."""
        self.read_on()
        return max(self.last[source].values(), default=0)
