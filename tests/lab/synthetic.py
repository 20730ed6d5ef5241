"""A clean story made by hand, for the judge's own test: two ranges handed over, one handed back.

Buckets 0-3 go from v1 to monitor-a and back, 4-7 to monitor-b, eight sites each, every 5 s. Of
monitor-b's, four sites get another check policy, and two more get one that is taken back. Site 1
was Down under v1 and recovers under v2, site 2 goes down under v2 and is confirmed, site 40 stays
Seems Down. Buckets 0-3 are compared while v1 has them, 4-7 while monitor-b has them.
"""
from __future__ import annotations

import dataclasses

from judging.policy import FIRST_REVISION
from judging.story import Alert, Request, Row, Sender, Site, Story, V1Switch

T0 = 1_790_000_000_000  # Unix ms of second 0
INTERVAL_S = 5.0
V1, A, B, VERIFLIER, CONTROL = ("127.0.1.5", "127.0.1.11", "127.0.1.12", "127.0.1.21", "127.0.1.2")
END_S = 80.0
RUN_A, RUN_B, KEY = "rol_A", "rol_B", "key_1"


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
            "drained": int(gone), "granted_at_ms": ms(granted),
            "activating_at_ms": ms(granted + 0.2), "acknowledged_at_ms": ms(granted + 0.5),
            "draining_at_ms": ms(released - 1) if released else 0,
            "drained_at_ms": ms(released - 0.2) if released else 0, "revoked_at_ms": 0,
            "released_at_ms": ms(released) if released else 0}


def job(name: str, operation: str, run_id: str, low: int, high: int, start: float,
        end: float, epoch: int = 0) -> Row:
    return {"job_id": name, "operation": operation, "run_id": run_id, "bucket_min": low,
            "bucket_max": high, "state": "completed", "epoch": epoch, "key_id": KEY,
            "created_at_ms": ms(start), "started_at_ms": ms(start), "finished_at_ms": ms(end)}


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


def event(event_id: int, site_id: int, bucket: int, severity: int, notified: int, start: float,
          confirmed: float | None, end: float | None, reason: str, last_seq: int,
          changed: float) -> Row:
    return {"event_id": event_id, "site_id": site_id, "bucket_no": bucket, "severity": severity,
            "notified": notified, "started_at_ms": ms(start),
            "confirmed_at_ms": 0 if confirmed is None else ms(confirmed),
            "ended_at_ms": None if end is None else ms(end), "end_reason": reason,
            "last_seq": last_seq, "projected_change": f"at {ms(changed)}"}


def transition(event_id: int, seq: int, site_id: int, reason: str, before: int, after: int,
               notified: int, second: float, epoch: int, ended: int = 0) -> Row:
    source = "rollout:seed" if reason == "adopted" else "monitor"
    return {"event_id": event_id, "seq": seq, "site_id": site_id, "reason": reason,
            "from_severity": before, "to_severity": after, "notified": notified, "ended": ended,
            "source": source, "epoch": epoch, "instance": "i", "at_ms": ms(second)}


def notification(event_id: int, kind: str, site_id: int, bucket: int, second: float) -> Row:
    return {"notification_id": f"ntf_{event_id}_{kind}", "event_id": event_id, "kind": kind,
            "site_id": site_id, "bucket_no": bucket, "created_at_ms": ms(second)}


def clean_story() -> Story:
    story = Story(end_ms=ms(END_S))
    story.senders = {V1: Sender("v1", "v1"), A: Sender("monitor-a", "monitor", "monitor-a"),
                     B: Sender("monitor-b", "monitor", "monitor-b"),
                     VERIFLIER: Sender("veriflier-1", "veriflier"),
                     CONTROL: Sender("controlplane", "controlplane")}
    story.sites = {i: Site(i, (i - 1) // 8, f"http://127.0.0.1:18080/s/{i}", INTERVAL_S)
                   for i in range(1, 65)}
    first, second = range(1, 33), range(33, 65)
    story.requests = (checks(V1, first, 0, 20) + checks(A, first, 21.6, 59)
                      + checks(V1, first, 61, END_S) + checks(V1, second, 0, 30)
                      + checks(B, second, 31.6, END_S)
                      + [request(15, CONTROL, 3), request(25, CONTROL, 40),
                         request(45.5, VERIFLIER, 2)]
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
    story.audit = [{"run_id": run, "key_id": KEY} for run in (RUN_A, RUN_B)]
    add_incidents(story)
    add_stages(story)
    story.targets = [{"site_id": s.site_id, "bucket_no": s.bucket, "updated_at_ms": ms(28)}
                     for s in story.sites.values()]
    story.runtime = [{"site_id": s, "bucket_no": (s - 1) // 8, "last_checked_at_ms": ms(58)}
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


def add_incidents(story: Story) -> None:
    story.events = [event(1, 1, 0, 0, 2, 5, 5, 35, "recovered", 2, 35),
                    event(2, 2, 0, 4, 1, 43, 46, None, "", 2, 46),
                    event(3, 40, 4, 3, 0, 50, None, None, "", 1, 50)]
    story.transitions = [transition(1, 1, 1, "adopted", 0, 4, 2, 16.5, 0),
                         transition(1, 2, 1, "recovered", 4, 0, 2, 35, 1, ended=1),
                         transition(2, 1, 2, "opened", 0, 3, 0, 43, 1),
                         transition(2, 2, 2, "verifier_confirmed", 3, 4, 1, 46, 1),
                         transition(3, 1, 40, "opened", 0, 3, 0, 50, 2)]
    story.notifications = [notification(1, "up", 1, 0, 35), notification(2, "down", 2, 0, 46)]
    story.deliveries = ["ntf_1_up", "ntf_2_down", "ntf_2_down"]
    story.v1_alerts = [Alert(ms(5), 1, 2), Alert(ms(70), 2, 1)]
    story.history = [{"site_id": 2, "bucket_no": 0, "at_ms": ms(43), "source": "monitor-a"}]
    story.sites[40] = Site(40, 4, "http://127.0.0.1:18080/s/40", INTERVAL_S, True, 0,
                           f"at {ms(50)}")
