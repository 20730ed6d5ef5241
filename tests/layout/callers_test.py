"""Tests call what production calls: no function that a header of a program's declares is called by
tests alone, or by nobody. One that only tests need stands beside them, in a `testonly` target."""
from __future__ import annotations

import re
import unittest

import sources

# What a test may ask of a program's class though no program does.
FOR_TESTS = {
    "routes": "controlplane/gateway/router.h: the test leads each route's path back to it",
    "RunOneJob": "controlplane/rollout/service.h: a job is run on the test's thread, by what runs it",
    "grpc_port": "controlplane/server.h: where a server that was given port 0 listens",
    "http_port": "controlplane/server.h: where a server that was given port 0 listens",
    "body_complete": "probe/http_reader.h: fuzzers hold the framing of a body to it",
}

# Before a call, these end with a word too.
KEYWORDS = {"return", "else", "case", "co_return", "throw", "delete", "new", "and", "or", "not"}
NAME = re.compile(r"\b[A-Za-z_]\w*\b")


def is_declared(code: str, begin: int, end: int) -> bool:
    """Whether the name at this place is declared or defined, and not used: a type stands before it,
    and an opening parenthesis behind."""
    if not re.match(r"\s*\(", code[end:end + 40]):
        return False
    before = re.sub(r"(?:~|\w+(?:<[^<>]*>)?\s*::\s*)+$", "", code[max(0, begin - 300):begin].rstrip())
    statement = re.split(r"[;{}(]|\b(?:public|private|protected):", before)[-1]
    words = NAME.findall(statement)
    if not words or "=" in statement or KEYWORDS & set(words):
        return False
    if statement.rstrip().endswith(("->", "&&")):
        return False
    last = statement.rstrip()[-1]
    return last in ">*&]" or last.isalnum() or last == "_"


def declared_in_headers() -> dict[str, str]:
    """The functions that the headers of the programs declare, and where."""
    found: dict[str, str] = {}
    for path in sources.all_files():
        if path in sources.test_files() or not path.endswith(".h"):
            continue
        code = sources.code_of(path)
        for name in NAME.finditer(code):
            if not is_declared(code, *name.span()):
                continue
            # Whoever has an override is called by its base's name.
            rest = re.match(r"\s*\([^;{]*", code[name.end():])
            if rest is not None and not re.search(r"\boverride\b", rest[0]):
                found.setdefault(name[0], path)
    return found


def used_in_programs(names: set[str]) -> set[str]:
    used = set()
    for path in sources.all_files():
        if path in sources.test_files():
            continue
        code = sources.code_of(path)
        used |= {name[0] for name in NAME.finditer(code)
                 if name[0] in names and name[0] not in used
                 and not is_declared(code, *name.span())}
    return used


class CallersTest(unittest.TestCase):
    maxDiff = None

    def test_a_declaration_is_told_from_a_use(self) -> None:
        for code in ("int Name(int x);", "absl::StatusOr<std::vector<A>> Name(T& tx);",
                     "const A& Name() const;", "A* Room::Name(int x) {", "}\nvoid Name() {",
                     "public: void Name();", "static bool Name(B b);", "std::optional<A>\nName(B b);"):
            with self.subTest(code):
                at = code.index("Name")
                self.assertTrue(is_declared(code, at, at + 4))
        for code in ("return Name(x);", "a = Name(x);", "a->Name(x);", "a.Name(x);", "F(Name(x));",
                     "else Name();", "const int b = Room::Name(x);", "F(&Name);", "} Name(x);",
                     "if (a && Name(x)) {", "auto f = std::bind(Name, x);", "{ Name(); }",
                     "*a = b + Name(x);", "case 1: Name(x);", "!Name(x)"):
            with self.subTest(code):
                at = code.index("Name")
                self.assertFalse(is_declared(code, at, at + 4))

    def test_there_is_something_to_look_at(self) -> None:
        declared = declared_in_headers()
        self.assertGreater(len(declared), 900)
        self.assertIn("GrantRange", declared)
        self.assertIn("LookAtGate", declared)
        self.assertIn("store/test_sites.h", sources.test_files())
        self.assertNotIn("store/sites.h", sources.test_files())

    def test_every_function_has_a_caller_that_is_no_test(self) -> None:
        declared = declared_in_headers()
        used = used_in_programs(set(declared))
        idle = {name: path for name, path in declared.items() if name not in used}
        self.assertEqual({n: p for n, p in idle.items() if n not in FOR_TESTS}, {},
                         "only tests call these, or nobody")
        self.assertEqual(sorted(set(FOR_TESTS) - set(idle)), [], "these need no exception any more")


if __name__ == "__main__":
    unittest.main()
