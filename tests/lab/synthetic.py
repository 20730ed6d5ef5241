"""A clean story made by hand, for the judge's own test: two ranges handed over, one handed back.

Buckets 0-3 go from v1 to monitor-a and back, 4-7 to monitor-b, eight sites each, every 5 s. Of
monitor-b's, four sites get another check policy, and two more get one that is taken back. Site 1
was Down under v1 and recovers under v2, site 2 goes down under v2 and is confirmed, site 40 has just
gone down at the end. Buckets 0-3 are compared while v1 has them, 4-7 while monitor-b has them.
"""
from __future__ import annotations

import dataclasses

from judging.policy import FIRST_REVISION
from judging.audit import BEGUN, CALLS, SERVICE
from judging.story import Alert, Request, Row, Sender, Site, Start, State, Story, V1Switch

T0 = 1_790_000_000_000  # Unix ms of second 0
INTERVAL_S = 5.0
V1, A, B, CONTROL = "127.0.1.5", "127.0.1.11", "127.0.1.12", "127.0.1.2"
VERIFLIER, VERIFLIER_2, VERIFLIER_3 = "127.0.1.21", "127.0.1.22", "127.0.1.23"
END_S = 80.0
RUN_A, RUN_B, KEY = "rol_A", "rol_B", "key_1"
PIDS = {"v1": 105, "controlplane": 102, "veriflier-1": 121, "veriflier-2": 122,
        "veriflier-3": 123, "monitor-a": 111, "monitor-b": 112}
# Epoch -> (instance, host) of who was granted it.
OWNERS = {1: ("i-monitor-a", "monitor-a"), 2: ("i-monitor-b", "monitor-b")}


def ms(second: float) -> int:
    return round(T0 + second * 1000)


def request(second: float, source: str, site_id: int) -> Request:
    version = "1.0" if source == V1 else "2.0"
    return Request(T0 + second * 1000, 5_000_000 + second * 1000, source, site_id,
                   f"jetmon/{version} (Jetpack Site Uptime Monitor by WordPress.com)", method="HEAD")


def checks(source: str, site_ids: range, first: float, until: float) -> list[Request]:
    """Each site once every 5 s, first ones spread over the first 5 s."""
    result = []
    for i, site_id in enumerate(site_ids):
        second = first + INTERVAL_S * i / len(site_ids)
        while second < until:
            result.append(request(second, source, site_id))
            second += INTERVAL_S
    return result


def lock(epoch: int, low: int, high: int, host: str, run_id: str, granted: float,
         released: float | None) -> Row:
    gone = released is not None
    return {"epoch": epoch, "bucket_min": low, "bucket_max": high, "owner_host": host,
            "owner_instance": f"i-{host}", "state": "released" if gone else "active",
            "run_id": run_id, "activate_job_id": f"job_activate_{epoch}",
            "release_job_id": f"job_release_{epoch}" if gone else "", "gave_up": 0,
            "drained": int(gone), "overrides": "", "granted_at_ms": ms(granted),
            "activating_at_ms": ms(granted + 0.2), "acknowledged_at_ms": ms(granted + 0.5),
            "draining_at_ms": ms(released - 1) if released else 0,
            "drained_at_ms": ms(released - 0.2) if released else 0, "revoked_at_ms": 0,
            "released_at_ms": ms(released) if released else 0}


def job(name: str, operation: str, run_id: str, low: int, high: int, start: float,
        end: float, epoch: int = 0) -> Row:
    return {"job_id": name, "operation": operation, "run_id": run_id, "bucket_min": low,
            "bucket_max": high, "state": "completed", "epoch": epoch, "key_id": KEY,
            "created_at_ms": ms(start), "started_at_ms": ms(start), "finished_at_ms": ms(end),
            "attempt": 1, "owner_host": "monitor-a" if run_id == RUN_A else "monitor-b"}


def jobs_of(epoch: int, low: int, high: int, run_id: str, granted: float,
            released: float | None) -> list[Row]:
    def make(operation: str, start: float, end: float, of_epoch: int = 0) -> Row:
        return job(f"job_{operation.split('_')[0]}_{epoch}", operation, run_id, low, high, start,
                   end, of_epoch)
    jobs = [make("preflight", granted - 8, granted - 7), make("smoke", granted - 7, granted - 5),
            make("seed", granted - 5, granted - 4),
            make("final_reconcile", granted - 0.5, granted - 0.1),
            make("activate_buckets", granted, granted + 0.6, epoch)]
    if released is not None:
        jobs.append(make("release_buckets", released - 1, released + 0.1, epoch))
    return jobs


def token_for(job_row: Row) -> Row:
    return {"key_id": KEY, "operation": job_row["operation"], "run_id": job_row["run_id"],
            "bucket_min": job_row["bucket_min"], "bucket_max": job_row["bucket_max"],
            "created_at_ms": job_row["created_at_ms"] - 500,
            "expires_at_ms": job_row["created_at_ms"] + 900_000,
            "consumed_at_ms": job_row["created_at_ms"], "job_id": job_row["job_id"]}


def audit_for(token: Row) -> Row:
    """Of the call that executed: it waited a second for its job."""
    return {"at_ms": token["consumed_at_ms"] + 1000, "latency_ms": 1005, "key_id": token["key_id"],
            "operation": SERVICE + CALLS[token["operation"]], "run_id": token["run_id"],
            "bucket_min": token["bucket_min"], "bucket_max": token["bucket_max"], "outcome": "ok",
            "detail": "execute"}


def audits_for(token: Row) -> list[Row]:
    """Of the plan, and of the execution."""
    return [{**audit_for(token), "at_ms": token["created_at_ms"] + 2, "latency_ms": 5,
             "detail": "plan"}, audit_for(token)]


def audit_of(job_row: Row) -> Row:
    """Of the call that began a job that nobody plans."""
    return {**audit_for({**job_row, "operation": "seed",
                         "consumed_at_ms": job_row["created_at_ms"]}),
            "operation": SERVICE + BEGUN[job_row["operation"]], "detail": ""}


def tenure(lock_row: Row, second: float | None = None, instance: str = "") -> Row:
    """The grant's own, or a take-over at some second by an instance."""
    return {"epoch": lock_row["epoch"], "revision": 1 if second is None else 5,
            "owner_host": lock_row["owner_host"],
            "owner_instance": instance or lock_row["owner_instance"],
            "from_ms": lock_row["granted_at_ms"] if second is None else ms(second)}


def start(story: Story, name: str, pid: int, second: float) -> None:
    """A process begins, and says who it is if it writes health rows."""
    story.starts.append(Start(ms(second), name, pid))
    kind = name.split("-")[0]
    if kind in ("monitor", "controlplane"):
        host = "-".join(name.split("-")[:2])
        story.health.append({"instance": f"i-{name}", "kind": kind, "host": host, "pid": pid,
                             "goodbye": 0, "started_at_ms": ms(second) + 40})


def event(event_id: int, site_id: int, bucket: int, severity: int, notified: int, start: float,
          confirmed: float | None, end: float | None, reason: str, last_seq: int,
          changed: float, epoch: int = 0) -> Row:
    instance, host = OWNERS.get(epoch, ("", ""))
    return {"event_id": event_id, "site_id": site_id, "bucket_no": bucket, "severity": severity,
            "notified": notified, "started_at_ms": ms(start),
            "confirmed_at_ms": 0 if confirmed is None else ms(confirmed),
            "ended_at_ms": None if end is None else ms(end), "end_reason": reason,
            "last_seq": last_seq, "projected_change": f"at {ms(changed)}",
            "projected_epoch": epoch, "projected_instance": instance, "projected_host": host,
            "projected_at_ms": ms(changed) if epoch else 0}


def transition(event_id: int, seq: int, site_id: int, reason: str, before: int, after: int,
               notified: int, second: float, epoch: int, ended: int = 0) -> Row:
    source = "rollout:seed" if reason == "adopted" else "monitor"
    instance, host = OWNERS.get(epoch, ("i-controlplane", ""))
    return {"event_id": event_id, "seq": seq, "site_id": site_id, "reason": reason,
            "from_severity": before, "to_severity": after, "notified": notified, "ended": ended,
            "source": source, "epoch": epoch, "instance": instance, "host": host,
            "at_ms": ms(second)}


def history(site_id: int, bucket: int, second: float, epoch: int) -> Row:
    instance, host = OWNERS[epoch]
    return {"site_id": site_id, "bucket_no": bucket, "at_ms": ms(second), "source": host,
            "epoch": epoch, "instance": instance, "host": host}


def notification(event_id: int, kind: str, site_id: int, bucket: int, second: float) -> Row:
    return {"notification_id": f"ntf_{event_id}_{kind}", "event_id": event_id, "kind": kind,
            "site_id": site_id, "bucket_no": bucket, "created_at_ms": ms(second),
            "state": "delivered"}


def clean_story() -> Story:
    story = Story(end_ms=ms(END_S), unit_s=1.0, ended=True)
    story.senders = {V1: Sender("v1", "v1"), A: Sender("monitor-a", "monitor", "monitor-a"),
                     B: Sender("monitor-b", "monitor", "monitor-b"),
                     VERIFLIER: Sender("veriflier-1", "veriflier"),
                     VERIFLIER_2: Sender("veriflier-2", "veriflier"),
                     VERIFLIER_3: Sender("veriflier-3", "veriflier"),
                     CONTROL: Sender("controlplane", "controlplane")}
    story.sites = {i: Site(i, (i - 1) // 8, f"http://127.0.0.1:18080/s/{i}", INTERVAL_S)
                   for i in range(1, 65)}
    first, second = range(1, 33), range(33, 65)
    story.requests = (checks(V1, first, 0, 20) + checks(A, first, 21.6, 59)
                      + checks(V1, first, 61, END_S) + checks(V1, second, 0, 30)
                      + checks(B, second, 31.6, END_S)
                      + [request(15, CONTROL, 3), request(25, CONTROL, 40),
                         request(45.5, VERIFLIER, 2), request(45.5, VERIFLIER_2, 2)]
                      + [request(start + n * 0.1, CONTROL, site) for start, site in
                         ((10.5, 4), (65.5, 41)) for n in range(2)])
    story.v1_switches = [V1Switch(ms(-1), "v1_started", 0, 7), V1Switch(ms(20.1), "v1_stopped", 0, 3),
                         V1Switch(ms(30.1), "v1_stopped", 4, 7),
                         V1Switch(ms(60.5), "v1_started", 0, 3)]
    story.locks = [lock(1, 0, 3, "monitor-a", RUN_A, 21, 60), lock(2, 4, 7, "monitor-b", RUN_B, 31,
                                                                   None)]
    story.buckets = [{"bucket_no": b, "pool": "v1", "owner_host": None, "owner_instance": None,
                      "epoch": 1, "state": "free"} for b in range(4)]
    story.buckets += [{"bucket_no": b, "pool": "api", "owner_host": "monitor-b",
                       "owner_instance": "i-monitor-b", "epoch": 2, "state": "active"}
                      for b in range(4, 8)]
    story.jobs = (jobs_of(1, 0, 3, RUN_A, 21, 60) + jobs_of(2, 4, 7, RUN_B, 31, None)
                  + [job("job_compare_1", "compare_methods", RUN_A, 0, 3, 10, 11),
                     job("job_compare_2", "compare_methods", RUN_B, 4, 7, 65, 66)])
    story.tokens = [token_for(j) for j in story.jobs
                    if j["operation"] not in ("preflight", "smoke", "compare_methods")]
    story.tenures = [tenure(row) for row in story.locks]
    for name, pid in PIDS.items():
        start(story, name, pid, -2)
    add_incidents(story)
    add_stages(story)
    story.audit = [row for t in story.tokens for row in audits_for(t)]
    story.audit += [audit_of(j) for j in story.jobs if j["operation"] in BEGUN]
    story.plan = {"requests": {"v1": 400, "monitor": 500, "veriflier": 1, "controlplane": 6},
                  "grants": 2, "releases": 1, "v1_starts": 2, "v1_stops": 2, "downs": 1, "ups": 1}
    story.targets = [{"site_id": s.site_id, "bucket_no": s.bucket, "url": s.url,
                      "updated_at_ms": ms(28)} for s in story.sites.values()]
    last = {r.site_id: round(r.at_ms) for r in story.requests if r.source == A}
    story.runtime = [{"site_id": s, "bucket_no": (s - 1) // 8, "last_checked_at_ms": last[s]}
                     for s in first]
    return story


def parted_story() -> Story:
    """The same, but monitor-b gives 6-7 back to v1 from second 59 on and keeps 4-5."""
    story = clean_story()
    part = range(49, 65)
    story.requests = ([r for r in story.requests
                       if not (r.source == B and r.site_id in part and r.at_ms >= ms(59))]
                      + checks(V1, part, 61, END_S))
    story.locks[1].update(bucket_max=5)
    story.parts = [{"job_id": "job_release_part", "epoch": 2, "bucket_min": 6, "bucket_max": 7,
                    "state": "released", "drained": 1, "draining_at_ms": ms(59),
                    "drained_at_ms": ms(59.8), "revoked_at_ms": 0, "released_at_ms": ms(60)}]
    release = job("job_release_part", "release_buckets", RUN_B, 6, 7, 59, 60.1, 2)
    story.jobs.append(release)
    story.tokens.append(token_for(release))
    story.audit += audits_for(story.tokens[-1])
    story.v1_switches.append(V1Switch(ms(60.5), "v1_started", 6, 7))
    for row in story.buckets[6:]:
        row.update(pool="v1", owner_host=None, owner_instance=None, epoch=0, state="free")
    return story


def stage(number: int, sites: range, job_id: str, rollback_job_id: str = "") -> tuple[Row, list[Row]]:
    """A stage that changed these sites to GET, and their rows."""
    state = "restored" if rollback_job_id else "changed"
    rows = [{"stage_id": f"stage_{number}", "site_id": s, "bucket_no": (s - 1) // 8, "had_row": 0,
             "previous_method": None, "previous_profile": None, "previous_revision": 0,
             "revision": FIRST_REVISION + number, "state": state} for s in sites]
    return {"stage_id": f"stage_{number}", "run_id": RUN_B, "number": number, "bucket_min": 4,
            "bucket_max": 7, "method": "GET", "profile": "legacy",
            "state": "rolled_back" if rollback_job_id else "applied", "job_id": job_id,
            "rollback_job_id": rollback_job_id, "changed": len(rows),
            "restored": len(rows) if rollback_job_id else 0, "conflicts": 0}, rows


KEPT, TAKEN_BACK = range(33, 37), range(37, 39)


def add_stages(story: Story) -> None:
    """A stage at 40 s that stays, and one at 42 s that is rolled back at 60 s; seen within 10 s."""
    story.policy_seen_ms = 10_000
    made = [job(f"job_stage_{n}", "stage_policy", RUN_B, 4, 7, start, start + 0.5)
            for n, start in ((1, 40), (2, 42), (3, 60))]
    story.jobs += made
    story.tokens += [token_for(j) for j in made]
    for row, rows in (stage(1, KEPT, "job_stage_1"),
                      stage(2, TAKEN_BACK, "job_stage_2", "job_stage_3")):
        story.stages.append(row)
        story.stage_rows += rows
    story.configs = [{"site_id": r["site_id"], "method": "GET", "profile": "legacy",
                      "revision": r["revision"]} for r in story.stage_rows
                     if r["state"] == "changed"]

    def by(one: Request) -> Request:
        by_get = one.site_id in KEPT and one.at_ms > ms(46) or \
            one.site_id in TAKEN_BACK and ms(48) < one.at_ms < ms(66)
        return dataclasses.replace(one, method="GET") if by_get and one.source == B else one
    story.requests = [by(r) for r in story.requests]


def is_down(story: Story, one: Request) -> bool:
    down = False
    for state in story.states:
        if one.site_id in state.site_ids and state.at_ms <= one.at_ms:
            down = state.down
    return down


def add_incidents(story: Story) -> None:
    story.events = [event(1, 1, 0, 0, 2, 5, 5, 36.7, "recovered", 2, 36.7, 1),
                    event(2, 2, 0, 4, 1, 41.9, 46, None, "", 2, 46, 1),
                    event(3, 40, 4, 3, 0, 72.8, None, None, "", 1, 72.8, 2)]
    story.states = [State(ms(3), (1,), True), State(ms(36), (1,), False), State(ms(41), (2,), True),
                    State(ms(69), (2,), False), State(ms(72), (40,), True)]
    story.requests = [dataclasses.replace(r, failed=is_down(story, r)) for r in story.requests]
    # What failed is asked again every second, until it is known to be Down.
    story.requests += [dataclasses.replace(request(second, source, site), failed=True)
                       for source, site, seconds in ((A, 2, (42.76, 43.76, 44.76, 45.76)),
                                                     (B, 40, (73.7, 74.7, 75.7, 76.7)))
                       for second in seconds]
    story.transitions = [transition(1, 1, 1, "adopted", 0, 4, 2, 16.5, 0),
                         transition(1, 2, 1, "recovered", 4, 0, 2, 36.7, 1, ended=1),
                         transition(2, 1, 2, "opened", 0, 3, 0, 41.9, 1),
                         transition(2, 2, 2, "verifier_confirmed", 3, 4, 1, 46, 1),
                         transition(3, 1, 40, "opened", 0, 3, 0, 72.8, 2)]
    story.notifications = [notification(1, "up", 1, 0, 36.7), notification(2, "down", 2, 0, 46)]
    story.deliveries = ["ntf_1_up", "ntf_2_down", "ntf_2_down"]
    story.v1_alerts = [Alert(ms(5), 1, 2), Alert(ms(70), 2, 1)]
    story.history = [history(2, 0, 41.76, 1)]
    story.sites[40] = Site(40, 4, "http://127.0.0.1:18080/s/40", INTERVAL_S, True, 0,
                           f"at {ms(72.8)}")
