#!/usr/bin/env python3
"""Checks the models of this folder with Spin, and compares with what cases.txt expects. The way in
for people is tools/model.sh, which says how.
"""
from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
USAGE = """\
usage: tools/model.sh [WORD...]                 every case of tests/model/cases.txt (whose line has
                                                all the words); exits 1 if one is not as expected
       tools/model.sh trace MODEL.pml [-DFLAG=VALUE...]
                                                a shortest counterexample, in words
       tools/model.sh trace live MODEL.pml [-DFLAG=VALUE...]
                                                a run in which what must happen never does
"""
KINDS = ("safe", "live", "bits")
MEMORY_MB = 6000  # of one search, at most
BITS_SECONDS = 120  # of processor time, for one bitstate search
BITS = 33           # its hash array has 2^BITS bits
_COMPILE = {
    # Breadth first: a counterexample is a shortest one.
    "safe": ["-DSAFETY", "-DBFS", "-DCOLLAPSE"],
    "live": ["-DCOLLAPSE", "-DNFAIR=3"],
    "bits": ["-DSAFETY", "-DBITSTATE"],
}
_RUN = {
    "safe": ["-w22"],
    "live": ["-a", "-f", "-m1000000", "-w22"],
    "bits": [f"-w{BITS}", "-k3", "-m100000"],
}
_MINE = "x.pml"  # what a model is called where it is checked


@dataclasses.dataclass(frozen=True)
class Case:
    want: str  # holds, broken
    kind: str  # of KINDS
    quick: bool
    model: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.kind, self.model) + self.flags)

    def matches(self, words: list[str]) -> bool:
        line = f"{self.want} {self} {'quick' if self.quick else 'slow'}"
        return all(word in line for word in words)


@dataclasses.dataclass(frozen=True)
class Result:
    got: str  # holds, broken, or what went wrong
    states: float = 0
    depth: int = 0
    seconds: float = 0
    coverage: str = ""  # of a bitstate search

    def __str__(self) -> str:
        return (f"{self.got:7} {self.states:12,.0f} states, depth {self.depth:6}, "
                f"{self.seconds:5.1f} s{self.coverage}")


def parse_cases(text: str) -> list[Case]:
    """The cases of a text like cases.txt. ValueError names a line that is none."""
    cases = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if (len(words) < 4 or words[0] not in ("holds", "broken") or words[1] not in KINDS
                or words[2] not in ("quick", "slow") or not words[3].endswith(".pml")):
            raise ValueError(f"line {number}: not `holds|broken {'|'.join(KINDS)} quick|slow "
                             f"MODEL.pml [-DFLAG=VALUE...]`: {line}")
        cases.append(Case(words[0], words[1], words[2] == "quick", words[3], tuple(words[4:])))
    return cases


def cases() -> list[Case]:
    return parse_cases((HERE / "cases.txt").read_text(encoding="utf-8"))


def switches(model: str) -> set[str]:
    """The macros of a model that a flag may set: those it defines unless they are."""
    text = (HERE / model).read_text(encoding="utf-8")
    return set(re.findall(r"^#ifndef (\w+)\n#define \1 ", text, re.MULTILINE))


def unknown_flags(case: Case) -> list[str]:
    """Flags of a case that its model does not know: they would change nothing."""
    known = switches(case.model)
    return [flag for flag in case.flags
            if not (match := re.fullmatch(r"-D(\w+)=(\w+)", flag)) or match[1] not in known]


def missing_tools() -> list[str]:
    return [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]


def _judge(kind: str, log: str) -> str:
    """What a verifier's output says."""
    error = re.search(r"^pan:\d+: (.*)", log, re.MULTILINE)
    if error:
        why = error[1]
        if "max search depth too small" in why:
            return "unfinished: the search depth does not suffice"
        if kind == "live" and "acceptance cycle" in why:
            return "broken"
        # The model's own limit is no rule of the protocol.
        if kind != "live" and "assertion violated" in why and "<=NE" not in why.replace(" ", ""):
            return "broken"
        return f"unfinished: {why}"
    if "errors: 0" not in log:
        return "unfinished: " + log.strip()[-300:]
    stopped = "Search not completed" in log or "max search depth too small" in log
    if stopped and kind != "bits":
        return "unfinished"
    return "holds"


def _number(pattern: str, log: str) -> float:
    match = re.search(pattern, log)
    return float(match[1]) if match else 0


def _seconds() -> float:
    """Of processor time, by this process's children so far."""
    times = os.times()
    return times.children_user + times.children_system


def _verify(kind: str, folder: pathlib.Path) -> str:
    """What the verifier says. A bitstate search is asked to stop when it had its time."""
    with open(folder / "log", "w+", encoding="utf-8") as log:
        with subprocess.Popen(["./pan", *_RUN[kind]], cwd=folder, stdout=log,
                              stderr=subprocess.STDOUT) as verifier:
            while kind == "bits" and verifier.poll() is None:
                stat = pathlib.Path(f"/proc/{verifier.pid}/stat").read_text(encoding="ascii")
                ticks = sum(int(n) for n in stat.rsplit(")", 1)[1].split()[11:13])
                if ticks > BITS_SECONDS * os.sysconf("SC_CLK_TCK"):
                    verifier.send_signal(signal.SIGINT)
                    break
                time.sleep(0.2)
        log.seek(0)
        return log.read()


def run(kind: str, model: str, flags: tuple[str, ...], folder: pathlib.Path,
        long: bool = True) -> Result:
    """Makes the verifier in `folder`, an empty one, and runs it there. `long`: the search will be
    longer than making it fast."""
    shutil.copy(HERE / model, folder / _MINE)
    began = _seconds()
    live = ["-DLIVE"] if kind == "live" else []
    for command in (["spin", "-a", *live, *flags, _MINE],
                    ["gcc", "-w", "-O2" if long else "-O0", *_COMPILE[kind],
                     f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"]):
        made = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if made.returncode != 0 or "Error:" in made.stdout:
            return Result(f"unfinished: {command[0]}: {made.stdout.strip()}")
    log = _verify(kind, folder)
    factor = re.search(r"hash factor: ([\d.e+]+)", log)
    return Result(_judge(kind, log), _number(r"([\d.e+]+) states, stored", log),
                  int(_number(r"depth reached (\d+)", log)), _seconds() - began,
                  f", hash factor {factor[1]}" if factor else "")


def check(case: Case) -> Result:
    with tempfile.TemporaryDirectory(prefix="jetmon-model-") as folder:
        return run(case.kind, case.model, case.flags, pathlib.Path(folder),
                   long=case.want == "holds")


def trace(kind: str, model: str, flags: tuple[str, ...]) -> int:
    with tempfile.TemporaryDirectory(prefix="jetmon-model-") as folder:
        path = pathlib.Path(folder)
        result = run(kind, model, flags, path)
        print(result)
        trail = path / f"{_MINE}.trail"
        if result.got != "broken" or not trail.exists():
            return 0 if result.got == "holds" else 1
        live = ["-DLIVE"] if kind == "live" else []
        told = subprocess.run(["spin", *live, *flags, "-B", "-k", trail.name, "-t", _MINE],
                              cwd=path, text=True, stdout=subprocess.PIPE, check=False).stdout
    steps = [line.strip() for line in told.splitlines()
             if re.match(r" +(?!processes)\S", line) and not re.match(r" *(\d+:|ltl )", line)]
    for number, step in enumerate(steps, 1):
        print(f"{number:4}  {step}")
    return 0


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if missing := missing_tools():
        print(f"tools/model.sh: {' and '.join(missing)} must be installed: run tools/setup.sh",
              file=sys.stderr)
        return 2
    if arguments and arguments[0] == "trace":
        rest = arguments[1:]
        kind = rest.pop(0) if rest and rest[0] == "live" else "safe"
        if not rest or not (HERE / rest[0]).is_file():
            print(USAGE, end="", file=sys.stderr)
            return 2
        case = Case("broken", kind, False, rest[0], tuple(rest[1:]))
        if unknown := unknown_flags(case):
            print(f"tools/model.sh: {case.model} has no switch {' '.join(unknown)}; it has "
                  f"{' '.join(sorted(switches(case.model)))}", file=sys.stderr)
            return 2
        return trace(kind, case.model, case.flags)
    if options := [a for a in arguments if a.startswith("--")]:
        print(f"tools/model.sh: unknown option {options[0]}; see --help", file=sys.stderr)
        return 2
    chosen = [case for case in cases() if case.matches(arguments)]
    if not chosen:
        print("tools/model.sh: no case has these words", file=sys.stderr)
        return 2
    os.nice(10)
    good = 0
    for number, case in enumerate(chosen, 1):
        unknown = unknown_flags(case)
        result = Result(f"no such switch: {' '.join(unknown)}") if unknown else check(case)
        good += result.got == case.want
        verdict = "" if result.got == case.want else f"  NOT AS EXPECTED: {case.want}"
        print(f"[{number}/{len(chosen)}] {result}  {case}{verdict}", flush=True)
    print(f"{good} as expected, {len(chosen) - good} not")
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
