#include "controlplane/error/error.h"

#include <cctype>
#include <set>
#include <string>

#include "controlplane/error/test_metadata.h"
#include "google/protobuf/descriptor.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "jetmon/v1/options.pb.h"

namespace jetmon {
namespace {

using std::chrono::milliseconds;

// Design chapter 2: which HTTP status a gRPC code may have.
bool Fits(int grpc_code, int http_status) {
  switch (grpc_code) {
    case 1:
      return http_status == 499;
    case 3:
      return http_status == 400 || http_status == 422 || http_status == 413 || http_status == 406 ||
             http_status == 415 || http_status == 431;
    case 4:
      return http_status == 504 || http_status == 408;
    case 5:
      return http_status == 404;
    case 6:
    case 10:
      return http_status == 409;
    case 7:
      return http_status == 403;
    case 8:
      return http_status == 429;
    case 9:
      return http_status == 422;
    case 12:
      return http_status == 501 || http_status == 405;
    case 13:
      return http_status == 500;
    case 14:
      return http_status == 503;
    case 16:
      return http_status == 401;
    default:
      return false;
  }
}

TEST(ErrorTest, EveryReasonTravels) {
  const auto* reasons = v1::ErrorReason_descriptor();
  std::set<std::string> codes;
  for (int i = 0; i < reasons->value_count(); ++i) {
    const auto* value = reasons->value(i);
    if (value->number() == 0) continue;
    SCOPED_TRACE(value->name());
    const auto reason = static_cast<v1::ErrorReason>(value->number());
    const v1::ReasonOptions& options = value->options().GetExtension(v1::reason);
    const absl::Status status = Error(reason, "text");
    EXPECT_EQ(static_cast<int>(status.code()), options.grpc_code());
    EXPECT_EQ(HttpStatusOf(reason), options.http_status());
    EXPECT_TRUE(Fits(options.grpc_code(), options.http_status()));
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_EQ(ReasonOf(ForCaller(status)), reason);
    EXPECT_TRUE(codes.insert(std::string(ReasonCode(reason))).second);
    for (char c : ReasonCode(reason)) EXPECT_TRUE(islower(c) || c == '_');
  }
  EXPECT_GE(codes.size(), 40u);
}

TEST(ErrorTest, PayloadIsGoogleErrorInfo) {
  const absl::Status status = Error(v1::RUN_NOT_FOUND, "no such run");
  const auto cord = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  ASSERT_TRUE(cord.has_value());
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(std::string(*cord)));
  EXPECT_EQ(info.reason(), "run_not_found");
  EXPECT_EQ(info.domain(), "jetmon");
}

TEST(ErrorTest, DetailsAdd) {
  absl::Status status = Error(v1::INVALID_CONFIRMATION, "used");
  AddMetadata(status, "job_id", "rjob_1");
  AddMetadata(status, "other", "x");
  status = WithField(status, "confirm", "was used");
  status = WithField(status, "wait", "too long");
  status = WithRetryAfter(status, milliseconds(2500));
  EXPECT_EQ(MetadataOf(status, "job_id"), "rjob_1");
  EXPECT_EQ(MetadataOf(status, "other"), "x");
  EXPECT_EQ(MetadataOf(status, "none"), "");
  EXPECT_EQ(RetryAfterOf(status), milliseconds(2500));
  google::rpc::BadRequest bad;
  const auto cord = status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  ASSERT_TRUE(cord.has_value() && bad.ParseFromString(std::string(*cord)));
  ASSERT_EQ(bad.field_violations_size(), 2);
  EXPECT_EQ(bad.field_violations(0).field(), "confirm");
  EXPECT_EQ(ReasonOf(status), v1::INVALID_CONFIRMATION);
}

TEST(ErrorTest, InvalidFieldNamesTheField) {
  const absl::Status status = InvalidField("wait", "must be 0s to 60s");
  EXPECT_EQ(ReasonOf(status), v1::INVALID_FIELD);
  EXPECT_EQ(status.message(), "wait: must be 0s to 60s");
}

TEST(ErrorTest, ForCallerHidesWhatIsOurs) {
  const absl::Status sql = absl::InternalError("near \"SELEC\": syntax error");
  EXPECT_EQ(ReasonOf(sql), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonOf(ForCaller(sql)), v1::INTERNAL);
  EXPECT_EQ(ForCaller(sql).message().find("SELEC"), absl::string_view::npos);
  EXPECT_EQ(ReasonOf(ForCaller(absl::UnavailableError("x"))), v1::DATABASE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ForCaller(absl::AbortedError("x"))), v1::DATABASE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ForCaller(absl::DeadlineExceededError("x"))), v1::DEADLINE_EXCEEDED);
  EXPECT_EQ(ReasonOf(ForCaller(absl::CancelledError("x"))), v1::CALL_CANCELLED);
  EXPECT_EQ(ReasonOf(ForCaller(absl::AlreadyExistsError("x"))), v1::INTERNAL);
  EXPECT_TRUE(ForCaller(absl::OkStatus()).ok());
}

TEST(ErrorTest, ForeignErrorInfoIsNotOurs) {
  google::rpc::ErrorInfo info;
  info.set_reason("run_not_found");
  info.set_domain("elsewhere");
  absl::Status status = absl::NotFoundError("x");
  status.SetPayload("type.googleapis.com/google.rpc.ErrorInfo",
                    absl::Cord(info.SerializeAsString()));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
}

TEST(ErrorTest, LongMessageIsCutAtACharacter) {
  std::string text(999, 'a');
  text += "\xC3\xA4\xC3\xA4";  // two-byte characters across the limit of 1,000
  const absl::Status status = Error(v1::INTERNAL, text);
  EXPECT_EQ(status.message().size(), 999u);
}

}  // namespace
}  // namespace jetmon
