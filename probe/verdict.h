#ifndef JETMON_PROBE_VERDICT_H_
#define JETMON_PROBE_VERDICT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "probe/check.h"
#include "probe/http_reader.h"
#include "probe/url.h"

namespace jetmon::probe {

// What the profiles make of an answer. Pure functions.

// Up or down, with all that belongs to it; or a redirect to follow.
struct Verdict {
  Outcome outcome = Outcome::kDown;
  ErrorCode error_code = ErrorCode::kNone;
  std::string detail;
  std::optional<Url> follow;  // set: no verdict yet, go there
  bool forbidden = false;     // with kKeyword: one that must not be there, was
  int http_code = 0;          // that it was judged by
};

Verdict Down(ErrorCode error_code, std::string detail);

// How reading an answer ended.
enum class Ending {
  kRead,     // the reader has all that it wants, or HeadersDecide
  kTimeout,  // the deadline of the check came first
  kBroken,   // the connection failed (reset)
};

// True when the headers alone decide, and the body need not be waited for: a redirect. (The others
// are read to the end of the body or its bound, so that servers see an orderly end.)
bool HeadersDecide(const CheckRequest& request, const HttpReader& reader);

// To be called when the reader is done or broken, when HeadersDecide, or when the connection can't
// deliver any more. `redirects` were followed so far; `url` was asked.
//
// What goes wrong behind a valid status line does not change legacy's verdict (a redirect that
// can't be read counts by its code, so as up), and makes the others' down. What goes wrong in the
// body is down for full only. The third redirect response counts as up for legacy, the eleventh as
// down for the others, each without looking where it leads. When nothing but a 1xx answer came,
// legacy counts its code, because v1 took the first status line for the answer. docs/decisions/0008
// says why each.
Verdict JudgeAnswer(const CheckRequest& request, const HttpReader& reader, Ending ending,
                    int redirects, const Url& url);

// How the answer to a request is to be read.
HttpReader::Options ReaderOptions(const CheckRequest& request);

// HEAD caps full to simple_http: this is whether the rules of full are asked for.
bool IsFull(const CheckRequest& request);

// True for a code whose Location is followed: 301, 302, 303, 307, 308.
bool IsRedirectCode(int http_code);

// The class of a verdict, for people (see CheckResult). No usable answer (refused, reset, not HTTP,
// broken off) is "intermittent" like a timeout: what is wrong is not known to be the server.
std::string_view FailureClass(const Verdict& verdict);

// What full advises of a check that is up. `now_s` is Unix time.
std::vector<Advisory> AdvisoriesOf(const CheckRequest& request, const TlsFacts& tls, int redirects,
                                   int64_t now_s);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_VERDICT_H_
