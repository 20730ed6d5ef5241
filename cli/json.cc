#include "cli/json.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace jetmon::cli {

using google::protobuf::Value;

absl::StatusOr<Json> Json::Parse(std::string_view text) {
  Value value;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(text.data(), text.size()), &value);
  if (!status.ok()) return absl::InvalidArgumentError("not JSON");
  return Json(std::move(value));
}

std::string Json::Dump() const {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(value_, &text).ok()) return "null";
  return text;
}

bool Json::Has(const std::string& key) const {
  return value_.has_struct_value() && value_.struct_value().fields().count(key) > 0;
}

Json Json::operator[](const std::string& key) const {
  if (!Has(key)) return Json();
  return Json(value_.struct_value().fields().at(key));
}

std::string Json::Text() const {
  switch (value_.kind_case()) {
    case Value::kStringValue:
      return value_.string_value();
    case Value::kBoolValue:
      return value_.bool_value() ? "true" : "false";
    case Value::kNumberValue: {
      const double n = value_.number_value();
      if (n == std::floor(n) && std::abs(n) < 9e15) return absl::StrCat(static_cast<int64_t>(n));
      return absl::StrCat(n);
    }
    default:
      return "";
  }
}

double Json::Number() const {
  if (value_.has_number_value()) return value_.number_value();
  double n = 0;
  if (value_.has_string_value() && absl::SimpleAtod(value_.string_value(), &n)) return n;
  return 0;
}

std::vector<Json> Json::Items() const {
  std::vector<Json> items;
  for (const Value& v : value_.list_value().values()) items.emplace_back(v);
  return items;
}

std::vector<std::string> Json::Keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, ignored] : value_.struct_value().fields()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

Json& Json::Set(const std::string& key, const std::string& text) {
  (*value_.mutable_struct_value()->mutable_fields())[key].set_string_value(text);
  return *this;
}
Json& Json::Set(const std::string& key, bool on) {
  (*value_.mutable_struct_value()->mutable_fields())[key].set_bool_value(on);
  return *this;
}
Json& Json::Set(const std::string& key, double number) {
  (*value_.mutable_struct_value()->mutable_fields())[key].set_number_value(number);
  return *this;
}
Json& Json::Set(const std::string& key, const Json& value) {
  (*value_.mutable_struct_value()->mutable_fields())[key] = value.value_;
  return *this;
}
void Json::Append(const Json& value) { *value_.mutable_list_value()->add_values() = value.value_; }

std::string Indent(std::string_view json) {
  std::string out;
  size_t depth = 0;
  bool in_string = false, escaped = false;
  const auto line = [&out, &depth] {
    out.push_back('\n');
    out.append(2 * depth, ' ');
  };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out.push_back(c);
      if (!escaped && c == '"') in_string = false;
      escaped = !escaped && c == '\\';
      continue;
    }
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    if (c == '"') in_string = true;
    if (c == '}' || c == ']') {
      if (depth > 0) --depth;
      if (!out.empty() && out.back() != '{' && out.back() != '[') line();
    }
    // The first member of an object or list begins a line of its own.
    if (!out.empty() && (out.back() == '{' || out.back() == '[') && c != '}' && c != ']') line();
    out.push_back(c);
    if (c == '{' || c == '[') ++depth;
    if (c == ',') line();
    if (c == ':') out.push_back(' ');
  }
  return out;
}

}  // namespace jetmon::cli
