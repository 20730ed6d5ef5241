#include "controlplane/error/error.h"

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/rpc/error_details.pb.h"
#include "jetmon/v1/options.pb.h"

namespace jetmon {
namespace {

constexpr size_t kLongestMessage = 1000;
constexpr char kDomain[] = "jetmon";

// What the options of one enum value say, and its lower-case name; read once.
struct Reason {
  std::string code;
  int grpc_code = 13;
  int http_status = 500;
};

const std::array<Reason, v1::ErrorReason_ARRAYSIZE>& Reasons() {
  static const auto* reasons = [] {
    auto* table = new std::array<Reason, v1::ErrorReason_ARRAYSIZE>();
    const auto* descriptor = v1::ErrorReason_descriptor();
    for (int i = 0; i < descriptor->value_count(); ++i) {
      const auto* value = descriptor->value(i);
      const v1::ReasonOptions& options = value->options().GetExtension(v1::reason);
      if (value->number() == 0) continue;
      (*table)[value->number()] = {absl::AsciiStrToLower(value->name()), options.grpc_code(),
                                   options.http_status()};
    }
    return table;
  }();
  return *reasons;
}

const Reason& Of(v1::ErrorReason reason) {
  const auto index = static_cast<size_t>(reason);
  return Reasons()[index < Reasons().size() ? index : 0];
}

template <typename T>
std::string TypeUrl() {
  return absl::StrCat("type.googleapis.com/", T::descriptor()->full_name());
}

template <typename T>
std::optional<T> Payload(const absl::Status& status) {
  const auto cord = status.GetPayload(TypeUrl<T>());
  T message;
  if (!cord.has_value() || !message.ParseFromString(std::string(*cord))) return std::nullopt;
  return message;
}

template <typename T>
void SetPayload(absl::Status& status, const T& message) {
  status.SetPayload(TypeUrl<T>(), absl::Cord(message.SerializeAsString()));
}

// Cut at a character's edge: gRPC and JSON carry UTF-8 only.
void CutAt(std::string& text, size_t limit) {
  if (text.size() <= limit) return;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  text.resize(limit);
}

}  // namespace

absl::Status Error(v1::ErrorReason reason, std::string message) {
  const Reason& r = Of(reason);
  CutAt(message, kLongestMessage);
  absl::Status status(static_cast<absl::StatusCode>(r.grpc_code), message);
  google::rpc::ErrorInfo info;
  info.set_reason(r.code);
  info.set_domain(kDomain);
  SetPayload(status, info);
  return status;
}

absl::Status InvalidField(std::string_view field, std::string_view what) {
  return WithField(Error(v1::INVALID_FIELD, std::string(field) + ": " + std::string(what)), field,
                   what);
}

v1::ErrorReason ReasonOf(const absl::Status& status) {
  if (status.ok()) return v1::ERROR_REASON_UNSPECIFIED;
  const auto info = Payload<google::rpc::ErrorInfo>(status);
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  if (info.has_value() && info->domain() == kDomain) {
    v1::ErrorReason_Parse(absl::AsciiStrToUpper(info->reason()), &reason);
  }
  return reason;
}

std::string_view ReasonCode(v1::ErrorReason reason) { return Of(reason).code; }

int HttpStatusOf(v1::ErrorReason reason) { return Of(reason).http_status; }

void AddMetadata(absl::Status& status, std::string_view key, std::string_view value) {
  auto info = Payload<google::rpc::ErrorInfo>(status);
  if (!info.has_value()) return;
  (*info->mutable_metadata())[std::string(key)] = std::string(value);
  SetPayload(status, *info);
}

absl::Status WithField(absl::Status status, std::string_view field, std::string_view what) {
  if (status.ok()) return status;
  auto bad = Payload<google::rpc::BadRequest>(status).value_or(google::rpc::BadRequest());
  auto* violation = bad.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(std::string(what));
  SetPayload(status, bad);
  return status;
}

absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  if (status.ok()) return status;
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay.count() / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.count() % 1000) * 1'000'000);
  SetPayload(status, info);
  return status;
}

std::optional<std::chrono::milliseconds> RetryAfterOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return std::nullopt;
  return std::chrono::milliseconds(info->retry_delay().seconds() * 1000 +
                                   info->retry_delay().nanos() / 1'000'000);
}

absl::Status ForCaller(const absl::Status& status) {
  if (status.ok() || ReasonOf(status) != v1::ERROR_REASON_UNSPECIFIED) return status;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
      return WithRetryAfter(Error(v1::DATABASE_UNAVAILABLE,
                                  "the database can't be reached or is busy; nothing was changed "
                                  "unless a later read says so; try again"),
                            std::chrono::seconds(1));
    case absl::StatusCode::kDeadlineExceeded:
      return Error(v1::DEADLINE_EXCEEDED, "the call's time is over; try again");
    case absl::StatusCode::kCancelled:
      return Error(v1::CALL_CANCELLED,
                   "the call was cancelled: the caller went away, or the server stops");
    default:
      return Error(v1::INTERNAL,
                   "the control plane failed on this call; look for the request id in its log, "
                   "and try again");
  }
}

}  // namespace jetmon
