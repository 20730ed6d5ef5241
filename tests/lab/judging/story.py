"""What happened in a lab: the facts that the judge decides on, as plain data.

Times named *_ms are Unix milliseconds by the machine's wall clock (the database's times);
Request.boot_ms counts on CLOCK_BOOTTIME and serves for durations between requests.
"""
from __future__ import annotations

import dataclasses
import math
from typing import Any, Iterable

Row = dict[str, Any]
FOREVER = math.inf
# What takes v1's incidents over.
ADOPTING_JOBS = ("seed", "final_reconcile", "activate_buckets")


@dataclasses.dataclass(frozen=True)
class Request:
    at_ms: float
    boot_ms: float
    source: str
    site_id: int
    agent: str = ""
    hop: int = 0  # 0: a check's first request; else a redirect's
    delay_ms: float = 0  # how long the site took to answer
    method: str = ""  # '' where that is of no matter
    failed: bool = False  # it got no plain 2xx answer: a check may have failed over it


@dataclasses.dataclass(frozen=True)
class Sender:
    """Who sends from one source address."""
    name: str
    role: str  # v1, monitor, veriflier, controlplane
    host: str = ""  # of a Monitor: its --host


@dataclasses.dataclass(frozen=True)
class Stray:
    """A request for none of our sites: a path that no site has, or a site that is in no table."""
    at_ms: float
    source: str
    path: str


@dataclasses.dataclass(frozen=True)
class Start:
    """The launcher started a process."""
    at_ms: float
    name: str
    pid: int


@dataclasses.dataclass(frozen=True)
class State:
    """From then on the fixture answers for these sites as told, everybody or only this source."""
    at_ms: float
    site_ids: tuple[int, ...]
    down: bool
    source: str = ""
    silent: bool = False  # down: it does not answer at all, where others refuse at once
    unsure: bool = False  # whoever checks may find it up or down: slow, or redirects


@dataclasses.dataclass(frozen=True)
class Site:
    site_id: int
    bucket: int
    url: str
    interval_s: float
    active: bool = True
    status: int = 1
    status_change: str = ""
    blog_id: int = 0


@dataclasses.dataclass(frozen=True)
class Span:
    """Something that lasted: a fault, a stall. `what` names the process that it hit, or ''."""
    from_ms: float
    until_ms: float
    what: str = ""
    how: str = ""  # of a fault: killed, paused
    back_ms: float = FOREVER  # from when on it may work again, though nobody has looked yet


@dataclasses.dataclass(frozen=True)
class Alert:
    """A v1 notification: status 1 is up; 2 is down, in dialect v1 also 0."""
    at_ms: float
    site_id: int
    status: int


# What people know a site by: several rows of one (blog, URL) are one site to them.
Key = tuple[int, str]
UP = 1  # the status of a tell


@dataclasses.dataclass(frozen=True)
class Tell:
    """What people's log says that they were told."""
    at_ms: float
    sender: str  # v1, v2
    key: Key
    status: int  # 1 up; v1: 0 down, 2 still down; v2: anything else is down
    id: str = ""  # v2's: who has seen it before drops the tell
    repeat: bool = False  # the receiver says that it was dropped so

    @property
    def down(self) -> bool:
        return self.status != UP


@dataclasses.dataclass(frozen=True)
class Written:
    """The receiver of tells wrote v1's column for all rows of a (blog, URL)."""
    at_ms: float
    key: Key
    status: int


@dataclasses.dataclass(frozen=True)
class Decided:
    """The operator said of a tell that is on its way whether people have got it."""
    at_ms: float
    key: Key
    status: int
    told: bool  # False: v1 may tell it again


@dataclasses.dataclass(frozen=True)
class V1Switch:
    at_ms: float
    kind: str  # v1_started, v1_stopped
    bucket_min: int
    bucket_max: int


# What a part that left a range says of itself; the rest is the range's.
OF_PART = ("bucket_min", "bucket_max", "state", "drained", "draining_at_ms", "drained_at_ms",
           "revoked_at_ms", "released_at_ms")


def without(row: Row, part: Row) -> Row:
    """What is left of a range when one end of it is taken away."""
    if part["bucket_min"] == row["bucket_min"]:
        return {**row, "bucket_min": part["bucket_max"] + 1}
    return {**row, "bucket_max": part["bucket_min"] - 1}


@dataclasses.dataclass
class Story:
    requests: list[Request] = dataclasses.field(default_factory=list)
    strays: list[Stray] = dataclasses.field(default_factory=list)
    senders: dict[str, Sender] = dataclasses.field(default_factory=dict)
    sites: dict[int, Site] = dataclasses.field(default_factory=dict)
    locks: list[Row] = dataclasses.field(default_factory=list)  # range rows, as they are: the rest
    parts: list[Row] = dataclasses.field(default_factory=list)  # that left them
    tenures: list[Row] = dataclasses.field(default_factory=list)  # which instance held them when
    health: list[Row] = dataclasses.field(default_factory=list)  # a row a process of ours
    starts: list[Start] = dataclasses.field(default_factory=list)
    states: list[State] = dataclasses.field(default_factory=list)
    buckets: list[Row] = dataclasses.field(default_factory=list)
    jobs: list[Row] = dataclasses.field(default_factory=list)
    tokens: list[Row] = dataclasses.field(default_factory=list)
    audit: list[Row] = dataclasses.field(default_factory=list)
    events: list[Row] = dataclasses.field(default_factory=list)
    transitions: list[Row] = dataclasses.field(default_factory=list)
    notifications: list[Row] = dataclasses.field(default_factory=list)
    history: list[Row] = dataclasses.field(default_factory=list)
    false_positives: list[Row] = dataclasses.field(default_factory=list)
    targets: list[Row] = dataclasses.field(default_factory=list)
    runtime: list[Row] = dataclasses.field(default_factory=list)
    stages: list[Row] = dataclasses.field(default_factory=list)
    stage_rows: list[Row] = dataclasses.field(default_factory=list)
    configs: list[Row] = dataclasses.field(default_factory=list)
    policy_seen_ms: float = 60_000  # in which a Monitor uses a policy that was changed
    deliveries: list[str] = dataclasses.field(default_factory=list)  # ids that the receiver saw
    v1_alerts: list[Alert] = dataclasses.field(default_factory=list)
    v1_switches: list[V1Switch] = dataclasses.field(default_factory=list)
    has_people: bool = False  # the run keeps people's log: invariant 9 is judged
    people: list[Tell] = dataclasses.field(default_factory=list)
    written: list[Written] = dataclasses.field(default_factory=list)
    decided: list[Decided] = dataclasses.field(default_factory=list)
    receiver_delay_ms: float = 60_000  # --legacy_receiver_delay of the run
    replica_lag_ms: float = 0  # how far behind v1 may read the column
    mute_ms: float = 180_000  # how long before its end an owner that releases may tell nothing
    dialect: str = "jetmon2"  # what site_status means in this run; or v1
    faults: list[Span] = dataclasses.field(default_factory=list)
    stalls: list[Span] = dataclasses.field(default_factory=list)  # the witness itself was away
    edits: dict[int, list[float]] = dataclasses.field(default_factory=dict)  # by site, when
    end_ms: float = 0  # nothing after it is missed
    unit_s: float = 60.0  # what a minute of check_interval lasts
    plan: Row = dataclasses.field(default_factory=dict)  # see evidence.py
    missing: list[str] = dataclasses.field(default_factory=list)  # logs that are not there
    ended: bool = False  # the launcher says that the run came to its end

    def bucket_of(self, site_id: int) -> int:
        site = self.sites.get(site_id)
        return -1 if site is None else site.bucket

    def grants(self) -> list[Row]:
        """Who held which buckets from when to when: a row a range lock, as wide as what is left of
        it, and one of the same shape for each part that left it."""
        result = []
        for lock in self.locks:
            rest = lock
            for part in self.parts:
                if part["epoch"] != lock["epoch"]:
                    continue
                result.append({**lock, **{name: part[name] for name in OF_PART},
                               "release_job_id": part["job_id"], "gave_up": 0})
                if part["state"] != "released":
                    rest = without(rest, part)
            result.append(rest)
        return result

    def by_site(self) -> dict[int, list[Request]]:
        """First requests of checks, in order, by site."""
        result: dict[int, list[Request]] = {}
        for request in sorted(self.requests, key=lambda r: r.boot_ms):
            if request.hop == 0:
                result.setdefault(request.site_id, []).append(request)
        return result


def covers(row: Row, bucket: int) -> bool:
    return row["bucket_min"] <= bucket <= row["bucket_max"]


def range_text(row: Row) -> str:
    return f"{row['bucket_min']}-{row['bucket_max']}"


def lock_end_ms(lock: Row) -> float:
    """When the range was v1's again; FOREVER while it is held."""
    return lock["released_at_ms"] or FOREVER


def overlap_ms(spans: Iterable[Span], from_ms: float, until_ms: float) -> float:
    """How much of a time lies within the spans; what several of them cover counts once."""
    total, reached = 0.0, from_ms
    for span in sorted(spans, key=lambda s: s.from_ms):
        begin, end = max(span.from_ms, reached), min(span.until_ms, until_ms)
        if end > begin:
            total += end - begin
            reached = end
    return total


@dataclasses.dataclass
class Verdict:
    """The decision on one invariant."""
    number: int
    evidence: str = ""  # what was looked at, with figures
    violations: list[str] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.violations

    def line(self) -> str:
        if self.ok:
            return f"invariant {self.number}: ok: {self.evidence}"
        shown = "; ".join(self.violations[:5])
        rest = len(self.violations) - 5
        more = f"; and {rest} more" if rest > 0 else ""
        return f"invariant {self.number}: NOT OK: {shown}{more} ({self.evidence})"
