#ifndef JETMON_CLI_API_CLIENT_H_
#define JETMON_CLI_API_CLIENT_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/json.h"

namespace jetmon::cli {

// How to reach the control plane.
struct Connection {
  std::string base_url = "http://127.0.0.1:8443";
  std::string token;
  bool allow_remote = false;
  int timeout_s = 75;
  std::string ca_file;
};

// Reads the environment (JETMON_API_URL, JETMON_API_TOKEN).
Connection ConnectionFromEnvironment();

// Reads a token from a file that only its owner can read (mode 0600), else an error that says
// what to type.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

// True for http(s)://127.x, [::1] and localhost.
bool IsLoopback(const std::string& base_url);

struct Request {
  std::string method = "GET";
  std::string path;  // begins with /
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;  // "" = none
  std::string idempotency_key;
  bool mutating = false;  // a plan counts as mutating: it makes a token
};

struct Response {
  int http_status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  // names in lower case
  Json json;                                   // of the body, empty if it is none
  bool ok() const { return http_status >= 200 && http_status < 300; }
  std::string error_code() const { return json["error"]["code"].Text(); }
  // "code: message" of an error answer.
  std::string ErrorText() const;
};

// One REST client over one keep-alive connection. Not thread-safe.
class ApiClient {
 public:
  explicit ApiClient(Connection connection);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  // Sends and reads the whole answer (at most 64 MiB). An error answer is a Response; a Status is
  // for what never reached the server or whose answer was lost (Unavailable), or for what this
  // side refuses (FailedPrecondition: remote without --allow-remote, a token over plain HTTP).
  absl::StatusOr<Response> Send(const Request& request);
  // The same for a streaming answer: each complete line is handed over; false ends the call.
  absl::StatusOr<Response> Stream(const Request& request,
                                  std::function<bool(std::string_view)> on_line);

 private:
  absl::Status Refusal(const Request& request) const;
  absl::StatusOr<Response> Perform(const Request& request,
                                   std::function<bool(std::string_view)> on_line);

  const Connection connection_;
  void* curl_;
};

// Sends the GET of a list, and again for each page that follows (with page_token); an answer whose
// `list` has the rows of all pages, or the first that is an error.
absl::StatusOr<Response> AllPages(
    const std::function<absl::StatusOr<Response>(const Request&)>& send, Request request,
    const std::string& list);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_API_CLIENT_H_
