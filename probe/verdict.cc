#include "probe/verdict.h"

#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr int kLegacyRedirects = 2;
constexpr int kSimpleRedirects = 10;

Verdict Down(ErrorCode error_code, std::string detail) {
  return {Outcome::kDown, error_code, std::move(detail), std::nullopt};
}

Verdict ByCode(int http_code, std::string detail) {
  const Outcome outcome = http_code < 400 ? Outcome::kUp : Outcome::kDown;
  return {outcome, ErrorCode::kNone, std::move(detail), std::nullopt};
}

std::string Describe(const HttpReader& reader, Ending ending) {
  switch (ending) {
    case Ending::kTimeout:
      return reader.headers_complete() ? "timeout in the body" : "timeout";
    case Ending::kBroken:
      return "connection reset";
    case Ending::kRead:
      break;
  }
  return reader.error();
}

Verdict JudgeRedirect(bool legacy, const HttpReader& reader, int redirects, const Url& url) {
  if (legacy && redirects >= kLegacyRedirects) {
    return ByCode(reader.status_code(), "third redirect response");
  }
  if (redirects >= kSimpleRedirects) return Down(ErrorCode::kRedirect, "more than 10 redirects");
  Url next = ResolveLocation(url, reader.location());
  if (next.kind == UrlKind::kMalformed) {
    std::string detail = Cat("redirect to nowhere: ", next.error);
    if (legacy) return ByCode(reader.status_code(), std::move(detail));
    return Down(ErrorCode::kRedirect, std::move(detail));
  }
  Verdict verdict;
  verdict.follow = std::move(next);
  return verdict;
}

}  // namespace

bool IsRedirectCode(int http_code) {
  return http_code == 301 || http_code == 302 || http_code == 303 || http_code == 307 ||
         http_code == 308;
}

HttpReader::Options ReaderOptions(const CheckRequest& request) {
  HttpReader::Options options;
  options.head = request.mode.method == Method::kHead;
  return options;
}

Verdict JudgeAnswer(const CheckRequest& request, const HttpReader& reader, Ending ending,
                    int redirects, const Url& url) {
  const bool legacy = request.mode.profile == Profile::kLegacy;
  const int code = reader.status_code();
  std::string detail = Describe(reader, ending);
  const bool timeout = ending == Ending::kTimeout;
  if (code == 0) {
    return Down(timeout ? ErrorCode::kTimeout : ErrorCode::kConnect, std::move(detail));
  }
  if (!reader.headers_complete()) {
    if (legacy || code >= 400) return ByCode(code, std::move(detail));
    return Down(timeout ? ErrorCode::kTimeout : ErrorCode::kBodyRead, std::move(detail));
  }
  if (IsRedirectCode(code) && !reader.location().empty()) {
    return JudgeRedirect(legacy, reader, redirects, url);
  }
  return ByCode(code, std::move(detail));
}

std::string_view FailureClass(Outcome outcome, ErrorCode error_code, int http_code) {
  if (outcome == Outcome::kUp) return "success";
  if (outcome != Outcome::kDown) return "";
  switch (error_code) {
    case ErrorCode::kTls:
    case ErrorCode::kCertificateExpired:
    case ErrorCode::kDeprecatedTls:
      return "https";
    case ErrorCode::kRedirect:
      return "redirect";
    case ErrorCode::kKeyword:
      return "keyword_missing";
    case ErrorCode::kTimeout:
    case ErrorCode::kConnect:
    case ErrorCode::kBodyRead:
      return "intermittent";
    case ErrorCode::kNone:
    case ErrorCode::kTargetSafety:
      break;
  }
  if (http_code >= 500) return "server";
  return http_code == 403 ? "blocked" : "client";
}

}  // namespace jetmon::probe
