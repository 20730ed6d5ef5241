"""Stand-ins for what differs from run to run, so that the same story makes the same page: ids, tokens,
times, ports, and figures that are a matter of time."""
from __future__ import annotations

import copy
import dataclasses
import datetime
import re
from typing import Any

from api_docs.exchange import Exchange
from launcher.rest import Json

BEGIN = datetime.datetime(2026, 3, 2, 9, 0, 0)  # the first exchange; each one takes a minute
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TOKEN_LIFE = datetime.timedelta(minutes=15)

# Every id, token and digest has a number, counted from 1 in the order of appearance, by its kind.
IDS = re.compile(r"\b(?P<ulid>[a-z]{3,4}_)[0-9A-HJKMNP-TV-Z]{26}\b"
                 r"|\b(?P<token>jmr_)[0-9a-f]{48}\b"
                 r"|\b(?P<instance>ins_)[0-9a-f]{24}\b"
                 r"|\b(?P<digest>)[0-9a-f]{64}\b")
# In sentences: the beginning of a digest, how long something took or how far it was, where the lab's
# web server is.
IN_TEXTS = [(re.compile(r"plan [0-9a-f]{12}, now [0-9a-f]{12}"),
             "plan 0123456789ab, now ba9876543210"),
            (re.compile(r"\b\d+(\.\d+)? ms\b"), "420 ms"),
            (re.compile(r"latency x \d+\.\d+"), "latency x 1.25"),
            (re.compile(r"is running, \d+ of \d+"), "is running, 4 of 16"),
            (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:8080")]
FIGURES = {"p50_ms": 41.5, "p90_ms": 97.25, "p99_ms": 180.5, "from_p50_ms": 41.5,
           "from_p99_ms": 180.5, "to_p50_ms": 51.5, "to_p99_ms": 190.5, "latency_ratio": 1.25,
           "from_ms": 41.5, "to_ms": 51.5, "ms": 42.5, "lease_silent_s": 1.25,
           "oldest_check_s": 2.5, "checks_per_s": 3.25, "oldest_due_s": 0, "due_backlog": "0",
           "in_flight": "0", "rss_bytes": "24117248", "pid": "4711",
           "first": "from"}  # by turns, in an order that the run's id decides
# How far a job was when it was looked at, or broken off.
PROGRESS = {"done": "4", "total": "16"}
UNFINISHED = ("running", "cancelled")

# Seconds after an exchange began at which something happened in it, so that times lie in order.
SECONDS = {"granted_at": 1, "acknowledged_at": 2, "draining_at": 1, "drained_at": 3,
           "released_at": 4, "first_check_at": 3, "finished_at": 5, "updated_at": 5,
           "closed_at": 5}
SAME_AS = {"since": "acknowledged_at"}
# What a time is of: the same one has the same stand-in wherever it is shown.
OF = ("job_id", "run_id", "ordinal")
BY_VALUE = ("granted_at", "acknowledged_at")


class StandIns:
    """Gives them out over all exchanges of a story, in its order."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._times: dict[tuple, str] = {}
        self._exchange = 0

    def of(self, exchange: Exchange) -> Exchange:
        """The exchange as the page shows it."""
        shown = dataclasses.replace(
            exchange, path=self._text(exchange.path), query=self._value(exchange.query),
            body=self._value(exchange.body), answer=[self._value(a) for a in exchange.answer])
        self._exchange += 1
        return shown

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self._entry(i, item) for i, item in enumerate(value)]
        return self._text(value) if isinstance(value, str) else copy.copy(value)

    def _entry(self, index: int, item: Any) -> Any:
        """An item of a list; a timeline's entry has no identity but its place."""
        shown = self._value(item)
        if isinstance(item, dict) and "at" in item:
            shown["at"] = self._time(index)
        return shown

    def _object(self, value: Json) -> Json:
        shown: Json = {}
        for name, field in value.items():
            if name == "cursor" and field:
                shown[name] = "opaque"
            elif name in FIGURES:
                shown[name] = FIGURES[name]
            elif name in PROGRESS and value.get("state") in UNFINISHED:
                shown[name] = PROGRESS[name]
            elif isinstance(field, str) and TIME.fullmatch(field):
                shown[name] = self._moment(name, field, value)
            else:
                shown[name] = self._value(field)
        return shown

    def _text(self, text: str) -> str:
        for pattern, standin in IN_TEXTS:
            text = pattern.sub(standin, text)
        return IDS.sub(self._id, text)

    def _id(self, match: re.Match[str]) -> str:
        kind = match.lastgroup or ""
        prefix = match.group(kind)
        known = self._numbers.setdefault(kind + prefix, {})
        number = known.setdefault(match.group(0), len(known) + 1)
        if kind == "ulid":
            return f"{prefix}01EXAMPLE{number:017d}"
        return prefix + str(number).zfill(len(match.group(0)) - len(prefix))

    def _time(self, seconds: int) -> str:
        at = BEGIN + datetime.timedelta(minutes=self._exchange, seconds=seconds)
        return at.isoformat() + "Z"

    def _moment(self, name: str, at: str, owner: Json) -> str:
        if name == "token_expires_at":
            return (datetime.datetime.fromisoformat(self._time(0)[:-1]) +
                    TOKEN_LIFE).isoformat() + "Z"
        name = SAME_AS.get(name, name)
        of = () if name in BY_VALUE else tuple(str(owner.get(field, "")) for field in OF)
        if name == "updated_at":
            of += (str(owner.get("sequence", "")),)
        if "pid" in owner:  # what a process reports moves with the clock
            of += (str(self._exchange), owner["host"])
        return self._times.setdefault((name, at, of), self._time(SECONDS.get(name, 0)))
