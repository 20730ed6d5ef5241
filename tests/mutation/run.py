"""tools/mutate.sh: weaves the mutations into a copy of the tree, builds it once, and runs the tests that
are named for each."""
from __future__ import annotations

import concurrent.futures
import dataclasses
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import mutations
import weave

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/servers"))
import mariadb  # noqa: E402  (its folder is known only now)

TREE = ROOT / ".mutate"
# A run without an end is a fault, too; by then a test that is slow today has long ended.
FEWEST_SECONDS, TIMES_AS_LONG = 60, 10
# A case that failed has to fail again, alone, in one of so many runs: else it only fails now and then,
# and would have whatever the code does.
CONFIRMATIONS = 3
WORKSPACE = "jetmon"  # as WORKSPACE says


@dataclasses.dataclass
class Run:
    case: str  # that failed; "" if none did, or the program ended outside of one
    failed: str  # the case and how it ended; "" if all passed
    seconds: float


def parts_of(test: str) -> tuple[str, bool, str]:
    """The target of a test, whether it is run on a server, and its filter."""
    target, _, filter_ = test.partition(" ")
    return target.removesuffix(weave.ON_SERVER), target.endswith(weave.ON_SERVER), filter_


class Server:
    """A MariaDB for the tests that are run on one; each run has a database of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._server = mariadb.Single(pathlib.Path(self._folder.name), None)
        self._lock, self._made = threading.Lock(), 0
        self._server.start()

    def environment(self) -> dict[str, str]:
        with self._lock:
            self._made += 1
            name = f"mutation_{self._made}"
            mariadb.grant_all(self._server.nodes[0], name)
        return {"JETMON_TEST_DATABASE": self._server.url(name),
                "JETMON_DATABASE_PASSWORD": mariadb.PASSWORD}

    def stop(self) -> None:
        self._server.stop()
        self._folder.cleanup()


class Tree:
    """The mutated copy."""

    def __init__(self, chosen: list[weave.Mutation]):
        tests = {test for m in chosen for test in m.tests}
        self._targets = sorted({parts_of(test)[0] for test in tests})
        self._wants_server = any(parts_of(test)[1] for test in tests)
        self._server: Server | None = None

    def __enter__(self) -> "Tree":
        if self._wants_server:
            self._server = Server()
        return self

    def __exit__(self, *_) -> None:
        if self._server is not None:
            self._server.stop()

    def write(self) -> None:
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=ROOT, check=True, capture_output=True).stdout.decode()
        files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
        sources = {name: (ROOT / name).read_text(encoding="utf-8")
                   for name in files if name.endswith((".cc", ".h"))}
        woven = weave.weave(mutations.ALL, sources)
        for name in files:
            content = woven[name].encode() if name in woven else (ROOT / name).read_bytes()
            copy = TREE / name
            if copy.is_file() and copy.read_bytes() == content:
                continue  # as it is, so that nothing is built again
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            shutil.copymode(ROOT / name, copy)
        wanted = set(files)
        for folder, folders, names in os.walk(TREE):
            folders[:] = [f for f in folders if not (pathlib.Path(folder) / f).is_symlink()]
            for name in names:
                path = pathlib.Path(folder) / name
                if str(path.relative_to(TREE)) not in wanted:
                    path.unlink()

    def build(self) -> bool:
        cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")) + "/jetmon-bazel"
        return subprocess.run(["bazel", "build", "--config=mutate", "--keep_going", f"--disk_cache={cache}",
                               "--noshow_progress", "--color=no", "--", *self._targets],
                              cwd=TREE).returncode == 0

    def run(self, test: str, mutation: str, limit: float, without: list[str] | None = None,
            only: str = "") -> Run:
        """One test, with a mutation, or "" for none; without some of its cases, or one case only."""
        target, on_server, filter_ = parts_of(test)
        if without:
            filter_ = f"{filter_ or '*'}-{':'.join(without)}"
        filter_ = only or filter_
        package, _, name = target.removeprefix("//").partition(":")
        program = TREE / "bazel-bin" / package / name
        runfiles = pathlib.Path(f"{program}.runfiles")
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "TEST_TMPDIR": folder,
                           "TEST_SRCDIR": str(runfiles), "RUNFILES_DIR": str(runfiles)}
            if mutation:
                environment["JETMON_MUTATION"] = mutation
            if on_server:
                assert self._server is not None
                environment.update(self._server.environment())
            arguments = [str(program), "--gtest_color=no", "--gtest_fail_fast"]
            if filter_:
                arguments.append("--gtest_filter=" + filter_)
            began = time.monotonic()
            with tempfile.TemporaryFile() as said:
                process = subprocess.Popen(arguments, cwd=runfiles / WORKSPACE, env=environment,
                                           stdin=subprocess.DEVNULL, stdout=said, stderr=said)
                try:
                    process.wait(limit)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                seconds = time.monotonic() - began
                said.seek(0)
                text = said.read().decode(errors="replace")
        return Run(*ending(process.returncode, text, seconds >= limit), seconds)


def ending(code: int, text: str, late: bool) -> tuple[str, str]:
    failed = re.findall(r"^\[  FAILED  \] ([\w/.]+)", text, re.MULTILINE)
    begun = re.findall(r"^\[ RUN      \] ([\w/.]+)", text, re.MULTILINE)
    last = begun[-1] if begun else ""
    if failed:
        return failed[0], failed[0]
    if late:
        return last, f"{last or 'the program'} (had no end)"
    if code != 0:
        return last, f"{last or 'the program'} (ended with {code})"
    # A filter that fits nothing would let everything survive.
    return "", "" if begun else "no case (the filter fits none)"


def matching(patterns: list[str]) -> list[weave.Mutation]:
    for pattern in patterns:
        if not fnmatch.filter([m.name for m in mutations.ALL], pattern):
            sys.exit(f"tools/mutate.sh: there is no mutation {pattern}; see --list")
    return [m for m in mutations.ALL
            if not patterns or any(fnmatch.fnmatch(m.name, pattern) for pattern in patterns)]


def each_at_once(items: list, work) -> list:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(work, items))


def unmutated(tree: Tree, tests: list[str]) -> dict[str, Run]:
    runs = each_at_once(tests, lambda test: tree.run(test, "", 600))
    return dict(zip(tests, runs))


def judge(tree: Tree, mutation: weave.Mutation, before: dict[str, Run]) -> tuple[str, float]:
    """Which case killed it, "" if none did; and how long that took."""
    began = time.monotonic()
    for test in mutation.tests:
        target, on_server, _ = parts_of(test)
        limit = max(FEWEST_SECONDS, TIMES_AS_LONG * before[test].seconds)
        doubtful: list[str] = []
        while True:
            run = tree.run(test, mutation.name, limit, without=doubtful)
            if not run.failed or run.case in doubtful or (doubtful and not run.case):
                break
            if not run.case or any(tree.run(test, mutation.name, limit, only=run.case).failed
                                   for _ in range(CONFIRMATIONS)):
                return (f"{target} {run.failed}{' (on MariaDB)' if on_server else ''}",
                        time.monotonic() - began)
            doubtful.append(run.case)
            print(f"tools/mutate.sh: {target} {run.case} fails now and then", file=sys.stderr, flush=True)
    return "", time.monotonic() - began


def table(chosen: list[weave.Mutation], results: dict[str, tuple[str, float]]) -> str:
    rows = ["| mutation | what goes wrong | killed by |", "| --- | --- | --- |"]
    for m in chosen:
        killer = results[m.name][0] or f"SURVIVED{': ' + m.argued if m.argued else ''}"
        rows.append(f"| {m.name} | {m.what} | {killer} |")
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    if arguments == ["--list"]:
        for m in mutations.ALL:
            print(f"{m.name}: {m.what}")
        return 0
    chosen = matching(arguments)
    tree = Tree(chosen)
    try:
        tree.write()
    except weave.Misfit as misfit:
        print(f"tools/mutate.sh: {misfit}", file=sys.stderr)
        return 2
    if not tree.build():
        print("tools/mutate.sh: the mutated tree can't be built, see above", file=sys.stderr)
        return 2
    with tree:
        return run_all(tree, chosen)


def run_all(tree: Tree, chosen: list[weave.Mutation]) -> int:
    before = unmutated(tree, sorted({test for m in chosen for test in m.tests}))
    failing = {test: run.failed for test, run in before.items() if run.failed}
    for test, case in failing.items():
        print(f"tools/mutate.sh: {test} fails without a mutation: {case}", file=sys.stderr)
    if failing:
        return 2
    say = threading.Lock()
    results: dict[str, tuple[str, float]] = {}

    def one(m: weave.Mutation) -> None:
        killer, seconds = results[m.name] = judge(tree, m, before)
        with say:
            print(f"{m.name} {'killed by ' + killer if killer else 'SURVIVED'} ({seconds:.1f} s)", flush=True)

    each_at_once(chosen, one)
    print("\n" + table(chosen, results))
    survivors = [m for m in chosen if not results[m.name][0]]
    argued = [m for m in survivors if m.argued]
    print(f"\n{len(chosen) - len(survivors)} killed, {len(survivors)} survived, {len(argued)} of them argued")
    return 0 if len(survivors) == len(argued) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
