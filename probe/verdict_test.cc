#include "probe/verdict.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace jetmon::probe {
namespace {

HttpReader Reader(std::string_view text) {
  HttpReader reader({.head = true});
  reader.Feed(text);
  return reader;
}

const Url& Asked() {
  static const Url* url = new Url(ParseUrl("http://1.2.3.4/"));
  return *url;
}

Verdict Judge(Profile profile, std::string_view text, Ending ending = Ending::kRead,
              int redirects = 0) {
  CheckRequest request;
  request.mode.profile = profile;
  return JudgeAnswer(request, Reader(text), ending, redirects, Asked());
}

std::string Coded(int code) {
  return "HTTP/1.1 " + std::to_string(1000 + code).substr(1) + " X\r\n\r\n";
}

TEST(VerdictTest, CodesBelow400AreUp) {
  for (const Profile profile : {Profile::kLegacy, Profile::kSimpleHttp}) {
    for (const int code : {1, 101, 200, 204, 300, 301, 304, 399}) {
      EXPECT_EQ(Judge(profile, Coded(code)).outcome, Outcome::kUp) << code;
    }
    for (const int code : {400, 403, 404, 410, 500, 503, 999}) {
      const Verdict verdict = Judge(profile, Coded(code));
      EXPECT_EQ(verdict.outcome, Outcome::kDown) << code;
      EXPECT_EQ(verdict.error_code, ErrorCode::kNone) << code;
    }
  }
}

TEST(VerdictTest, NoAnswer) {
  for (const Profile profile : {Profile::kLegacy, Profile::kSimpleHttp}) {
    EXPECT_EQ(Judge(profile, "", Ending::kTimeout).error_code, ErrorCode::kTimeout);
    EXPECT_EQ(Judge(profile, "", Ending::kBroken).error_code, ErrorCode::kConnect);
    EXPECT_EQ(Judge(profile, "SSH-2.0\r\n").error_code, ErrorCode::kConnect);
    EXPECT_EQ(Judge(profile, "SSH-2.0\r\n").outcome, Outcome::kDown);
  }
}

TEST(VerdictTest, HeaderErrorsDontChangeLegacy) {
  const std::string ok = "HTTP/1.1 200 OK\r\nA: b\r\n";
  for (const Ending ending : {Ending::kTimeout, Ending::kBroken, Ending::kRead}) {
    EXPECT_EQ(Judge(Profile::kLegacy, ok, ending).outcome, Outcome::kUp);
    EXPECT_EQ(Judge(Profile::kSimpleHttp, ok, ending).outcome, Outcome::kDown);
  }
  EXPECT_EQ(Judge(Profile::kSimpleHttp, ok, Ending::kTimeout).error_code, ErrorCode::kTimeout);
  EXPECT_EQ(Judge(Profile::kSimpleHttp, ok, Ending::kBroken).error_code, ErrorCode::kBodyRead);
  const std::string bad = "HTTP/1.1 500 No\r\nA: b\r\n";
  EXPECT_EQ(Judge(Profile::kLegacy, bad, Ending::kBroken).outcome, Outcome::kDown);
  EXPECT_EQ(Judge(Profile::kSimpleHttp, bad, Ending::kBroken).error_code, ErrorCode::kNone);
}

TEST(VerdictTest, BodyErrorsChangeNothing) {
  HttpReader reader({.head = false});
  reader.Feed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  for (const Profile profile : {Profile::kLegacy, Profile::kSimpleHttp}) {
    CheckRequest request;
    request.mode.profile = profile;
    const Verdict verdict = JudgeAnswer(request, reader, Ending::kTimeout, 0, Asked());
    EXPECT_EQ(verdict.outcome, Outcome::kUp);
    EXPECT_EQ(verdict.detail, "timeout in the body");
  }
}

TEST(VerdictTest, RedirectsAreFollowedUpToTheProfilesBound) {
  for (const int code : {301, 302, 303, 307, 308}) {
    const std::string text = "HTTP/1.1 " + std::to_string(code) + " R\r\nLocation: /next\r\n\r\n";
    for (int redirects = 0; redirects < 12; ++redirects) {
      const Verdict legacy = Judge(Profile::kLegacy, text, Ending::kRead, redirects);
      EXPECT_EQ(legacy.follow.has_value(), redirects < 2);
      if (redirects >= 2) {
        EXPECT_EQ(legacy.outcome, Outcome::kUp);
      }
      const Verdict simple = Judge(Profile::kSimpleHttp, text, Ending::kRead, redirects);
      EXPECT_EQ(simple.follow.has_value(), redirects < 10);
      if (redirects >= 10) {
        EXPECT_EQ(simple.outcome, Outcome::kDown);
        EXPECT_EQ(simple.error_code, ErrorCode::kRedirect);
      } else {
        EXPECT_EQ(simple.follow->Text(), "http://1.2.3.4/next");
      }
    }
  }
  EXPECT_FALSE(
      Judge(Profile::kLegacy, "HTTP/1.1 300 R\r\nLocation: /x\r\n\r\n").follow.has_value());
}

TEST(VerdictTest, ARedirectToNowhere) {
  const std::string text = "HTTP/1.1 302 R\r\nLocation: http://\r\n\r\n";
  EXPECT_EQ(Judge(Profile::kLegacy, text).outcome, Outcome::kUp);
  EXPECT_EQ(Judge(Profile::kSimpleHttp, text).error_code, ErrorCode::kRedirect);
}

TEST(VerdictTest, LegacyCountsAnInterimAnswerWhenNothingElseCame) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  for (const Ending ending : {Ending::kTimeout, Ending::kBroken, Ending::kRead}) {
    const Verdict legacy = Judge(Profile::kLegacy, interim, ending);
    EXPECT_EQ(legacy.outcome, Outcome::kUp);
    EXPECT_EQ(legacy.http_code, 100);
    EXPECT_EQ(Judge(Profile::kSimpleHttp, interim, ending).outcome, Outcome::kDown);
  }
  EXPECT_EQ(Judge(Profile::kLegacy, interim + "HTTP/1.1 404 N\r\n\r\n").outcome, Outcome::kDown);
}

// A GET by the profile full.
Verdict JudgeFull(std::string_view text, FullRules rules, Ending ending = Ending::kRead,
                  int redirects = 0) {
  CheckRequest request;
  request.mode = {Method::kGet, Profile::kFull};
  request.full = std::make_shared<FullRules>(std::move(rules));
  HttpReader reader(ReaderOptions(request));
  reader.Feed(text);
  if (ending == Ending::kRead) reader.Finish();
  return JudgeAnswer(request, reader, ending, redirects, Asked());
}

FullRules Rules(std::string keyword, std::vector<std::string> forbidden = {},
                RedirectPolicy policy = RedirectPolicy::kFollow) {
  FullRules rules;
  rules.keyword = std::move(keyword);
  rules.forbidden_keywords = std::move(forbidden);
  rules.redirects = policy;
  return rules;
}

TEST(FullVerdictTest, Bodies) {
  const std::string five = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(JudgeFull(five + "hello", {}).outcome, Outcome::kUp);
  EXPECT_EQ(JudgeFull(five + "hell", {}).error_code, ErrorCode::kBodyRead);
  EXPECT_EQ(JudgeFull(five + "hell", {}, Ending::kBroken).error_code, ErrorCode::kBodyRead);
  EXPECT_EQ(JudgeFull(five + "hell", {}, Ending::kTimeout).error_code, ErrorCode::kTimeout);
  EXPECT_EQ(JudgeFull("HTTP/1.1 200 OK\r\n\r\nhell", {}).outcome, Outcome::kUp);
  EXPECT_EQ(JudgeFull("HTTP/1.1 200 OK\r\n\r\nhell", {}, Ending::kBroken).error_code,
            ErrorCode::kBodyRead);
  EXPECT_EQ(JudgeFull("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {}).error_code,
            ErrorCode::kBodyRead);
  EXPECT_EQ(JudgeFull("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nplain", {}).error_code,
            ErrorCode::kBodyRead);
}

TEST(FullVerdictTest, AStatusOfFailureWinsOverTheBody) {
  const Verdict verdict =
      JudgeFull("HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\nhell", Rules("keyword"));
  EXPECT_EQ(verdict.error_code, ErrorCode::kNone);
  EXPECT_EQ(FailureClass(verdict), "server");
}

TEST(FullVerdictTest, Keywords) {
  const std::string ok = "HTTP/1.1 200 OK\r\n\r\n";
  EXPECT_EQ(JudgeFull(ok + "all is well", Rules("is w")).outcome, Outcome::kUp);
  const Verdict missing = JudgeFull(ok + "all is well", Rules("ill"));
  EXPECT_EQ(missing.error_code, ErrorCode::kKeyword);
  EXPECT_EQ(FailureClass(missing), "keyword_missing");
  EXPECT_EQ(missing.http_code, 200);
  const Verdict forbidden = JudgeFull(ok + "fatal error", Rules("error", {"warn", "fatal"}));
  EXPECT_EQ(forbidden.error_code, ErrorCode::kKeyword);
  EXPECT_EQ(FailureClass(forbidden), "keyword_forbidden");
  EXPECT_NE(forbidden.detail.find("fatal"), std::string::npos);
  EXPECT_EQ(JudgeFull("HTTP/1.1 204 N\r\n\r\n", Rules("x")).error_code, ErrorCode::kKeyword);
  EXPECT_EQ(JudgeFull("HTTP/1.1 204 N\r\n\r\n", Rules("", {"x"})).outcome, Outcome::kUp);
}

TEST(FullVerdictTest, RedirectPolicies) {
  const std::string moved = "HTTP/1.1 301 M\r\nLocation: /x\r\n\r\n";
  EXPECT_TRUE(JudgeFull(moved, Rules("")).follow.has_value());
  EXPECT_TRUE(JudgeFull(moved, Rules("", {}, RedirectPolicy::kAlert)).follow.has_value());
  const Verdict fail = JudgeFull(moved, Rules("", {}, RedirectPolicy::kFail));
  EXPECT_FALSE(fail.follow.has_value());
  EXPECT_EQ(fail.error_code, ErrorCode::kRedirect);
  EXPECT_EQ(FailureClass(fail), "redirect");
  EXPECT_EQ(JudgeFull(moved, Rules(""), Ending::kRead, 10).error_code, ErrorCode::kRedirect);
}

TEST(FullVerdictTest, ARedirectToNowhereIsJudgedByItsBody) {
  const std::string moved = "HTTP/1.1 302 F\r\nContent-Length: 4\r\n\r\n";
  EXPECT_EQ(JudgeFull(moved + "good", Rules("good")).outcome, Outcome::kUp);
  EXPECT_EQ(FailureClass(JudgeFull(moved + "evil", Rules("good"))), "keyword_missing");
  EXPECT_EQ(JudgeFull(moved, Rules("", {}, RedirectPolicy::kFail)).detail,
            "policy is fail, redirected to nowhere");
}

TEST(FullVerdictTest, HeadCapsItToSimpleHttp) {
  CheckRequest request;
  request.mode = {Method::kHead, Profile::kFull};
  request.full = std::make_shared<FullRules>(Rules("keyword", {}, RedirectPolicy::kFail));
  const auto judge = [&](std::string_view text) {
    HttpReader reader(ReaderOptions(request));
    reader.Feed(text);
    return JudgeAnswer(request, reader, Ending::kRead, 0, Asked());
  };
  EXPECT_EQ(judge("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").outcome, Outcome::kUp);
  EXPECT_TRUE(judge("HTTP/1.1 301 M\r\nLocation: /x\r\n\r\n").follow.has_value());
}

TEST(HeadersDecideTest, ARedirectAndNothingElse) {
  const auto decide = [](Profile profile, std::string_view text,
                         RedirectPolicy policy = RedirectPolicy::kFollow) {
    CheckRequest request;
    request.mode = {Method::kGet, profile};
    request.full = std::make_shared<FullRules>(Rules("", {}, policy));
    HttpReader reader(ReaderOptions(request));
    reader.Feed(text);
    return HeadersDecide(request, reader);
  };
  const std::string somewhere = "HTTP/1.1 302 F\r\nLocation: /x\r\n";
  const std::string nowhere = "HTTP/1.1 302 F\r\n\r\n";
  for (const Profile profile : {Profile::kLegacy, Profile::kSimpleHttp, Profile::kFull}) {
    EXPECT_TRUE(decide(profile, somewhere + "\r\n"));
    EXPECT_FALSE(decide(profile, somewhere)) << "its headers have not ended";
    EXPECT_EQ(decide(profile, nowhere), profile != Profile::kFull);
    EXPECT_FALSE(decide(profile, "HTTP/1.1 304 N\r\nLocation: /x\r\n\r\n"));
    EXPECT_FALSE(decide(profile, "HTTP/1.1 200 OK\r\n\r\n"));
    EXPECT_FALSE(decide(profile, ""));
  }
  EXPECT_TRUE(decide(Profile::kFull, nowhere, RedirectPolicy::kFail));
  EXPECT_FALSE(decide(Profile::kFull, nowhere, RedirectPolicy::kAlert));
}

TEST(AdvisoriesTest, OfFullOnly) {
  CheckRequest request;
  request.mode = {Method::kGet, Profile::kFull};
  request.full = std::make_shared<FullRules>(Rules("", {}, RedirectPolicy::kAlert));
  TlsFacts old;
  old.version = "TLSv1.1";
  old.not_after_s = 1'000'000 + 13 * 86400;
  const std::vector<Advisory> all = {Advisory::kDeprecatedTls, Advisory::kCertificateEndsSoon,
                                     Advisory::kRedirected};
  EXPECT_EQ(AdvisoriesOf(request, old, 1, 1'000'000), all);
  EXPECT_TRUE(AdvisoriesOf(request, {}, 0, 1'000'000).empty());
  TlsFacts good;
  good.version = "TLSv1.2";
  good.not_after_s = 1'000'000 + 15 * 86400;
  EXPECT_TRUE(AdvisoriesOf(request, good, 0, 1'000'000).empty());
  request.mode.profile = Profile::kSimpleHttp;
  EXPECT_TRUE(AdvisoriesOf(request, old, 1, 1'000'000).empty());
}

TEST(FailureClassTest, EachClass) {
  const auto down = [](ErrorCode error, int code) {
    Verdict verdict = Down(error, "");
    verdict.http_code = code;
    return FailureClass(verdict);
  };
  Verdict verdict;
  verdict.outcome = Outcome::kUp;
  EXPECT_EQ(FailureClass(verdict), "success");
  EXPECT_EQ(down(ErrorCode::kNone, 500), "server");
  EXPECT_EQ(down(ErrorCode::kNone, 503), "server");
  EXPECT_EQ(down(ErrorCode::kNone, 403), "blocked");
  EXPECT_EQ(down(ErrorCode::kNone, 404), "client");
  EXPECT_EQ(down(ErrorCode::kTimeout, 0), "intermittent");
  EXPECT_EQ(down(ErrorCode::kConnect, 0), "intermittent");
  EXPECT_EQ(down(ErrorCode::kBodyRead, 200), "intermittent");
  EXPECT_EQ(down(ErrorCode::kRedirect, 302), "redirect");
  EXPECT_EQ(down(ErrorCode::kTls, 0), "https");
  EXPECT_EQ(down(ErrorCode::kCertificateExpired, 0), "https");
  EXPECT_EQ(down(ErrorCode::kKeyword, 200), "keyword_missing");
  for (const Outcome outcome :
       {Outcome::kSafety, Outcome::kCancelled, Outcome::kLeaseLapsed, Outcome::kLost}) {
    verdict.outcome = outcome;
    EXPECT_EQ(FailureClass(verdict), "");
  }
}

}  // namespace
}  // namespace jetmon::probe
