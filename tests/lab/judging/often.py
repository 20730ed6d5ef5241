"""Of invariant 2: within one epoch and instance no site is checked more often than its interval says.

A Monitor checks on a schedule: a site's checks are due one interval after the other, in the site's
phase, and may be late; one that was late is followed early by as much. The first check after a load
comes anywhere within the interval, and the next one in the phase: both are free. A check that failed
is repeated after a unit, until the site is known to be Down; such retries come on top, as does, in
dialect v1, the second good check of a site that v1 said is down. In dialect v1 retries follow sooner
for a site that has failed at each check since it was loaded.
"""
from __future__ import annotations

from judging import bounds
from judging.dialect import TOLD_BY_V1, V1
from judging.excuses import Excuses
from judging.story import FOREVER, Request, Row, Site, overlap_ms

FULL_RULES = ("keyword", "forbidden_keyword", "redirect_policy", "headers", "timeout_ms")


# So many checks of a site may come too early because of one fault, or edit: the one that replaces a
# check whose result was thrown away, the next in the phase, and one for an edit that is seen late.
FREE = 3


class Often:
    def __init__(self, excuses: Excuses):
        self.excuses, self.story, self.holders = excuses, excuses.story, excuses.holders
        self.events_of: dict[int, list[Row]] = {}
        for event in self.story.events:
            self.events_of.setdefault(event["site_id"], []).append(event)
        # A plain 200 may be a failure by such rules.
        self.ruled = {row["site_id"] for row in self.story.configs
                      if any(row.get(name) is not None for name in FULL_RULES)}

    def faults_of(self, lock: Row, site: Site, requests: list[Request]) -> list[str]:
        """Of the requests of an owner for one site, in order: the first one that came too early."""
        if len(requests) < 3:
            return []
        mine: dict[str, list[Request]] = {}
        for request in requests:
            sender = self.story.senders[request.source]
            instance = self.holders.processes.instance(sender.name, request.at_ms)
            mine.setdefault(instance, []).append(request)
        result = []
        for instance, some in mine.items():
            early = self._first_early(lock, site, some)
            if early is not None:
                before, request, due_ms = early
                result.append(
                    f"site {site.site_id} (bucket {site.bucket}) was checked by {instance} at "
                    f"{request.at_ms:.0f}, {(request.boot_ms - before.boot_ms) / 1000:.2f} s after "
                    f"the check before and {(due_ms - request.boot_ms) / 1000:.2f} s too early")
        return result

    def _first_early(self, lock: Row, site: Site, requests: list[Request]
                     ) -> tuple[Request, Request, float] | None:
        interval_ms = 1000 * site.interval_s
        first_round = True  # it has failed at each check so far
        due_ms: float | None = None  # the earliest at which the last regular check can have been due
        away = {span: FREE for span in
                self.excuses.lapses(lock) + self.excuses.of_edits(site.site_id)}
        for before, request in zip(requests, requests[1:]):
            first_round = first_round and before.failed
            minutes = bounds.FIRST_ROUND_RETRY_MIN if first_round and self.story.dialect == V1 else 1
            retry_ms = before.boot_ms + 1000 * self.story.unit_s * minutes - bounds.RETRY_SLACK
            if request.boot_ms >= retry_ms and self._retried(site, before):
                continue
            if self._second_good(site, before, request):
                continue
            if due_ms is not None and request.boot_ms < due_ms + interval_ms:
                # A lease may have lapsed under a check: it is sent again, out of turn.
                freed = next((span for span, left in away.items() if left and overlap_ms(
                    [span], before.at_ms - interval_ms, request.at_ms) > 0), None)
                if freed is None:
                    return before, request, due_ms + interval_ms
                away[freed] -= 1
                due_ms = None
            if due_ms is None:
                due_ms = request.boot_ms - self._late_ms(site, request)
                continue
            due_ms += interval_ms * ((request.boot_ms - due_ms) // interval_ms)
        return None

    def _late_ms(self, site: Site, request: Request) -> float:
        """How late a check may have been: as invariant 2 allows, and what the machine stalled."""
        stalled_ms = overlap_ms(self.story.stalls, request.at_ms - 1000 * site.interval_s,
                                request.at_ms)
        return 1000 * bounds.late_s(site.interval_s) + stalled_ms

    def _second_good(self, site: Site, before: Request, request: Request) -> bool:
        """In dialect v1 what v1 said ends with two good checks, the second one soon after."""
        after_ms = request.boot_ms - before.boot_ms
        if self.story.dialect != V1 or before.failed or \
                after_ms < bounds.SECOND_GOOD_MIN * 1000 * self.story.unit_s - bounds.RETRY_SLACK:
            return False
        return any(event["notified"] == TOLD_BY_V1 and
                   event["started_at_ms"] <= before.at_ms <= (event["ended_at_ms"] or FOREVER)
                   for event in self.events_of.get(site.site_id, []))

    def _retried(self, site: Site, before: Request) -> bool:
        """May that check have failed, while the site was not known to be Down?"""
        if not before.failed and site.site_id not in self.ruled:
            return False
        for event in self.events_of.get(site.site_id, []):
            down_ms = event["confirmed_at_ms"]
            if down_ms and down_ms + bounds.WRITE < before.at_ms < (event["ended_at_ms"] or FOREVER):
                return False
        return True
