"""Invariant 9, of people: over v1, the receiver of tells and v2 together, an outage that lasts long
enough is told as down once, and its end as up once, whoever's the site is meanwhile.

Decided from people's log and from what the fixture did and saw; v2's database is not asked. What v1
repeats by itself, and what nobody could know (see excused), is counted, and breaks nothing.
"""
from __future__ import annotations

from collections import Counter

from judging import bounds
from judging.duties import Duties
from judging.story import Key, Story, Tell, Verdict
from judging.subjects import Subject, subjects_of
from judging.words import Conversation
from judging.watch import Watches

# Of each tell that breaks a rule by itself, before it is asked what was told before.
NOBODY, NO_ID, TWO_THINGS, NOT_HEARD = (
    "{} told {} {}, who is neither v1 nor v2", "{} told {} {} without an id",
    "{} told {} {} under an id of another tell", "{} told {} {}, and people dropped it as a repeat "
    "of what they had never heard")


class People:
    def __init__(self, story: Story):
        self.story = story
        self.subjects = subjects_of(story)
        self.watches = Watches(story)
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []

    def judge(self) -> None:
        heard: dict[Key, list[Tell]] = {key: [] for key in self.subjects}
        for tell in self._not_repeated():
            if tell.key in heard:
                heard[tell.key].append(tell)
            elif self._was_edited(tell.key[0]):
                self.counts["left out"] += 1  # the row may have said so before
            else:
                self.violations.append(f"{tell.sender} told of blog {tell.key[0]}, {tell.key[1]}, "
                                       "which is no site")
        for key, subject in self.subjects.items():
            self._judge_subject(subject, heard[key])

    def _was_edited(self, blog_id: int) -> bool:
        return any(row.blog_id == blog_id and row.site_id in self.story.edits
                   for row in self.story.sites.values())

    def _not_repeated(self) -> list[Tell]:
        """What people heard: v2's tells come at least once, and they know an id again."""
        result = []
        known: dict[str, Tell] = {}
        for tell in sorted(self.story.people, key=lambda t: t.at_ms):
            said = (tell.sender, f"blog {tell.key[0]}, {tell.key[1]}",
                    "down" if tell.down else "up")
            if tell.sender == "v2":
                first = known.setdefault(tell.id, tell)
                if not tell.id:
                    self.violations.append(NO_ID.format(*said))
                elif (first.key, first.down) != (tell.key, tell.down):
                    self.violations.append(TWO_THINGS.format(*said) + f": {tell.id}")
                elif first is not tell:
                    self.counts["v2 again"] += 1
                    continue
                elif tell.repeat:
                    self.violations.append(NOT_HEARD.format(*said) + f": {tell.id}")
                    continue
            elif tell.sender != "v1":
                self.violations.append(NOBODY.format(*said))
            result.append(tell)
        return result

    def _judge_subject(self, subject: Subject, tells: list[Tell]) -> None:
        edited = any(row.site_id in self.story.edits for row in subject.rows)
        if subject.number is None or subject.v1_differs or not subject.active and edited:
            self.counts["left out"] += len(tells)
            return
        if not subject.active:
            self.violations += [f"{t.sender} told of {subject.name}, which is inactive"
                                for t in tells[:1]]
            return
        outages = self.watches.truth.outages(subject.number)
        if not outages and not tells:
            return
        watch = self.watches.over(subject)
        conversation = Conversation(watch, outages)
        conversation.hear(tells)
        duties = Duties(watch, outages, conversation)
        self.violations += [f"{subject.name}: {text}"
                            for text in conversation.violations + duties.violations()]
        self.counts.update(conversation.counts)
        self.counts["outages"] += len(outages)
        self.counts["long"] += duties.long_enough

    def evidence(self) -> str:
        c = self.counts
        return (f"{c['outages']} outages, {c['long']} long enough to be told; downs: v1 "
                f"{c['v1 down']}, v2 {c['v2 down']}; ups: v1 {c['v1 up']}, v2 {c['v2 up']}; still "
                f"down {c['still down']}; repeats: v2 {c['v2 again']} dropped, v1 {c['v1 again']} "
                f"by itself; {c['excused']} that nobody could know; {c['left out']} left out")


def judge_9(story: Story) -> Verdict:
    people = People(story)
    people.judge()
    return Verdict(9, people.evidence(), people.violations)
