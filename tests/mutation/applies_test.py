"""Each mutation of tools/mutate.sh still fits the sources: a list that does not is worth nothing."""
import functools
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).absolute().parent
# The real file: its tree is the checkout, also when Bazel runs this from a folder of links.
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(HERE))
import mutations  # noqa: E402  (its folder is known only now)
import weave  # noqa: E402

FEWEST = 60


@functools.cache
def sources() -> dict[str, str]:
    """What is mutated, and all of the store, for the statements."""
    store = [path.relative_to(ROOT).as_posix() for path in (ROOT / "store").rglob("*.cc")]
    return {file: (ROOT / file).read_text(encoding="utf-8")
            for file in sorted({*store, *weave.files_of(mutations.ALL)})}


class EachMutation(unittest.TestCase):
    pass


def fits(mutation: weave.Mutation):
    def test(self: unittest.TestCase) -> None:
        read = sources()
        for edit in mutation.edits:
            if edit.kind == "sql":
                weave.check_sql(edit, read)
            else:
                weave.place(edit, read[edit.file])
    return test


for each in mutations.ALL:
    setattr(EachMutation, "test_" + each.name.replace("-", "_"), fits(each))


class AllMutations(unittest.TestCase):
    def test_are_enough_and_woven_into_one_tree(self) -> None:
        self.assertGreaterEqual(len(mutations.ALL), FEWEST)
        read = sources()
        woven = weave.weave(mutations.ALL, read)
        for mutation in mutations.ALL:
            with self.subTest(mutation.name):
                self.assertIn(f'"{mutation.name}"', "".join(woven.values()))
        for file, text in woven.items():
            self.assertNotEqual(text, read[file])

    def test_stand_in_the_table_of_results(self) -> None:
        page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
        table = page[page.index("| mutation |"):].splitlines()[2:]
        self.assertEqual([m.name for m in mutations.ALL],
                         [row.split("|")[1].strip() for row in table if row.startswith("|")])

    def test_production_code_knows_of_none(self) -> None:
        for file, text in sources().items():
            self.assertNotIn("JETMON_MUTA", text, file)


class Weaving(unittest.TestCase):
    def woven(self, source: str, *edits: weave.Edit) -> str:
        made = [weave.Mutation(f"m{i}", "", [edit], ["//x"]) for i, edit in enumerate(edits)]
        return weave.weave_file(made, "a.cc", source).split("#line 1\n")[1]

    def test_an_expression_is_chosen_at_run_time(self) -> None:
        self.assertEqual('if ((JETMON_MUTANT("m0") ? (false) : (a <  b))) {',
                         self.woven("if (a <  b) {", weave.swap("a.cc", "a < b", "false")))

    def test_two_may_share_a_text(self) -> None:
        self.assertEqual('(JETMON_MUTANT("m1") ? (2) : ((JETMON_MUTANT("m0") ? (1) : (x))));',
                         self.woven("x;", weave.swap("a.cc", "x", "1"), weave.swap("a.cc", "x", "2")))

    def test_what_overlaps_is_refused(self) -> None:
        with self.assertRaises(weave.Misfit):
            self.woven("a + b;", weave.swap("a.cc", "a + b", "1"), weave.swap("a.cc", "b", "2"))

    def test_a_text_must_occur_once(self) -> None:
        for source in ("y;", "x; x;"):
            with self.assertRaises(weave.Misfit):
                self.woven(source, weave.swap("a.cc", "x", "1"))
        self.assertIn("? (1)", self.woven("x; if (x) {", weave.swap("a.cc", "x", "1", within="if (x)")))

    def test_what_is_inserted_asks_whether_it_is_in_force(self) -> None:
        self.assertIn('if (JETMON_MUTANT("m0")) return;',
                      self.woven("f() {", weave.insert("a.cc", "f() {", "if (MUTANT) return;")))
        with self.assertRaises(weave.Misfit):
            self.woven("f() {", weave.insert("a.cc", "f() {", "return;"))

    def test_a_statement_stands_once_in_the_store(self) -> None:
        edit = weave.sql("store/a.cc", "WHERE a = ? AND b = ?", "b = ?", "1 = 1")
        split = '"UPDATE t WHERE a = ? "\n    "AND b = ?"'
        weave.check_sql(edit, {"store/a.cc": split})
        for read in ({"store/a.cc": split + split}, {"store/a.cc": "x"},
                     {"store/a.cc": split, "store/b.cc": split}):
            with self.assertRaises(weave.Misfit):
                weave.check_sql(edit, read)


if __name__ == "__main__":
    unittest.main()
