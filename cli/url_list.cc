#include "cli/url_list.h"

#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMaxLine = 4096;

// One line without its end, at most kMaxLine + 1 bytes of it. False at the end.
bool ReadLine(std::istream& in, std::string* line) {
  line->clear();
  for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
    if (c == '\n') return true;
    if (line->size() <= kMaxLine) line->push_back(static_cast<char>(c));
  }
  return !line->empty();
}

}  // namespace

absl::StatusOr<UrlList> UrlList::Open(const std::string& path) {
  if (path == "-") return UrlList(std::make_unique<std::istream>(std::cin.rdbuf()));
  uint64_t total = 0;
  {
    auto file = std::make_unique<std::ifstream>(path);
    if (!*file) return absl::NotFoundError(absl::StrCat("can't read ", path));
    UrlList counting(std::move(file));
    while (counting.Next().has_value()) ++total;
  }
  UrlList list(std::make_unique<std::ifstream>(path));
  list.total_ = total;
  return list;
}

std::optional<std::string> UrlList::Next() {
  std::string line;
  while (ReadLine(*lines_, &line)) {
    absl::string_view text = line;
    if (std::exchange(first_, false)) absl::ConsumePrefix(&text, "\xef\xbb\xbf");
    text = absl::StripAsciiWhitespace(text);
    if (!text.empty() && text.front() != '#') return std::string(text);
  }
  return std::nullopt;
}

}  // namespace jetmon::cli
