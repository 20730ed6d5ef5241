// Answers that are odd or broken in their status line, headers or framing.
#include <string>
#include <utility>
#include <vector>

#include "probe/hostile_table.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr char kChunked[] = "Transfer-Encoding: chunked\r\n";

Behaviour Row(std::string name, std::string text, Verdicts verdicts) {
  return {std::move(name),
          {ReadRequest(), Send(std::move(text))},
          std::move(verdicts),
          nullptr,
          false,
          false};
}

std::string Bytes(std::string_view text) { return std::string(text); }

std::vector<Behaviour> FirstLines() {
  using namespace std::string_view_literals;
  const std::string rest = "\r\nContent-Length: 0\r\n\r\n";
  return {
      // Read, since curl or living servers do the like.
      Row("no reason", "HTTP/1.1 200" + rest, Always(Up(200))),
      Row("no space after the code", "HTTP/1.1 200OK" + rest, Always(Up(200))),
      Row("spaces before the code", "HTTP/1.1   200 OK" + rest, Always(Up(200))),
      Row("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nbody", Always(Up(200))),
      Row("HTTP/1.2", "HTTP/1.2 200 OK" + rest, Always(Up(200))),
      Row("HTTP/2 as text", "HTTP/2 200" + rest, Always(Up(200))),
      Row("no version", "HTTP 200 OK" + rest, Always(Up(200))),
      Row("lower case", "http/1.1 200 ok" + rest, Always(Up(200))),
      Row("an empty line first", "\r\nHTTP/1.1 200 OK" + rest, Always(Up(200))),
      Row("bytes that are no text in the reason", Bytes("HTTP/1.1 200 \xff\x00\x01"sv) + rest,
          Always(Up(200))),
      Row("999", "HTTP/1.1 999 X" + rest, Always(ByCode(999, "server"))),
      Row("600", "HTTP/1.1 600 X" + rest, Always(ByCode(600, "server"))),
      Row("399", "HTTP/1.1 399 X" + rest, Always(Up(399))),
      Row("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x05hello",
          Always(Up(101))),
      Row("001", "HTTP/1.1 001 X" + rest, Always(Up(1))),
      // Not HTTP.
      Row("HTTP/0.9", "<html>hello</html>\r\n", Always(NoAnswer())),
      Row("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Always(NoAnswer())),
      Row("HTTP/2 settings", Bytes("\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64\0\4\0\1\0\0\0\0\0\0"sv),
          Always(NoAnswer())),
      Row("a TLS alert", Bytes("\x15\x03\x01\x00\x02\x02\x28"sv), Always(NoAnswer())),
      Row("SSH", "SSH-2.0-OpenSSH_9.2\r\n", Always(NoAnswer())),
      Row("SMTP", "220 mail.example ESMTP\r\n", Always(NoAnswer())),
      Row("ICY", "ICY 200 OK" + rest, Always(NoAnswer())),
      Row("RTSP", "RTSP/1.0 200 OK" + rest, Always(NoAnswer())),
      Row("a space first", " HTTP/1.1 200 OK" + rest, Always(NoAnswer())),
      Row("a NUL first", Bytes("\0HTTP/1.1 200 OK"sv) + rest, Always(NoAnswer())),
      Row("code 000", "HTTP/1.1 000 X" + rest, Always(NoAnswer())),
      Row("code of two digits", "HTTP/1.1 20 X" + rest, Always(NoAnswer())),
      Row("code of four digits", "HTTP/1.1 2000 X" + rest, Always(NoAnswer())),
      Row("code below nothing", "HTTP/1.1 -200 X" + rest, Always(NoAnswer())),
      Row("code in letters", "HTTP/1.1 abc X" + rest, Always(NoAnswer())),
      Row("code in hexadecimal", "HTTP/1.1 0xc8 X" + rest, Always(NoAnswer())),
      Row("no code", "HTTP/1.1" + rest, Always(NoAnswer())),
      // Interim answers.
      Row("100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK" + rest, Always(Up(200))),
      Row("103 with headers first",
          "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\nLocation: "
          "http://10.0.0.1/"
          "\r\n\r\nHTTP/1.1 200 OK" +
              rest,
          Always(Up(200))),
      Row(
          "ten of them first",
          [&] {
            std::string all;
            for (int i = 0; i < 10; ++i) all += "HTTP/1.1 102 Processing\n\n";
            return all + "HTTP/1.1 404 N" + rest;
          }(),
          Always(ByCode(404, "client"))),
      Row("100 and no more", "HTTP/1.1 100 Continue\r\n\r\n",
          ByProfile(Up(100), NoAnswer(), NoAnswer())),
      Row("100 and no HTTP", "HTTP/1.1 100 Continue\r\n\r\n<html>",
          ByProfile(Up(100), NoAnswer(), NoAnswer())),
  };
}

std::vector<Behaviour> HeaderLines() {
  using namespace std::string_view_literals;
  const std::string end = "Content-Length: 2\r\n\r\nok";
  const auto ok = [](std::string name, std::string headers) {
    return Row(std::move(name), "HTTP/1.1 200 OK\r\n" + headers, Always(Up(200)));
  };
  return {
      Row("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Always(Up(200))),
      Row("bare LF in part", "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", Always(Up(200))),
      ok("a space in a name", "A B: c\r\n" + end),
      ok("a space behind a name", "Content-Length : 2\r\n\r\nok"),
      ok("no colon", "no colon here\r\n" + end),
      ok("no name", ": nothing\r\n" + end),
      ok("a folded line", "A: b\r\n  c: d\r\n" + end),
      ok("a folded line first", " a: b\r\n" + end),
      ok("NUL and controls", Bytes("A\0B: \x01\x02\r\n\0: \0\r\n"sv) + end),
      ok("bytes above 127", "\xc3\xa9: \xff\xfe\r\n" + end),
      ok("a CR in a value", "A: b\rc\r\n" + end),
      ok("60,000 bytes in one", "A: " + std::string(60'000, 'x') + "\r\n" + end),
      ok("5,000 of them",
         [] {
           std::string all;
           for (int i = 0; i < 5000; ++i) all += Cat("A", i, ": b\r\n");
           return all;
         }() +
             end),
      Row("70,000 bytes in one", "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'x') + "\r\n" + end,
          ByProfile(Up(200), BadBody(), BadBody())),
      ok("Set-Cookie two hundred times",
         [] {
           std::string all;
           for (int i = 0; i < 200; ++i) all += "Set-Cookie: a=" + std::string(200, 'b') + "\r\n";
           return all;
         }() +
             end),
  };
}

std::vector<Behaviour> Framings() {
  const auto row = [](std::string name, std::string text, Said full) {
    return Row(std::move(name), "HTTP/1.1 200 OK\r\n" + text, ByBody(Up(200), full));
  };
  const auto chunked = [&](std::string name, std::string body, Said full) {
    return row(std::move(name), Cat(kChunked, "\r\n", body), full);
  };
  return {
      Row("204 with a body", "HTTP/1.1 204 N\r\nContent-Length: 9\r\n\r\nabc", Always(Up(204))),
      Row("304 with a body", "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\nabc", Always(Up(304))),
      row("a body, asked or not", "Content-Length: 5\r\n\r\nhello", Up(200)),
      row("more body than its length", "Content-Length: 2\r\n\r\nhello", Up(200)),
      row("less body than its length", "Content-Length: 9\r\n\r\nhello", BadBody()),
      row("one length twice", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Up(200)),
      row("two lengths", "Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello", Up(200)),
      row("two lengths, the other way", "Content-Length: 50\r\nContent-Length: 5\r\n\r\nhello",
          Up(200)),
      row("two lengths in a list", "Content-Length: 5, 5\r\n\r\nhello", Up(200)),
      row("a length of letters", "Content-Length: abc\r\n\r\nhello", Up(200)),
      row("a length below nothing", "Content-Length: -5\r\n\r\nhello", Up(200)),
      row("a length of forty digits", "Content-Length: " + std::string(40, '9') + "\r\n\r\nhello",
          Up(200)),
      row("the largest length", "Content-Length: 18446744073709551615\r\n\r\nhello", BadBody()),
      row("an empty length", "Content-Length:\r\n\r\nhello", Up(200)),
      row("both framings",
          "Transfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n5\r\nhello\r\n"
          "0\r\n\r\n",
          Up(200)),
      row("both framings, the other way",
          "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n0\r\n\r\n",
          Up(200)),
      row("both framings, and not in chunks",
          "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
          "\r\nhello",
          BadBody()),
      row("chunked twice", "Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          Up(200)),
      chunked("chunks", "5\r\nhello\r\n0\r\n\r\n", Up(200)),
      chunked("chunks with bare LF", "5\nhello\n0\n\n", Up(200)),
      chunked("chunks with extensions", "5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", Up(200)),
      chunked("chunks with trailers", "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", Up(200)),
      chunked("chunks with zeros", "0000000005\r\nhello\r\n000\r\n\r\n", Up(200)),
      chunked("chunks without a last line", "5\r\nhello\r\n0\r\n", Up(200)),
      chunked("chunks without an end", "5\r\nhello\r\n", BadBody()),
      chunked("no chunk at all", "", BadBody()),
      chunked("a chunk that breaks off", "5\r\nhel", BadBody()),
      chunked("a chunk longer than its size", "2\r\nhello\r\n0\r\n\r\n", BadBody()),
      chunked("a size of letters", "hello\r\nhello\r\n0\r\n\r\n", BadBody()),
      chunked("a size below nothing", "-5\r\nhello\r\n0\r\n\r\n", BadBody()),
      chunked("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n", BadBody()),
      chunked("a size that overflows", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", BadBody()),
      chunked("the largest size", "ffffffffffffffff\r\nhello", BadBody()),
      chunked("an empty size", "\r\nhello\r\n0\r\n\r\n", BadBody()),
  };
}

}  // namespace

std::vector<Behaviour> OddAnswers() {
  std::vector<Behaviour> all;
  for (auto& part : {FirstLines(), HeaderLines(), Framings()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace jetmon::probe
