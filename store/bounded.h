#ifndef JETMON_STORE_BOUNDED_H_
#define JETMON_STORE_BOUNDED_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace jetmon::store {

// The longest beginning of `text` that has `max` bytes at most and cuts no UTF-8 character in two:
// what is stored goes into protobuf strings, and strict engines refuse half a character.
inline std::string Bounded(std::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
  return std::string(text.substr(0, max));
}

}  // namespace jetmon::store

#endif  // JETMON_STORE_BOUNDED_H_
