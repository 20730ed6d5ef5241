#include "cli/findings.h"

#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

Json Parse(const char* text) { return *Json::Parse(text); }

TEST(Findings, NameBlockersFirst) {
  const auto lines = Findings(Parse(R"({
    "warnings": [{"code": "w", "text": "careful", "action": ""}],
    "blockers": [{"code": "evidence_missing", "text": "no smoke", "action": "run smoke"}],
    "next_action": "plan seed",
    "preflight": {"items": [{"name": "owner", "status": "ok", "text": "one"}], "active_sites": "7"}
  })"));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "BLOCKED evidence_missing: no smoke -> run smoke");
  EXPECT_EQ(lines[1], "warning w: careful");
  EXPECT_EQ(lines[2], "ok  owner: one");
  EXPECT_EQ(lines[3], "active_sites=7");
  EXPECT_EQ(lines[4], "next: plan seed");
}

TEST(Figures, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(Figures(Parse(R"({"b": 2, "a": "x", "c": "", "d": null, "e": ["p", "q"], "f": {}})")),
            "a=x b=2 e=p,q");
}

TEST(Table, ShowsRowsInColumns) {
  EXPECT_EQ(Table(Parse(R"({"jobs": [{"id": "j1", "state": "running"},
                                     {"id": "j22", "state": "queued"}], "next_page_token": ""})")),
            "jobs:\nid   state\nj1   running\nj22  queued\n");
}

TEST(Table, ShowsAnOperationAsItsFindings) {
  const std::string text = Table(Parse(R"({"operation": "seed", "status": "ok", "blockers": [],
                                           "summary": "2 sites", "confirmation_token": "jmr_1"})"));
  EXPECT_EQ(text, "seed: ok\n2 sites\nconfirmation_token: jmr_1\n");
}

TEST(Table, OfATimelineHasALineAnEntry) {
  const std::string table = Table(*Json::Parse(
      R"({"run_id":"rol_1","entries":[)"
      R"({"at":"2023-11-14T22:13:20Z","kind":"session","text":"opened","consumer":"ann"},)"
      R"({"at":"2023-11-14T22:13:20.123Z","kind":"checkpoint","text":"v1_stopped: two\nlines\u001b[2J"}]})"));
  EXPECT_EQ(table,
            "run_id=rol_1\n"
            "2023-11-14T22:13:20Z      session     opened  (ann)\n"
            "2023-11-14T22:13:20.123Z  checkpoint  v1_stopped: two lines [2J\n");
}

}  // namespace
}  // namespace jetmon::cli
