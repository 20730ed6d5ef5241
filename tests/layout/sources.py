"""The sources of the checkout, for tests that judge them. They are read where they really are: such
a test is `external`, so that Bazel runs it each time, whatever changed."""
from __future__ import annotations

import functools
import pathlib
import re

import build_files

# The real file: its tree is the checkout, also when Bazel runs this from a folder of links.
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The rooms of the programs.
ROOMS = ["cli", "clock", "confirm", "controlplane", "daemon", "monitor", "probe", "store", "veriflier"]

# Comments and literals, whichever begins first.
IGNORED = re.compile(r"""//[^\n]*|/\*(?:.|\n)*?\*/|R"(\w*)\((?:.|\n)*?\)\1"|"""
                     r""""(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""")


@functools.cache
def all_files() -> dict[str, str]:
    """The text of each C++ source of the rooms and of tests/, by its path from the root."""
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
            for room in [*ROOMS, "tests"] for path in sorted((ROOT / room).rglob("*"))
            if path.suffix in (".cc", ".h")}


@functools.cache
def targets() -> dict[str, build_files.Target]:
    return build_files.read_targets(ROOT, [*ROOMS, "tests"])


@functools.cache
def test_files() -> frozenset[str]:
    """Tests, and what serves only them: sources of targets that no program may depend on."""
    of_tests = {path for t in targets().values() if t.testonly for path in t.srcs}
    return frozenset(path for path in all_files() if path in of_tests or path.startswith("tests/"))


@functools.cache
def code_of(path: str) -> str:
    """Without comments, literals, and what the preprocessor reads but for the bodies of macros."""
    text = IGNORED.sub(lambda m: "" if m[0].startswith("/") else " 0 ", all_files()[path])
    text = re.sub(r"^\s*#\s*define\s+\w+(\([^)]*\))?", ";", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    return text.replace("\\\n", "\n")
