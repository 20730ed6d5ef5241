#ifndef JETMON_STORE_PAGE_H_
#define JETMON_STORE_PAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::store {

// One page of a list: `size` 1..200 rows after the opaque `token` ("" = from the start). A token
// that this list did not make is InvalidArgument.
struct PageRequest {
  uint32_t size = 50;
  std::string token;
};

template <typename T>
struct Page {
  std::vector<T> rows;
  std::string next_token;  // "" at the end
};

// The token of a page that ends with `last_key`, and back ("" for "").
std::string PageToken(std::string_view last_key);
absl::StatusOr<std::string> KeyOfPageToken(std::string_view token);

// Cuts rows that were read one more than asked for, and makes the next token from the last one
// that stays.
template <typename T, typename KeyOf>
Page<T> MakePage(std::vector<T> rows, uint32_t size, KeyOf key_of) {
  Page<T> page;
  page.rows = std::move(rows);
  if (page.rows.size() > size) {
    page.rows.resize(size);
    page.next_token = PageToken(key_of(page.rows.back()));
  }
  return page;
}

}  // namespace jetmon::store

#endif  // JETMON_STORE_PAGE_H_
