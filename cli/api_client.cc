#include "cli/api_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMaxAnswer = 64u << 20;
constexpr size_t kMaxTokenFile = 4096;

struct Receiver {
  Response response;
  std::function<bool(std::string_view)> on_line;
  std::string partial;
  bool too_large = false;
};

size_t OnBody(char* data, size_t, size_t n, void* user) {
  auto* r = static_cast<Receiver*>(user);
  if (!r->on_line) {
    if (r->response.body.size() + n > kMaxAnswer) {
      r->too_large = true;
      return 0;
    }
    r->response.body.append(data, n);
    return n;
  }
  r->partial.append(data, n);
  size_t end;
  while ((end = r->partial.find('\n')) != std::string::npos) {
    const std::string line = r->partial.substr(0, end);
    r->partial.erase(0, end + 1);
    r->response.body = line;  // the last one: an error answer is one line
    if (!line.empty() && !r->on_line(line)) return 0;
  }
  if (r->partial.size() > kMaxAnswer) return 0;
  return n;
}

size_t OnHeader(char* data, size_t, size_t n, void* user) {
  auto* r = static_cast<Receiver*>(user);
  const std::string_view line(data, n);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return n;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return tolower(c); });
  r->response.headers[name] =
      std::string(absl::StripAsciiWhitespace(absl::string_view(data + colon + 1, n - colon - 1)));
  return n;
}

std::string Host(const std::string& url) {
  absl::string_view rest = url;
  const size_t scheme = rest.find("://");
  if (scheme != absl::string_view::npos) rest.remove_prefix(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  if (!rest.empty() && rest.front() == '[') return std::string(rest.substr(0, rest.find(']') + 1));
  return std::string(rest.substr(0, rest.find(':')));
}

std::string Escape(CURL* curl, const std::string& text) {
  char* escaped = curl_easy_escape(curl, text.data(), static_cast<int>(text.size()));
  std::string result = escaped != nullptr ? escaped : "";
  curl_free(escaped);
  return result;
}

}  // namespace

Connection ConnectionFromEnvironment() {
  Connection c;
  if (const char* url = getenv("JETMON_API_URL"); url != nullptr && *url != '\0') c.base_url = url;
  if (const char* token = getenv("JETMON_API_TOKEN"); token != nullptr) c.token = token;
  return c;
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat("can't read the token file ", path));
  struct stat st {};
  char buffer[kMaxTokenFile];
  const bool stat_ok = fstat(fd, &st) == 0;
  const ssize_t n = read(fd, buffer, sizeof(buffer));
  close(fd);
  if (!stat_ok || n <= 0)
    return absl::NotFoundError(absl::StrCat("the token file ", path, " is empty or unreadable"));
  if ((st.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("others can read ", path, "; run: chmod 600 ", path));
  }
  return std::string(absl::StripAsciiWhitespace(absl::string_view(buffer, n)));
}

bool IsLoopback(const std::string& base_url) {
  const std::string host = Host(base_url);
  return host == "localhost" || host == "[::1]" ||
         (absl::StartsWith(host, "127.") &&
          host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string Response::ErrorText() const {
  const std::string code = error_code();
  if (code.empty()) return absl::StrCat("HTTP ", http_status);
  return absl::StrCat(code, ": ", json["error"]["message"].Text());
}

ApiClient::ApiClient(Connection connection)
    : connection_(std::move(connection)), curl_(curl_easy_init()) {}
ApiClient::~ApiClient() {
  if (curl_ != nullptr) curl_easy_cleanup(static_cast<CURL*>(curl_));
}

absl::Status ApiClient::Refusal(const Request& request) const {
  const std::string& url = connection_.base_url;
  if (!absl::StartsWith(url, "http://") && !absl::StartsWith(url, "https://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the base URL '", url, "' must begin with http:// or https://"));
  }
  if (IsLoopback(url)) return absl::OkStatus();
  if (request.mutating && !connection_.allow_remote) {
    return absl::FailedPreconditionError(
        absl::StrCat(url, " is another machine; add --allow-remote to change something there"));
  }
  if (!connection_.token.empty() && absl::StartsWith(url, "http://")) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a token is never sent over plain HTTP to another machine; use https:// for ", url));
  }
  return absl::OkStatus();
}

absl::StatusOr<Response> ApiClient::Send(const Request& request) { return Perform(request, {}); }

absl::StatusOr<Response> ApiClient::Stream(const Request& request,
                                           std::function<bool(std::string_view)> on_line) {
  return Perform(request, std::move(on_line));
}

absl::StatusOr<Response> ApiClient::Perform(const Request& request,
                                            std::function<bool(std::string_view)> on_line) {
  if (auto s = Refusal(request); !s.ok()) return s;
  CURL* curl = static_cast<CURL*>(curl_);
  if (curl == nullptr) return absl::InternalError("libcurl could not be initialised");
  std::string url = std::string(absl::StripSuffix(connection_.base_url, "/")) + request.path;
  char separator = '?';
  for (const auto& [name, value] : request.query) {
    absl::StrAppend(&url, std::string(1, separator), name, "=", Escape(curl, value));
    separator = '&';
  }
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  const auto add = [&headers](const std::string& h) {
    headers.reset(curl_slist_append(headers.release(), h.c_str()));
  };
  add("accept: application/json, application/x-ndjson");
  add("expect:");
  if (!request.body.empty()) add("content-type: application/json");
  if (!connection_.token.empty()) add("authorization: Bearer " + connection_.token);
  if (!request.idempotency_key.empty()) add("idempotency-key: " + request.idempotency_key);

  Receiver receiver;
  const bool streaming = static_cast<bool>(on_line);
  receiver.on_line = std::move(on_line);
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, streaming ? 0L : long{connection_.timeout_s});
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  if (!connection_.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, connection_.ca_file.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiver);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &receiver);
  const CURLcode code = curl_easy_perform(curl);
  long http_status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http_status);
  const bool stopped_by_us = streaming && code == CURLE_WRITE_ERROR;
  if (code != CURLE_OK && !stopped_by_us) {
    if (receiver.too_large) return absl::ResourceExhaustedError("the answer is above 64 MiB");
    return absl::UnavailableError(absl::StrCat(
        "can't reach the control plane at ", connection_.base_url, ": ", curl_easy_strerror(code)));
  }
  receiver.response.http_status = static_cast<int>(http_status);
  if (streaming && !receiver.partial.empty()) receiver.response.body = receiver.partial;
  if (auto json = Json::Parse(receiver.response.body); json.ok()) {
    receiver.response.json = std::move(*json);
  }
  return std::move(receiver.response);
}

absl::StatusOr<Response> AllPages(
    const std::function<absl::StatusOr<Response>(const Request&)>& send, Request request,
    const std::string& list) {
  constexpr char kToken[] = "page_token";
  Json rows;
  request.query.emplace_back(kToken, "");
  for (;;) {
    auto answer = send(request);
    if (!answer.ok() || !answer->ok()) return answer;
    for (const Json& row : answer->json[list].Items()) rows.Append(row);
    const std::string next = answer->json["next_page_token"].Text();
    if (next.empty() || next == request.query.back().second) {
      answer->json.Set(list, rows);
      answer->body = answer->json.Dump();
      return answer;
    }
    request.query.back().second = next;
  }
}

}  // namespace jetmon::cli
