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
  EXPECT_EQ(summary.up(), 100u);
  const Json json = summary.ToJson(2)["summary"];
  EXPECT_EQ(json["checked"].Number(), 101);
  EXPECT_NEAR(json["p50_us"].Number(), 50'000, 2'000);
  EXPECT_NEAR(json["p99_us"].Number(), 99'000, 3'000);
  EXPECT_EQ(json["slowest_us"].Number(), 100'000);
  EXPECT_EQ(json["others"]["down: server, code 0"].Number(), 1);
  EXPECT_THAT(summary.Text(2), HasSubstr("101 checked in 2.0 s, 50.5 a second"));
  EXPECT_THAT(ProbeSummary().Text(0), HasSubstr("0 checked"));
}

}  // namespace
}  // namespace jetmon::cli
