"""Whether the conformance suite is whole: every public function of the store's aggregates is called in
a test beside them, and every such test runs on the servers too. Read from the sources."""
import pathlib
import re
import unittest

import conformance

# The real file: its tree is the checkout, also when Bazel runs this from a folder of links.
STORE = pathlib.Path(__file__).resolve().parent.parent.parent / "store"

# Headers without functions for others: of tests, and the rows that aggregates share among them.
NOT_PUBLIC = {"adoption.h", "event_rows.h", "legacy_columns.h", "site_rows.h", "locks_fixture.h",
              "race_fixture.h", "tell_rows.h", "twins.h"}


def functions(header: str) -> list[str]:
    """The names of the functions that a header declares outside of classes."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    text = re.sub(r"^#[^\n]*(\\\n[^\n]*)*$", "", text, flags=re.MULTILINE)
    names, depth, statement = [], 0, ""
    for c in text:
        if c == "{":
            if depth > 0 or not re.match(r"\s*(inline\s+)?namespace\b", statement):
                depth += 1
            if depth == 1:
                names += named(statement)
            statement = ""
        elif c == "}":
            depth = max(0, depth - 1)
            statement = ""
        elif c == ";":
            if depth == 0:
                names += named(statement)
            statement = ""
        else:
            statement += c
    return names


def named(statement: str) -> list[str]:
    if re.match(r"\s*(using|enum|struct|class|template\s*<[^>]*>\s*(struct|class))\b", statement):
        return []
    before = statement.split("=")[0]
    found = re.search(r"[\w>&*\]]\s+[*&]?(\w+)\s*\(", before)
    return [found.group(1)] if found else []


class Suite(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.tests = {path.stem: path.read_text(encoding="utf-8")
                      for path in STORE.glob("*_test.cc")}
        self.headers = {path.name: path.read_text(encoding="utf-8") for path in STORE.glob("*.h")
                        if path.name not in NOT_PUBLIC and not path.name.startswith("test_")}

    def test_functions_are_found(self):
        self.assertEqual(
            functions("""
                namespace a::b {
                class C { int Method(int x); };
                struct S { int x = F(1); bool In() const { return true; } };
                // int InComment();
                inline constexpr char kText[] = "int InText();";
                absl::StatusOr<std::optional<C>> First(T& tx, std::string_view id);
                inline std::string Second(int x) { return Inside(x); }
                namespace c { inline constexpr int k = 1; }
                const std::vector<C>& Third(const std::function<void(int)>& f = {});
                template <typename T> Page<T> Fourth(std::vector<T> rows) { Inside(); }
                Target Fifth(const S& s);
                }"""), ["First", "Second", "Third", "Fourth", "Fifth"])

    def test_there_is_something_to_look_at(self):
        found = [name for text in self.headers.values() for name in functions(text)]
        self.assertGreater(len(found), 90)
        self.assertIn("GrantRange", found)
        self.assertIn("LegacyTime", found)

    def test_every_public_function_is_called_in_a_test(self):
        calls = "\n".join(self.tests.values())
        missing = [f"{name} of store/{header}" for header, text in sorted(self.headers.items())
                   for name in functions(text)
                   if not re.search(rf"(?<![\w:.]){name}(<[^>]*>)?\(", calls)]
        self.assertEqual(missing, [], "no store/*_test.cc calls these")

    def test_every_test_of_a_database_runs_on_the_servers(self):
        users = sorted(name for name, text in self.tests.items()
                       if re.search(r"\b(TestDatabase|IncidentTest|TellsTest|LocksFixture|RaceFixture|"
                                 r"JETMON_TEST_DATABASE)\b", text))
        self.assertEqual(users, sorted(conformance.STORE_TESTS),
                         "store/*_test.cc that make a TestDatabase; conformance.STORE_TESTS")


if __name__ == "__main__":
    unittest.main()
