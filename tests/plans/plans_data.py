"""Rows for all tables that grow, as many as an engine needs to have a choice, with values as the
store's tests use them: buckets from 0, sites from 1, states by their names."""
from __future__ import annotations

import os
import zlib

# More of them by hand: --test_env=JETMON_PLANS_SITES=1000000
SITES = int(os.environ.get("JETMON_PLANS_SITES", "30000"))
BUCKETS = 64 if SITES < 100_000 else 512


def pick(i: int, what: str, n: int) -> int:
    """A number below n that looks random."""
    return zlib.crc32(f"{what} {i}".encode()) % n


def bucket(i: int) -> int:
    return pick(i, "bucket", BUCKETS)


def legacy(i: int) -> dict:
    return dict(jetpack_monitor_site_id=i, blog_id=1000 + i, bucket_no=bucket(i),
                monitor_url=f"http://site-{i}.example.com/", monitor_active=int(pick(i, "a", 6) == 0),
                site_status=1 if pick(i, "s", 50) else 2, last_status_change="2023-11-14 22:13:20",
                check_interval=5 if pick(i, "i", 20) else 1 + pick(i, "j", 30))


def event(i: int) -> dict:
    site = 1 + pick(i, "site", SITES)
    ended = None if i % 50 == 0 else 1_700_000_000_000 + i
    return dict(event_id=i, blog_id=1000 + site, site_id=i if ended is None else site,
                bucket_no=bucket(site), check_type="http", severity=4 if ended is None else 0,
                source="monitor", started_at_ms=1_600_000_000_000 + i, ended_at_ms=ended, last_seq=3)


def notification(i: int) -> dict:
    site = 1 + pick(i, "site", SITES)
    return dict(notification_id=f"ntf_{i}_down", event_id=i, kind="down", site_id=site,
                blog_id=1000 + site, bucket_no=bucket(site), url="http://a.example/", status_id=2,
                status_change_ms=i, checks="[]", state="delivered" if i % 100 else "queued",
                next_attempt_at_ms=i, created_at_ms=i)


def job(i: int) -> dict:
    return dict(job_id=f"rjob_{i:08}", operation="seed", run_id=f"rol_{i // 8}", bucket_min=0,
                bucket_max=63, state="completed" if i % 500 else "running", request="", progress="",
                result="", error="", key_id="key_1", consumer="tester", created_at_ms=i)


def range_lock(i: int) -> dict:
    return dict(epoch=i, bucket_min=i % 64, bucket_max=i % 64, owner_host=f"monitor-{i % 40}",
                owner_instance=f"ins_{i}", state="released" if i % 100 else "active", revision=1,
                lease_seq=1, run_id=f"rol_{i}", activate_job_id=f"rjob_{i}", overrides="[]",
                granted_at_ms=i)


# By table: how many rows, and row i (1, 2, 3 ...).
ROWS = {
    "jetpack_monitor_sites": (SITES, legacy),
    "jetmon_check_targets": (SITES // 2, lambda i: dict(
        site_id=i, blog_id=1000 + i, bucket_no=bucket(i), url=f"http://site-{i}.example.com/",
        interval_minutes=5, phase=pick(i, "phase", 1 << 30), config_hash=f"{i:016x}",
        updated_at_ms=i)),
    "jetmon_endpoint_runtime": (SITES // 2, lambda i: dict(site_id=i, bucket_no=bucket(i))),
    "jetmon_endpoint_check_config": (4000, lambda i: dict(
        site_id=i, method="GET", profile="full", updated_at_ms=i)),
    "jetmon_events": (20_000, event),
    "jetmon_event_transitions": (20_000, lambda i: dict(
        transition_id=i, event_id=1 + i // 3, seq=1 + i % 3, site_id=1 + pick(i // 3, "site", SITES),
        reason="opened", from_severity=0, to_severity=3, notified=0, ended=0, source="monitor",
        epoch=1, instance="ins_1", at_ms=i)),
    "jetmon_notifications": (20_000, notification),
    "jetmon_check_history": (20_000, lambda i: dict(
        history_id=i, site_id=1 + pick(i, "site", SITES), bucket_no=bucket(i), at_ms=i,
        source="monitor-a", outcome="down", http_code=500, error_code=0,
        failure_class="http_status", total_us=1000)),
    "jetmon_false_positives": (5000, lambda i: dict(
        event_id=i, site_id=i, up_votes=2, down_votes=0, at_ms=i)),
    "jetmon_rollout_jobs": (5000, job),
    "jetmon_rollout_sessions": (3000, lambda i: dict(
        run_id=f"rol_{i}", bucket_min=i % 64, bucket_max=i % 64, metadata="{}",
        state="closed" if i % 100 else "open", sequence=1, key_id="key_1", consumer="tester",
        created_at_ms=i, updated_at_ms=i)),
    "jetmon_rollout_checkpoints": (10_000, lambda i: dict(
        ordinal=i, run_id=f"rol_{i // 4}",
        kind=["preflight_completed", "seed_completed", "v1_stopped", "activated"][i % 4],
        bucket_min=i % 64, bucket_max=i % 64, note="", key_id="key_1", consumer="tester",
        created_at_ms=i)),
    "jetmon_rollout_range_locks": (4000, range_lock),
    "jetmon_rollout_range_parts": (4000, lambda i: dict(
        job_id=f"rjob_{i:08}", epoch=i, bucket_min=i % 64, bucket_max=i % 64,
        state="released" if i % 100 else "draining", draining_at_ms=i)),
    "jetmon_rollout_policy_stages": (3000, lambda i: dict(
        stage_id=f"rstg_{i:08}", run_id=f"rol_{i // 3}", number=1 + i % 3, bucket_min=0,
        bucket_max=63, method="GET", profile="legacy", size="10%",
        state="rolled_back" if i % 20 else "applied", job_id=f"rjob_{i:08}",
        rollback_job_id=f"rjob_r{i:08}", created_at_ms=i)),
    "jetmon_rollout_policy_stage_rows": (20_000, lambda i: dict(
        stage_id=f"rstg_{1 + i % 40:08}", site_id=1 + i // 40, bucket_no=bucket(1 + i // 40),
        had_row=0, revision=i, state="restored" if i % 20 else "changed")),
    "jetmon_rollout_confirmation_tokens": (4000, lambda i: dict(
        token_hash=f"{i:064x}", key_id="key_1", operation="seed", run_id=f"rol_{i}", bucket_min=0,
        bucket_max=1, request_hash=f"{i:064x}", plan_digest=f"{i:064x}", plan_counts="{}",
        created_at_ms=i, expires_at_ms=1_700_000_000_000 + i)),
    "jetmon_rollout_comparison_results": (20_000, lambda i: dict(
        job_id=f"rjob_{i // 1000}", site_id=i, bucket_no=bucket(i), url="http://a.example/",
        first_mode=("from", "to")[i % 2], **{"class": "same" if pick(i, "c", 40) else "get_worse"},
        from_outcome="up", from_http_code=200, from_error_code=0, from_failure_class="success",
        from_us=1000, to_outcome="up", to_http_code=200, to_error_code=0,
        to_failure_class="success", to_us=1000, at_ms=i)),
    "jetmon_idempotency": (5000, lambda i: dict(
        key_id=f"key_{i % 20}", idempotency_key=f"key-{i}", operation="seed",
        request_hash=f"{i:064x}", state="done", attempt=1, created_at_ms=i, lease_at_ms=i)),
    "jetmon_audit_log": (20_000, lambda i: dict(
        audit_id=i, at_ms=i, consumer="tester", key_id="key_1", operation="seed",
        run_id=f"rol_{i // 10}", request_id=f"req_{i}", outcome="ok", latency_ms=1, detail="")),
    "jetmon_process_health": (3000, lambda i: dict(
        instance=f"ins_{i}", kind="monitor", host=f"monitor-{i % 40}", version="2.0", protocol=1,
        mode="standby", state="standby", seq=1, pid=1, warnings="", started_at_ms=i,
        updated_at_ms=i)),
    "jetmon_veriflier_agents": (10_000, lambda i: dict(
        agent_id=f"agent-{i}", vantage_id=f"vantage-{i % 30}", endpoint="10.0.0.1:1",
        state="connected", lease_id=f"l{i}", seq=1, server_instance=f"ins_{i % 3}", protocol_min=1,
        protocol_max=1, connected_at_ms=i, updated_at_ms=i)),
}


def literal(value) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def statements(tables=tuple(ROWS)):
    """INSERT statements of all rows, 500 in each; for every engine."""
    for table in tables:
        count, row = ROWS[table]
        columns = list(row(1))
        for at in range(1, count + 1, 500):
            rows = (row(i) for i in range(at, min(at + 500, count + 1)))
            yield (f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
                   + ", ".join("(" + ", ".join(literal(r[c]) for c in columns) + ")" for r in rows))
    yield "DELETE FROM jetmon_rollout_bucket_locks"
    yield ("INSERT INTO jetmon_rollout_bucket_locks (bucket_no, pool, state) VALUES "
           + ", ".join(f"({b}, 'v1', 'free')" for b in range(512)))
