#include "controlplane/gateway/transcoder.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "controlplane/error/error.h"
#include "controlplane/error/rpc_status.h"
#include "controlplane/gateway/json_scan.h"
#include "controlplane/gateway/path_template.h"
#include "google/protobuf/util/json_util.h"
// json_util resolves the details of an error by their descriptors.
#include "google/rpc/error_details.pb.h"

namespace jetmon::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::string_view kNoSuchField = "Cannot find field.";

// What json_util says: "(path) name: Cannot find field." or "INVALID_ARGUMENT:name: ...".
std::string NameIn(std::string_view text, std::string_view suffix) {
  text = text.substr(0, text.find(suffix));
  while (!text.empty() && (text.back() == ' ' || text.back() == ':')) text.remove_suffix(1);
  const size_t start = text.find_last_of(" :");
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

absl::Status UnknownField(const std::string& name) {
  return WithField(Error(v1::UNKNOWN_FIELD, absl::StrCat("the request has no field ", name)), name,
                   "there is no such field");
}

template <typename T, typename Set>
bool SetNumber(const std::string& text, Set set) {
  T value{};
  if (!absl::SimpleAtoi(text, &value)) return false;
  set(value);
  return true;
}

// Sets a scalar field from text, or adds to a repeated one. False: the text is no such value.
bool SetScalar(const FieldDescriptor* f, const std::string& text, Message* m) {
  const auto* r = m->GetReflection();
  const bool add = f->is_repeated();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (f->type() == FieldDescriptor::TYPE_BYTES) return false;
      add ? r->AddString(m, f, text) : r->SetString(m, f, text);
      return true;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return false;
      add ? r->AddBool(m, f, text == "true") : r->SetBool(m, f, text == "true");
      return true;
    case FieldDescriptor::CPPTYPE_INT32:
      return SetNumber<int32_t>(text,
                                [&](auto v) { add ? r->AddInt32(m, f, v) : r->SetInt32(m, f, v); });
    case FieldDescriptor::CPPTYPE_UINT32:
      return SetNumber<uint32_t>(
          text, [&](auto v) { add ? r->AddUInt32(m, f, v) : r->SetUInt32(m, f, v); });
    case FieldDescriptor::CPPTYPE_INT64:
      return SetNumber<int64_t>(text,
                                [&](auto v) { add ? r->AddInt64(m, f, v) : r->SetInt64(m, f, v); });
    case FieldDescriptor::CPPTYPE_UINT64:
      return SetNumber<uint64_t>(
          text, [&](auto v) { add ? r->AddUInt64(m, f, v) : r->SetUInt64(m, f, v); });
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value)) return false;
      add ? r->AddDouble(m, f, value) : r->SetDouble(m, f, value);
      return true;
    }
    default:
      return false;
  }
}

// What a body may hold of a field that also stands in the path.
bool SaysOtherwise(const FieldDescriptor* field, const std::string& text, const Message& message) {
  std::unique_ptr<Message> wanted(message.New());
  if (!SetScalar(field, text, wanted.get())) return true;
  const auto* r = message.GetReflection();
  if (!r->HasField(message, field)) return false;
  std::unique_ptr<Message> only(message.New());
  only->CopyFrom(message);
  std::vector<const FieldDescriptor*> set;
  r->ListFields(*only, &set);
  for (const FieldDescriptor* f : set) {
    if (f != field) r->ClearField(only.get(), f);
  }
  return only->SerializeAsString() != wanted->SerializeAsString();
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out += c;
    }
  }
  return out + '"';
}

google::protobuf::util::JsonPrintOptions PrintOptions() {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  return options;
}

}  // namespace

absl::Status FromJson(std::string_view body, Message* message) {
  if (body.empty()) body = "{}";
  const absl::Status scanned = ScanJson(body);
  if (!scanned.ok()) return scanned;
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (body[first] != '{') {
    return Error(v1::MALFORMED_JSON, "the body must be a JSON object");
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(body.data(), body.size()), message, options);
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.message().ToString();
  if (text.find(kNoSuchField) != std::string::npos) {
    return UnknownField(NameIn(text, kNoSuchField));
  }
  return Error(v1::INVALID_FIELD, absl::StrCat("the body does not fit: ", text));
}

absl::Status FromQuery(std::string_view query, Message* message) {
  while (!query.empty()) {
    const size_t amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    query = amp == std::string_view::npos ? std::string_view() : query.substr(amp + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const auto name = PercentDecode(pair.substr(0, equals), /*query=*/true);
    const auto value = PercentDecode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name.ok() || !value.ok()) {
      return Error(v1::INVALID_FIELD, "the query holds a bad percent escape or bad UTF-8");
    }
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(*name);
    if (field == nullptr || field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return UnknownField(*name);
    }
    if (!field->is_repeated() && message->GetReflection()->HasField(*message, field)) {
      return InvalidField(*name, "is given twice");
    }
    if (!SetScalar(field, *value, message)) {
      return InvalidField(*name, absl::StrCat("is no ", field->type_name()));
    }
  }
  return absl::OkStatus();
}

absl::Status FromPath(const std::vector<std::pair<std::string, std::string>>& variables,
                      Message* message) {
  for (const auto& [name, value] : variables) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    if (SaysOtherwise(field, value, *message)) {
      return InvalidField(name, "does not fit, or differs from the one in the path");
    }
    SetScalar(field, value, message);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ToJson(const Message& message) {
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, PrintOptions());
  if (!status.ok()) return absl::InternalError("json_util: " + status.message().ToString());
  return json;
}

std::string ErrorJson(const absl::Status& status, std::string_view request_id) {
  std::string details;
  const google::rpc::Status rpc_status = ToRpcStatus(status);
  for (const auto& detail : rpc_status.details()) {
    const auto json = ToJson(detail);
    if (!json.ok()) continue;
    if (!details.empty()) details += ',';
    details += *json;
  }
  return absl::StrCat("{\"error\":{\"code\":", JsonString(ReasonCode(ReasonOf(status))),
                      ",\"message\":", JsonString(std::string(status.message())),
                      ",\"request_id\":", JsonString(request_id), ",\"details\":[", details, "]}}");
}

}  // namespace jetmon::gateway
