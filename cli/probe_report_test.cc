#include "cli/probe_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

using testing::HasSubstr;

probe::CheckRequest Request() {
  probe::CheckRequest request;
  request.url = "https://site.example/";
  request.mode = *probe::ParseMode("get-full");
  return request;
}

probe::CheckResult Up() {
  probe::CheckResult r;
  r.outcome = probe::Outcome::kUp;
  r.http_code = 200;
  r.failure_class = "success";
  r.address = "192.0.2.1";
  r.timings = {1'500, 2'000, 3'000, 4'000, 10'500};
  r.redirects = {"https://site.example/a"};
  r.tls.version = "TLSv1.2";
  r.tls.cipher = "ECDHE-RSA-AES256-GCM-SHA384";
  r.tls.subject = "site.example";
  r.tls.issuer = "Some CA";
  r.tls.not_before_s = 1'700'000'000;
  r.tls.not_after_s = 1'800'000'000;
  r.advisories = {probe::Advisory::kRedirected};
  return r;
}

TEST(ProbeReportTest, TextSaysAll) {
  EXPECT_EQ(CheckText(Request(), Up()),
            "* https://site.example/, get-full, timeout 10000 ms\n"
            "* redirected to https://site.example/a\n"
            "* name resolved in 1.5 ms\n"
            "* connected to 192.0.2.1 in 2.0 ms\n"
            "* TLSv1.2, ECDHE-RSA-AES256-GCM-SHA384, full handshake in 3.0 ms\n"
            "* certificate of site.example by Some CA, 2023-11-14 to 2027-01-15: trusted\n"
            "* first byte after 4.0 ms\n"
            "* advisory: redirected\n"
            "up, HTTP 200, 10.5 ms\n");
}

TEST(ProbeReportTest, DownAndRefused) {
  probe::CheckResult down;
  down.outcome = probe::Outcome::kDown;
  down.error_code = probe::ErrorCode::kTimeout;
  down.failure_class = "intermittent";
  down.detail = "timeout in dns";
  EXPECT_EQ(CheckLine(Request(), down),
            "https://site.example/  down, code 1 (intermittent): timeout in dns\n");
  probe::CheckResult refused;
  refused.outcome = probe::Outcome::kSafety;
  refused.error_code = probe::ErrorCode::kTargetSafety;
  refused.detail = "target safety: private address";
  EXPECT_THAT(CheckText(Request(), refused), HasSubstr("safety, code 9: target safety: private"));
  EXPECT_THAT(CheckText(Request(), refused), HasSubstr("--allow-cidr"));
}

TEST(ProbeReportTest, JsonSaysTheSame) {
  const Json json = CheckJson(Request(), Up());
  EXPECT_EQ(json["outcome"].Text(), "up");
  EXPECT_EQ(json["mode"].Text(), "get-full");
  EXPECT_EQ(json["http_code"].Number(), 200);
  EXPECT_EQ(json["timings"]["tls_us"].Number(), 3'000);
  EXPECT_EQ(json["tls"]["trust"].Text(), "trusted");
  EXPECT_EQ(json["redirects"].Items().size(), 1u);
  EXPECT_EQ(json["advisories"].Items()[0].Text(), "redirected");
}

TEST(ProbeReportTest, Printable) {
  EXPECT_EQ(Printable("http://a/ ~"), "http://a/ ~");
  EXPECT_EQ(Printable("b\xc3\xbc"
                      "cher \xe2\x82\xac \xf0\x9f\x98\x80"),
            "b\xc3\xbc"
            "cher \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(Printable("a\x1b[2J\r\n\t\x7f"), "a?[2J????");
  EXPECT_EQ(Printable("\xc2\x9b"), "??") << "a C1 control";
  EXPECT_EQ(Printable("\xe2\x80\xae"), "???") << "turns the direction";
  EXPECT_EQ(Printable("\xff \xc3 \xe2\x82"), "? ? ??") << "no UTF-8";
  EXPECT_EQ(Printable("\xc1\xbf \xe0\x80\xaf \xed\xa0\x80 \xf4\x90\x80\x80"), "?? ??? ??? ????")
      << "overlong, a surrogate, beyond the last";
}

TEST(ProbeReportTest, OfAList) {
  probe::CheckRequest request = Request();
  EXPECT_FALSE(CheckJson(request, Up()).Has("line"));
  request.site_id = 7;
  EXPECT_EQ(CheckJson(request, Up())["line"].Number(), 7);
  EXPECT_EQ(CheckLine(request, Up()), "https://site.example/  up, HTTP 200, 10.5 ms, redirected\n");
}

TEST(ProbeReportTest, Summary) {
  ProbeSummary summary;
  for (int i = 1; i <= 100; ++i) {
    probe::CheckResult r = Up();
    r.timings.total_us = i * 1000;
    summary.Add(Request(), r);
  }
  probe::CheckResult down;
  down.outcome = probe::Outcome::kDown;
  down.failure_class = "server";
  summary.Add(Request(), down);
  probe::CheckResult refused;
  refused.outcome = probe::Outcome::kSafety;
  summary.Add(Request(), refused);
  summary.AddBadLine();
  EXPECT_EQ(summary.up(), 100u);
  EXPECT_EQ(summary.refused(), 1u);
  const Json json = summary.ToJson(2)["summary"];
  EXPECT_EQ(json["checked"].Number(), 102);
  EXPECT_EQ(json["bad_lines"].Number(), 1);
  EXPECT_EQ(json["others"]["safety"].Number(), 1);
  EXPECT_NEAR(json["p50_us"].Number(), 50'000, 2'000);
  EXPECT_NEAR(json["p99_us"].Number(), 99'000, 3'000);
  EXPECT_EQ(json["slowest_us"].Number(), 100'000);
  EXPECT_EQ(json["others"]["down: server, code 0"].Number(), 1);
  EXPECT_THAT(summary.Text(2), HasSubstr("102 checked in 2.0 s, 51.0 a second"));
  EXPECT_THAT(ProbeSummary().Text(0), HasSubstr("0 checked"));
}

}  // namespace
}  // namespace jetmon::cli
