"""Who wrote what: every row that a Monitor wrote names the grant, the instance and the host that had
its bucket then; what it did not write names no Monitor."""
from __future__ import annotations

from judging import bounds
from judging.story import ADOPTING_JOBS, FOREVER, Row, Story, covers
from judging.tenure import Holders

NOBODY = (0, "", "")
SEED = "rollout:seed"
MONITOR = "monitor"


class Writers:
    def __init__(self, story: Story):
        self.story, self.holders = story, Holders(story)
        self.planes = {row["instance"] for row in story.health if row["kind"] == "controlplane"}
        # When a Monitor last changed an event that it did not end with that.
        self.opened: dict[int, float] = {}
        for t in story.transitions:
            if t["source"] == MONITOR and not t["ended"]:
                self.opened[t["event_id"]] = max(t["at_ms"], self.opened.get(t["event_id"], 0))
        self.bucket_of_event = {e["event_id"]: e["bucket_no"] for e in story.events}

    def fault_of(self, epoch: int, instance: str, host: str, bucket: int, at_ms: float) -> str | None:
        """Of what a Monitor wrote about a bucket; None: it was the holder's."""
        lock = self.holders.holder(bucket, epoch)
        if lock is None:
            return f"under epoch {epoch}, which never had bucket {bucket}"
        if host != lock["owner_host"]:
            return f"by host {host!r} under epoch {epoch} of {lock['owner_host']}"
        if not self.holders.may_write(lock, at_ms):
            return f"under epoch {epoch}, which did not hold bucket {bucket} then"
        tenures = self.holders.tenures(epoch)
        holder = tenures.at(at_ms)
        if holder is None or holder["owner_instance"] != instance:
            return (f"by instance {instance!r} while "
                    f"{holder['owner_instance'] if holder else 'nobody'} held epoch {epoch}")
        return None

    def transitions(self) -> list[str]:
        result = []
        for t in self.story.transitions:
            who = (t["epoch"], t["instance"], t["host"])
            what = f"{t['reason']} of event {t['event_id']} was written"
            if t["source"] == SEED and not t["host"]:
                fault = self._seed_fault(t)
                result += [f"{what} {fault}"] if fault is not None else []
                continue
            if t["source"] not in (SEED, MONITOR):
                result.append(f"{what} by {t['source']!r}, which writes no incidents")
                continue
            bucket = self.bucket_of_event.get(t["event_id"], -1)
            fault = self.fault_of(*who, bucket, t["at_ms"])
            if fault is not None:
                result.append(f"{what} {fault}")
        return result

    def _seed_fault(self, t: Row) -> str | None:
        """A control plane adopts by a seed or a reconcile, under no epoch, or by an activation's last
        pass, under its own; judge_adoption looks for the job."""
        if t["instance"] and t["instance"] not in self.planes:
            return f"by {t['instance']!r}, which is no control plane"
        if not t["epoch"]:
            return None
        lock = self.holders.holder(self.bucket_of_event.get(t["event_id"], -1), t["epoch"])
        until = lock and (lock["activating_at_ms"] or lock["draining_at_ms"] or FOREVER)
        if lock is None or not lock["granted_at_ms"] - bounds.SAME <= t["at_ms"] <= until:
            return f"by a control plane under epoch {t['epoch']}, which was not being prepared"
        return None

    def history(self) -> list[str]:
        result = []
        for h in self.story.history:
            fault = self.fault_of(h["epoch"], h["instance"], h["host"], h["bucket_no"], h["at_ms"])
            if fault is None and h["source"] != h["host"]:
                fault = f"as {h['source']!r} by {h['host']!r}"
            if fault is not None:
                result.append(f"history of site {h['site_id']} was written {fault}")
        return result

    def projections(self) -> list[str]:
        result = []
        for e in self.story.events:
            who = (e["projected_epoch"], e["projected_instance"], e["projected_host"])
            at_ms = e["projected_at_ms"]
            if who == NOBODY and not at_ms:
                if e["event_id"] in self.opened and e["projected_change"] \
                        and not self._taken_over(e):
                    result.append(f"nobody says to have projected event {e['event_id']}")
                continue
            if not e["projected_host"]:
                fault = self._release_fault(e)
            else:
                fault = self.fault_of(*who, e["bucket_no"], at_ms)
            if fault is not None:
                result.append(f"event {e['event_id']} was projected {fault}")
        return result

    def _taken_over(self, event: Row) -> bool:
        """A seed that came later may have read a newer word of v1's: that is no Monitor's."""
        return any(job["operation"] in ADOPTING_JOBS and covers(job, event["bucket_no"])
                   and job["created_at_ms"] > self.opened[event["event_id"]]
                   for job in self.story.jobs)

    def _release_fault(self, event: Row) -> str | None:
        """A control plane projects what is open before a range is v1's."""
        epoch, at_ms = event["projected_epoch"], event["projected_at_ms"]
        for job in self.story.jobs:
            if job["operation"] == "release_buckets" and job["epoch"] == epoch \
                    and covers(job, event["bucket_no"]) and job["created_at_ms"] - bounds.ROUNDING \
                    <= at_ms <= (job["finished_at_ms"] or FOREVER) + bounds.ROUNDING:
                break
        else:
            return f"at {at_ms} by no Monitor, and no release of epoch {epoch} ran"
        lock = self.holders.holder(event["bucket_no"], epoch)
        if lock is None or lock["released_at_ms"] and \
                at_ms > lock["released_at_ms"] + bounds.ROUNDING:
            return f"at {at_ms}, after its bucket was v1's again"
        if event["projected_instance"] not in self.planes:
            return f"by {event['projected_instance']!r}, which is no control plane"
        return None


def judge_writers(story: Story) -> list[str]:
    writers = Writers(story)
    return writers.transitions() + writers.history() + writers.projections()
