"""Version 1 as its source behaves (v1/v1_host), and who is told by it and by us (v1/receiver): an
opt-in of a lab, Settings.v1 = "real", in place of the old stand-in."""
from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING

from launcher.rest import Api, Json
from launcher.waiting import LabError, wait_until

if TYPE_CHECKING:
    from lab import Lab

SOURCE = "127.0.1.5"  # of its checks, and of its tells
VERIFLIERS = ("127.0.1.6", "127.0.1.7", "127.0.1.8")
BATCH = 32  # BATCH_SIZE


def batch_for(bucket_min: int, bucket_max: int) -> int:
    """A BATCH_SIZE by which v1 reads exactly this range: with a larger one it reads behind it at
    first, and where it divides MAX - MIN it never reads MAX."""
    size = min(BATCH, bucket_max - bucket_min + 1)
    while size > 1 and (bucket_max - bucket_min) % size == 0:
        size -= 1
    return size


def parse_ranges(text: str) -> list[tuple[int, int]]:
    ranges = [one.split("-") for one in text.split(",") if one]
    return [(int(low), int(high)) for low, high in ranges]


class LineLog:
    """A log of JSON lines that grows."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def rows(self, kind: str, **values: object) -> list[Json]:
        """Those of a kind that have these values."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [row for row in rows if row["kind"] == kind
                and all(row.get(name) == value for name, value in values.items())]


class PeopleLog(LineLog):
    """Who was told what when, and what the receiver wrote."""

    def told(self, url: str) -> list[int]:
        """What was said of a URL, in order; what v2 only repeated is left out."""
        return [row["status"] for row in self.rows("told", url=url) if not row["repeat"]]

    def wrote(self, url: str) -> list[int]:
        return [row["status"] for row in self.rows("wrote", url=url)]


class RealV1:
    """The two processes of a lab, and what can be done to them."""

    def __init__(self, lab: Lab):
        self._lab = lab
        self.people = PeopleLog(lab.folder / "people.jsonl")
        self.log = LineLog(lab.folder / "v1.jsonl")

    # --- the receiver
    @property
    def receiver_url(self) -> str:
        return f"http://127.0.0.1:{self._lab.port['receiver']}"

    def start_receiver(self) -> None:
        """Starts it, or starts it again on the same port."""
        lab = self._lab
        lab.port.setdefault("receiver", lab.ports.take())
        process = lab.start("receiver", "tests/lab/v1/receiver",
                            f"--listen=127.0.0.1:{lab.port['receiver']}",
                            f"--log={self.people.path}", *lab.settings.receiver_flags,
                            access=lab.database.access("v1", "receiver"))
        lab.ready(process, lambda: Api(self.receiver_url).call("GET", "/status").status == 200,
                  "the receiver")

    def answer(self, mode: str) -> None:
        """How it answers from now on: ok, slow, error or silent."""
        answer = Api(self.receiver_url).call("POST", f"/control/answer?mode={mode}")
        if answer.status != 200:
            raise LabError(f"the receiver refused {mode}: {answer.body}")

    def pending_writes(self) -> int:
        return Api(self.receiver_url).get("/status")["pending"]

    # --- v1
    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._lab.port['v1']}"

    def start(self, ranges: str) -> None:
        """v1's process with a host a range."""
        lab = self._lab
        lab.port["v1"] = lab.ports.take()
        for source in VERIFLIERS:  # they are this process's, too
            lab.senders[source] = {"name": "v1", "role": "v1", "host": ""}
        process = lab.start("v1", "tests/lab/v1/v1_host",
                            f"--listen=127.0.0.1:{lab.port['v1']}", "--ranges=",
                            f"--log={self.log.path}", f"--interval_unit={lab.unit}",
                            f"--round_minutes={lab.settings.interval}",
                            f"--source_address={SOURCE}",
                            f"--veriflier_addresses={','.join(VERIFLIERS)}",
                            f"--receiver={self.receiver_url}", *lab.settings.v1_flags,
                            access=lab.database.access("v1"))
        lab.ready(process, lambda: Api(self._url).call("GET", "/status").status == 200, "v1")
        for low, high in parse_ranges(ranges):
            self.start_range(low, high)
        lab.plan.expect("v1_starts", len(parse_ranges(ranges)))

    def order(self, what: str, bucket_min: int, bucket_max: int, **parameters: int) -> None:
        """stop, kill, hup, stray or start. LabError if it is refused."""
        path = f"/{what}?min={bucket_min}&max={bucket_max}" + "".join(
            f"&{name}={value}" for name, value in parameters.items())
        answer = Api(self._url).call("POST", path)
        if answer.status != 200:
            raise LabError(f"v1 refused {path}: {answer.body}")

    def start_range(self, bucket_min: int, bucket_max: int) -> None:
        """Starts a host that reads exactly this range."""
        self.order("start", bucket_min, bucket_max, batch_size=batch_for(bucket_min, bucket_max))

    def hosts(self) -> dict[tuple[int, int], Json]:
        """Their figures, by range."""
        return {(one["min"], one["max"]): one for one in Api(self._url).get("/status")["hosts"]}

    def host(self, bucket: int) -> Json:
        """The figures of the host that has a bucket."""
        for (low, high), figures in self.hosts().items():
            if low <= bucket <= high:
                return figures
        raise LabError(f"no host of v1's has bucket {bucket}")

    def wait_rounds(self, bucket: int, count: int = 2) -> None:
        """Until the host of a bucket has begun so many rounds from now."""
        begun = self.host(bucket)["rounds"]
        wait_until(lambda: self.host(bucket)["rounds"] >= begun + count,
                   self._lab.patience * count, f"{count} rounds of v1's")
