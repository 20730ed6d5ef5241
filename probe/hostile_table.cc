#include "probe/hostile_table.h"

#include <zlib.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "probe/test_deflate.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick{40};
constexpr char kChunked[] = "Transfer-Encoding: chunked\r\n";
constexpr int64_t kGigabyte = int64_t{1} << 30;

Behaviour Row(std::string name, Script script, Verdicts verdicts) {
  return {std::move(name), std::move(script), std::move(verdicts), nullptr, false, false};
}
// Reads the request, and sends this.
Behaviour Answer(std::string name, std::string text, Verdicts verdicts) {
  return Row(std::move(name), {ReadRequest(), Send(std::move(text))}, std::move(verdicts));
}
Behaviour Stalls(Behaviour b) {
  b.stalls = true;
  return b;
}
Behaviour Https(Behaviour b) {
  b.https = true;
  return b;
}
Behaviour With(std::shared_ptr<const FullRules> rules, Behaviour b) {
  b.rules = std::move(rules);
  return b;
}

// Cut into packets at these places.
Script InPackets(const std::string& text, const std::vector<size_t>& cuts) {
  Script script = {ReadRequest()};
  size_t begin = 0;
  for (const size_t cut : cuts) {
    script.push_back(Send(text.substr(begin, cut - begin)));
    script.push_back(Pause(kTick));
    begin = cut;
  }
  script.push_back(Send(text.substr(begin)));
  return script;
}

std::vector<Behaviour> Slow() {
  const std::string ok = Ok("Content-Length: 100\r\n");
  return {
      Stalls(Row("never answers", {ReadRequest(), Stall()}, Always(TimedOut()))),
      Stalls(Row("never reads", {Pause(milliseconds(60'000))}, Always(TimedOut()))),
      Stalls(Row("stops in the status line", {ReadRequest(), Send("HTTP/1.1 20"), Stall()},
                 Always(TimedOut()))),
      Stalls(Row("stops in the headers", {ReadRequest(), Send("HTTP/1.1 200 OK\r\nA: b"), Stall()},
                 ByProfile(Up(200), TimedOut(200), TimedOut(200)))),
      Stalls(Row("stops in the headers of a 500",
                 {ReadRequest(), Send("HTTP/1.1 500 X\r\nA: b"), Stall()},
                 Always(ByCode(500, "server")))),
      Stalls(Row("stops in the body", {ReadRequest(), Send(ok + "abc"), Stall()},
                 ByBody(Up(200), TimedOut(200)))),
      Stalls(Row("stops behind a 100", {ReadRequest(), Send("HTTP/1.1 100 C\r\n\r\n"), Stall()},
                 ByProfile(Up(100), TimedOut(), TimedOut()))),
      Stalls(Row("a byte of the status line now and then",
                 {ReadRequest(), Drip("HTTP/1.1 200 " + std::string(2000, 'x'), kTick)},
                 Always(TimedOut()))),
      Stalls(
          Row("a byte of a header now and then",
              {ReadRequest(), Send("HTTP/1.1 200 OK\r\nA: "), Drip(std::string(2000, 'x'), kTick)},
              ByProfile(Up(200), TimedOut(200), TimedOut(200)))),
      Stalls(Row("a byte of the body now and then",
                 {ReadRequest(), Send(Ok("Content-Length: 2000\r\n")),
                  Drip(std::string(2000, 'x'), kTick)},
                 ByBody(Up(200), TimedOut(200)))),
      Row("all of it a byte at a time",
          {ReadRequest(), Drip(Ok("Content-Length: 5\r\n") + "hello", milliseconds(2))},
          Always(Up(200))),
      Row("chunks a byte at a time",
          {ReadRequest(),
           Drip(Ok(kChunked) + Chunk("hello") + Chunk(", world") + "0\r\n\r\n", milliseconds(2))},
          Always(Up(200))),
  };
}

std::vector<Behaviour> Endings() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  return {
      Row("closes at once", {}, Always(NoAnswer())),
      Row("resets at once", {Reset()}, Always(NoAnswer())),
      Row("closes behind the request", {ReadRequest()}, Always(NoAnswer())),
      Row("resets behind the request", {ReadRequest(), Reset()}, Always(NoAnswer())),
      Row("closes in the status line", {ReadRequest(), Send("HTTP/1.1 2")}, Always(NoAnswer())),
      Row("closes behind the code", {ReadRequest(), Send("HTTP/1.1 200 OK")}, Always(NoAnswer())),
      Row("resets in the status line", {ReadRequest(), Send("HTTP/1.1 2"), Reset()},
          Always(NoAnswer())),
      Row("resets in the headers", {ReadRequest(), Send(ok + "A: b\r\n"), Pause(kTick), Reset()},
          ByProfile(Up(200), BadBody(), BadBody())),
      Row("resets in the headers of a 404",
          {ReadRequest(), Send("HTTP/1.1 404 N\r\nA: b\r\n"), Pause(kTick), Reset()},
          Always(ByCode(404, "client"))),
      Row("resets in the headers of a redirect",
          {ReadRequest(), Send("HTTP/1.1 302 F\r\nLocation: /\r\n"), Pause(kTick), Reset()},
          ByProfile(Up(302), BadBody(302), BadBody(302))),
      Row("resets right behind the headers", {ReadRequest(), Send(ok + "A: b\r\n"), Reset()},
          ByProfile(Up(200), BadBody(), BadBody())),
      Row("closes in the headers", {ReadRequest(), Send(ok + "A: b\r\n")},
          ByBody(Up(200), BadBody())),
      Row("resets in the body", {ReadRequest(), Send(Ok("Content-Length: 9\r\n") + "abc"), Reset()},
          ByBody(Up(200), BadBody())),
      Row("resets where the connection ends the body",
          {ReadRequest(), Send(Ok("") + "abc"), Reset()}, ByBody(Up(200), BadBody())),
      Row("resets behind the body",
          {ReadRequest(), Send(Ok("Content-Length: 3\r\n") + "abc"), Reset()}, Always(Up(200))),
      Row("closes in the body", {ReadRequest(), Send(Ok("Content-Length: 9\r\n") + "abc")},
          ByBody(Up(200), BadBody())),
      Row("closes in the body of a 403",
          {ReadRequest(), Send("HTTP/1.1 403 F\r\nContent-Length: 9\r\n\r\nabc")},
          Always(ByCode(403, "blocked"))),
      Row("answers before it is asked, and waits",
          {Send(Ok("Content-Length: 2\r\n") + "ok"), Stall()}, Always(Up(200))),
      Row("answers before it is asked, and closes", {Send(Ok("Content-Length: 2\r\n") + "ok")},
          Always(Up(200))),
      Row("answers before it has read all of the request",
          {Pause(kTick), Send(Ok("Content-Length: 2\r\n") + "ok")}, Always(Up(200))),
  };
}

std::vector<Behaviour> Floods() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const Verdicts headers = ByProfile(Up(200), BadBody(), BadBody());
  const std::string junk(1000, 'x');
  return {
      Row("endless empty lines", {ReadRequest(), Flood("\r\n")}, Always(NoAnswer())),
      Row("an endless status line", {ReadRequest(), Send("HTTP/1.1 200 "), Flood(junk)},
          Always(NoAnswer())),
      Row("endless headers", {ReadRequest(), Send(ok), Flood("A: " + junk + "\r\n")}, headers),
      Row("endless short headers", {ReadRequest(), Send(ok), Flood("a:b\n")}, headers),
      Row("an endless header", {ReadRequest(), Send(ok + "A: "), Flood(junk)}, headers),
      Row("an endless Location",
          {ReadRequest(), Send("HTTP/1.1 302 F\r\nLocation: /"), Flood(junk)},
          ByProfile(Up(302), BadBody(302), BadBody(302))),
      Row("endless interim answers", {ReadRequest(), Flood("HTTP/1.1 100 Continue\r\n\r\n")},
          ByProfile(Up(100), NoAnswer(), NoAnswer())),
      Row("endless bytes that are no HTTP", {ReadRequest(), Flood(junk)}, Always(NoAnswer())),
      Row("1 GB by its length",
          {ReadRequest(), Send(Ok("Content-Length: 1073741824\r\n")), Flood(junk, kGigabyte)},
          Always(Up(200))),
      Row("1 GB to the end of the connection",
          {ReadRequest(), Send(Ok("")), Flood(junk, kGigabyte)}, Always(Up(200))),
      Row("1 GB in chunks", {ReadRequest(), Send(Ok(kChunked)), Flood(Chunk(junk), kGigabyte)},
          Always(Up(200))),
      Row("endless chunks of one byte", {ReadRequest(), Send(Ok(kChunked)), Flood(Chunk("x"))},
          Always(Up(200))),
      Row("an endless size of a chunk", {ReadRequest(), Send(Ok(kChunked)), Flood("0")},
          ByBody(Up(200), BadBody())),
      Row("an endless extension of a chunk",
          {ReadRequest(), Send(Ok(kChunked) + "5;"), Flood(junk)}, ByBody(Up(200), BadBody())),
      Row("endless trailers",
          {ReadRequest(), Send(Ok(kChunked) + "0\r\n"), Flood("A: " + junk + "\r\n")},
          Always(Up(200))),
      Row("a redirect to itself with an endless body",
          {ReadRequest(), Send("HTTP/1.1 302 F\r\nLocation: /\r\n\r\n"), Flood(junk)},
          ByProfile(Up(302), BadRedirect(302), BadRedirect(302))),
      Row("a redirect to nowhere with an endless body",
          {ReadRequest(), Send("HTTP/1.1 302 F\r\n\r\n"), Flood(junk)}, Always(Up(302))),
      Row("an endless body of a 500", {ReadRequest(), Send("HTTP/1.1 500 X\r\n\r\n"), Flood(junk)},
          Always(ByCode(500, "server"))),
      Row("a body behind a 204", {ReadRequest(), Send("HTTP/1.1 204 N\r\n\r\n"), Flood(junk)},
          Always(Up(204))),
  };
}

// The handshake is another test's; these are servers that don't even begin one.
std::vector<Behaviour> NoTls() {
  return {
      Stalls(Https(Row("https, says nothing", {Stall()}, Always(TimedOut())))),
      Stalls(Https(
          Row("https, half a record's head", {Send("\x16\x03\x03"), Stall()}, Always(TimedOut())))),
      Https(Row("https, closes at once", {}, Always(BadTls()))),
      Https(Row("https, resets at once", {Reset()}, Always(BadTls()))),
      Https(
          Row("https, speaks HTTP", {Send("HTTP/1.1 400 Bad Request\r\n\r\n")}, Always(BadTls()))),
      Https(Row("https, endless bytes", {Flood("garbage")}, Always(BadTls()))),
  };
}

}  // namespace

std::string GzipBomb(int64_t size) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string zeros(1 << 20, '\0'), piece(1 << 20, '\0'), out;
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    if (z.avail_in == 0) {
      z.next_in = reinterpret_cast<Bytef*>(zeros.data());
      z.avail_in = static_cast<uInt>(std::min<int64_t>(size, zeros.size()));
      size -= z.avail_in;
    }
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = static_cast<uInt>(piece.size());
    result = deflate(&z, size == 0 ? Z_FINISH : Z_NO_FLUSH);
    out.append(piece, 0, piece.size() - z.avail_out);
  }
  deflateEnd(&z);
  return out;
}

std::string Ok(const std::string& headers) { return Cat("HTTP/1.1 200 OK\r\n", headers, "\r\n"); }

std::string Chunk(const std::string& data) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string size;
  for (size_t n = data.size(); n > 0; n /= 16) size.insert(size.begin(), kDigits[n % 16]);
  return Cat(size, "\r\n", data, "\r\n");
}

std::shared_ptr<const FullRules> Keyword(std::string keyword) {
  auto rules = std::make_shared<FullRules>();
  rules->keyword = std::move(keyword);
  return rules;
}

std::shared_ptr<const FullRules> ForbiddenKeyword(std::string keyword) {
  auto rules = std::make_shared<FullRules>();
  rules->forbidden_keywords.push_back(std::move(keyword));
  return rules;
}

std::vector<Behaviour> HangingServers() {
  std::vector<Behaviour> all;
  for (auto& part : {Slow(), Endings(), Floods(), NoTls()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<Behaviour> AllBehaviours() {
  std::vector<Behaviour> all = HangingServers();
  for (auto& part : {OddAnswers(), OddBodies()}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<Behaviour> OddBodies() {
  const std::string gz = "Content-Encoding: gzip\r\n", zip = Deflated("the needle is here");
  const std::string page = Cat("<html>", std::string(5000, '-'), "the needle", "</html>");
  const std::string wide = Cat(std::string(20'000, '-'), "needle", std::string(20'000, '-'));
  const std::string far = Cat(std::string(100 * 1024, '-'), "needle");
  const std::string too_far = Cat(std::string((1 << 20) + 1, '-'), "needle");
  const std::string split =
      Cat(Ok(kChunked), Chunk("a nee"), Chunk("d"), Chunk("le b"), "0\r\n\r\n");
  const size_t body = Ok("").size();
  const auto length = [](const std::string& text) {
    return Ok(Cat("Content-Length: ", text.size(), "\r\n")) + text;
  };
  std::string corrupt = Deflated(page), wrong_sum = zip;
  corrupt[corrupt.size() / 2] ^= 0x55;
  wrong_sum[wrong_sum.size() - 6] ^= 0x55;
  const auto has = [](std::string name, Script script) {
    return With(Keyword("needle"), Row(std::move(name), std::move(script), Always(Up(200))));
  };
  const auto has_not = [](std::string name, std::string text) {
    return With(Keyword("needle"),
                Answer(std::move(name), std::move(text), ByBody(Up(200), NoKeyword())));
  };
  const auto sends = [](const std::string& text) { return Script{ReadRequest(), Send(text)}; };
  const Verdicts bad = ByBody(Up(200), BadBody());
  return {
      has("keyword", sends(length("a needle in a haystack"))),
      has("keyword to the end of the connection", sends(Ok("") + "a needle")),
      has("keyword over chunks", sends(split)),
      has("keyword over chunks, byte by byte", {ReadRequest(), Drip(split, milliseconds(2))}),
      has("keyword over packets", InPackets(Ok("") + "a needle b", {body + 3, body + 5, body + 7})),
      has("keyword over large packets", InPackets(Ok("") + wide, {body + 20'003})),
      has("keyword behind 64 KiB", sends(length(far))),
      has("keyword in gzip", sends(Ok(gz) + zip)),
      has("keyword in gzip, byte by byte", {ReadRequest(), Drip(Ok(gz) + zip, milliseconds(2))}),
      has("keyword in gzip in chunks", sends(Cat(Ok(gz + kChunked), Chunk(zip.substr(0, 9)),
                                                 Chunk(zip.substr(9)), "0\r\n\r\n"))),
      has("keyword over two gzip members", sends(Ok(gz) + Deflated("a nee") + Deflated("dle b"))),
      has("keyword in deflate with zlib's frame",
          sends(Ok("Content-Encoding: deflate\r\n") + Deflated(page, 15))),
      has("keyword in deflate without a frame",
          sends(Ok("Content-Encoding: deflate\r\n") + Deflated(page, -15))),
      has_not("keyword in the headers only", Ok("X: needle\r\nContent-Length: 3\r\n") + "abc"),
      has_not("keyword behind the end", Ok("Content-Length: 3\r\n") + "abcneedle"),
      has_not("keyword behind 1 MiB", length(too_far)),
      has_not("keyword in another case", length("a NEEDLE")),
      has_not("keyword cut by its size", Cat(Ok(kChunked), Chunk("need"), "0\r\n\r\nle")),
      has_not("keyword, and a body of nothing", Ok("Content-Length: 0\r\n")),
      With(Keyword("needle"),
           Answer("keyword, and a 204", "HTTP/1.1 204 N\r\n\r\n", ByBody(Up(204), NoKeyword(204)))),
      With(Keyword("needle"),
           Answer("keyword, and a 503", "HTTP/1.1 503 S\r\nContent-Length: 6\r\n\r\nneedle",
                  Always(ByCode(503, "server")))),
      With(Keyword("needle"), Answer("keyword, and the body breaks off",
                                     Ok("Content-Length: 99\r\n") + "a needle", bad)),
      With(Keyword("needle"),
           Answer("keyword, in brotli", Ok("Content-Encoding: br\r\n") + "needle", bad)),
      With(ForbiddenKeyword("error"),
           Answer("forbidden keyword", length("an error"), ByBody(Up(200), Forbidden()))),
      With(ForbiddenKeyword("error"), Row("forbidden keyword over packets",
                                          InPackets(Ok("") + "an error b", {body + 4, body + 6}),
                                          ByBody(Up(200), Forbidden()))),
      With(ForbiddenKeyword("needle"),
           Row("forbidden keyword over large packets", InPackets(Ok("") + wide, {body + 20'003}),
               ByBody(Up(200), Forbidden()))),
      With(ForbiddenKeyword("needle"),
           Answer("forbidden keyword behind 64 KiB", length(far), ByBody(Up(200), Forbidden()))),
      With(ForbiddenKeyword("needle"),
           Answer("forbidden keyword behind 1 MiB", length(too_far), Always(Up(200)))),
      With(ForbiddenKeyword("error"),
           Stalls(Row("forbidden keyword, and then it stalls",
                      {ReadRequest(), Send(Ok("Content-Length: 99\r\n") + "error"), Stall()},
                      ByBody(Up(200), Forbidden())))),
      Answer("gzip", Ok(gz) + zip, Always(Up(200))),
      Answer("gzip of nothing", Ok(gz + "Content-Length: 0\r\n"), Always(Up(200))),
      Answer("gzip with junk behind it", Ok(gz) + zip + "junk", Always(Up(200))),
      Answer("gzip that breaks off", Ok(gz) + zip.substr(0, zip.size() / 2), bad),
      Answer("gzip without its sum", Ok(gz) + zip.substr(0, zip.size() - 8), bad),
      Answer("gzip with a wrong sum", Ok(gz) + wrong_sum, bad),
      Answer("gzip that is corrupt", Ok(gz) + corrupt, bad),
      Answer("gzip that is plain text", Ok(gz) + "<html></html>", bad),
      Answer("deflate that breaks off",
             Ok("Content-Encoding: deflate\r\n") + Deflated(page, -15).substr(0, 10), bad),
      Answer("two encodings", Ok("Content-Encoding: gzip, gzip\r\n") + zip, Always(Up(200))),
      Answer("a gzip bomb", Ok(gz) + GzipBomb(int64_t{1} << 26), Always(Up(200))),
      With(Keyword("needle"),
           Answer("a gzip bomb, and a keyword", Ok(gz) + GzipBomb(int64_t{1} << 26),
                  ByBody(Up(200), NoKeyword()))),
      With(Keyword("needle"),
           Row("gzip members of nothing without an end",
               {ReadRequest(), Send(Ok(gz)), Flood(Deflated(""))}, ByBody(Up(200), NoKeyword()))),
  };
}

}  // namespace jetmon::probe
