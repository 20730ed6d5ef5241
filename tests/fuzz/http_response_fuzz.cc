// The way of an answer: reader, body, verdict. An input is
//   flags, a seed for the pieces, how many redirects were followed, how often the body is repeated
//   (a byte each),
//   a keyword and a forbidden keyword (a byte of length each, then that much),
//   and what the server sends: the answer itself; or, by a flag, a text that is coded and framed
//   here, so that what must come of it is known.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "probe/http_reader.h"
#include "probe/test_deflate.h"
#include "probe/text.h"
#include "probe/url.h"
#include "probe/verdict.h"
#include "tests/fuzz/require.h"

namespace jetmon::probe {
namespace {

constexpr int kCodings[] = {0, 15 + 16, 15, -15};  // none, gzip, deflate with and without a frame

// Enough for the bounds of headers and of bodies that are not searched; what is searched up to 1
// MiB would be too slow.
constexpr size_t kMostSent = BodyReader::kMaxBytes + 4096;

// Takes an input apart, from its front.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  unsigned Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string_view Bytes(size_t most) {
    const std::string_view bytes = rest_.substr(0, most);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

 private:
  std::string_view rest_;
};

// Sizes of pieces, by a seed: many small, some large.
class Sizes {
 public:
  explicit Sizes(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  size_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    const uint32_t bits = state_ >> 16;
    return 1 + ((bits & 3) == 0 ? bits >> 2 : (bits >> 2) % 9);
  }

 private:
  uint32_t state_;
};

struct Case {
  CheckRequest request;
  Ending ending = Ending::kRead;
  int redirects = 0;
  unsigned seed = 0;
  std::string answer;
};

HttpReader Read(const Case& c, bool in_pieces) {
  HttpReader reader(ReaderOptions(c.request));
  std::string_view rest = c.answer;
  Sizes sizes(c.seed);
  while (!rest.empty()) {
    const std::string_view piece = rest.substr(0, in_pieces ? sizes.Next() : rest.size());
    rest.remove_prefix(piece.size());
    const HttpReader::State state = reader.Feed(piece);
    REQUIRE(state == reader.state());
    if (state == HttpReader::State::kDone || state == HttpReader::State::kBroken) break;
  }
  if (c.ending == Ending::kRead) {
    const HttpReader::State state = reader.Finish();
    REQUIRE(state == HttpReader::State::kDone || state == HttpReader::State::kBroken);
  }
  return reader;
}

void RequireBounds(const Case& c, const HttpReader& reader) {
  REQUIRE(reader.status_code() >= 0 && reader.status_code() <= 999);
  REQUIRE(reader.interim_code() == 0 ||
          (reader.interim_code() >= 100 && reader.interim_code() < 200));
  REQUIRE(reader.location().size() <= kMaxUrlBytes + 3);
  REQUIRE(IsOneLine(reader.location()));
  REQUIRE(reader.error().size() <= 200 && IsOneLine(reader.error()));
  REQUIRE(!reader.headers_complete() || reader.status_code() != 0);
  REQUIRE(!reader.body_complete() || reader.headers_complete());
  const bool full =
      c.request.mode.profile == Profile::kFull && c.request.mode.method == Method::kGet;
  REQUIRE(full || reader.body() == nullptr);
  if (reader.body() == nullptr) return;
  REQUIRE(reader.body()->bytes() <= reader.body()->most_bytes());
  REQUIRE(reader.body()->most_bytes() <= BodyReader::kMaxSearchedBytes);
}

void RequireSafe(const Verdict& verdict) {
  REQUIRE(verdict.outcome == Outcome::kUp || verdict.outcome == Outcome::kDown);
  REQUIRE(verdict.outcome == Outcome::kDown || verdict.error_code == ErrorCode::kNone);
  REQUIRE(verdict.outcome == Outcome::kDown ||
          (verdict.http_code > 0 && verdict.http_code < 400 && !verdict.follow));
  REQUIRE(!FailureClass(verdict).empty());
  if (!verdict.follow) return;
  REQUIRE(verdict.follow->kind != UrlKind::kMalformed);
  if (verdict.follow->kind == UrlKind::kOtherScheme) return;
  REQUIRE(verdict.follow->target.starts_with('/'));
  for (const std::string& sent : {verdict.follow->target, verdict.follow->HostHeader()}) {
    REQUIRE(IsOneLine(sent) && sent.find(' ') == std::string::npos);
  }
}

void RequireSame(const Verdict& a, const Verdict& b) {
  REQUIRE(a.outcome == b.outcome);
  REQUIRE(a.error_code == b.error_code);
  REQUIRE(a.detail == b.detail);
  REQUIRE(a.forbidden == b.forbidden);
  REQUIRE(a.http_code == b.http_code);
  REQUIRE(a.follow.has_value() == b.follow.has_value());
  REQUIRE(!a.follow || a.follow->Text() == b.follow->Text());
}

void RequireSame(const HttpReader& a, const HttpReader& b) {
  REQUIRE(a.state() == b.state());
  REQUIRE(a.status_code() == b.status_code());
  REQUIRE(a.interim_code() == b.interim_code());
  REQUIRE(a.headers_complete() == b.headers_complete());
  REQUIRE(a.body_complete() == b.body_complete());
  REQUIRE(a.location() == b.location());
  REQUIRE(a.error() == b.error());
  REQUIRE((a.body() == nullptr) == (b.body() == nullptr));
  if (a.body() == nullptr) return;
  REQUIRE(a.body()->forbidden_found() == b.body()->forbidden_found());
  if (!a.body()->forbidden_found().empty()) return;  // that decided, the rest was not looked at
  REQUIRE(a.body()->keyword_found() == b.body()->keyword_found());
}

// An answer with `text` as its body, in chunks or up to the end of the connection.
std::string Framed(std::string_view text, int coding, bool chunked, unsigned seed) {
  std::string answer = "HTTP/1.1 200 OK\r\n";
  if (coding != 0)
    answer += coding > 15 ? "Content-Encoding: gzip\r\n" : "Content-Encoding: deflate\r\n";
  const std::string body = coding == 0 ? std::string(text) : Deflated(text, coding);
  if (!chunked) return answer + "\r\n" + body;
  answer += "Transfer-Encoding: chunked\r\n\r\n";
  Sizes sizes(seed + 7);
  for (size_t i = 0; i < body.size();) {
    const std::string_view chunk = std::string_view(body).substr(i, sizes.Next());
    char size[32];
    std::snprintf(size, sizeof(size), "%zx\r\n", chunk.size());
    answer.append(size).append(chunk).append("\r\n");
    i += chunk.size();
  }
  return answer + "0\r\n\r\n";
}

bool Contains(std::string_view text, const std::string& keyword) {
  return text.find(keyword) != std::string_view::npos;
}

// What must come of a text that was framed here.
void RequireJudged(const Case& c, std::string_view text, const Verdict& verdict) {
  const FullRules& rules = *c.request.full;
  text = text.substr(0, BodyReader::kMaxSearchedBytes);
  const bool forbidden =
      !rules.forbidden_keywords.empty() && Contains(text, rules.forbidden_keywords.front());
  const bool missing = !rules.keyword.empty() && !Contains(text, rules.keyword);
  REQUIRE(verdict.http_code == 200);
  REQUIRE(verdict.outcome == (forbidden || missing ? Outcome::kDown : Outcome::kUp));
  REQUIRE(verdict.error_code == (forbidden || missing ? ErrorCode::kKeyword : ErrorCode::kNone));
  REQUIRE(verdict.forbidden == forbidden);
}

// So that small inputs reach the bounds of large answers.
std::string Repeated(std::string_view sent, bool framed, unsigned repeat) {
  const size_t times = repeat < 0xf0 ? 1 : size_t{1} << (repeat & 15);
  const size_t blank = framed ? std::string_view::npos : sent.find("\r\n\r\n");
  const size_t begin = blank == std::string_view::npos ? 0 : blank + 4;
  std::string out(sent.substr(0, begin));
  const std::string_view body = sent.substr(begin);
  for (size_t i = 0; i < times && out.size() < kMostSent; ++i) out += body;
  return out;
}

void RunCase(Case& c, bool framed, int coding, bool chunked, std::string_view sent) {
  static const Url* asked = new Url(ParseUrl("http://1.2.3.4/a/b?c"));
  if (framed) {
    c.request.mode = {Method::kGet, Profile::kFull};
    c.ending = Ending::kRead;
  }
  c.answer = framed ? Framed(sent, coding, chunked, c.seed) : std::string(sent);
  const HttpReader whole = Read(c, false), pieces = Read(c, true);
  RequireBounds(c, whole);
  RequireBounds(c, pieces);
  RequireSame(whole, pieces);
  const Verdict verdict = JudgeAnswer(c.request, whole, c.ending, c.redirects, *asked);
  RequireSafe(verdict);
  RequireSame(verdict, JudgeAnswer(c.request, pieces, c.ending, c.redirects, *asked));
  if (framed) RequireJudged(c, sent, verdict);
}

}  // namespace
}  // namespace jetmon::probe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jetmon::probe;  // NOLINT: the one function that libFuzzer calls
  Input input(data, size);
  const unsigned flags = input.Byte();
  Case c;
  c.request.mode.method = (flags & 1) != 0 ? Method::kHead : Method::kGet;
  c.request.mode.profile = static_cast<Profile>(std::min((flags >> 1) & 3, 2u));
  const bool framed = (flags & 8) != 0, chunked = (flags & 16) != 0;
  const int coding = kCodings[(flags >> 5) & 3];
  c.seed = input.Byte();
  const unsigned history = input.Byte();
  c.redirects = static_cast<int>((history & 15) % 12);
  c.ending = static_cast<Ending>(((history >> 4) & 3) % 3);
  const unsigned repeat = input.Byte();  // few are: they are slow
  auto rules = std::make_shared<FullRules>();
  rules->redirects = static_cast<RedirectPolicy>((history >> 6) % 3);
  rules->keyword = std::string(input.Bytes(input.Byte()));
  const std::string forbidden(input.Bytes(input.Byte()));
  if (!forbidden.empty()) rules->forbidden_keywords.push_back(forbidden);
  c.request.full = rules;
  RunCase(c, framed, coding, chunked, Repeated(input.Bytes(size), framed, repeat));
  return 0;
}
