#!/usr/bin/env python3
"""Counts test cases from a Bazel build event file, and prints `N passed, N failed`.

    count_tests.py EVENTS.json BAZEL_EXIT_STATUS

Exits 1 if a test failed, if Bazel failed otherwise, or if no test ran.
"""
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def cases(result: dict) -> tuple[int, int]:
    """Passed and failed test cases of one test target's run."""
    passed = failed = 0
    for output in result.get("testActionOutput", []):
        if output["name"] != "test.xml":
            continue
        path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
        try:
            root = ElementTree.parse(path).getroot()
        except (OSError, ElementTree.ParseError):
            continue
        for case in root.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.get("status") != "notrun" and case.find("skipped") is None:
                passed += 1
    if result["status"] != "PASSED" and failed == 0:
        failed = 1  # it crashed or ran out of time before it could say which case
    return (max(passed, 1) if failed == 0 else passed), failed


def main() -> int:
    passed = failed = 0
    bad = []
    with open(sys.argv[1], encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testResult" not in event:
                continue
            p, f = cases(event["testResult"])
            passed += p
            failed += f
            if f:
                bad.append(event["id"]["testResult"]["label"])
    status = int(sys.argv[2])
    if status not in (0, 3, 4):
        print(f"the build failed (bazel exit {status}), see above")
        failed = max(failed, 1)
    for label in sorted(set(bad)):
        print(f"failed: {label}")
    if passed + failed == 0:
        print("no test ran")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
