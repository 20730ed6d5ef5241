"""The rooms of the house and who may include whom (docs/architecture.md), read from the sources."""
import re
import unittest

import sources

# Each room, longest name first, and the rooms that it may include besides itself.
MAY_INCLUDE = {
    "clock": [],
    "daemon": ["clock"],
    "probe": ["clock"],
    "store": ["clock"],
    "confirm": ["clock", "proto"],
    "monitor": ["clock", "daemon", "store", "probe", "confirm", "proto"],
    "veriflier": ["clock", "daemon", "probe", "confirm", "proto"],
    "cli": ["clock", "store", "probe", "proto"],
    "controlplane/error": ["proto"],
    "controlplane/message": ["controlplane/error", "store", "proto"],
    "controlplane/access": ["controlplane/error", "clock", "daemon", "store", "proto"],
    "controlplane/rpc": ["controlplane/access", "controlplane/error", "clock", "daemon", "store",
                         "proto"],
    "controlplane/gateway": ["controlplane/rpc", "controlplane/access", "controlplane/error",
                             "clock", "daemon", "store", "proto"],
    "controlplane/rollout": ["controlplane/error", "controlplane/message", "clock", "daemon", "store", "probe", "confirm",
                             "proto"],
    "controlplane/discovery": ["controlplane/error", "controlplane/message", "clock", "daemon", "store", "probe",
                               "confirm", "proto"],
    "controlplane/api": ["controlplane/rpc", "controlplane/access", "controlplane/error",
                         "controlplane/message",
                         "controlplane/rollout", "controlplane/discovery", "clock", "daemon",
                         "store", "probe", "confirm", "proto"],
}
# main, server, config: they wire everything.
WIRING = "controlplane"

INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
SQL = re.compile(r'"[^"\n]*\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE)\s')
HEAVY = re.compile(r'#include [<"](grpcpp/|boost/|jetmon/v1/\w+\.grpc\.pb\.h)')


def room_of(path: str) -> str:
    for room in sorted(MAY_INCLUDE, key=len, reverse=True):
        if path.startswith(room + "/"):
            return room
    if path.startswith("jetmon/v1/") or path.startswith("proto/"):
        return "proto"
    return path.split("/")[0]


def of_programs() -> list[tuple[str, str]]:
    """Path and text of every source of the rooms, tests included."""
    return [(path, text) for path, text in sources.all_files().items()
            if not path.startswith("tests/")]


def is_test(path: str) -> bool:
    """Tests, and what serves only them: they may reach further."""
    return path in sources.test_files()


class Layout(unittest.TestCase):
    def test_there_is_something_to_look_at(self):
        self.assertGreater(len(of_programs()), 100)

    def test_every_commit_of_the_rollout_has_a_name(self):
        """So that a test can kill the process at each: see controlplane/rollout/commits.h."""
        wrong = [path for path, text in of_programs()
                 if path.startswith("controlplane/rollout/") and not is_test(path)
                 and not path.endswith("/commits.cc") and re.search(r"db(_|\(\))?(->|\.)Write\(", text)]
        self.assertEqual([], wrong)

    def test_includes_follow_the_rule(self):
        wrong = []
        for path, text in of_programs():
            room = room_of(path)
            if is_test(path) or room == WIRING:
                continue
            for include in INCLUDE.findall(text):
                other = room_of(include)
                known = other in MAY_INCLUDE or other in ("proto", WIRING, "tests")
                if known and other != room and other not in MAY_INCLUDE[room]:
                    wrong.append(f"{path} includes {include}")
        self.assertEqual(wrong, [])

    def test_sql_stands_in_store_only(self):
        wrong = [path for path, text in of_programs()
                 if not path.startswith("store/") and not is_test(path) and SQL.search(text)]
        self.assertEqual(wrong, [])

    def test_grpc_and_beast_stay_out_of_headers(self):
        # The adapters to gRPC and to Beast may share a header between their .cc files.
        allowed = ("controlplane/rpc/grpc_", "controlplane/gateway/http_connection.h",
                   "controlplane/gateway/http_framing.h")
        wrong = [path for path, text in of_programs()
                 if path.endswith(".h") and not path.startswith(allowed) and HEAVY.search(text)]
        self.assertEqual(wrong, [])

    def test_files_stay_under_500_lines(self):
        wrong = [f"{path}: {text.count(chr(10))}" for path, text in of_programs()
                 if text.count("\n") > 500]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
