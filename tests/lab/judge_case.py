"""What the judge's tests have in common: a clean story to be doctored, and how the judge must see it."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
import synthetic_people as p  # noqa: E402
from judge import judge  # noqa: E402
from judging.people import judge_9  # noqa: E402
from judging.story import FOREVER, Sender, Span, Start, Story, Tell  # noqa: E402


def failed(story: Story) -> dict[int, list[str]]:
    """The violations by invariant, of those that do not hold."""
    return {v.number: v.violations for v in judge(story) if not v.ok}


class JudgeCase(unittest.TestCase):
    """A clean story, to be doctored."""

    def setUp(self) -> None:
        self.story = s.clean_story()

    def assert_fails(self, number: int, word: str, also: tuple[int, ...] = ()) -> None:
        broken = failed(self.story)
        self.assertIn(number, broken, f"invariant {number} was not broken: {broken}")
        self.assertTrue(any(word in text for text in broken[number]), broken[number][:3])
        self.assertLessEqual(set(broken), {number, *also}, broken)

    def broken(self) -> dict[int, list[str]]:
        return failed(self.story)

    def assert_ok(self) -> None:
        self.assertEqual(failed(self.story), {})

    def drop(self, source: str, site_id: int, from_s: float, until_s: float) -> None:
        """Takes requests out of the story."""
        kept = [r for r in self.story.requests if not (
            r.source == source and r.site_id == site_id
            and s.ms(from_s) <= r.at_ms <= s.ms(until_s))]
        self.assertLess(len(kept), len(self.story.requests))
        self.story.requests = kept
        for row in self.story.runtime:  # what was never checked was not written either
            if row["site_id"] == site_id and source in (s.A, s.B):
                row["last_checked_at_ms"] = max((round(r.at_ms) for r in kept if r.source == source
                                                 and r.site_id == site_id), default=0)

    def add_sites(self, ids: range) -> None:
        """Like site 33, and seeded as it was; v1 checks them until 30 s, nobody from then on."""
        like = self.story.sites[33]
        for i in ids:
            self.story.sites[i] = dataclasses.replace(like, site_id=i)
            self.story.requests += s.checks(s.V1, range(i, i + 1), 0, 30)
            self.story.targets.append({"site_id": i, "bucket_no": like.bucket, "url": like.url,
                                       "updated_at_ms": s.ms(28)})

    def replace(self, name: str, match: dict, **changes) -> None:
        rows = [r for r in getattr(self.story, name)
                if all(r[k] == v for k, v in match.items())]
        self.assertTrue(rows, f"no {name} {match}")
        for row in rows:
            row.update(changes)


class PeopleCase(unittest.TestCase):
    """The clean story of what people hear, to be doctored; judged by invariant 9 alone."""

    def setUp(self) -> None:
        self.story = p.people_story()

    def violations(self) -> list[str]:
        return judge_9(self.story).violations

    def assert_refused(self, word: str) -> None:
        violations = self.violations()
        self.assertTrue(any(word in text for text in violations), violations)

    def assert_taken(self, evidence: str = "") -> None:
        verdict = judge_9(self.story)
        self.assertEqual(verdict.violations, [])
        self.assertIn(evidence, verdict.evidence)

    def say(self, second: float, site_id: int, sender: str, status: int, **more) -> None:
        self.story.people.append(p.tell(second, site_id, sender, status, **more))

    def unsay(self, second: float, site_id: int) -> Tell:
        """Nobody tells that."""
        found = [t for t in self.story.people
                 if t.at_ms == s.ms(second) and t.key == p.key(site_id)]
        self.assertEqual(len(found), 1)
        self.story.people.remove(found[0])
        return found[0]

    def silence(self, site_id: int, from_s: float = -10, until_s: float = p.END_S) -> None:
        """Nobody tells, nor writes, anything of it in that time."""
        def kept(row) -> bool:
            return row.key != p.key(site_id) or not s.ms(from_s) <= row.at_ms <= s.ms(until_s)
        before = len(self.story.people)
        self.story.people = [t for t in self.story.people if kept(t)]
        self.assertLess(len(self.story.people), before)
        self.story.written = [w for w in self.story.written if kept(w)]

    def unwrite(self, second: float, site_id: int) -> None:
        self.story.written.remove(next(w for w in self.story.written if w.key == p.key(site_id)
                                       and w.at_ms == s.ms(second)))

    def say_later(self, second: float, site_id: int, by_s: float) -> None:
        told = self.unsay(second, site_id)
        self.story.people.append(dataclasses.replace(told, at_ms=told.at_ms + 1000 * by_s))

    def play(self, site_id: int, *changes: tuple[float, str]) -> None:
        """What the fixture does with it, instead of what it did."""
        self.story.states = [x for x in self.story.states if x.site_ids != (site_id,)]
        self.story.states += [p.state(second, site_id, what) for second, what in changes]

    def watched(self, *watch: tuple) -> None:
        """All sites are checked so, instead."""
        self.story.requests = [r for i in self.story.sites if i != p.TWINS[1]
                               for r in p.checks_of(i, watch)]

    def fault(self, name: str, how: str, from_s: float, until_s: float) -> None:
        until_ms = FOREVER if until_s == FOREVER else s.ms(until_s)
        self.story.faults.append(Span(s.ms(from_s), until_ms, name, how))

    def succeed(self, name: str, host: str, source: str, second: float) -> None:
        """Another instance of a host is started."""
        self.story.senders[source] = Sender(name, "monitor", host)
        self.story.starts.append(Start(s.ms(second), name, 311))
