#include "store/sql/mysql_error.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "store/sql/connection.h"

namespace jetmon::sql {
namespace {

using Code = absl::StatusCode;

struct Case {
  int code;
  Code meaning;
  bool again;  // on another connection
  bool doubt;  // about this one
};

// What each number means for whoever called, and for the connection.
const Case kCases[] = {
    {1062, Code::kAlreadyExists, false, false},
    {1022, Code::kAlreadyExists, false, false},
    {1586, Code::kAlreadyExists, false, false},
    {1050, Code::kAlreadyExists, false, false},
    {1060, Code::kAlreadyExists, false, false},
    {1061, Code::kAlreadyExists, false, false},
    // Run again whole, on the same connection.
    {1020, Code::kAborted, false, false},
    {1205, Code::kAborted, false, false},
    {1213, Code::kAborted, false, false},
    {1412, Code::kAborted, false, false},
    {1615, Code::kAborted, false, false},
    {1637, Code::kAborted, false, false},
    {1048, Code::kFailedPrecondition, false, false},
    {1264, Code::kFailedPrecondition, false, false},
    {1366, Code::kFailedPrecondition, false, false},
    {1406, Code::kFailedPrecondition, false, false},
    {3819, Code::kFailedPrecondition, false, false},
    {4025, Code::kFailedPrecondition, false, false},
    {1044, Code::kPermissionDenied, false, false},
    {1142, Code::kPermissionDenied, false, false},
    {1143, Code::kPermissionDenied, false, false},
    {1227, Code::kPermissionDenied, false, false},
    // What another try will not mend.
    {1045, Code::kUnavailable, false, true},
    {1130, Code::kUnavailable, false, true},
    {1698, Code::kUnavailable, false, true},
    {3118, Code::kUnavailable, false, true},
    {4151, Code::kUnavailable, false, true},
    {1049, Code::kUnavailable, false, true},
    {1251, Code::kUnavailable, false, true},
    {2059, Code::kUnavailable, false, true},
    {3159, Code::kUnavailable, false, true},
    {1969, Code::kUnavailable, false, true},
    {3024, Code::kUnavailable, false, true},
    {2026, Code::kUnavailable, false, true},
    {1021, Code::kUnavailable, false, true},
    {1114, Code::kUnavailable, false, true},
    // What another connection may.
    {1290, Code::kUnavailable, true, true},
    {1836, Code::kUnavailable, true, true},
    {1047, Code::kUnavailable, true, true},
    {1317, Code::kUnavailable, true, true},
    {1040, Code::kUnavailable, true, true},
    {1203, Code::kUnavailable, true, true},
    {1226, Code::kUnavailable, true, true},
    {1180, Code::kUnavailable, true, true},
    {1053, Code::kUnavailable, true, true},
    {1927, Code::kUnavailable, true, true},
    {1243, Code::kUnavailable, true, true},
    {1461, Code::kUnavailable, true, true},
    {2002, Code::kUnavailable, true, true},
    {2003, Code::kUnavailable, true, true},
    {2006, Code::kUnavailable, true, true},
    {2013, Code::kUnavailable, true, true},
    {2014, Code::kUnavailable, true, true},
    {2027, Code::kUnavailable, true, true},
    {2099, Code::kUnavailable, true, true},
    // A mistake of ours: nothing to try again.
    {1064, Code::kInternal, false, false},
    {1146, Code::kInternal, false, false},
    {1792, Code::kInternal, false, false},
    {1153, Code::kInternal, false, true},
    {2020, Code::kInternal, false, true},
    {0, Code::kInternal, false, true},
};

TEST(MysqlErrorTest, EachNumberHasItsMeaning) {
  for (const Case& c : kCases) {
    const absl::Status s = MysqlStatus(c.code, "secret words of the server");
    EXPECT_EQ(s.code(), c.meaning) << c.code;
    EXPECT_EQ(s.GetPayload(kLostKey).has_value(), c.again) << c.code;
    EXPECT_EQ(LeavesDoubt(s), c.doubt) << c.code;
    EXPECT_FALSE(OutcomeUnknown(s)) << c.code;
    // One line without the server's words; those are kept apart.
    EXPECT_FALSE(absl::StrContains(s.message(), "secret")) << c.code;
    EXPECT_FALSE(absl::StrContains(s.message(), "\n")) << c.code;
    EXPECT_FALSE(s.message().empty()) << c.code;
    EXPECT_EQ(EngineText(s), std::to_string(c.code) + ": secret words of the server");
  }
}

TEST(MysqlErrorTest, TlsThatBrokeOffIsALossAndNoMatterOfCertificates) {
  const absl::Status refused =
      MysqlStatus(2026, "TLS/SSL error: certificate verify failed (self-signed)");
  EXPECT_TRUE(absl::StrContains(refused.message(), "--database_tls_ca"));
  for (const char* text : {"TLS/SSL error: unexpected eof while reading",
                           "TLS/SSL error: Connection reset by peer (104)"}) {
    const absl::Status s = MysqlStatus(2026, text);
    EXPECT_TRUE(s.GetPayload(kLostKey).has_value()) << text;
    EXPECT_FALSE(absl::StrContains(s.message(), "tls")) << s;
  }
}

TEST(MysqlErrorTest, WhatHasNoNumberLeavesDoubt) {
  EXPECT_TRUE(LeavesDoubt(absl::InternalError("the connector failed: something")));
  EXPECT_FALSE(LeavesDoubt(absl::OkStatus()));
}

}  // namespace
}  // namespace jetmon::sql
