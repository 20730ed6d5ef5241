#ifndef JETMON_STORE_PAGE_H_
#define JETMON_STORE_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

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

}  // namespace jetmon::store

#endif  // JETMON_STORE_PAGE_H_
