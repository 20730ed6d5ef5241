#include "controlplane/gateway/json_scan.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "controlplane/error/error.h"

namespace jetmon::gateway {
namespace {

// Bytes of the UTF-8 character at the head of `text`; 0 when it is none.
size_t Utf8Length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i, unsigned low, unsigned high) {
    return i < text.size() && at(i) >= low && at(i) <= high;
  };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    const unsigned low = c == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = c == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    const unsigned low = c == 0xF0 ? 0x90 : 0x80;
    const unsigned high = c == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

void AppendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Recursion is bounded by kMostJsonDepth. Each function returns false with `what_` set.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  absl::Status Run() {
    Space();
    bool ok = Value(0);
    if (ok) {
      Space();
      if (at_ != text_.size()) ok = Fail("something follows the value");
    }
    if (ok) return absl::OkStatus();
    return Error(v1::MALFORMED_JSON,
                 absl::StrCat("the body is not JSON (RFC 8259): ", what_, " at byte ", at_));
  }

 private:
  bool Fail(const char* what) {
    what_ = what;
    return false;
  }
  bool End() const { return at_ >= text_.size(); }
  char Peek() const { return End() ? '\0' : text_[at_]; }
  void Space() {
    while (!End() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r')) ++at_;
  }

  bool Value(int depth) {
    if (End()) return Fail("a value is missing");
    switch (Peek()) {
      case '{':
        return Object(depth + 1);
      case '[':
        return Array(depth + 1);
      case '"':
        return String(nullptr);
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  bool Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return Fail("an unknown word");
    at_ += word.size();
    return true;
  }

  bool Digits() {
    if (!IsDigit(Peek())) return Fail("a digit is missing");
    while (IsDigit(Peek())) ++at_;
    return true;
  }

  bool Number() {
    const size_t start = at_;
    if (Peek() == '-') ++at_;
    if (!IsDigit(Peek())) {
      at_ = start;
      return Fail("no value of JSON");
    }
    if (Peek() == '0') {
      ++at_;
      if (IsDigit(Peek())) return Fail("a number with a leading zero");
    } else {
      Digits();
    }
    if (Peek() == '.') {
      ++at_;
      if (!Digits()) return false;
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!Digits()) return false;
    }
    return true;
  }

  bool Array(int depth) {
    if (depth > kMostJsonDepth) return Fail("nested too deeply");
    ++at_;
    Space();
    if (Peek() == ']') return ++at_, true;
    for (;;) {
      Space();
      if (!Value(depth)) return false;
      Space();
      if (Peek() == ']') return ++at_, true;
      if (Peek() != ',') return Fail("a comma or ] is missing");
      ++at_;
    }
  }

  bool Object(int depth) {
    if (depth > kMostJsonDepth) return Fail("nested too deeply");
    ++at_;
    Space();
    if (Peek() == '}') return ++at_, true;
    std::set<std::string> keys;
    for (;;) {
      Space();
      if (Peek() != '"') return Fail("a key in double quotes is missing");
      std::string key;
      if (!String(&key)) return false;
      if (!keys.insert(std::move(key)).second) return Fail("a key comes twice, ending");
      Space();
      if (Peek() != ':') return Fail("a colon is missing");
      ++at_;
      Space();
      if (!Value(depth)) return false;
      Space();
      if (Peek() == '}') return ++at_, true;
      if (Peek() != ',') return Fail("a comma or } is missing");
      ++at_;
    }
  }

  bool Hex4(uint32_t* out) {
    *out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      if (IsDigit(c)) {
        *out = *out * 16 + (c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        *out = *out * 16 + ((c | 0x20) - 'a' + 10);
      } else {
        return Fail("\\u without four hex digits");
      }
    }
    return true;
  }

  // After "\u".
  bool Unicode(std::string* out) {
    uint32_t c = 0;
    if (!Hex4(&c)) return false;
    if (c >= 0xDC00 && c <= 0xDFFF) return Fail("a lone surrogate");
    if (c >= 0xD800 && c <= 0xDBFF) {
      uint32_t low = 0;
      if (text_.substr(at_, 2) != "\\u") return Fail("a lone surrogate");
      at_ += 2;
      if (!Hex4(&low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return Fail("a lone surrogate");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (out != nullptr) AppendUtf8(*out, c);
    return true;
  }

  bool Escape(std::string* out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    ++at_;
    const char c = Peek();
    if (c == 'u') return ++at_, Unicode(out);
    const size_t i = kFrom.find(c);
    if (End() || i == std::string_view::npos) return Fail("an unknown escape");
    ++at_;
    if (out != nullptr) *out += kTo[i];
    return true;
  }

  // The string's value goes to `out`, unless nullptr.
  bool String(std::string* out) {
    ++at_;
    for (;;) {
      if (End()) return Fail("a string without an end");
      const auto c = static_cast<unsigned char>(Peek());
      if (c == '"') return ++at_, true;
      if (c < 0x20) return Fail("a control character in a string");
      if (c == '\\') {
        if (!Escape(out)) return false;
        continue;
      }
      const size_t length = Utf8Length(text_.substr(at_));
      if (length == 0) return Fail("bad UTF-8");
      if (out != nullptr) out->append(text_.substr(at_, length));
      at_ += length;
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
  const char* what_ = "";
};

}  // namespace

absl::Status ScanJson(std::string_view text) { return Scanner(text).Run(); }

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace jetmon::gateway
