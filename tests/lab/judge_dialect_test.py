"""Invariants 5 and 7 in dialect v1: what outbox and columns say where version 1 writes 0 for what was
told, and repeats itself."""
from __future__ import annotations

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

import synthetic as s  # noqa: E402
from judge_case import JudgeCase  # noqa: E402
from judging.story import Alert  # noqa: E402

# A site of monitor-b's, which holds it to the end.
SITE, BUCKET = 41, 5


class DialectCase(JudgeCase):
    """The clean story in dialect v1: site 40 seems down, and the column still says up."""

    def setUp(self) -> None:
        super().setUp()
        self.story.dialect = "v1"
        self.column(40, 1)

    def column(self, site_id: int, status: int, change: str = "") -> None:
        self.story.sites[site_id] = dataclasses.replace(self.story.sites[site_id], status=status,
                                                        status_change=change)

    def add_down(self, state: str = "delivered", sent_s: float = 60.4, received: bool = True,
                 site_id: int = SITE, event_id: int = 7) -> None:
        """A site that goes down under monitor-b at 56 s, and is confirmed at 60 s."""
        self.story.events.append(s.event(event_id, site_id, BUCKET, 4, 1, 56, 60, None, "", 2, 60, 2))
        self.story.transitions += [s.transition(event_id, 1, site_id, "opened", 0, 3, 0, 56, 2),
                                   s.transition(event_id, 2, site_id, "local_confirmed", 3, 4, 1, 60,
                                                2)]
        row = {**s.notification(event_id, "down", site_id, BUCKET, 60), "state": state,
               "sent_at_ms": s.ms(sent_s) if state in ("sending", "delivered") else 0}
        self.story.notifications.append(row)
        if received:
            self.story.deliveries.append(row["notification_id"])
        self.column(site_id, 0, f"at {s.ms(60)}")

    def add_up(self, state: str = "delivered", event_id: int = 7) -> None:
        """It is up again at 70 s."""
        self.replace("events", {"event_id": event_id}, severity=0, ended_at_ms=s.ms(70), last_seq=3,
                     end_reason="recovered")
        site_id = next(e["site_id"] for e in self.story.events if e["event_id"] == event_id)
        self.story.transitions.append(s.transition(event_id, 3, site_id, "recovered", 4, 0, 1, 70, 2,
                                                   ended=1))
        row = {**s.notification(event_id, "up", site_id, BUCKET, 70), "state": state}
        self.story.notifications.append(row)
        if state == "delivered":
            self.story.deliveries.append(row["notification_id"])
            self.column(site_id, 1)


class ColumnTest(DialectCase):
    """7: 0 is told."""

    def test_seems_down_is_up_in_the_column(self) -> None:
        self.assert_ok()

    def test_seems_down_that_looks_told(self) -> None:
        self.column(40, 0, f"at {s.ms(72.8)}")
        self.assert_fails(7, "site 40 (bucket 4) has site_status 0, event 3 says 1")

    def test_told(self) -> None:
        self.add_down()
        self.assert_ok()
        self.column(SITE, 1)
        self.assert_fails(7, "has site_status 1, event 7 says 0")

    def test_being_told(self) -> None:
        self.add_down("sending", 72, received=False)
        self.replace("notifications", {"event_id": 7}, created_at_ms=s.ms(72))
        self.replace("transitions", {"event_id": 7, "seq": 2}, at_ms=s.ms(72))
        self.replace("events", {"event_id": 7}, confirmed_at_ms=s.ms(72))
        self.assert_ok()
        self.column(SITE, 1)
        self.assert_fails(7, "has site_status 1, event 7 says 0")

    def test_confirmed_and_not_told_yet(self) -> None:
        self.add_down("queued", received=False)
        self.column(SITE, 1)
        self.assert_ok()
        self.column(SITE, 0, f"at {s.ms(60)}")
        self.assert_fails(7, "has site_status 0, event 7 says 1")

    def test_told_without_a_time(self) -> None:
        self.add_down()
        self.column(SITE, 0)
        self.assert_fails(7, "site 41 has last_status_change ''")

    def test_told_without_a_time_that_was_ever_projected(self) -> None:
        self.add_down()
        self.replace("events", {"event_id": 7}, projected_change="")
        self.column(SITE, 0)
        self.assert_fails(7, "site 41 has last_status_change ''")

    def test_still_down_too_soon(self) -> None:
        self.add_down()
        self.column(SITE, 2, f"at {s.ms(60)}")
        self.assert_fails(7, "has site_status 2, event 7 says 0")

    def test_still_down_in_time(self) -> None:
        self.add_down(sent_s=20)  # 59 units of 1 s, and one more
        self.column(SITE, 2, f"at {s.ms(60)}")
        self.assert_ok()

    def test_adopted(self) -> None:
        for status in (0, 2):
            self.story.events = [e for e in self.story.events if e["event_id"] != 8]
            self.story.transitions = [t for t in self.story.transitions if t["event_id"] != 8]
            self.story.events.append(s.event(8, SITE, BUCKET, 4, 2, 20, None, None, "", 1, 26.5))
            self.replace("events", {"event_id": 8}, confirmed_at_ms=s.ms(20))
            self.story.transitions.append(s.transition(8, 1, SITE, "adopted", 0, 4, 2, 26.5, 0))
            self.column(SITE, status, f"at {s.ms(26.5)}")
            self.assert_ok()
        self.column(SITE, 1, f"at {s.ms(26.5)}")
        self.assert_fails(7, "has site_status 1, event 8 says 0 or 2")

    def test_an_end_that_was_told(self) -> None:
        self.add_down()
        self.add_up()
        self.assert_ok()
        self.column(SITE, 0, f"at {s.ms(60)}")
        self.assert_fails(7, "has site_status 0, no open event says 1")

    def test_an_end_that_waits(self) -> None:
        self.add_down()
        self.add_up("queued")
        self.assert_ok()
        self.column(SITE, 1)
        self.assert_fails(7, "has site_status 1, no open event says 0 or 2")


class OutboxTest(DialectCase):
    """5: what was dropped needs no delivery; v1 may repeat itself."""

    def test_v1_repeats_itself(self) -> None:
        self.story.v1_alerts += [Alert(s.ms(at), 50, status)
                                 for at, status in ((5, 0), (10, 0), (12, 2), (15, 1), (15.1, 1))]
        self.assert_ok()

    def test_v2_repeats_itself(self) -> None:
        self.add_down()
        self.story.events.append(s.event(8, SITE, BUCKET, 0, 1, 40, 44, 50, "recovered", 3, 50, 2))
        self.story.transitions += [
            s.transition(8, 1, SITE, "opened", 0, 3, 0, 40, 2),
            s.transition(8, 2, SITE, "local_confirmed", 3, 4, 1, 44, 2),
            s.transition(8, 3, SITE, "recovered", 4, 0, 1, 50, 2, ended=1)]
        self.story.notifications.append(s.notification(8, "down", SITE, BUCKET, 44))
        self.story.deliveries.append("ntf_8_down")
        self.assertTrue(any("site 41: people heard down twice, from v2 and v2" in text
                            for text in self.broken()[5]))

    def test_cancelled_and_superseded_rows_are_not_delivered(self) -> None:
        for state in ("cancelled", "superseded"):
            with self.subTest(state):
                self.setUp()
                self.add_down(state, received=False)
                self.column(SITE, 1)
                self.assert_ok()

    def test_what_was_cancelled_needs_no_end(self) -> None:
        self.add_down("cancelled", received=False)
        self.add_up("cancelled")
        self.column(SITE, 1)
        self.assert_ok()

    def test_an_end_of_what_was_cancelled(self) -> None:
        self.add_down("cancelled", received=False)
        self.add_up()
        self.assert_fails(5, "event 7 has an up, but nobody was told a down")

    def test_no_end_of_what_was_told(self) -> None:
        self.add_down()
        self.add_up()
        self.story.notifications.pop()
        self.assert_fails(5, "event 7 of site 41 was told, has recovered, and no up is in the outbox",
                          also=(4,))

    def test_sending_for_too_long(self) -> None:
        self.story.receiver_delay_ms = 0
        self.add_down("sending", received=False)
        self.replace("notifications", {"event_id": 7}, created_at_ms=s.ms(40))
        self.assertIn("ntf_7_down is sending, and the receiver never got it", self.broken()[5])

    def test_a_state_that_nobody_knows(self) -> None:
        self.add_down("lost")
        self.column(SITE, 1)
        self.assert_fails(5, "ntf_7_down is 'lost', which dialect v1 does not know")

    def test_confirmed_and_not_in_the_outbox(self) -> None:
        self.add_down()
        self.story.notifications.pop()
        self.story.deliveries.pop()
        self.column(SITE, 1)
        self.replace("events", {"event_id": 7}, notified=0)
        self.replace("transitions", {"event_id": 7, "seq": 2}, notified=0)
        self.assert_fails(5, "event 7 of site 41 was confirmed, and nobody was told")
        self.story.locks[1]["muted_at_ms"] = s.ms(59)  # its owner was about to release
        self.assert_ok()

    def test_one_row_tells_for_both_of_a_url(self) -> None:
        self.add_down()
        like = self.story.sites[SITE]
        self.story.sites[SITE + 1] = dataclasses.replace(like, site_id=SITE + 1)
        next(t for t in self.story.targets if t["site_id"] == SITE + 1)["url"] = like.url
        self.add_down("superseded", received=False, site_id=SITE + 1, event_id=8)
        self.assert_ok()
        self.column(SITE + 1, 1)
        self.assert_fails(7, "site 42 (bucket 5) has site_status 1, event 8 says 0")

    def test_jetmon2_knows_no_such_states(self) -> None:
        self.story = s.clean_story()
        self.replace("notifications", {"kind": "down"}, state="superseded")
        self.story.deliveries = ["ntf_1_up"]
        self.assert_fails(5, "ntf_2_down is superseded, and the receiver never got it")


if __name__ == "__main__":
    unittest.main()
