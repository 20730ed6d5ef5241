#include "cli/canary_file.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMostCanaries = 50;

enum class Kind { kText, kSwitch, kNumber };
struct Field {
  const char* name;
  Kind kind;
  int64_t least, most;  // bytes of a text, or the number itself
};
constexpr Field kFields[] = {
    {"name", Kind::kText, 1, 64},
    {"url", Kind::kText, 1, 300},
    {"mode", Kind::kText, 1, 16},
    {"method", Kind::kText, 1, 8},
    {"profile", Kind::kText, 1, 16},
    {"keyword", Kind::kText, 1, 255},
    {"expect_success", Kind::kSwitch, 0, 0},
    {"expect_http_code", Kind::kNumber, 100, 599},
    {"expect_error_code", Kind::kNumber, 0, 9},
};
constexpr const char* kModes[] = {"head-legacy", "head-simple", "get-legacy", "get-simple",
                                  "get-full"};

// A value as it stands in the file.
struct Value {
  std::string token;
  int line = 0;
};

class CanaryReader {
 public:
  CanaryReader(const std::string& name, std::string_view text) : name_(name), text_(text) {}

  absl::StatusOr<Json> Read() {
    Json list = *Json::Parse("[]");
    size_t count = 0;
    if (!Take('[')) return Wrong("the file is to be a JSON array: [ {...}, {...} ]");
    if (!Take(']')) {
      do {
        Next();
        if (++count > kMostCanaries) {
          return Wrong(absl::StrCat("takes up to ", kMostCanaries, " canaries"));
        }
        if (auto s = ReadOne(&list); !s.ok()) return s;
      } while (Take(','));
      if (!Take(']')) return Wrong("expected , or ] after a canary");
    }
    if (Next() != '\0') return Wrong("there is something behind the end of the array");
    return list;
  }

 private:
  // The next character that is no space, on line_; '\0' at the end.
  char Next() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c;
    }
    return '\0';
  }
  bool Take(char c) {
    if (Next() != c || c == '\0') return false;
    ++at_;
    return true;
  }
  absl::Status Wrong(const std::string& what) const { return WrongAt(line_, what); }
  absl::Status WrongAt(int line, const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line, ": ", what));
  }
  absl::Status WrongField(int line, const std::string& field, const std::string& what) const {
    return WrongAt(line, absl::StrCat("field \"", field, "\": ", what));
  }

  // A text with its quotes, or a word of letters, digits, + - and a point.
  absl::StatusOr<std::string> Token() {
    const char first = Next();
    const size_t from = at_;
    if (first == '"') {
      for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
        if (text_[at_] == '\n') return Wrong("a text has to end on the line on which it begins");
        if (text_[at_] == '\\') ++at_;
      }
      if (at_ >= text_.size()) return Wrong("a text does not end");
      ++at_;
    } else {
      const auto is_word = [](unsigned char c) {
        return isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
      };
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
      if (at_ == from) return Wrong("expected a text, a number, true or false");
    }
    return std::string(text_.substr(from, at_ - from));
  }
  absl::StatusOr<std::string> TextOf(const std::string& token) const {
    auto json = Json::Parse("{\"v\":" + token + "}");
    if (token[0] != '"' || !json.ok()) return absl::InvalidArgumentError("no text");
    return (*json)["v"].Text();
  }

  absl::Status ReadOne(Json* list) {
    if (!Take('{')) return Wrong("expected a canary: {\"name\": ..., \"url\": ...}");
    const int line = line_;
    std::map<std::string, Value> values;
    if (!Take('}')) {
      do {
        if (auto s = ReadField(&values); !s.ok()) return s;
      } while (Take(','));
      if (!Take('}')) return Wrong("expected , or } after a field");
    }
    Json canary;
    for (const auto& [name, value] : values) {
      if (auto s = Set(name, value, &canary); !s.ok()) return s;
    }
    if (auto s = CheckWhole(line, values, canary); !s.ok()) return s;
    list->Append(canary);
    return absl::OkStatus();
  }

  absl::Status ReadField(std::map<std::string, Value>* values) {
    auto token = Token();
    if (!token.ok()) return token.status();
    const int line = line_;
    auto name = TextOf(*token);
    if (!name.ok()) return Wrong("expected a field's name in double quotes");
    if (!Take(':')) return WrongField(line, *name, "expected : behind the name");
    const auto known = [&](const Field& f) { return *name == f.name; };
    if (std::none_of(std::begin(kFields), std::end(kFields), known)) {
      return WrongField(line, *name, "is no field of a canary");
    }
    if (const char first = Next(); first == '[' || first == '{') {
      return WrongField(line_, *name, "takes no list and no object");
    }
    const int value_line = line_;
    auto value = Token();
    if (!value.ok()) return value.status();
    if (!values->emplace(*name, Value{*value, value_line}).second) {
      return WrongField(line, *name, "stands there twice");
    }
    return absl::OkStatus();
  }

  absl::Status Set(const std::string& name, const Value& value, Json* canary) const {
    const Field& field = *std::find_if(std::begin(kFields), std::end(kFields),
                                       [&](const Field& f) { return name == f.name; });
    if (field.kind == Kind::kSwitch) {
      if (value.token != "true" && value.token != "false") {
        return WrongField(value.line, name, "takes true or false");
      }
      canary->Set(name, value.token == "true");
    } else if (field.kind == Kind::kNumber) {
      int64_t n = 0;
      if (!absl::SimpleAtoi(value.token, &n) || n < field.least || n > field.most) {
        return WrongField(value.line, name,
                          absl::StrCat("takes ", field.least, " to ", field.most));
      }
      canary->Set(name, static_cast<double>(n));
    } else {
      auto text = TextOf(value.token);
      const auto size = static_cast<int64_t>(text.ok() ? text->size() : 0);
      if (size < field.least || size > field.most) {
        return WrongField(
            value.line, name,
            absl::StrCat("takes a text of ", field.least, " to ", field.most, " bytes"));
      }
      canary->Set(name, *text);
    }
    return absl::OkStatus();
  }

  // `line`: on which the canary begins.
  absl::Status CheckWhole(int line, const std::map<std::string, Value>& values,
                          const Json& canary) {
    const auto has = [&](const char* name) { return values.count(name) > 0; };
    for (const char* name : {"name", "url"}) {
      if (!has(name)) return WrongField(line, name, "is required");
    }
    if (!names_.insert(canary["name"].Text()).second) {
      return WrongField(values.at("name").line, "name",
                        "is another canary's too; names are unique");
    }
    if (has("mode") == (has("method") || has("profile"))) {
      return WrongField(has("mode") ? values.at("mode").line : line, "mode",
                        "give either mode, or method and profile (and not both)");
    }
    if (has("mode") && std::find(std::begin(kModes), std::end(kModes), canary["mode"].Text()) ==
                           std::end(kModes)) {
      return WrongField(values.at("mode").line, "mode",
                        "takes head-legacy, head-simple, get-legacy or get-simple");
    }
    for (const auto& [one, other] : {std::pair("method", "profile"), {"profile", "method"}}) {
      if (has(one) && !has(other)) {
        return WrongField(values.at(one).line, one, absl::StrCat("needs ", other, " too"));
      }
    }
    if (!has("expect_success") && !has("expect_http_code") && !has("expect_error_code")) {
      return WrongField(line, "expect_success",
                        "expect something: expect_success, expect_http_code or expect_error_code");
    }
    return absl::OkStatus();
  }

  const std::string name_;
  const std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  std::set<std::string> names_;
};

}  // namespace

absl::StatusOr<Json> ParseCanaries(const std::string& name, std::string_view text) {
  return CanaryReader(name, text).Read();
}

absl::StatusOr<Json> ReadCanaries(const std::string& path) {
  auto text = ReadSmallFile(path);
  if (!text.ok()) return text.status();
  return ParseCanaries(path, *text);
}

}  // namespace jetmon::cli
