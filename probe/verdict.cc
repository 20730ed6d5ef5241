#include "probe/verdict.h"

#include "probe/text.h"

namespace jetmon::probe {

Verdict Down(ErrorCode error_code, std::string detail) {
  Verdict verdict;
  verdict.error_code = error_code;
  verdict.detail = std::move(detail);
  return verdict;
}

namespace {

constexpr int kLegacyRedirects = 2;
constexpr int kSimpleRedirects = 10;

constexpr int64_t kCertificateEndsSoonS = 14 * 86400;

Verdict ByCode(int http_code, std::string detail) {
  Verdict verdict;
  verdict.outcome = http_code < 400 ? Outcome::kUp : Outcome::kDown;
  verdict.detail = std::move(detail);
  verdict.http_code = http_code;
  return verdict;
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

RedirectPolicy PolicyOf(const CheckRequest& request) {
  const bool rules = IsFull(request) && request.full != nullptr;
  return rules ? request.full->redirects : RedirectPolicy::kFollow;
}

// Of full, for a code below 400.
Verdict JudgeBody(const CheckRequest& request, const HttpReader& reader, Ending ending,
                  std::string detail) {
  const int code = reader.status_code();
  if (ending == Ending::kTimeout) return Down(ErrorCode::kTimeout, std::move(detail));
  if (ending == Ending::kBroken || !reader.error().empty()) {
    return Down(ErrorCode::kBodyRead, std::move(detail));
  }
  const FullRules* rules = request.full.get();
  if (rules == nullptr || !rules->reads_body()) return ByCode(code, std::move(detail));
  const BodyReader* body = reader.body();
  if (body != nullptr && !body->forbidden_found().empty()) {
    Verdict verdict =
        Down(ErrorCode::kKeyword, Cat("forbidden keyword found: ", body->forbidden_found()));
    verdict.forbidden = true;
    return verdict;
  }
  const bool found = body != nullptr ? body->keyword_found() : rules->keyword.empty();
  if (found) return ByCode(code, std::move(detail));
  return Down(ErrorCode::kKeyword,
              Cat("keyword not found in ", body != nullptr ? body->bytes() : 0, " bytes"));
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

bool IsFull(const CheckRequest& request) {
  return request.mode.profile == Profile::kFull && request.mode.method == Method::kGet;
}

bool IsRedirectCode(int http_code) {
  return http_code == 301 || http_code == 302 || http_code == 303 || http_code == 307 ||
         http_code == 308;
}

HttpReader::Options ReaderOptions(const CheckRequest& request) {
  HttpReader::Options options;
  options.head = request.mode.method == Method::kHead;
  options.judge_body = IsFull(request);
  options.rules = request.full.get();
  return options;
}

bool HeadersDecide(const CheckRequest& request, const HttpReader& reader) {
  if (!reader.headers_complete() || !IsRedirectCode(reader.status_code())) return false;
  // One that leads nowhere is an answer like any other, whose body full has to judge.
  return !IsFull(request) || !reader.location().empty() ||
         PolicyOf(request) == RedirectPolicy::kFail;
}

namespace {

Verdict Judge(const CheckRequest& request, const HttpReader& reader, Ending ending, int redirects,
              const Url& url) {
  const bool legacy = request.mode.profile == Profile::kLegacy;
  const int code = reader.status_code();
  std::string detail = Describe(reader, ending);
  const bool timeout = ending == Ending::kTimeout;
  if (code == 0) {
    if (legacy && reader.interim_code() != 0) return ByCode(reader.interim_code(), detail);
    return Down(timeout ? ErrorCode::kTimeout : ErrorCode::kConnect, std::move(detail));
  }
  if (!reader.headers_complete()) {
    if (legacy || code >= 400) return ByCode(code, std::move(detail));
    return Down(timeout ? ErrorCode::kTimeout : ErrorCode::kBodyRead, std::move(detail));
  }
  if (IsRedirectCode(code) && PolicyOf(request) == RedirectPolicy::kFail) {
    return Down(ErrorCode::kRedirect,
                Cat("policy is fail, redirected to ",
                    reader.location().empty() ? std::string("nowhere") : reader.location()));
  }
  if (IsRedirectCode(code) && !reader.location().empty()) {
    return JudgeRedirect(legacy, reader, redirects, url);
  }
  if (IsFull(request) && code < 400) {
    return JudgeBody(request, reader, ending, std::move(detail));
  }
  return ByCode(code, std::move(detail));
}

}  // namespace

Verdict JudgeAnswer(const CheckRequest& request, const HttpReader& reader, Ending ending,
                    int redirects, const Url& url) {
  Verdict verdict = Judge(request, reader, ending, redirects, url);
  if (verdict.http_code == 0) verdict.http_code = reader.status_code();
  return verdict;
}

std::string_view FailureClass(const Verdict& verdict) {
  if (verdict.outcome == Outcome::kUp) return "success";
  if (verdict.outcome != Outcome::kDown) return "";
  switch (verdict.error_code) {
    case ErrorCode::kTls:
    case ErrorCode::kCertificateExpired:
    case ErrorCode::kDeprecatedTls:
      return "https";
    case ErrorCode::kRedirect:
      return "redirect";
    case ErrorCode::kKeyword:
      return verdict.forbidden ? "keyword_forbidden" : "keyword_missing";
    case ErrorCode::kTimeout:
    case ErrorCode::kConnect:
    case ErrorCode::kBodyRead:
      return "intermittent";
    case ErrorCode::kNone:
    case ErrorCode::kTargetSafety:
      break;
  }
  if (verdict.http_code >= 500) return "server";
  return verdict.http_code == 403 ? "blocked" : "client";
}

std::vector<Advisory> AdvisoriesOf(const CheckRequest& request, const TlsFacts& tls, int redirects,
                                   int64_t now_s) {
  std::vector<Advisory> advisories;
  if (!IsFull(request)) return advisories;
  if (tls.version == "TLSv1" || tls.version == "TLSv1.1") {
    advisories.push_back(Advisory::kDeprecatedTls);
  }
  if (tls.not_after_s != 0 && tls.not_after_s - now_s < kCertificateEndsSoonS) {
    advisories.push_back(Advisory::kCertificateEndsSoon);
  }
  if (redirects > 0 && PolicyOf(request) == RedirectPolicy::kAlert) {
    advisories.push_back(Advisory::kRedirected);
  }
  return advisories;
}

}  // namespace jetmon::probe
