"""Of invariant 8: each execution has an audit row of its own."""
from __future__ import annotations

from judging import bounds
from judging.story import Row, Story

# What a token is good for -> the call that takes it.
CALLS = {"seed": "Seed", "final_reconcile": "FinalReconcile",
         "activate_buckets": "ActivateBuckets", "release_buckets": "ReleaseBuckets",
         "stage_policy": "StagePolicy"}
# Jobs that nobody plans, and the call that begins one.
BEGUN = {"preflight": "Preflight", "smoke": "Smoke", "compare_methods": "CompareMethods"}
SERVICE = "RolloutService/"
# How a call may end that executed. `blocked`: its job was; the rest: its caller had not waited, or
# the database went away after the commit.
EXECUTED = ("ok", "blocked", "cancelled", "deadline_exceeded", "database_unavailable")
WHOSE = ("run_id", "key_id", "bucket_min", "bucket_max")


def fits(row: Row, token: Row, deed: str, at_ms: float) -> bool:
    """Is it of the call that made the token, or of the one that consumed it, while it ran?"""
    if row["operation"] != SERVICE + CALLS.get(token["operation"], "?") or \
            any(row[name] != token[name] for name in WHOSE) or \
            not row["detail"].startswith(deed):
        return False
    return covers_ms(row, at_ms)


def covers_ms(row: Row, at_ms: float) -> bool:
    """Was it written of a call that ran then? The row itself may have waited."""
    began = row["at_ms"] - row["latency_ms"] - bounds.WRITE
    return began <= at_ms <= row["at_ms"] + bounds.ROUNDING


def was_cut_off(story: Story, consumed: float) -> bool:
    """Whoever would have written the row died first, or had no database. A cluster that loses a node
    lets its writers wait for longer than an audit row does; what is lost is in the log."""
    names = {s.name for s in story.senders.values() if s.role == "controlplane"}
    for fault in story.faults:
        over = fault.from_ms if fault.how == "killed" and fault.what in names else fault.until_ms
        if (fault.what in names or fault.what.startswith("database")) and \
                over >= consumed - bounds.COMMIT and fault.from_ms <= consumed + bounds.AUDITED:
            return True
    return False


def judge_audit(story: Story) -> list[str]:
    """Tokens in order of time take the rows in order of time: one each."""
    rows = sorted((r for r in story.audit if r["outcome"] in EXECUTED), key=lambda r: r["at_ms"])
    by_call: dict[tuple, list[Row]] = {}
    for row in rows:
        by_call.setdefault((row["operation"], row["run_id"]), []).append(row)
    result = []
    for token in sorted(story.tokens, key=lambda t: t["consumed_at_ms"]):
        if not token["consumed_at_ms"]:
            continue
        mine = by_call.get((SERVICE + CALLS.get(token["operation"], "?"), token["run_id"]), [])
        found = next((row for row in mine if fits(row, token, "execute", token["consumed_at_ms"])),
                     None)
        if found is not None:
            mine.remove(found)
        elif not was_cut_off(story, token["consumed_at_ms"]):
            result.append(f"{token['operation']} of {token['run_id']} was executed at "
                          f"{token['consumed_at_ms']}, and no row of its own is in the audit")
    for token in story.tokens:
        at_ms = token["created_at_ms"]
        mine = by_call.get((SERVICE + CALLS.get(token["operation"], "?"), token["run_id"]), [])
        if not any(fits(row, token, "plan", at_ms) for row in mine) \
                and not was_cut_off(story, at_ms):
            result.append(f"{token['operation']} of {token['run_id']} was planned at {at_ms}, and "
                          "no row of its own is in the audit")
    for job in story.jobs:
        if job["operation"] not in BEGUN:
            continue
        mine = by_call.get((SERVICE + BEGUN[job["operation"]], job["run_id"]), [])
        began = next((row for row in mine if row["key_id"] == job["key_id"] and covers_ms(
            row, job["created_at_ms"])), None)
        if began is not None:
            mine.remove(began)
        elif not was_cut_off(story, job["created_at_ms"]):
            result.append(f"{job['operation']} {job['job_id']} was begun at "
                          f"{job['created_at_ms']}, and no row of its own is in the audit")
    return result
