"""More stories made by hand: a Monitor that dies and is succeeded, an activation that is given up."""
from __future__ import annotations

import dataclasses

import synthetic as s
from judging.story import Row, Sender, Span, Story, V1Switch

B2 = "127.0.1.13"


def taken_over_story() -> Story:
    """The clean one, but monitor-b is killed at 40 s; its successor, started at 41 s, takes the range
    over at 72 s and checks from 73 s on. Site 40 stays up."""
    story = s.clean_story()
    story.requests = [r for r in story.requests if not (r.source == s.B and r.at_ms >= s.ms(40))]
    later = s.checks(B2, range(33, 65), 73, s.END_S)
    story.requests += [dataclasses.replace(r, method="GET") if r.site_id in s.KEPT else r
                       for r in later]
    story.senders[B2] = Sender("monitor-b-2", "monitor", "monitor-b")
    s.start(story, "monitor-b-2", 212, 41)
    story.faults.append(Span(s.ms(40), s.ms(73.2), "monitor-b", "killed"))
    story.tenures.append(s.tenure(story.locks[1], 72, "i-monitor-b-2"))
    story.locks[1]["owner_instance"] = "i-monitor-b-2"
    for row in story.buckets[4:]:
        row["owner_instance"] = "i-monitor-b-2"
    story.states = [state for state in story.states if 40 not in state.site_ids]
    story.events = [e for e in story.events if e["event_id"] != 3]
    story.transitions = [t for t in story.transitions if t["event_id"] != 3]
    story.sites[40] = dataclasses.replace(story.sites[40], status=1, status_change="")
    return story


GIVEN_UP_END_S = 110.0


def given_up_story() -> Story:
    """Buckets 0-3 are granted to monitor-a at 21 s; nobody acknowledges, it is given up at 81.3 s,
    and v1 has them again at 82 s."""
    story = s.clean_story()
    first = range(1, 33)
    story.end_ms = s.ms(GIVEN_UP_END_S)
    story.sites = {i: story.sites[i] for i in first}
    story.requests = (s.checks(s.V1, first, 0, 20) + s.checks(s.V1, first, 83, GIVEN_UP_END_S)
                      + [s.request(15, s.CONTROL, 3)])
    story.v1_switches = [V1Switch(s.ms(-1), "v1_started", 0, 7),
                         V1Switch(s.ms(20.1), "v1_stopped", 0, 3),
                         V1Switch(s.ms(82.5), "v1_started", 0, 3)]
    lock: Row = s.lock(1, 0, 3, "monitor-a", s.RUN_A, 21, 82)
    lock.update(acknowledged_at_ms=0, gave_up=1, draining_at_ms=s.ms(81.3),
                drained_at_ms=s.ms(81.6))
    story.locks, story.tenures = [lock], [s.tenure(lock)]
    story.buckets = story.buckets[:4]
    story.jobs = s.jobs_of(1, 0, 3, s.RUN_A, 21, 82)
    activate, release = story.jobs[-2:]
    activate.update(state="failed", finished_at_ms=s.ms(81.4))
    release.update(created_at_ms=s.ms(81.3), started_at_ms=s.ms(81.3))
    story.tokens = [s.token_for(j) for j in story.jobs
                    if j["operation"] in ("seed", "final_reconcile", "activate_buckets")]
    story.audit = [row for t in story.tokens for row in s.audits_for(t)]
    story.audit += [s.audit_of(j) for j in story.jobs[:2]]
    story.targets = [row for row in story.targets if row["site_id"] in story.sites]
    for name in ("events", "transitions", "notifications", "history", "runtime", "stages",
                 "stage_rows", "configs", "deliveries", "v1_alerts", "states"):
        setattr(story, name, [])
    return story
