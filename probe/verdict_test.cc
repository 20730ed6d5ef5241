#include "probe/verdict.h"

#include <gtest/gtest.h>

#include <string>

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

TEST(FailureClassTest, EachClass) {
  const auto down = [](ErrorCode error, int code) {
    return FailureClass(Outcome::kDown, error, code);
  };
  EXPECT_EQ(FailureClass(Outcome::kUp, ErrorCode::kNone, 200), "success");
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
  for (const Outcome outcome : {Outcome::kSafety, Outcome::kNotAvailable, Outcome::kCancelled,
                                Outcome::kLeaseLapsed, Outcome::kLost}) {
    EXPECT_EQ(FailureClass(outcome, ErrorCode::kNone, 0), "");
  }
}

}  // namespace
}  // namespace jetmon::probe
