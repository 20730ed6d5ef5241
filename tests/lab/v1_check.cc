#include "tests/lab/v1_check.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/lab/http_client.h"

namespace jetmon::lab {
namespace {

using std::chrono::steady_clock;

constexpr int kRedirects = 2;

std::string HeadRequest(const HttpUrl& url) {
  return absl::StrCat("HEAD ", url.path, " HTTP/1.1\r\nHost: ", url.host, ":", url.port,
                      "\r\nUser-Agent: jetmon/1.0 (Jetpack Site Uptime Monitor by WordPress.com)"
                      "\r\nConnection: close\r\n\r\n");
}

}  // namespace

int CodeAsV1(const std::string& text, const std::string& source,
             std::chrono::milliseconds timeout) {
  const auto until = steady_clock::now() + timeout;
  auto url = ParseHttpUrl(text);
  for (int hop = 0; url; ++hop) {
    const HttpReply reply = Exchange(*url, source, HeadRequest(*url), /*with_body=*/false, until);
    const std::string location = reply.Header("location");
    const bool redirected = reply.code >= 300 && reply.code < 400 && !location.empty();
    if (!redirected || hop == kRedirects) return reply.code;
    if (location[0] == '/') {
      url->path = location;
    } else {
      url = ParseHttpUrl(location);
    }
  }
  return 0;
}

bool CheckAsV1(const std::string& text, const std::string& source,
               std::chrono::milliseconds timeout) {
  return IsUpAsV1(CodeAsV1(text, source, timeout));
}

}  // namespace jetmon::lab
