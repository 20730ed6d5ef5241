#!/usr/bin/python3
"""The demo: a whole guided rollout and rollback with real processes, and a judge's verdict.

tools/demo.sh builds the programs and runs this.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parent))

from judge import judge  # noqa: E402
from judging import evidence, handoff  # noqa: E402
from judging.load import load  # noqa: E402
from lab import BUCKETS, Lab, Programs, Settings  # noqa: E402
from launcher.processes import stop_strangers  # noqa: E402
from launcher.servers import ENGINES  # noqa: E402
from launcher.waiting import LabError  # noqa: E402
from play import HALVES, Part, Play  # noqa: E402

ROOT = pathlib.Path(__file__).absolute().parents[2]
KEPT = ROOT / ".demo"
MAX_INTERVAL_COLUMN = 127  # check_interval is a TINYINT


def parse_range(text: str) -> Part:
    match = re.fullmatch(r"(\d{1,6})-(\d{1,6})", text)
    if match is None or not int(match[1]) <= int(match[2]) < BUCKETS:
        raise argparse.ArgumentTypeError(f"{text!r} is no MIN-MAX within 0-{BUCKETS - 1}")
    return Part(int(match[1]), int(match[2]), "monitor-a")


def parse_count(low: int, high: int):
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low} to {high}")
        return int(text)
    return parse


def split_interval(seconds: int) -> tuple[int, int]:
    """(check_interval, unit in s) whose product it is; the column holds up to 127."""
    unit = next(u for u in range(1, seconds + 1)
                if seconds % u == 0 and seconds // u <= MAX_INTERVAL_COLUMN)
    return seconds // unit, unit


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/demo.sh", description="Plays a whole rollout.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--keep", action="store_true",
                      help="end after the forward rollout and leave everything running; .demo/env "
                           "says where")
    kind.add_argument("--stop", action="store_true", help="stop what --keep left running")
    parser.add_argument("--range", type=parse_range, metavar="MIN-MAX",
                        help="roll out only these buckets, to monitor-a (default: 0-255 to "
                             "monitor-a, 256-511 to monitor-b)")
    parser.add_argument("--sites", type=parse_count(1, 1_000_000), default=2048, metavar="N",
                        help=f"how many sites, spread evenly over {BUCKETS} buckets (2048)")
    parser.add_argument("--interval", type=parse_count(1, 7620), default=5, metavar="SECONDS",
                        help="how often each site is checked (5)")
    parser.add_argument("--database", choices=["sqlite", *ENGINES], default="sqlite",
                        help="an embedded database, one MariaDB server, or a Galera cluster of "
                             "three; the servers are started from Debian's packages, in the run's "
                             "folder, and end with it (sqlite)")
    return parser.parse_args()


class Progress:
    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)

    def quote(self, text: str) -> None:
        print(f"           | {text}", flush=True)


def stop_kept() -> bool:
    """Stops what a --keep left running; whether there was something."""
    description = KEPT / "lab.json"
    if not description.exists():
        return False
    kept = json.loads(description.read_text(encoding="utf-8"))
    stop_strangers(kept["processes"])
    stop_strangers(kept.get("servers", {}))
    description.unlink()
    (KEPT / "env").unlink(missing_ok=True)
    return True


def fresh_folder(keep: bool) -> pathlib.Path:
    """.demo for what is kept, .demo/run for a demo that ends."""
    if not keep:
        shutil.rmtree(KEPT / "run", ignore_errors=True)
        return KEPT / "run"
    if stop_kept():
        print("stopped the one that ran", flush=True)
    for old in KEPT.glob("*"):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    return KEPT


def write_environment(lab: Lab, play: Play) -> None:
    down = set(play.down_under_v1())
    for members in play.casts.values():
        down.update(members.midair)
    up = next((n for n in range(1, lab.settings.sites + 1) if n not in down), 1)
    values = {
        "JETMON_API_URL": lab.api.url, "JETMON_API_TOKEN": lab.api.token,
        "JETMON_READ_TOKEN": lab.read_token, "JETMON_GRPC_ADDR": f"127.0.0.1:{lab.port['grpc']}",
        "JETMON_DATABASE": lab.database.url,
        "JETMON_DATABASE_PASSWORD": lab.database.password, "JETMON_FIXTURE_LOG": str(lab.request_log),
        "JETMON_FIXTURE_URL": f"{lab.fixture_url}/s/{up}",
        "JETMON_PIDS": " ".join(f"{name}={pid}" for name, pid in lab.pids().items())}
    path = KEPT / "env"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in values.items() if value),
                    encoding="utf-8")


def verdict(lab: Lab) -> bool:
    """Prints what the judge decides; whether all invariants hold, and there was enough to see."""
    story = load(json.loads(lab.describe().read_text(encoding="utf-8")))
    lacks = evidence.lacks(story)
    for lack in lacks:
        print(f"no verdict without evidence: {lack}")
    verdicts = judge(story)
    for one in verdicts:
        print(one.line())
    for one in handoff.measure_all(story):
        print("\n".join(one.lines()))
    return not lacks and all(one.ok for one in verdicts)


def play_demo(lab: Lab, play: Play, keep: bool, progress: Progress) -> bool:
    play.set_up()
    play.forward()
    if keep:
        write_environment(lab, play)
        progress.say(f"everything keeps running, logs in {lab.logs}; go on with: . .demo/env, what "
                     "to ask: docs/rollout-api.md, end it with: tools/demo.sh --stop")
        return True
    play.incidents()
    play.back()
    play.rest()
    bad = {name: code for name, code in lab.stop().items() if code != 0}
    progress.say("everything has stopped; the judge's verdict:")
    ok = verdict(lab)
    lab.close()
    for name, code in bad.items():
        print(f"{name} ended with {code}, see {lab.logs}/{name}.log")
    return ok and not bad


def main() -> int:
    chosen = arguments()
    if chosen.stop:
        print("stopped" if stop_kept() else "nothing runs")
        return 0
    progress = Progress()
    check_interval, unit_s = split_interval(chosen.interval)
    settings = Settings(chosen.sites, check_interval, unit_s, chosen.keep, progress.quote,
                        database=chosen.database)
    lab = Lab(fresh_folder(chosen.keep), Programs.find(), settings)
    play = Play(lab, [chosen.range] if chosen.range else HALVES, progress.say)
    try:
        ok = play_demo(lab, play, chosen.keep, progress)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        ok = False
    except KeyboardInterrupt:
        ok = False
    if not ok:
        lab.kill_all()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
