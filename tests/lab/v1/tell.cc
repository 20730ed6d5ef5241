#include "tests/lab/v1/tell.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

namespace jetmon::lab {
namespace {

// As JSON.stringify does: what is not ASCII stands as it is.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

// As the JSON of a JavaScript Date.
std::string Date(int64_t unix_ms) {
  return absl::FormatTime("\"%Y-%m-%dT%H:%M:%E3SZ\"", absl::FromUnixMillis(unix_ms),
                          absl::UTCTimeZone());
}

std::string CheckText(const V1Check& check) {
  std::string text = absl::StrCat("{\"type\":", check.by_veriflier ? 2 : 1);
  if (check.by_veriflier) absl::StrAppend(&text, ",\"host\":", Quoted(check.host));
  absl::StrAppend(&text, ",\"status\":", check.status, ",\"rtt\":", check.rtt_ms,
                  ",\"code\":", check.code, "}");
  return text;
}

}  // namespace

std::string TellText(const V1Tell& tell, const std::string& token) {
  const LegacyRow& row = tell.site.row;
  std::vector<std::string> checks;
  for (const V1Check& check : tell.site.checks) checks.push_back(CheckText(check));
  const std::string changed =
      row.last_status_change_s ? Date(*row.last_status_change_s * 1000) : "null";
  return absl::StrCat("{\"blog_id\":", row.blog_id, ",\"monitor_url\":", Quoted(row.url),
                      ",\"status_id\":", tell.status,
                      ",\"last_check\":", Date(tell.site.last_check_ms),
                      ",\"last_status_change\":", changed, ",\"checks\":[",
                      absl::StrJoin(checks, ","), "],\"token\":", Quoted(token), "}");
}

bool CanBeTold(const std::string& text) {
  // In UTF-8, U+0080 to U+00FF begin with C2 or C3, everything behind them with more.
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte > 0xc3) return false;
  }
  return true;
}

bool SendTell(const HttpUrl& base, const std::string& source, const std::string& text,
              std::chrono::milliseconds limit) {
  const std::string request =
      absl::StrCat("GET /jetmon/?data=", text, " HTTP/1.1\r\nHost: ", base.host, ":", base.port,
                   "\r\nConnection: close\r\n\r\n");
  const HttpReply reply =
      Exchange(base, source, request, /*with_body=*/true, std::chrono::steady_clock::now() + limit);
  const std::string body = absl::StrReplaceAll(reply.body, {{" ", ""}, {"\n", ""}});
  return reply.code == 200 && absl::StrContains(body, "\"success\":true");
}

}  // namespace jetmon::lab
