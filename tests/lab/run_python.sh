#!/usr/bin/env bash
# Runs a Python test with the system's Python (the one that sees Debian's packages), and writes the
# cases where Bazel wants them: run_python.sh TEST.py [ARGUMENTS]
# Bazel runs tests from the root of their files.
exec /usr/bin/python3 tests/lab/unittest_main.py "$@"
