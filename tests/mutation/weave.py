"""Mutations as data, and how they are woven into a copy of the tree.

A mutation is one or more edits. An edit names a file and a text that must occur exactly once in it
(runs of white space count as one space, so that a reformatted file keeps its mutations), and is one of

    swap(file, old, new, within="")   an expression: `new` instead of `old`; with `within`, a text that
                                      has `old` once and says which `old` is meant
    insert(file, after, text)         statements behind `after`; MUTANT in them is the condition
    sql(file, within, old, new)       of a statement of the store: `within` is a piece of one string
                                      literal (adjacent literals are one), `old` stands once in it

All of them are woven into one tree, in which JETMON_MUTATION=name chooses at run time: expressions
become `(JETMON_MUTANT("name") ? (new) : (old))`; statements are rewritten where store/sql hands them
to the driver, so that a piece must stand in one place of the store. Mutations may change the very same
text; otherwise edits of a file must not overlap.
"""
from __future__ import annotations

import dataclasses
import json
import pathlib
import re

HERE = pathlib.Path(__file__).absolute().parent
# Where SQL is rewritten: before anybody sees it.
SQL_FILE = "store/sql/database.cc"
SQL_HOOK = "void Observe(std::string_view sql, Params params) const {"
SQL_HOOKED = "void Observe(std::string_view& sql, Params params) const {\n    sql = MutatedSql(sql);"
CONDITION = "MUTANT"
# Behind the target of a test: it is run on a MariaDB.
ON_SERVER = "@mariadb"


class Misfit(Exception):
    """A mutation does not fit the sources any more."""


@dataclasses.dataclass(frozen=True)
class Edit:
    kind: str  # swap, insert, sql
    file: str
    within: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Mutation:
    name: str
    what: str  # what goes wrong, for the table
    edits: list[Edit]
    # Bazel targets; with @mariadb, on a server; with a GoogleTest filter behind a space, if not all of
    # the cases are meant.
    tests: list[str]
    argued: str = ""  # why it may survive


def swap(file: str, old: str, new: str, within: str = "") -> Edit:
    return Edit("swap", file, within or old, old, new)


def insert(file: str, after: str, text: str) -> Edit:
    return Edit("insert", file, after, "", text)


def sql(file: str, within: str, old: str, new: str) -> Edit:
    return Edit("sql", file, within, old, new)


def joined(source: str) -> str:
    """C++ with adjacent string literals made one."""
    return re.sub(r'"\s*\n\s*"', "", source)


def only(text: str, piece: str, where: str) -> tuple[int, int]:
    """Where the one occurrence of `piece` begins and ends."""
    pattern = r"\s+".join(re.escape(word) for word in piece.split())
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        raise Misfit(f"{where}: occurs {len(found)} times instead of once: {piece}")
    return found[0].span()


def place(edit: Edit, source: str) -> tuple[int, int]:
    """The span of the source that an edit replaces; empty for an insertion."""
    begin, end = only(source, edit.within, edit.file)
    if edit.kind == "insert":
        return end, end
    first, last = only(source[begin:end], edit.old, f"{edit.file}, in `{edit.within}`")
    return begin + first, begin + last


def check_sql(edit: Edit, sources: dict[str, str]) -> None:
    """Raises Misfit unless the statement is in that file once, and in no other one of the store."""
    only(edit.within, edit.old, f"{edit.file}, in `{edit.within}`")
    for file, source in sources.items():
        if not file.startswith("store/"):
            continue
        count = joined(source).count(edit.within)
        if count != (1 if file == edit.file else 0):
            raise Misfit(f"{file}: occurs {count} times, and stands for {edit.file}: {edit.within}")


def choice(name: str, edit: Edit, otherwise: str) -> str:
    """What stands instead of the text of an edit, which is `otherwise` if the mutation is not in force."""
    condition = f'JETMON_MUTANT("{name}")'
    if edit.kind == "swap":
        return f"({condition} ? ({edit.new}) : ({otherwise}))"
    if CONDITION not in edit.new:
        raise Misfit(f"{name}: what is inserted does not ask whether it is in force")
    return otherwise + "\n" + edit.new.replace(CONDITION, condition) + "\n"


def preamble(mutations: list[Mutation], file: str) -> str:
    text = (HERE / "mutant.h").read_text(encoding="utf-8")
    if file != SQL_FILE:
        return text
    rows = "".join(
        "    {%s, %s, %s},\n" % (json.dumps(m.name), json.dumps(e.within),
                                 json.dumps(e.within.replace(e.old, e.new)))
        for m in mutations for e in m.edits if e.kind == "sql")
    return (text + "struct MutatedText {\n  const char *name, *text, *instead;\n};\n"
            "static constexpr MutatedText kMutatedSql[] = {\n" + rows + "};\n"
            + (HERE / "mutated_sql.h").read_text(encoding="utf-8"))


def weave_file(mutations: list[Mutation], file: str, source: str) -> str:
    pieces: dict[tuple[int, int], str] = {}  # by span, which several mutations may share
    for m in mutations:
        for e in m.edits:
            if e.file == file and e.kind != "sql":
                span = place(e, source)
                pieces[span] = choice(m.name, e, pieces.get(span, source[span[0]:span[1]]))
    if file == SQL_FILE:
        pieces[only(source, SQL_HOOK, file)] = SQL_HOOKED
    text, at = "", 0
    for (begin, end), piece in sorted(pieces.items()):
        if begin < at:
            raise Misfit(f"{file}: two mutations change a part of the same text: {source[begin:end]}")
        text += source[at:begin] + piece
        at = end
    return preamble(mutations, file) + "#line 1\n" + text + source[at:]


def files_of(mutations: list[Mutation]) -> list[str]:
    """The files that are mutated, or whose statements are."""
    return sorted({e.file for m in mutations for e in m.edits} | {SQL_FILE})


def weave(mutations: list[Mutation], sources: dict[str, str]) -> dict[str, str]:
    """The mutated files, by name, out of `sources`: those of files_of, or more."""
    names = [m.name for m in mutations]
    for name in names:
        if names.count(name) > 1:
            raise Misfit(f"two mutations are called {name}")
    changed = {SQL_FILE}
    for m in mutations:
        if not m.edits or not m.tests:
            raise Misfit(f"{m.name}: has no edit, or no test")
        for e in m.edits:
            if e.file not in sources:
                raise Misfit(f"{m.name}: there is no {e.file}")
            if e.kind == "sql":
                check_sql(e, sources)
            else:
                changed.add(e.file)
    return {file: weave_file(mutations, file, sources[file]) for file in sorted(changed)}
