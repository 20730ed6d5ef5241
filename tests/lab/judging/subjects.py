"""What people know as one site, and when the fixture held it down."""
from __future__ import annotations

import dataclasses
import re

from judging.story import FOREVER, Key, Request, Site, State, Story

IS_UP, IS_DOWN, IS_UNSURE = "up", "down", "unsure"


def fixture_number(url: str) -> int | None:
    """By what number the fixture knows a site: its path /s/N, or its host site-N."""
    match = re.match(r"https?://(?:site-(\d+)[.:/]|[^/]*/s/(\d+)(?:[/?]|$))", url + "/")
    return None if match is None else int(match[1] or match[2])


@dataclasses.dataclass(frozen=True)
class Segment:
    """For so long the fixture answered alike. Unsure: some may have found it down."""
    from_ms: float
    until_ms: float
    what: str
    silent: bool = False


@dataclasses.dataclass(frozen=True)
class Outage:
    """From up to up: all segments between."""
    segments: tuple[Segment, ...]

    @property
    def from_ms(self) -> float:
        return self.segments[0].from_ms

    @property
    def until_ms(self) -> float:
        return self.segments[-1].until_ms

    def unsure_by(self, at_ms: float) -> bool:
        return any(s.what == IS_UNSURE and s.from_ms <= at_ms for s in self.segments)

    def sure(self) -> list[Segment]:
        """The times at which everybody found it down; a change of how makes no new one."""
        result: list[Segment] = []
        for segment in self.segments:
            if segment.what != IS_DOWN:
                continue
            if result and result[-1].until_ms == segment.from_ms:
                before = result.pop()
                segment = Segment(before.from_ms, segment.until_ms, IS_DOWN,
                                  before.silent or segment.silent)
            result.append(segment)
        return result


@dataclasses.dataclass(frozen=True)
class Subject:
    """All rows of one (blog, URL)."""
    key: Key
    rows: tuple[Site, ...]
    number: int | None  # the fixture's; None: it does not play this site

    @property
    def active(self) -> tuple[Site, ...]:
        return tuple(row for row in self.rows if row.active)

    @property
    def interval_s(self) -> float:
        return max(row.interval_s for row in self.rows)

    @property
    def name(self) -> str:
        return f"site {self.rows[0].site_id} (blog {self.key[0]}, {self.key[1]})"

    @property
    def v1_is_dumb(self) -> bool:
        """v1 checks such URLs, and its tell throws: nobody ever hears of it."""
        return not self.key[1].isascii() or " " in self.key[1]

    @property
    def v1_differs(self) -> bool:
        """v1 finds such URLs down whatever the fixture does."""
        return not self.key[1].startswith(("http://", "https://"))


class Truth:
    """What the fixture did, by its numbers of sites."""

    def __init__(self, story: Story):
        self._story = story
        self._states: dict[int, list[State]] = {}
        for state in sorted(story.states, key=lambda s: s.at_ms):
            for number in state.site_ids:
                self._states.setdefault(number, []).append(state)
        numbers = {site.site_id: fixture_number(site.url) for site in story.sites.values()}
        self._requests: dict[int, list[Request]] = {}
        for request in sorted(story.requests, key=lambda r: r.at_ms):
            number = numbers.get(request.site_id)
            if request.hop == 0 and number is not None:
                self._requests.setdefault(number, []).append(request)

    def _what(self, state: State) -> str:
        if not state.down:
            return IS_UNSURE if state.unsure else IS_UP
        if not state.source:
            return IS_DOWN
        sender = self._story.senders.get(state.source)
        # Down for a Veriflier alone is not what people are told of.
        return IS_UNSURE if sender is None or sender.role in ("v1", "monitor") else IS_UP

    def segments(self, number: int) -> list[Segment]:
        """From the beginning of time to its end."""
        states = self._states.get(number, [])
        times = [state.at_ms for state in states] + [FOREVER]
        return [Segment(-FOREVER, times[0], IS_UP)] + [
            Segment(state.at_ms, until, self._what(state), state.silent)
            for state, until in zip(states, times[1:])]

    def outages(self, number: int) -> list[Outage]:
        result: list[list[Segment]] = []
        up = True
        for segment in self.segments(number):
            if segment.what == IS_UP:
                up = True
                continue
            if up:
                result.append([])
            result[-1].append(segment)
            up = False
        return [Outage(tuple(segments)) for segments in result]

    def requests(self, number: int) -> list[Request]:
        """First requests of checks, in order, by whomever."""
        return self._requests.get(number, [])


def subjects_of(story: Story) -> dict[Key, Subject]:
    rows: dict[Key, list[Site]] = {}
    for site in story.sites.values():
        rows.setdefault((site.blog_id, site.url), []).append(site)
    return {key: Subject(key, tuple(some), fixture_number(key[1])) for key, some in rows.items()}
