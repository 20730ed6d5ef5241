#include <stdio.h>

#include <iostream>

#include "absl/strings/ascii.h"
#include "cli/api_commands.h"
#include "cli/findings.h"
#include "cli/terminal.h"

namespace jetmon::cli {

int SayNotSent(const absl::Status& status) {
  std::cerr << "jetmon2: " << status.message() << "\n";
  return absl::IsUnavailable(status) ? kFailed : kUsage;
}

int SayErrorAnswer(const Response& answer) {
  std::cerr << "jetmon2: " << answer.ErrorText() << "\n";
  const std::string code = answer.error_code();
  const bool confirmation =
      code == "invalid_confirmation" || code == "missing_confirmation" || code == "plan_changed";
  return confirmation ? kRefused : kFailed;
}

absl::Status SettleConnection(ApiOptions* options) {
  if (options->token_file.empty()) return absl::OkStatus();
  auto token = ReadTokenFile(options->token_file);
  if (!token.ok()) return token.status();
  options->connection.token = *token;
  return absl::OkStatus();
}

int PrintAnswer(const ApiOptions& options, const Response& answer) {
  const absl::string_view body = absl::StripTrailingAsciiWhitespace(answer.body);
  if (options.output == "table") {
    std::cout << Table(answer.json);
  } else if (options.pretty) {
    std::cout << Indent(std::string_view(body.data(), body.size())) << "\n";
  } else {
    std::cout << body << "\n";
  }
  return answer.json["status"].Text() == "blocked" ? kBlocked : kOk;
}

int SendAndPrint(const ApiOptions& options, const Request& request) {
  auto answer = ApiClient(options.connection).Send(request);
  if (!answer.ok()) return SayNotSent(answer.status());
  return answer->ok() ? PrintAnswer(options, *answer) : SayErrorAnswer(*answer);
}

int SendAllAndPrint(const ApiOptions& options, const Request& request, const std::string& list) {
  ApiClient client(options.connection);
  auto answer = AllPages([&client](const Request& r) { return client.Send(r); }, request, list);
  if (!answer.ok()) return SayNotSent(answer.status());
  return answer->ok() ? PrintAnswer(options, *answer) : SayErrorAnswer(*answer);
}

int StreamAndPrint(const ApiOptions& options, const Request& request) {
  auto answer = ApiClient(options.connection).Stream(request, [](std::string_view line) {
    std::cout << line << std::endl;
    return true;
  });
  if (!answer.ok()) return SayNotSent(answer.status());
  return answer->ok() ? kOk : SayErrorAnswer(*answer);
}

}  // namespace jetmon::cli
