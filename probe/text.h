#ifndef JETMON_PROBE_TEXT_H_
#define JETMON_PROBE_TEXT_H_

#include <string.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/ascii.h"

// The few string operations that probe/ needs on std::string_view: this system's Abseil was built
// with a string_view of its own, and its StrCat, EqualsIgnoreCase and the like do not take the
// standard one.
namespace jetmon::probe {

template <typename T>
void CatTo(std::string* out, const T& piece) {
  if constexpr (std::is_integral_v<T>) {
    static_assert(!std::is_same_v<T, char> && !std::is_same_v<T, bool>);
    char digits[24];
    out->append(digits, std::to_chars(digits, digits + sizeof(digits), piece).ptr);
  } else {
    out->append(std::string_view(piece));
  }
}

// Strings and integers, one after the other.
template <typename... T>
std::string Cat(const T&... pieces) {
  std::string out;
  (CatTo(&out, pieces), ...);
  return out;
}

// Of ASCII letters only.
inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return absl::ascii_tolower(x) == absl::ascii_tolower(y);
  });
}

// Drops spaces and controls at both ends.
inline std::string_view Trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

// What an errno means.
inline std::string ErrorText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));  // the GNU one
}

// At most `most` bytes, one line of printable ASCII: what a peer wrote may end up in a proto or a
// terminal.
inline std::string OneLine(std::string_view text, size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

// No control character in it.
inline bool IsOneLine(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= ' ' && c != 0x7f; });
}

inline bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Digits only, no sign, no more than fit; false else.
template <typename Int>
bool ParseDigits(std::string_view text, Int* value, int base = 10) {
  static_assert(std::is_unsigned_v<Int>);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEXT_H_
