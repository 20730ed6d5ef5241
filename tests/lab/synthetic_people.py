"""A clean story of what people hear, made by hand: sites that fail and recover around a hand-off to
v2, back to v1, and to v2 again. It has what invariant 9 asks for and nothing of v2's database.

Units of 1 s, checks every 5 s, the receiver's delay is 5 s, an owner is muted for 20 s at most.

    v1 has all sites from -1 s; it is stopped at 100 s
    monitor-a checks from 103 s, tells from 128 s on, is muted at 245 s, drains at 260 s
    v1 is back at 262 s, and stopped again at 360 s
    monitor-b checks from 363 s, tells from 388 s on; the story ends at 500 s
"""
from __future__ import annotations

from judging.story import (Key, Request, Sender, Site, Start, State, Story, Tell, V1Switch,
                           Written)
from synthetic import A, B, INTERVAL_S, PIDS, V1, VERIFLIER, VERIFLIER_2, VERIFLIER_3, ms
from synthetic import clean_story, request

END_S = 500.0
# (who, from, until) of checks.
WATCH = ((V1, 0, 100), (A, 103, 260), (V1, 263, 360), (B, 363, END_S))
TWINS = (9, 10)  # rows of one blog and URL
COUNT = 20

# Site -> (second, what it does): never is down without an answer.
FIXTURE = {
    1: ((20, "down"), (50, "up")),                       # all of it under v1
    2: ((60, "down"), (170, "up")),                      # told by v1, ended by v2
    3: ((95, "down"), (200, "up")),                      # begins before the stop, told by v2
    4: ((150, "down"), (300, "up")),                     # told by v2, ended by v1
    5: ((238, "down"), (310, "up")),                     # begins while v2 is muted, told by v1
    6: ((150, "down"), (180, "up")),                     # all of it under v2
    7: ((310, "down"), (430, "up")),                     # told by v1, ended in the third rollout
    8: ((400, "down"),),                                 # stays down to the end
    9: ((20, "down"), (60, "up"), (150, "down"), (190, "up")),  # of twins
    11: ((-5, "down"), (40, "up")),                      # told before the log begins
    12: ((210, "down"), (213, "up")),                    # too short to be told
    13: ((104, "down"), (120, "up")),                    # over before v2 tells anything
    14: ((140, "never"), (210, "up")),                   # does not answer
    15: ((80, "down"), (101, "up")),                     # v1's word is written when it is gone
    16: ((5, "down"), (90, "up")),                       # v1 tells still down
    17: ((150, "down"), (255, "up")),                    # told by v2, recovers while it is muted
    18: ((90, "down"), (440, "up")),                     # down through all hand-offs
}
# (second, site, who, status), in order. v2's ids are made of site and second.
TOLD = (
    (17, 16, "v1", 0), (30, 1, "v1", 0), (30.5, 9, "v1", 0), (35, 1, "v1", 0), (42, 11, "v1", 1),
    (52, 1, "v1", 1), (62, 9, "v1", 1), (62.1, 9, "v1", 1), (70, 2, "v1", 0), (77, 16, "v1", 2),
    (92, 15, "v1", 0), (93, 16, "v1", 1), (98, 18, "v1", 0),
    (134, 3, "v2", 2), (136, 15, "v2", 1), (158, 4, "v2", 2), (158, 6, "v2", 2), (158, 9, "v2", 2),
    (159, 17, "v2", 2), (160, 14, "v2", 2), (178, 2, "v2", 1), (186, 6, "v2", 1), (196, 9, "v2", 1),
    (206, 3, "v2", 1), (216, 14, "v2", 1),
    (266, 17, "v1", 1), (272, 5, "v1", 0), (303, 4, "v1", 1), (313, 5, "v1", 1), (320, 7, "v1", 0),
    (410, 8, "v2", 2), (438, 7, "v2", 1), (448, 18, "v2", 1),
)
AGAIN = ((161, 6, 158, 2),)  # (second, site, when it was told first, status)
# (second, site, status) of what the receiver writes.
WROTE = ((19, 16, 0), (32, 9, 0), (37, 1, 0), (43, 11, 1), (54, 1, 1), (64, 9, 1), (72, 2, 0),
         (94, 16, 1), (97, 15, 0), (102, 18, 0), (267, 17, 1), (274, 5, 0), (305, 4, 1),
         (314, 5, 1), (322, 7, 0))


def key(site_id: int) -> Key:
    """As people know it: rows 9 and 10 are one."""
    number = TWINS[0] if site_id in TWINS else site_id
    return 100_000 + number, f"http://127.0.0.1:18080/s/{number}"


def tell(second: float, site_id: int, sender: str, status: int, tell_id: str | None = None,
         repeat: bool = False) -> Tell:
    made = f"ntf_{site_id}_{second:g}" if sender == "v2" else ""
    return Tell(ms(second), sender, key(site_id), status, made if tell_id is None else tell_id,
                repeat)


def site(site_id: int) -> Site:
    blog_id, url = key(site_id)
    return Site(site_id, (site_id - 1) // 10, url, INTERVAL_S, blog_id=blog_id)


def checks_of(site_id: int, watch: tuple = WATCH) -> list[Request]:
    """Every 5 s by whoever has it, the first one somewhere in the first 5 s."""
    result = []
    for source, begin, end in watch:
        second = begin + INTERVAL_S * (site_id % COUNT) / COUNT
        while second < end:
            result.append(request(second, source, site_id))
            second += INTERVAL_S
    return result


def state(second: float, site_id: int, what: str, source: str = "") -> State:
    return State(ms(second), (site_id,), what in ("down", "never"), source,
                 silent=what == "never", unsure=what == "slow")


def wrote(second: float, site_id: int, status: int) -> Written:
    return Written(ms(second), key(site_id), status)


def people_story() -> Story:
    story = Story(end_ms=ms(END_S), unit_s=1.0, ended=True, has_people=True, dialect="v1",
                  receiver_delay_ms=5_000, mute_ms=20_000)
    story.senders = {V1: Sender("v1", "v1"), A: Sender("monitor-a", "monitor", "monitor-a"),
                     B: Sender("monitor-b", "monitor", "monitor-b"),
                     VERIFLIER: Sender("veriflier-1", "veriflier"),
                     VERIFLIER_2: Sender("veriflier-2", "veriflier"),
                     VERIFLIER_3: Sender("veriflier-3", "veriflier")}
    story.starts = [Start(ms(-2), name, pid) for name, pid in PIDS.items()]
    story.sites = {i: site(i) for i in range(1, COUNT + 1)}
    story.requests = [r for i in range(1, COUNT + 1) if i != TWINS[1] for r in checks_of(i)]
    story.states = [state(second, site_id, what) for site_id, changes in FIXTURE.items()
                    for second, what in changes]
    story.v1_switches = [V1Switch(ms(-1), "v1_started", 0, 1), V1Switch(ms(100), "v1_stopped", 0, 1),
                         V1Switch(ms(262), "v1_started", 0, 1),
                         V1Switch(ms(360), "v1_stopped", 0, 1)]
    story.people = [tell(*one) for one in TOLD]
    story.people += [tell(second, site_id, "v2", status, f"ntf_{site_id}_{first:g}", True)
                     for second, site_id, first, status in AGAIN]
    story.written = [wrote(*one) for one in WROTE]
    return story


def clean_run() -> Story:
    """The judge's clean story, with people's log: a run whose nine invariants hold."""
    story = clean_story()
    story.has_people, story.receiver_delay_ms, story.mute_ms = True, 0.0, 5_000.0

    def said(second: float, site_id: int, sender: str, status: int, tell_id: str = "",
             repeat: bool = False) -> Tell:
        return Tell(ms(second), sender, (0, story.sites[site_id].url), status, tell_id, repeat)
    story.people = [said(5, 1, "v1", 0), said(37, 1, "v2", 1, "ntf_1_up"),
                    said(46.3, 2, "v2", 2, "ntf_2_down"),
                    said(47.5, 2, "v2", 2, "ntf_2_down", True), said(70, 2, "v1", 1)]
    story.plan = {**story.plan, "told": len(story.people)}
    return story


