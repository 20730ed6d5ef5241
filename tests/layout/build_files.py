"""The targets of the checkout, read from its BUILD files: those are run here, with rules that only
note what they are given. Macros are run as they stand in their .bzl files."""
from __future__ import annotations

import dataclasses
import fnmatch
import pathlib
import re
from collections.abc import Callable


@dataclasses.dataclass
class Target:
    rule: str
    package: str
    name: str
    srcs: list[str]  # paths from the root, of headers too
    deps: list[str]  # labels
    tags: list[str]
    testonly: bool

    @property
    def label(self) -> str:
        return f"//{self.package}:{self.name}"


class Native:
    """Every rule, whatever its name."""

    def __init__(self, note: Callable[..., None]):
        self._note = note

    def __getattr__(self, rule: str) -> Callable[..., None]:
        return lambda **kwargs: self._note(rule, **kwargs)


class Scope(dict):
    """The names of a BUILD file: a rule unless it is known."""

    def __init__(self, native: Native, **known: object):
        super().__init__(known, native=native)

    def __missing__(self, name: str) -> object:
        if hasattr(__builtins__, name) or isinstance(__builtins__, dict) and name in __builtins__:
            raise KeyError(name)
        return getattr(self["native"], name)


class Reader:
    def __init__(self, root: pathlib.Path):
        self._root = root
        self.targets: dict[str, Target] = {}

    def read(self, package: str) -> None:
        folder = self._root / package
        native = Native(lambda rule, **kwargs: self._note(package, rule, **kwargs))

        def glob(include: list[str], exclude: tuple[str, ...] = ()) -> list[str]:
            found = []
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                # Not of a package below.
                below = [p for p in path.relative_to(folder).parents if p.name]
                if any((folder / p / "BUILD.bazel").exists() for p in below) or path.is_dir():
                    continue
                if (any(fnmatch.fnmatch(name, i) for i in include)
                        and not any(fnmatch.fnmatch(name, e) for e in exclude)):
                    found.append(name)
            return found

        scope = Scope(native, glob=glob, package=lambda **_: None, licenses=lambda *_: None,
                      exports_files=lambda *_, **__: None, package_name=lambda: package,
                      select=lambda choices: next(iter(choices.values())))

        def load(file: str, *names: str, **renamed: str) -> None:
            match = re.fullmatch(r"//([\w/.-]*):([\w.]+\.bzl)", file)
            if match is None:
                return  # of another repository: a rule
            module = Scope(native)
            exec((self._root / match[1] / match[2]).read_text(encoding="utf-8"), module)
            for name in names:
                scope[name] = module[name]
            for new, old in renamed.items():
                scope[new] = module[old]

        scope["load"] = load
        exec((folder / "BUILD.bazel").read_text(encoding="utf-8"), scope)

    def _note(self, package: str, rule: str, **kwargs: object) -> None:
        def labels(value: object) -> list[str]:
            return [self._absolute(package, v) for v in value] if isinstance(value, list) else []

        srcs = [label[2:].replace(":", "/") for key in ("srcs", "hdrs")
                for label in labels(kwargs.get(key))]
        target = Target(rule, package, str(kwargs.get("name", "")), srcs,
                        labels(kwargs.get("deps")), list(kwargs.get("tags") or []),
                        bool(kwargs.get("testonly")) or rule.endswith("_test"))
        self.targets[target.label] = target

    @staticmethod
    def _absolute(package: str, label: str) -> str:
        if label.startswith("@"):
            return label
        if not label.startswith("//"):
            return f"//{package}:{label.removeprefix(':')}"
        return label if ":" in label else f"{label}:{label.split('/')[-1]}"


def read_targets(root: pathlib.Path, rooms: list[str]) -> dict[str, Target]:
    """The targets of every package in these folders, by label."""
    reader = Reader(root)
    for room in rooms:
        for file in sorted((root / room).rglob("BUILD.bazel")):
            reader.read(file.parent.relative_to(root).as_posix())
    return reader.targets
