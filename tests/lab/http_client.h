#ifndef JETMON_TESTS_LAB_HTTP_CLIENT_H_
#define JETMON_TESTS_LAB_HTTP_CLIENT_H_

#include <chrono>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace jetmon::lab {

// An http URL of an IPv4 literal, taken apart.
struct HttpUrl {
  std::string host, path = "/";
  int port = 80;
};
// nullopt: it is none. The scheme is matched as v1 does, in lower case only.
std::optional<HttpUrl> ParseHttpUrl(absl::string_view text);

struct HttpReply {
  int code = 0;  // 0: none came
  std::string head, body;
  // The value of a header, "" if there is none.
  std::string Header(absl::string_view name) const;
};

// Sends `request` as it is over a connection of its own, bound to `source` (empty = any), and reads
// the answer: its head, and with `with_body` what follows until the peer closes.
HttpReply Exchange(const HttpUrl& to, const std::string& source, const std::string& request,
                   bool with_body, std::chrono::steady_clock::time_point until);

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_HTTP_CLIENT_H_
