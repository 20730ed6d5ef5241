// What `legacy` makes of scripted answers, against v1's rules, which are written down here a second
// time, from v1's public source, and know nothing of probe/:
//
// * the code is the three characters behind the first space of the first status line, which must
//   be the ninth byte; 0 if there was no answer (refused, reset, silence); up is 0 < code < 400;
// * 301 to 399 is a redirect: two are followed, the third keeps its code, so is up;
// * certificates are not judged.
//
// Where we differ, by decision (docs/decisions/0008), each is a test of its own at the end.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "probe/verdict.h"

namespace jetmon::probe {
namespace {

// One answer of a server: its code, and whether it has a Location. Code 0: none.
struct Answer {
  int code = 0;
  bool location = false;
};

// v1 on a server that gives these answers one after the other, the last for ever.
bool V1SaysUp(const std::vector<Answer>& answers) {
  size_t next = 0;
  for (int redirects = 0;; ++redirects) {
    const Answer& answer = answers[std::min(next++, answers.size() - 1)];
    const bool redirect = answer.code > 300 && answer.code < 400;
    if (!redirect || redirects == 2) return answer.code > 0 && answer.code < 400;
    if (!answer.location) return false;  // v1 then has no code at all
  }
}

std::string Text(const Answer& answer) {
  return "HTTP/1.1 " + std::to_string(answer.code) + " X\r\n" +
         (answer.location ? "Location: /next\r\n" : "") + "\r\n";
}

struct Seen {
  bool up = false;
  int http_code = 0;
  int asked = 0;  // answers read
};

// What we say of the same server: each answer read and judged, redirects followed.
Seen WeSay(const std::vector<Answer>& answers, Ending ending = Ending::kRead,
           Method method = Method::kHead) {
  CheckRequest request;
  request.mode = {method, Profile::kLegacy};
  const Url url = ParseUrl("http://1.2.3.4/");
  Seen seen;
  for (int redirects = 0;; ++redirects) {
    const Answer& answer = answers[std::min<size_t>(redirects, answers.size() - 1)];
    HttpReader reader(ReaderOptions(request));
    if (answer.code != 0) reader.Feed(Text(answer));
    if (answer.code == 0 && ending == Ending::kRead) reader.Finish();
    const Verdict verdict =
        JudgeAnswer(request, reader, answer.code == 0 ? ending : Ending::kRead, redirects, url);
    ++seen.asked;
    if (verdict.follow) continue;
    seen.up = verdict.outcome == Outcome::kUp;
    seen.http_code = verdict.http_code;
    EXPECT_EQ(FailureClass(verdict) == "success", seen.up);
    return seen;
  }
}

bool IsFollowed(int code) {
  return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

TEST(LegacyTest, EveryCodeWithoutLocation) {
  for (int code = 100; code <= 599; ++code) {
    if (code != 101 && code < 200) continue;  // interim: see below
    const Seen seen = WeSay({{code}});
    EXPECT_EQ(seen.http_code, code);
    EXPECT_EQ(seen.asked, 1);
    if (code > 300 && code < 400) continue;  // see below
    EXPECT_EQ(seen.up, V1SaysUp({{code}})) << code;
  }
}

// As many redirects as a server can give, of each kind, then each code.
TEST(LegacyTest, RedirectsThenEveryCode) {
  for (const int redirect : {301, 302, 303, 307, 308}) {
    for (int redirects = 0; redirects <= 4; ++redirects) {
      for (int code = 200; code <= 599; ++code) {
        const bool location = IsFollowed(code);
        std::vector<Answer> answers(redirects, Answer{redirect, true});
        answers.push_back({code, location});
        if (!location && code > 300 && code < 400) continue;  // see below
        const Seen seen = WeSay(answers);
        EXPECT_EQ(seen.up, V1SaysUp(answers)) << redirects << " x " << redirect << ", " << code;
        EXPECT_LE(seen.asked, 3);
        EXPECT_EQ(seen.http_code, redirects > 2 ? redirect : code);
      }
    }
  }
}

TEST(LegacyTest, NoAnswer) {
  for (int redirects = 0; redirects <= 2; ++redirects) {
    std::vector<Answer> answers(redirects, Answer{301, true});
    answers.push_back({});
    EXPECT_FALSE(V1SaysUp(answers));
    for (const Ending ending : {Ending::kRead, Ending::kTimeout, Ending::kBroken}) {
      const Seen seen = WeSay(answers, ending);
      EXPECT_FALSE(seen.up);
      EXPECT_EQ(seen.http_code, 0);
    }
  }
}

// v1 took what had come when the connection ended or its time was over.
TEST(LegacyTest, WhatGoesWrongBehindTheStatusLineChangesNothing) {
  CheckRequest request;
  request.mode = {Method::kGet, Profile::kLegacy};
  const Url url = ParseUrl("http://1.2.3.4/");
  for (const int code : {200, 204, 299, 300, 404, 500, 599}) {
    for (const char* rest :
         {"", "A", "A: b\r\n", "no colon\r\n", "\r\n", "Content-Length: 9\r\n\r\nabc",
          "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "Content-Encoding: gzip\r\n\r\nabc"}) {
      for (const Ending ending : {Ending::kRead, Ending::kTimeout, Ending::kBroken}) {
        HttpReader reader(ReaderOptions(request));
        reader.Feed("HTTP/1.1 " + std::to_string(code) + " X\r\n" + rest);
        if (ending == Ending::kRead) reader.Finish();
        const Verdict verdict = JudgeAnswer(request, reader, ending, 0, url);
        EXPECT_EQ(verdict.outcome == Outcome::kUp, V1SaysUp({{code}})) << code << rest;
        EXPECT_EQ(verdict.http_code, code);
      }
    }
  }
}

// --- Where we differ, by decision. ---

// v1 calls a site down whose redirect has no Location (304 too, which has none by its nature): the
// server did answer, and nothing is wrong with it that a visitor sees.
TEST(LegacyDiffersTest, A3xxWithoutLocationCountsByItsCode) {
  for (int code = 301; code <= 399; ++code) {
    EXPECT_FALSE(V1SaysUp({{code}}));
    EXPECT_TRUE(WeSay({{code}}).up) << code;
  }
}

// v1 follows any 301 to 399. Those that no browser follows count by their code.
TEST(LegacyDiffersTest, Other3xxWithLocationAreNotFollowed) {
  for (int code = 304; code <= 399; ++code) {
    if (IsFollowed(code)) continue;
    EXPECT_FALSE(V1SaysUp({{code, true}, {500}}));
    const Seen seen = WeSay({{code, true}, {500}});
    EXPECT_TRUE(seen.up) << code;
    EXPECT_EQ(seen.asked, 1) << code;
  }
}

// v1 takes a 1xx for the answer. So do we if nothing else comes; else what comes counts.
TEST(LegacyDiffersTest, TheAnswerBehindAnInterimOneCounts) {
  CheckRequest request;
  const Url url = ParseUrl("http://1.2.3.4/");
  for (int code = 100; code <= 199; ++code) {
    if (code == 101) continue;
    for (const int then : {0, 200, 404, 503}) {
      HttpReader reader(ReaderOptions(request));
      reader.Feed(Text({code}));
      if (then != 0) reader.Feed(Text({then}));
      reader.Finish();
      const Verdict verdict = JudgeAnswer(request, reader, Ending::kRead, 0, url);
      EXPECT_TRUE(V1SaysUp({{code}}));
      EXPECT_EQ(verdict.outcome == Outcome::kUp, then < 400);
      EXPECT_EQ(verdict.http_code, then == 0 ? code : then);
    }
  }
}

struct OddStatusLine {
  const char* line;
  bool v1_up;
  bool up;
};

// v1 takes three characters wherever the first space is, if that is the ninth byte.
TEST(LegacyDiffersTest, StatusLines) {
  CheckRequest request;
  const Url url = ParseUrl("http://1.2.3.4/");
  for (const OddStatusLine& odd : {
           OddStatusLine{"HTTP/1.1 200 OK\r\n\r\n", true, true},
           {"HTTP/1.1 200OK\r\n\r\n", true, true},
           {"HTTP/1.1 200\n\n", true, true},
           {"HTTP/1.1 099 X\r\n\r\n", true, true},
           {"HTTP/1.1 999 X\r\n\r\n", false, false},
           {"HTTP/1.1 000 X\r\n\r\n", false, false},
           {"HTTP/1.1 abc\r\n\r\n", false, false},
           // Answers that curl takes.
           {"HTTP/2 200 OK\r\n\r\n", false, true},
           {"HTTP 200 OK\r\n\r\n", false, true},
           {"HTTP/1.1  404 X\r\n\r\n", true, false},
           // What v1 took for a success and is none: four digits, two, another protocol, half a
           // line.
           {"HTTP/1.1 2000 X\r\n\r\n", true, false},
           {"HTTP/1.1 20 X\r\n\r\n", true, false},
           {"RTSP/1.0 200 X\r\n\r\n", true, false},
           {"HTTP/1.1 200", true, false},
       }) {
    const std::string_view line = odd.line;
    const bool v1_up = line.find(' ') == 8 && atoi(std::string(line.substr(9, 3)).c_str()) > 0 &&
                       atoi(std::string(line.substr(9, 3)).c_str()) < 400;
    EXPECT_EQ(v1_up, odd.v1_up) << line;
    HttpReader reader(ReaderOptions(request));
    reader.Feed(line);
    reader.Finish();
    EXPECT_EQ(JudgeAnswer(request, reader, Ending::kRead, 0, url).outcome == Outcome::kUp, odd.up)
        << line;
  }
}

}  // namespace
}  // namespace jetmon::probe
