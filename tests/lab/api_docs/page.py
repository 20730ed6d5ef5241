"""Makes the page of the words and the exchanges."""
from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shlex
from typing import Any

from api_docs.entries import ENTRIES, SECTIONS, Entry
from api_docs.exchange import Exchange
from api_docs.standins import StandIns

WIDTH = 100
RUN_ID, JOB_ID = r"rol_\w+", r"rjob_\w+"
NOTE = "<!-- Written by tools/docs.sh from tests/lab/api_docs/ and a real run: do not edit. -->\n\n"
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 409: "Conflict",
           422: "Unprocessable Entity"}


def in_lines(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON in which what fits on a line is on one; `before`: so much stands before it there. The
    outermost object has a field a line, those in it several."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + before + len(flat) < WIDTH or not isinstance(value, (dict, list)) or not value:
        return flat
    inner = indent + 2
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {in_lines(v, inner, len(k) + 4)}" for k, v in value.items()]
        lines = filled(parts, inner) if indent else [part + "," for part in parts]
    else:
        lines = [in_lines(v, inner) + "," for v in value]
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    body = "\n".join(" " * inner + line for line in lines).removesuffix(",")
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def filled(parts: list[str], indent: int) -> list[str]:
    """Fields, as many a line as fit, each with its comma; one that takes several lines stands alone."""
    lines: list[str] = []
    for part in parts:
        fits = lines and "\n" not in part + lines[-1] and \
            indent + len(lines[-1]) + len(part) + 2 <= WIDTH
        if fits:
            lines[-1] += f" {part},"
        else:
            lines.append(part + ",")
    return lines


def flag_of(field: str) -> str:
    return "--" + field.replace("_", "-")


def flags_of(entry: Entry, exchange: Exchange) -> list[str]:
    """The request's fields as the command's flags."""
    flags = []
    for name, value in {**exchange.query, **(exchange.body or {})}.items():
        flag = flag_of(name)
        if name in entry.no_flag or value is False:
            continue
        if value is True:
            flags.append(flag)
        elif name == "override":
            flags += [f"{flag} {shlex.quote(o['code'] + '=' + o['reason'])}" for o in value]
        elif name == "canaries":
            flags.append(f"{flag} canaries.json")
        else:
            flags.append(f"{flag} {shlex.quote(str(value))}")
    if "idempotency-key" in exchange.headers:
        flags.append("--idempotency-key " + shlex.quote(exchange.headers["idempotency-key"]))
    return flags


def command_of(entry: Entry, exchange: Exchange) -> str:
    """What an operator types, broken into lines."""
    ids = {"run_id": re.search(RUN_ID, exchange.path), "job_id": re.search(JOB_ID, exchange.path)}
    words = "jetmon2 api rollout " + entry.command.format(
        **{name: found.group(0) for name, found in ids.items() if found})
    lines = [words]
    for flag in flags_of(entry, exchange):
        if len(lines[-1]) + len(flag) + 3 > WIDTH:
            lines.append("   ")
        lines[-1] += " " + flag
    return " \\\n".join(lines)


def template_of(exchange: Exchange) -> str:
    path = re.sub(RUN_ID, "{run_id}", re.sub(JOB_ID, "{job_id}", exchange.path))
    return f"{exchange.method} {path}"


def shortened(exchange: Exchange) -> Exchange:
    """The exchange with what its entry keeps of the answer's list."""
    kept = ENTRIES[exchange.key].kept
    if kept is None:
        return exchange
    name, kinds = kept
    return dataclasses.replace(exchange, answer=[
        {**answer, name: [item for item in answer[name] if item["kind"] in kinds]}
        for answer in exchange.answer])


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```\n"


def section_of(entry: Entry, exchange: Exchange) -> str:
    head = "\n".join([f"{exchange.method} {exchange.target}",
                      *[f"{name}: {value}" for name, value in exchange.headers.items()]])
    request = head if exchange.body is None else head + "\n\n" + in_lines(exchange.body)
    answer = "\n".join(in_lines(line) for line in exchange.answer)
    status = f"{exchange.status} {REASONS[exchange.status]}"
    text = entry.text
    if entry.no_flag:
        names = " and ".join(f"`{name}`" for name in entry.no_flag)
        text += f" The command has no flag for {names}; `jetmon2 api request` sends any body."
    return "\n".join([
        f"### {entry.title}\n", wrapped(text) + "\n", fenced("sh", command_of(entry, exchange)),
        fenced("http", request), f"Answer, {status}:\n", fenced("json", answer)])


def wrapped(text: str) -> str:
    """Lines of at most WIDTH, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


def anchor(title: str) -> str:
    """As Markdown's readers make it of a heading."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")


def index_of(exchanges: list[Exchange]) -> str:
    """All calls, and where they are shown."""
    shown: dict[str, tuple[str, list[str]]] = {}
    for exchange in exchanges:
        entry = ENTRIES[exchange.key]
        links = shown.setdefault(entry.rpc, (template_of(exchange), []))[1]
        links.append(f"[{entry.title}](#{anchor(entry.title)})")
    rows = [f"| {rpc} | `{path}` | {', '.join(links)} |" for rpc, (path, links) in shown.items()]
    return "\n".join(["## All calls\n", "| call | REST | shown |", "| --- | --- | --- |", *rows]) + \
        "\n"


def make(exchanges: list[Exchange]) -> str:
    """The page; one exchange for each entry, in order."""
    introduction = pathlib.Path(__file__).with_name("introduction.md").read_text(encoding="utf-8")
    standins = StandIns()
    shown = [standins.of(shortened(exchange)) for exchange in exchanges]
    left = iter(shown)
    parts = [introduction, index_of(shown)]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n")
        parts += [section_of(entry, next(left)) for entry in section.entries]
    return NOTE + "\n".join(parts)
