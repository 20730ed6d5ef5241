#include "probe/http_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace jetmon::probe {
namespace {

using State = HttpReader::State;

struct Answer {
  const char* what;
  std::string text;
  bool head;
  State state;  // after all of it
  int code;
  bool body_complete;
  std::string location;
};

HttpReader Read(const Answer& answer, size_t piece) {
  HttpReader reader({.head = answer.head});
  for (size_t i = 0; i < answer.text.size(); i += piece) {
    reader.Feed(std::string_view(answer.text).substr(i, piece));
  }
  return reader;
}

// Each is read whole and in pieces of 1, 2, 3 and 7 bytes, with the same result.
void Expect(const std::vector<Answer>& answers) {
  for (const Answer& answer : answers) {
    for (const size_t piece : {size_t{1} << 20, size_t{1}, size_t{2}, size_t{3}, size_t{7}}) {
      const HttpReader reader = Read(answer, piece);
      EXPECT_EQ(static_cast<int>(reader.state()), static_cast<int>(answer.state))
          << answer.what << ", pieces of " << piece << ": " << reader.error();
      EXPECT_EQ(reader.status_code(), answer.code) << answer.what;
      EXPECT_EQ(reader.body_complete(), answer.body_complete) << answer.what;
      EXPECT_EQ(reader.location(), answer.location) << answer.what;
    }
  }
}

TEST(HttpReaderTest, StatusLines) {
  Expect({
      {"usual", "HTTP/1.1 200 OK\r\n\r\n", true, State::kDone, 200, true, ""},
      {"no reason", "HTTP/1.1 404 \r\n\r\n", true, State::kDone, 404, true, ""},
      {"no space after the code", "HTTP/1.1 200\r\n\r\n", true, State::kDone, 200, true, ""},
      {"reason at once", "HTTP/1.1 200OK\r\n\r\n", true, State::kDone, 200, true, ""},
      {"bare LF", "HTTP/1.0 301 Gone\nLocation: /x\n\n", true, State::kDone, 301, true, "/x"},
      {"HTTP/2 in text", "HTTP/2 200\r\n\r\n", true, State::kDone, 200, true, ""},
      {"NCSA", "HTTP 200 OK\r\n\r\n", true, State::kDone, 200, true, ""},
      {"lower case", "http/1.1 200 ok\r\n\r\n", true, State::kDone, 200, true, ""},
      {"blank line first", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", true, State::kDone, 200, true, ""},
      {"odd code", "HTTP/1.1 999 No\r\n\r\n", true, State::kDone, 999, true, ""},
      {"space in the version", "HTTP/ 1.1 200 OK\r\n\r\n", true, State::kDone, 200, true, ""},
      {"two digits", "HTTP/1.1 20 OK\r\n", true, State::kBroken, 0, false, ""},
      {"four digits", "HTTP/1.1 2000 OK\r\n", true, State::kBroken, 0, false, ""},
      {"code 0", "HTTP/1.1 000 ?\r\n", true, State::kBroken, 0, false, ""},
      {"no code", "HTTP/1.1 OK\r\n", true, State::kBroken, 0, false, ""},
      {"no space at all", "HTTP/1.1200\r\n", true, State::kBroken, 0, false, ""},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", true, State::kBroken, 0, false, ""},
      {"noise without a line end", "\x15\x03\x01\x00\x02", true, State::kBroken, 0, false, ""},
      {"unfinished", "HTTP/1.1 200 OK", true, State::kStatusLine, 0, false, ""},
  });
}

TEST(HttpReaderTest, Headers) {
  Expect({
      {"space in a name", "HTTP/1.1 302 F\r\nX Y: z\r\nLocation : /x\r\n\r\n", true, State::kDone,
       302, true, "/x"},
      {"no colon", "HTTP/1.1 302 F\r\nnonsense\r\nlocation:/x\r\n\r\n", true, State::kDone, 302,
       true, "/x"},
      {"folded", "HTTP/1.1 302 F\r\nA: b\r\n Location: /no\r\nLOCATION: /x\r\n\r\n", true,
       State::kDone, 302, true, "/x"},
      {"first Location wins", "HTTP/1.1 302 F\r\nLocation: /a\r\nLocation: /b\r\n\r\n", true,
       State::kDone, 302, true, "/a"},
      {"empty Location first", "HTTP/1.1 302 F\r\nLocation: \r\nLocation: /b\r\n\r\n", true,
       State::kDone, 302, true, "/b"},
      {"Location ends at a CR", "HTTP/1.1 302 F\r\nLocation: /a\rX: y\r\n\r\n", true, State::kDone,
       302, true, "/a"},
      {"Location ends at a NUL", std::string("HTTP/1.1 302 F\r\nLocation: /a\0b\r\n\r\n", 35), true,
       State::kDone, 302, true, "/a"},
      {"controls in Location", "HTTP/1.1 302 F\r\nLocation: /a\tb\x01\x7f\x1b[0m c\r\n\r\n", true,
       State::kDone, 302, true, "/ab%01%7F%1B[0m c"},
      {"empty name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", true, State::kDone, 200, true, ""},
      {"NUL in a header", std::string("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 27), true, State::kDone,
       200, true, ""},
      {"interim",
       "HTTP/1.1 103 Early\r\nLocation: /no\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
       false, State::kDone, 204, true, ""},
      {"101 is final", "HTTP/1.1 101 S\r\n\r\n", false, State::kDone, 101, true, ""},
      {"unfinished", "HTTP/1.1 200 OK\r\nA: b\r\n", true, State::kHeaders, 200, false, ""},
  });
}

TEST(HttpReaderTest, Bodies) {
  Expect({
      {"HEAD has none", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, State::kDone, 200,
       true, ""},
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, State::kDone, 200,
       true, ""},
      {"length, more to come", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false,
       State::kBody, 200, false, ""},
      {"length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, State::kDone, 200, true,
       ""},
      {"lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 9\r\n\r\nhe", false,
       State::kDone, 200, true, ""},
      {"lengths, the larger first",
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 2\r\n\r\nhe", false, State::kDone,
       200, true, ""},
      {"length with a unit", "HTTP/1.1 200 OK\r\nContent-Length: 2 bytes\r\n\r\nhe", false,
       State::kDone, 200, true, ""},
      {"length is nonsense", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhe", false, State::kBody,
       200, false, ""},
      {"length is too much", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhe",
       false, State::kBody, 200, false, ""},
      {"until close", "HTTP/1.1 200 OK\r\n\r\nhe", false, State::kBody, 200, false, ""},
      {"304 has none", "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n", false, State::kDone, 304,
       true, ""},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0A \r\n0123456789\r\n"
       "0\r\nTrailer: x\r\n\r\n",
       false, State::kDone, 200, true, ""},
      {"chunked, bare LF", "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n1\na\n0\n\n",
       false, State::kDone, 200, true, ""},
      {"chunked wins over a length",
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
       "\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
       false, State::kDone, 200, true, ""},
      {"chunked wins over a zero length",
       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: "
       "chunked\r\n\r\n5\r\n",
       false, State::kBody, 200, false, ""},
      {"bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
       State::kDone, 200, false, ""},
      {"chunked is not the last",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n1\r\na\r\n0\r\n\r\n", false,
       State::kDone, 200, true, ""},
      {"junk behind a chunk size",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 x\r\na\r\n2zz\nab\r\r\n0", false,
       State::kBody, 200, false, ""},
      {"no line behind the last chunk",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", false, State::kDone,
       200, true, ""},
      {"no chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", false,
       State::kDone, 200, false, ""},
      {"chunk line at its bound",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;" + std::string(4094, 'x') + "\r\n",
       false, State::kDone, 200, true, ""},
      {"chunk line too long",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;" + std::string(4095, 'x') + "\r\n",
       false, State::kDone, 200, false, ""},
      {"huge chunk size",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", false,
       State::kDone, 200, false, ""},
      {"chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", false,
       State::kDone, 200, false, ""},
  });
}

TEST(HttpReaderTest, ThePeerCloses) {
  const auto finish = [](std::string_view text, bool head) {
    HttpReader reader({.head = head});
    reader.Feed(text);
    reader.Finish();
    return reader;
  };
  EXPECT_EQ(finish("", true).state(), State::kBroken);
  EXPECT_EQ(finish("HTTP/1.1 200 OK", true).state(), State::kBroken);
  EXPECT_EQ(finish("HTTP/1.1 200 OK", true).status_code(), 0);
  EXPECT_EQ(finish("HTTP/1.1 100 C\r\n\r\n", true).state(), State::kBroken);
  EXPECT_EQ(finish("HTTP/1.1 100 C\r\nA: b\r\n", true).state(), State::kBroken);
  // As curl does, the end of the connection ends the headers.
  const HttpReader cut = finish("HTTP/1.1 302 F\r\nLocation: /x\r\nA: b", true);
  EXPECT_EQ(cut.state(), State::kDone);
  EXPECT_TRUE(cut.headers_complete());
  EXPECT_EQ(cut.location(), "/x");
  EXPECT_FALSE(cut.error().empty());
  EXPECT_TRUE(finish("HTTP/1.1 200 OK\r\n\r\nbody", false).body_complete());
  EXPECT_FALSE(finish("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", false).body_complete());
  EXPECT_FALSE(finish("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", false)
                   .body_complete());
  EXPECT_TRUE(
      finish("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 9\r\n\r\nbody", false)
          .body_complete());
}

TEST(HttpReaderTest, InterimAnswersAreRemembered) {
  HttpReader reader({.head = true});
  EXPECT_EQ(reader.interim_code(), 0);
  reader.Feed("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nA: b");
  EXPECT_EQ(reader.interim_code(), 103);
  EXPECT_EQ(reader.status_code(), 0);
  EXPECT_FALSE(reader.headers_complete());
}

// Only full pays for it.
TEST(HttpReaderTest, ABodyIsJudgedOnlyIfAsked) {
  const std::string gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip";
  HttpReader plain({.head = false});
  plain.Feed(gzip);
  EXPECT_EQ(plain.body(), nullptr);
  EXPECT_EQ(plain.Finish(), State::kDone);
  EXPECT_EQ(plain.error(), "");
  HttpReader judging({.judge_body = true});
  EXPECT_EQ(judging.Feed(gzip), State::kDone);
  ASSERT_NE(judging.body(), nullptr);
  EXPECT_EQ(judging.error(), "compressed body is corrupt");
  HttpReader head({.head = true, .judge_body = true});
  EXPECT_EQ(head.Feed(gzip), State::kDone);
  EXPECT_EQ(head.body(), nullptr);
  // Some write it into the wrong header.
  HttpReader transfer({.judge_body = true});
  transfer.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n8\r\nnot gzip\r\n");
  EXPECT_EQ(transfer.error(), "compressed body is corrupt");
}

TEST(HttpReaderTest, AnUnknownEncodingEndsASearch) {
  FullRules rules;
  rules.keyword = "needle";
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\nzz";
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{1000}}) {
    HttpReader reader({.judge_body = true, .rules = &rules});
    for (size_t i = 0; i < text.size(); i += piece) {
      reader.Feed(std::string_view(text).substr(i, piece));
    }
    EXPECT_EQ(reader.state(), State::kDone);
    EXPECT_EQ(reader.error(), "content encoding br is unknown, no keyword can be looked for");
  }
}

// Whatever comes behind it in the same piece.
TEST(HttpReaderTest, AForbiddenKeywordDecides) {
  FullRules rules;
  rules.forbidden_keywords = {"poison"};
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& text :
       {chunked + "6\r\npoison\r\nzz\r\n", chunked + "3\r\npoi\r\n3\r\nson\r\n0\r\n\r\n",
        chunked + "6\r\npoison\r\n", std::string("HTTP/1.1 200 OK\r\n\r\npoison"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")}) {
    for (const size_t piece : {size_t{1}, size_t{5}, size_t{1000}}) {
      HttpReader reader({.judge_body = true, .rules = &rules});
      for (size_t i = 0; i < text.size(); i += piece) {
        reader.Feed(std::string_view(text).substr(i, piece));
      }
      EXPECT_EQ(reader.state(), State::kDone) << text;
      EXPECT_EQ(reader.body()->forbidden_found(), "poison") << text;
      EXPECT_EQ(reader.error(), "") << text;
      EXPECT_FALSE(reader.body_complete()) << text;
    }
  }
}

TEST(HttpReaderTest, WhatIsSentForAJudgedBodyIsBounded) {
  FullRules rules;
  rules.keyword = "needle";
  // Chunks of one byte: the largest searched body fits, junk without end does not.
  std::string chunks;
  for (int i = 0; i < 1000; ++i) chunks += "1\r\nx\r\n";
  HttpReader reader({.judge_body = true, .rules = &rules});
  reader.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  int pieces = 0;
  while (reader.Feed(chunks) == State::kBody && pieces < 10'000) ++pieces;
  EXPECT_EQ(reader.body()->bytes(), BodyReader::kMaxSearchedBytes);
  EXPECT_EQ(pieces, 1048);
  // Empty stored blocks of deflate: nothing comes of them.
  std::string blocks;
  for (int i = 0; i < 1000; ++i) blocks += std::string("\0\0\0\xff\xff", 5);
  HttpReader empty({.judge_body = true, .rules = &rules});
  empty.Feed("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n");
  pieces = 0;
  while (empty.Feed(blocks) == State::kBody && pieces < 10'000) ++pieces;
  EXPECT_EQ(empty.body()->bytes(), 0u);
  EXPECT_EQ(pieces, 8 * 1024 * 1024 / 5000);
  EXPECT_EQ(empty.error(), "");
}

TEST(HttpReaderTest, HeadersAreBounded) {
  const std::string line = "X: " + std::string(1000, 'x') + "\r\n";
  HttpReader reader({.head = true});
  reader.Feed("HTTP/1.1 200 OK\r\n");
  int lines = 0;
  while (reader.Feed(line) == State::kHeaders && lines < 1000) ++lines;
  EXPECT_EQ(reader.state(), State::kBroken);
  EXPECT_EQ(reader.status_code(), 200);
  EXPECT_EQ(lines, 65);  // 64 KiB of 1,005 bytes

  HttpReader one_line({.head = true});
  one_line.Feed("HTTP/1.1 200 OK\r\nX: ");
  int pieces = 0;
  while (one_line.Feed(std::string(1024, 'x')) == State::kHeaders && pieces < 1000) ++pieces;
  EXPECT_EQ(one_line.state(), State::kBroken);
  EXPECT_EQ(pieces, 63);

  HttpReader interims({.head = true});
  int answers = 0;
  while (interims.Feed("HTTP/1.1 100 C\r\n\r\n") == State::kStatusLine && answers < 10000)
    ++answers;
  EXPECT_EQ(interims.state(), State::kBroken);
}

TEST(HttpReaderTest, BodiesAreBounded) {
  for (const char* headers :
       {"Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n", ""}) {
    HttpReader reader({.head = false});
    reader.Feed(std::string("HTTP/1.1 200 OK\r\n") + headers + "\r\n");
    reader.Feed("fffff\r\n");
    int pieces = 0;
    while (reader.Feed(std::string(1024, 'x')) == State::kBody && pieces < 1000) ++pieces;
    EXPECT_EQ(reader.state(), State::kDone);
    EXPECT_FALSE(reader.body_complete());
    EXPECT_EQ(pieces, 63);
    EXPECT_TRUE(reader.error().empty());
  }
}

TEST(HttpReaderTest, LocationIsBounded) {
  HttpReader reader({.head = true});
  reader.Feed("HTTP/1.1 302 F\r\nLocation: /" + std::string(10000, 'x') + "\r\n\r\n");
  EXPECT_EQ(reader.location().size(), 2049u);
}

TEST(HttpReaderTest, NothingCountsAfterTheEnd) {
  HttpReader reader({.head = true});
  reader.Feed("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n");
  reader.Feed("HTTP/1.1 500 No\r\n\r\n");
  EXPECT_EQ(reader.Finish(), State::kDone);
  EXPECT_EQ(reader.status_code(), 200);
}

}  // namespace
}  // namespace jetmon::probe
