"""Runs the unittest cases of one file, and writes their outcome (passed, failed, skipped) as XML to
where XML_OUTPUT_FILE names a file, as Bazel does. A file without a case fails.

    unittest_main.py TEST.py [NAMES of cases]
"""
from __future__ import annotations

import importlib.util
import io
import os
import pathlib
import sys
import unittest

import xmlrunner


def load(path: pathlib.Path, names: list[str]) -> unittest.TestSuite:
    """The cases of the file, or those named."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if names:
        return unittest.defaultTestLoader.loadTestsFromNames(names, module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main() -> int:
    suite = load(pathlib.Path(sys.argv[1]).absolute(), sys.argv[2:])
    report = io.BytesIO()
    result = xmlrunner.XMLTestRunner(output=report, verbosity=2).run(suite)
    if os.environ.get("XML_OUTPUT_FILE"):
        pathlib.Path(os.environ["XML_OUTPUT_FILE"]).write_bytes(report.getvalue())
    if suite.countTestCases() == 0:
        print(f"{sys.argv[1]} has no test case", file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
