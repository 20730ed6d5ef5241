"""A small client of the control plane's REST API."""
from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any, Iterator

from launcher.waiting import LabError

Json = dict[str, Any]


@dataclasses.dataclass
class Answer:
    status: int  # HTTP; 0: nobody answered
    body: Json
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def code(self) -> str:
        """The error's code, or ''."""
        return self.body.get("error", {}).get("code", "")


def parse(text: bytes) -> Json:
    """An object; what is none is kept under "text"."""
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"text": text.decode("utf-8", "replace")}


class Api:
    def __init__(self, url: str, token: str = ""):
        self.url, self.token = url, token

    def call(self, method: str, path: str, body: Json | bytes | None = None,
             timeout: float = 75, **headers: str) -> Answer:
        """One request; `body` is sent as JSON, bytes as they are."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data is not None:
            request.add_header("content-type", "application/json")
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, parse(answer.read()),
                              {k.lower(): v for k, v in answer.headers.items()})
        except urllib.error.HTTPError as error:
            return Answer(error.code, parse(error.read()),
                          {k.lower(): v for k, v in error.headers.items()})
        except OSError as error:
            return Answer(0, {"text": str(error)})

    def stream(self, path: str, timeout: float = 75) -> Iterator[Json]:
        """The lines of a stream, as they come. OSError if it is refused or breaks off."""
        request = urllib.request.Request(self.url + path)
        request.add_header("authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            for line in answer:
                if line.strip():
                    yield parse(line)

    def get(self, path: str) -> Json:
        return self._good("GET", path, None)

    def post(self, path: str, body: Json) -> Json:
        return self._good("POST", path, body)

    def put(self, path: str, body: Json) -> Json:
        return self._good("PUT", path, body)

    def _good(self, method: str, path: str, body: Json | None) -> Json:
        answer = self.call(method, path, body)
        if answer.status != 200:
            raise LabError(f"{method} {path} answered {answer.status}: {answer.body}")
        return answer.body

    def is_healthy(self) -> bool:
        answer = self.call("GET", "/api/v1/health", timeout=2)
        return answer.status == 200 and answer.body.get("status") == "ok"
