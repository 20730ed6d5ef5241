"""No evidence, no verdict: what must be there before anything is called ok.

A run's plan stands in lab.json. The launcher writes it as it goes: each thing that it saw done is
something that the judge must find.

* `requests`: role -> how many requests at least; null: there may be none at all;
* `grants`, `releases`: hand-offs to v2 that were acknowledged, and back to v1, which was started
  then (parts of a range count as one each); `released`: the same, whether or not v1 was;
* `take_overs`: of a range by another instance of its owner's host;
* `v1_starts`, `v1_stops`: of ranges, by v1's own log;
* `downs`, `ups`: notifications that the receiver has got;
* `given_up`: activations;
* `told`: tells in people's log, repeats included.
"""
from __future__ import annotations

from collections import Counter

from judging.story import Row, Story

REQUESTS, TOLD = "requests", "told"


def found(story: Story) -> Row:
    """What a plan counts, as it is in the story."""
    roles: Counter[str] = Counter()
    for request in story.requests:
        sender = story.senders.get(request.source)
        if sender is not None:
            roles[sender.role] += 1
    released = [*story.parts, *story.locks]
    kinds = {n["notification_id"]: n["kind"] for n in story.notifications}
    received = Counter(kinds.get(one, "") for one in set(story.deliveries))
    return {REQUESTS: dict(roles), "grants": sum(1 for r in story.locks if r["acknowledged_at_ms"]),
            "releases": sum(1 for r in released if r["released_at_ms"]),
            "released": sum(1 for r in released if r["released_at_ms"]),
            "take_overs": len(story.tenures) - len({t["epoch"] for t in story.tenures}),
            "v1_starts": sum(1 for s in story.v1_switches if s.kind == "v1_started"),
            "v1_stops": sum(1 for s in story.v1_switches if s.kind == "v1_stopped"),
            "downs": received["down"], "ups": received["up"],
            "given_up": sum(1 for r in story.locks if r["gave_up"]),
            TOLD: len(story.people)}


def lacks(story: Story) -> list[str]:
    """What is missing for a verdict, each in a sentence; empty: the run can be judged."""
    result = [f"{path} is not there" for path in story.missing]
    if story.plan.get(TOLD) is not None and not story.has_people:
        result.append("the plan calls for people's log, and the run keeps none")
    if not story.plan:
        return result + ["lab.json has no plan: nobody says what the run was to show"]
    may_ask_nobody = REQUESTS in story.plan and story.plan[REQUESTS] is None
    for what, rows in (("the request log holds no request of a site",
                        story.requests or may_ask_nobody),
                       ("the chronicle tells of no start of a process", story.starts),
                       ("the legacy table holds no site", story.sites),
                       ("no range was ever granted", story.locks)):
        if not rows:
            result.append(what)
    if not story.ended:
        result.append("the chronicle does not tell of the run's end")
    there = found(story)
    for name, wanted in story.plan.items():
        if name == REQUESTS:
            result += [f"{there[REQUESTS].get(role, 0)} requests of {role} are there, the plan "
                       f"calls for {least}" for role, least in (wanted or {}).items()
                       if there[REQUESTS].get(role, 0) < least]
        elif name not in there:
            result.append(f"the plan calls for {name!r}, which nobody knows")
        elif there[name] < wanted:
            result.append(f"{there[name]} {name} are there, the plan calls for {wanted}")
    return result
