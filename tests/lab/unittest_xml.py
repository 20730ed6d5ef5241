"""Runs the unittest cases of one file, and writes XML_OUTPUT_FILE as Bazel wants it.

    unittest_xml.py TEST.py [ARGUMENTS of unittest]
"""
from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree


class Recorder(unittest.TextTestResult):
    """Prints as unittest does, and keeps each case's outcome and time."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases: list[tuple[str, float, str]] = []
        self._started = 0.0

    def startTest(self, test):  # noqa: N802 (unittest's name)
        self._started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):  # noqa: N802
        text = "\n".join(why for case, why in self.failures + self.errors
                         if case.id() == test.id() or getattr(case, "test_case", None) is test)
        self.cases.append((test.id(), time.monotonic() - self._started, text))
        super().stopTest(test)


def write_xml(path: str, name: str, result: Recorder) -> None:
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(result.cases)))
    for case, seconds, text in result.cases:
        element = ElementTree.SubElement(suite, "testcase", name=case, time=f"{seconds:.3f}")
        if text:
            ElementTree.SubElement(element, "failure", message="failed").text = text
    # What failed before a case began (a module's or class's setup).
    known = {case for case, _, _ in result.cases}
    for test, text in result.errors:
        if test.id() not in known and not hasattr(test, "test_case"):
            element = ElementTree.SubElement(suite, "testcase", name=test.id())
            ElementTree.SubElement(element, "failure", message="failed").text = text
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main() -> int:
    path = pathlib.Path(sys.argv[1]).absolute()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if len(sys.argv) > 2:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:], module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Recorder).run(suite)
    if os.environ.get("XML_OUTPUT_FILE"):
        write_xml(os.environ["XML_OUTPUT_FILE"], path.stem, result)
    return 0 if result.wasSuccessful() and result.cases else 1


if __name__ == "__main__":
    sys.exit(main())
