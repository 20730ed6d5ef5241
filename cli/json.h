#ifndef JETMON_CLI_JSON_H_
#define JETMON_CLI_JSON_H_

#include <google/protobuf/struct.pb.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::cli {

// A JSON value, read leniently: what is missing or of another type reads as empty. Cheap to
// pass by value for small documents; never throws.
class Json {
 public:
  Json() = default;
  explicit Json(google::protobuf::Value value) : value_(std::move(value)) {}

  static absl::StatusOr<Json> Parse(std::string_view text);
  std::string Dump() const;

  bool Has(const std::string& key) const;
  // The member `key`; empty if this is no object or has none.
  Json operator[](const std::string& key) const;
  // Text; a number without a fraction as its digits; true/false; "" otherwise.
  std::string Text() const;
  // A number, or text that spells one (64-bit integers travel as text); 0 otherwise.
  double Number() const;
  bool Bool() const { return value_.bool_value(); }
  bool IsNull() const {
    return value_.kind_case() == google::protobuf::Value::kNullValue ||
           value_.kind_case() == google::protobuf::Value::KIND_NOT_SET;
  }
  bool IsObject() const { return value_.has_struct_value(); }
  bool IsList() const { return value_.has_list_value(); }
  std::vector<Json> Items() const;
  // Member names, sorted.
  std::vector<std::string> Keys() const;

  // Makes this an object if it is none.
  Json& Set(const std::string& key, const std::string& text);
  Json& Set(const std::string& key, const char* text) { return Set(key, std::string(text)); }
  Json& Set(const std::string& key, bool on);
  Json& Set(const std::string& key, double number);
  Json& Set(const std::string& key, const Json& value);
  void Append(const Json& value);

 private:
  google::protobuf::Value value_;
};

// Indents JSON text by two spaces, keeping its order; text that is no JSON comes back unchanged.
std::string Indent(std::string_view json);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_JSON_H_
