"""What was asked and what was answered, kept as it went over the wire."""
from __future__ import annotations

import dataclasses
import urllib.parse
from typing import Callable

from launcher.rest import Api, Json
from launcher.waiting import LabError

PREFIX = "/api/v1/rollout/"


@dataclasses.dataclass
class Exchange:
    """One request and its answer; a stream answers with several lines."""
    key: str  # of its entry in entries.py
    method: str
    path: str
    query: dict[str, object]
    body: Json | None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    status: int = 0
    answer: list[Json] = dataclasses.field(default_factory=list)

    @property
    def target(self) -> str:
        """The path with its query, as it was asked for."""
        return self.path + ("?" + urllib.parse.urlencode(self.query) if self.query else "")


class Recorder:
    """Asks as a client would, and keeps each exchange. LabError where an answer is not of the kind
    that the story wants."""

    def __init__(self, api: Api):
        self._api = api
        self.exchanges: list[Exchange] = []

    def get(self, key: str, path: str, **query: object) -> Json:
        return self._good(Exchange(key, "GET", PREFIX + path, query, None))

    def post(self, key: str, path: str, body: Json, **headers: str) -> Json:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._good(Exchange(key, "POST", PREFIX + path, {}, body, named))

    def refused(self, code: str, path: str, body: Json, key: str = "") -> None:
        """A request that is answered with this error; its key is the code if none is given."""
        exchange = self._ask(Exchange(key or code, "POST", PREFIX + path, {}, body))
        if exchange.answer[0].get("error", {}).get("code") != code:
            raise LabError(f"{exchange.key}: {code} was expected: {exchange.answer}")

    def blocked(self, key: str, path: str, body: Json, code: str) -> None:
        """A request whose answer is blocked, by this among others."""
        answer = self.post(key, path, body)
        if answer["status"] != "blocked" or code not in [b["code"] for b in answer["blockers"]]:
            raise LabError(f"{key}: to be blocked by {code} was expected: {answer}")

    def done(self, key: str, path: str, body: Json) -> Json:
        """An operation that is ok."""
        return self._ok(key, self.post(key, path, body))

    def gate(self, key: str, path: str, **query: object) -> Json:
        """A gate that is ok."""
        return self._ok(key, self.get(key, path, **query))

    def watch(self, key: str, path: str, after_first: Callable[[], object]) -> None:
        """A stream, read to its end. Of its lines the first, the last one that is about the job, and
        the end are kept: how many lie between is a matter of time."""
        exchange = Exchange(key, "GET", PREFIX + path, {}, None, status=200)
        self.exchanges.append(exchange)
        lines = []
        for line in self._api.stream(exchange.path):
            lines.append(line)
            if len(lines) == 1:
                after_first()
        if len(lines) < 3:
            raise LabError(f"{key}: the stream ended early: {lines}")
        exchange.answer = [lines[0], *lines[-2:]]

    @staticmethod
    def _ok(key: str, answer: Json) -> Json:
        if answer["status"] != "ok":
            raise LabError(f"{key}: ok was expected: {answer}")
        return answer

    def _good(self, exchange: Exchange) -> Json:
        self._ask(exchange)
        if exchange.status != 200:
            raise LabError(f"{exchange.key} answered {exchange.status}: {exchange.answer}")
        return exchange.answer[0]

    def _ask(self, exchange: Exchange) -> Exchange:
        answer = self._api.call(exchange.method, exchange.target, exchange.body,
                                **exchange.headers)
        exchange.status, exchange.answer = answer.status, [answer.body]
        self.exchanges.append(exchange)
        return exchange
