#include "tests/bench/legacy_rows.h"

#include "absl/strings/str_cat.h"

namespace jetmon::bench {
namespace {

constexpr uint64_t kRows = 3'557'537, kActive = 594'377;  // of production

// A number that looks random and depends on the row and on what it is for only (splitmix64).
uint64_t Draw(uint64_t index, uint64_t what) {
  uint64_t x = index * 0x9e3779b97f4a7c15u + what * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::string OddUrl(uint64_t odd, uint64_t index) {
  if (odd < 183) return absl::StrCat("site-", index, ".example.com");
  if (odd < 366) return absl::StrCat("http//site-", index, ".example.com:x/");
  if (odd < 381) return absl::StrCat("http://127.0.0.", index % 250, "/");
  if (odd < 396) return absl::StrCat("http://10.0.0.", index % 250, "/");
  if (odd < 402) return "http://localhost/";
  if (odd < 414) return absl::StrCat("http://host-", index, ".local/");
  if (odd < 415) return absl::StrCat("http://user:word@site-", index, ".example.com/");
  return "http://102";
}
constexpr uint64_t kOdd = 417;

std::string Url(uint64_t index) {
  const uint64_t odd = Draw(index, 1) % kActive;
  if (odd < kOdd) return OddUrl(odd, index);
  std::string url =
      absl::StrCat(Draw(index, 2) % 100 < 58 ? "http" : "https", "://site-", index, ".example.com");
  // Most are a host, some have a path, few are as long as the column takes.
  const uint64_t length = Draw(index, 3) % 1000;
  if (length < 300) absl::StrAppend(&url, "/blog/", Draw(index, 4) % 100'000);
  if (length < 2) url.append(300 - url.size(), 'x');
  return url;
}

}  // namespace

store::Site LegacyRow(uint64_t index, const Shape& shape) {
  store::Site s;
  s.site_id = index;
  // One in fifty is a further URL of the blog before it.
  s.blog_id = 1000 + index - (Draw(index, 5) % 50 == 0 ? 1 : 0);
  s.bucket = static_cast<uint32_t>(Draw(s.blog_id, 6) % shape.buckets);
  s.url = Url(index);
  s.active = shape.all_active || Draw(index, 7) % kRows < kActive;
  const uint64_t status = Draw(index, 8) % 1000;
  s.site_status = status < 10 ? 2 : status < 12 ? 0 : 1;
  if (Draw(index, 9) % 10 != 0) {
    s.last_status_change = store::LegacyTime(
        1'700'000'000'000 + static_cast<int64_t>(Draw(index, 10) % 30'000'000) * 1000);
  }
  s.check_interval = Draw(index, 11) % 100 < 95 ? 5 : 1 + static_cast<int>(Draw(index, 12) % 30);
  return s;
}

}  // namespace jetmon::bench
