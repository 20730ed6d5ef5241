"""docs/rollout-api.md shows what the programs really answer: its story is told again, with real
processes, and the page made of it compared. To update the page, run

    tools/docs.sh
"""
from __future__ import annotations

import difflib
import os
import pathlib
import re
import unittest

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from api_docs import page
from api_docs.entries import ENTRIES
from api_docs.exchange import Exchange
from api_docs.script import Script
from lab_case import LabCase

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs/rollout-api.md"
SERVICE = "RolloutService/"


def rest_paths(descriptors: str) -> dict[str, str]:
    """RolloutService's calls and their REST paths, such as `GET /api/v1/rollout/status`."""
    files = descriptor_pb2.FileDescriptorSet()
    files.ParseFromString(pathlib.Path(descriptors).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    factory.GetMessages([file.name for file in files.file])  # knows the options from now on
    http = pool.FindExtensionByName("google.api.http")
    options = factory.GetPrototype(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))
    paths = {}
    for method in pool.FindServiceByName("jetmon.v1.RolloutService").methods:
        rule = options.FromString(method.GetOptions().SerializeToString()).Extensions[http]
        verb = rule.WhichOneof("pattern")
        paths[method.name] = f"{verb.upper()} {getattr(rule, verb)}"
    return paths


class ApiDocsTest(LabCase):
    SITES = 32

    def test_the_page_is_what_happens(self) -> None:
        lab = self.lab
        lab.start_all(down=[3])
        lab.wait_checked("v1", 0, 511, since=0)
        script = Script(lab)
        script.tell()
        exchanges = script.record.exchanges
        self.assertEqual([e.key for e in exchanges], list(ENTRIES))
        with self.subTest("every call that works is shown, as what it is"):
            self.assert_calls(exchanges)
        with self.subTest("the commands are there"):
            for exchange in exchanges:
                self.assert_command(exchange)
        lab.wait_at_rest()
        self.assert_judged_ok()
        self.assert_page(page.make(exchanges))

    def assert_calls(self, exchanges: list[Exchange]) -> None:
        features = {f.removeprefix(SERVICE) for f in exchanges[0].answer[0]["features"]
                    if f.startswith(SERVICE)}
        self.assertEqual(features, {entry.rpc for entry in ENTRIES.values()})
        paths = rest_paths(self.lab.programs.path("proto/jetmon_gen.protoset"))
        for exchange in exchanges:
            self.assertEqual(page.template_of(exchange), paths[ENTRIES[exchange.key].rpc],
                             exchange.key)

    def assert_command(self, exchange: Exchange) -> None:
        """The command asks for what the exchange did, and has the flags that the page gives it, and
        none for what the page says it has not."""
        entry = ENTRIES[exchange.key]
        words = "api rollout " + re.split(r" [{-]", entry.command)[0]
        self.assertIn(f"{words}  {page.template_of(exchange)}\n",
                      self.lab.tool("api", "commands") + "\n")
        usage = self.lab.tool(*words.split(), "--help")
        self.assertIn(f"Usage: jetmon2 {words} ", usage)
        offered = set(re.findall(r"^  (--[a-z-]+)", usage, re.MULTILINE))
        typed = set(re.findall(r" (--[a-z-]+)", page.command_of(entry, exchange)))
        self.assertLessEqual(typed, offered, exchange.key)
        self.assertEqual(offered & {page.flag_of(name) for name in entry.no_flag}, set())

    def assert_page(self, made: str) -> None:
        if os.environ.get("JETMON_UPDATE_DOCS") == "1":
            PAGE.write_text(made, encoding="utf-8")
        there = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        difference = "\n".join(difflib.unified_diff(
            there.splitlines(), made.splitlines(), "docs/rollout-api.md", "as it is now", "", "",
            3, ""))
        if difference:
            self.fail("docs/rollout-api.md is not what happens; tools/docs.sh writes it:\n" +
                      difference)


if __name__ == "__main__":
    unittest.main()
