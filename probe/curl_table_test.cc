// The same odd answers, from a real server, to libcurl and to us. What curl accepts some site sends
// and nobody notices; refusing it would be a false outage. So: whatever curl accepts we accept,
// with the same code, and find the same body; each row in which we differ says why.
#include <curl/curl.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "probe/engine_fixture.h"
#include "probe/test_deflate.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

enum class Relation {
  kBothAccept,  // the same code, and for GET the same body
  kBothRefuse,
  kWeAccept,   // curl refuses: we are more tolerant
  kWeRefuse,   // curl accepts: deliberate, or a defect
  kOtherCode,  // both accept, and read different codes
  kOtherBody,  // both accept, and we don't find curl's body
};

std::ostream& operator<<(std::ostream& out, Relation relation) {
  constexpr const char* kNames[] = {
      "both accept", "both refuse", "we accept, curl refuses", "we refuse, curl accepts",
      "other code",  "other body"};
  return out << kNames[static_cast<int>(relation)];
}

struct Row {
  const char* what;
  std::string answer;
  Relation head = Relation::kBothAccept;  // head-simple against curl --head
  Relation get = Relation::kBothAccept;   // get-full against curl --compressed
  const char* why = "";                   // we differ
  bool hold = false;                      // the server does not close
};

constexpr Relation kAccept = Relation::kBothAccept, kRefuse = Relation::kBothRefuse;
constexpr Relation kMore = Relation::kWeAccept, kLess = Relation::kWeRefuse;

struct CurlSaw {
  CURLcode result = CURLE_OK;
  long code = 0;  // NOLINT: curl's type
  std::string body, redirect_url;
};

size_t Append(char* bytes, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(bytes, size * count);
  return size * count;
}

CurlSaw AskCurl(const std::string& url, bool head) {
  CurlSaw saw;
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_NOBODY, head ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &saw.body);
  saw.result = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &saw.code);
  char* redirect = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) saw.redirect_url = redirect;
  curl_easy_cleanup(curl);
  return saw;
}

// Answers "/N" with the N-th row.
class CurlTableTest : public ::testing::Test {
 protected:
  void Serve(const std::vector<Row>& rows) {
    rows_ = rows;
    server_ = std::make_unique<TestServer>(
        [this](TestServer::Connection& connection, const std::string& request) {
          const size_t slash = request.find('/');
          const size_t row = std::stoul(request.substr(slash + 1));
          connection.Send(rows_[row].answer);
          if (rows_[row].hold) connection.AwaitClose();
        });
  }

  CheckResult Ask(size_t row, std::string_view mode, std::string_view keyword = "") {
    CheckRequest request = MakeRequest(server_->Url("/" + std::to_string(row)), mode);
    if (!keyword.empty()) {
      auto rules = std::make_shared<FullRules>();
      rules->keyword = std::string(keyword.substr(0, FullRules::kMaxKeywordBytes));
      request.full = rules;
    }
    return RunCheck(*engine_, std::move(request));
  }

  Relation Compare(size_t row, bool head) {
    const CurlSaw curl = AskCurl(server_->Url("/" + std::to_string(row)), head);
    curl_said_ = curl_easy_strerror(curl.result);
    const bool curl_accepts = curl.result == CURLE_OK && curl.code != 0;
    const CheckResult ours = Ask(row, head ? "head-simple" : "get-full");
    we_said_ = ours.detail;
    const bool we_accept = ours.error_code == ErrorCode::kNone && ours.http_code != 0;
    if (curl_accepts != we_accept) return we_accept ? Relation::kWeAccept : Relation::kWeRefuse;
    if (!we_accept) return Relation::kBothRefuse;
    if (curl.code != ours.http_code) return Relation::kOtherCode;
    // A body of failure is not looked at.
    if (curl.body.empty() || head || curl.code >= 400) return Relation::kBothAccept;
    const CheckResult search = Ask(row, "get-full", curl.body);
    return search.outcome == Outcome::kUp ? Relation::kBothAccept : Relation::kOtherBody;
  }

  void Expect(const std::vector<Row>& rows) {
    Serve(rows);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      EXPECT_EQ(Compare(i, true), row.head)
          << row.what << ", HEAD; curl: " << curl_said_ << "; we: " << we_said_;
      const Relation get = Compare(i, false);
      EXPECT_EQ(get, row.get) << row.what << ", GET; curl: " << curl_said_ << "; we: " << we_said_;
      const bool same = row.head == row.get && (row.head == kAccept || row.head == kRefuse);
      EXPECT_EQ(std::string_view(row.why).empty(), same)
          << row.what << ": a difference has a reason";
      // What the others make of the headers is the same, whatever the body is.
      const CheckResult simple = Ask(i, "head-simple");
      if (simple.error_code != ErrorCode::kNone) continue;
      for (const char* mode : {"head-legacy", "get-legacy", "get-simple"}) {
        const CheckResult other = Ask(i, mode);
        EXPECT_EQ(other.http_code, simple.http_code) << row.what << mode;
        EXPECT_EQ(other.outcome, simple.outcome) << row.what << mode;
      }
    }
  }

  std::vector<Row> rows_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Engine> engine_ = MakeEngine();
  std::string curl_said_, we_said_;
};

const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kHello = "Content-Length: 5\r\n\r\nhello";

TEST_F(CurlTableTest, StatusLines) {
  const char* kVersion = "curl wants a version that it knows, and one space behind";
  const char* kThree =
      "a code has three digits: what else stands there must not pass for a success";
  Expect({
      {"usual", kOk + kHello},
      {"no reason", "HTTP/1.1 200 \r\n" + kHello},
      {"no space after the code", "HTTP/1.1 200\r\n" + kHello},
      {"reason at once", "HTTP/1.1 200OK\r\n" + kHello},
      {"two spaces", "HTTP/1.1  200 OK\r\n" + kHello},
      {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"},
      {"mixed line ends", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\nhello"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello"},
      {"HTTP/1.9", "HTTP/1.9 200 OK\r\n" + kHello, kMore, kMore, kVersion},
      {"HTTP/2", "HTTP/2 200\r\n" + kHello},
      {"HTTP/3", "HTTP/3 200\r\n" + kHello, kMore, kMore, "this curl was built without HTTP/3"},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n" + kHello},
      {"HTTP/1.10", "HTTP/1.10 200 OK\r\n" + kHello, kMore, kMore, kVersion},
      {"HTTP/1", "HTTP/1 200 OK\r\n" + kHello, kMore, kMore, kVersion},
      {"a tab", "HTTP/1.1\t200 OK\r\n" + kHello, kMore, kMore, kVersion},
      {"space in the version", "HTTP/ 1.1 200 OK\r\n" + kHello},
      {"lower case", "http/1.1 200 ok\r\n" + kHello},
      {"NCSA 1.5", "HTTP 200 OK\r\n" + kHello, kMore, kMore, "older versions of curl took it"},
      {"blank line first", "\r\n" + kOk + kHello, kMore, kMore,
       "curl takes it for HTTP/0.9; some servers end the answer before with one line too many"},
      {"HTTP/0.9", "hello", kRefuse, kRefuse},
      {"HTML at once", "<html>200 OK</html>\r\n", kRefuse, kRefuse},
      {"nothing", "", kRefuse, kRefuse},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", kRefuse, kRefuse},
      {"ICY", "ICY 200 OK\r\n\r\nhello", kRefuse, kRefuse},
      {"HTTP/2 settings", std::string("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", 15), kRefuse,
       kRefuse},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", kRefuse, kRefuse},
      {"099", "HTTP/1.1 099 X\r\n" + kHello, kMore, kMore,
       "v1 took it; curl takes nothing below 100"},
      {"000", "HTTP/1.1 000 X\r\n" + kHello, kRefuse, kRefuse},
      {"599", "HTTP/1.1 599 X\r\n" + kHello},
      {"999", "HTTP/1.1 999 X\r\n" + kHello},
      {"1000", "HTTP/1.1 1000 X\r\n" + kHello, kRefuse, kRefuse},
      {"20", "HTTP/1.1 20 X\r\n" + kHello, kRefuse, kRefuse},
      {"HTTP/2 20", "HTTP/2 20 X\r\n" + kHello, kLess, kLess, kThree},
      {"HTTP/2 2000", "HTTP/2 2000 X\r\n" + kHello, kLess, kLess, kThree},
      {"-200", "HTTP/1.1 -200 X\r\n" + kHello, kRefuse, kRefuse},
      {"+20", "HTTP/1.1 +20 X\r\n" + kHello, kRefuse, kRefuse},
      {"0x7b", "HTTP/1.1 0x7b X\r\n" + kHello, kRefuse, kRefuse},
      {"no code", "HTTP/1.1 OK\r\n" + kHello, kRefuse, kRefuse},
      {"no space", "HTTP/1.1200 OK\r\n" + kHello, kRefuse, kRefuse},
      {"cut off", "HTTP/1.1 200 OK", kRefuse, kRefuse},
  });
}

TEST_F(CurlTableTest, Headers) {
  const char* kNul = "curl refuses a NUL; nothing that we read depends on it";
  const char* kColon = "curl wants a colon; browsers ignore the line";
  const char* kCut = "full wants the whole answer";
  Expect({
      {"none", kOk + "\r\n"},
      {"none, and the connection ends", kOk, kAccept, kLess, kCut},
      {"cut off", kOk + "Content-Le", kAccept, kLess, kCut},
      {"space in a name", kOk + "X Y: z\r\n" + kHello},
      {"space before the colon", kOk + "Content-Length : 5\r\n\r\nhello"},
      {"no colon", kOk + "nonsense\r\n" + kHello, kMore, kMore, kColon},
      {"no name", kOk + ": x\r\n" + kHello},
      {"no value", kOk + "X:\r\n" + kHello},
      {"only spaces", kOk + "   \r\n" + kHello, kMore, kMore, kColon},
      {"folded", kOk + "A: b\r\n c\r\n\td\r\n" + kHello},
      {"folded at once", kOk + " A: b\r\n" + kHello, kMore, kMore,
       "this curl fails in itself; there is nothing that we would need"},
      {"NUL in a value", kOk + std::string("A: b\0c\r\n", 8) + kHello, kMore, kMore, kNul},
      {"NUL in the status line", std::string("HTTP/1.1 200 O\0K\r\n", 18) + kHello, kMore, kMore,
       kNul},
      {"controls", kOk + "A\x01: \x02\x1b[0m\x7f\r\n" + kHello},
      {"bytes above 0x7f", kOk + "\xc3\xa4: \xff\xfe\r\n" + kHello},
      {"a CR within a line", kOk + "A: b\rC: d\r\n" + kHello},
      {"CR CR LF", kOk + "A: b\r\r\n" + kHello},
      {"a header of 60 KB", kOk + "A: " + std::string(60'000, 'x') + "\r\n" + kHello},
      {"a header of 90 KB", kOk + "A: " + std::string(90'000, 'x') + "\r\n" + kHello,
       Relation::kWeRefuse, Relation::kWeRefuse, "headers are bounded by 64 KiB"},
      {"5,000 headers", kOk +
                            [] {
                              std::string lines;
                              for (int i = 0; i < 5000; ++i) lines += "A: b\r\n";
                              return lines;
                            }() +
                            kHello},
      {"100 first", "HTTP/1.1 100 Continue\r\n\r\n" + kOk + kHello},
      {"103 with headers, 102, 199",
       "HTTP/1.1 103 E\r\nContent-Length: 9\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 199 X\r\n\r\n" +
           kOk + kHello},
      {"only 100", "HTTP/1.1 100 Continue\r\n\r\n", kRefuse, kRefuse},
  });
}

TEST_F(CurlTableTest, Bodies) {
  const char* kNumber = "curl wants a number; the end of the connection is as good";
  const std::string ten = "Content-Length: 10\r\n", five = "Content-Length: 5\r\n";
  Expect({
      {"length", kOk + kHello},
      {"length, held open", kOk + kHello, kAccept, kAccept, "", true},
      {"length 0, held open", kOk + "Content-Length: 0\r\n\r\n", kAccept, kAccept, "", true},
      {"no length", kOk + "\r\nhello"},
      {"more than the length", kOk + kHello + "world"},
      {"less than the length", kOk + ten + "\r\nhello", kAccept, kRefuse, "HEAD has no body"},
      {"twice the same", kOk + five + five + "\r\nhello"},
      {"a list", kOk + "Content-Length: 5, 5\r\n\r\nhello"},
      {"5 then 10, 5 come", kOk + five + ten + "\r\nhello", kAccept, kMore,
       "curl takes the last, we the smallest"},
      {"10 then 5, 5 come", kOk + ten + five + "\r\nhello", kAccept, kAccept, "", true},
      {"5 then 10, 10 come", kOk + five + ten + "\r\nhelloworld", kAccept, Relation::kOtherBody,
       "curl takes the last, we the smallest: complete, but its end is not searched"},
      {"with a unit", kOk + "Content-Length: 5 bytes\r\n\r\nhello", kAccept, kAccept, "", true},
      {"negative", kOk + "Content-Length: -1\r\n\r\nhello", kMore, kMore, kNumber},
      {"plus", kOk + "Content-Length: +5\r\n\r\nhello", kAccept, kAccept, "", true},
      {"no number", kOk + "Content-Length: x\r\n\r\nhello", kMore, kMore, kNumber},
      {"empty", kOk + "Content-Length:\r\n\r\nhello", kMore, kMore, kNumber},
      {"beyond 64 bits", kOk + "Content-Length: 99999999999999999999\r\n\r\nhello"},
      {"204 with a body", "HTTP/1.1 204 N\r\n" + kHello, kAccept, kAccept, "", true},
      {"304 with a body", "HTTP/1.1 304 N\r\n" + kHello, kAccept, kAccept, "", true},
      {"205", "HTTP/1.1 205 R\r\n" + kHello},
      {"404 with a body", "HTTP/1.1 404 N\r\n" + kHello},
      {"large", kOk + "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'x')},
      {"a second answer behind", kOk + kHello + "HTTP/1.1 500 X\r\n\r\n"},
      {"unknown encoding", kOk + "Content-Encoding: utf-8\r\n" + kHello, kAccept, kMore,
       "without keywords the framing alone is judged"},
      {"identity", kOk + "Content-Encoding: identity\r\n" + kHello},
      {"none", kOk + "Content-Encoding: none\r\n" + kHello},
      {"says gzip, is not", kOk + "Content-Encoding: gzip\r\n" + kHello, kAccept, kRefuse,
       "HEAD has no body"},
  });
}

TEST_F(CurlTableTest, Chunks) {
  const char* kHead = "HEAD has no body";
  const std::string chunked = kOk + "Transfer-Encoding: chunked\r\n";
  const std::string hello = "\r\n5\r\nhello\r\n0\r\n\r\n";
  Expect({
      {"usual", chunked + hello, kAccept, kAccept, "", true},
      {"several", chunked + "\r\n2\r\nhe\r\n1\r\nl\r\n00002\r\nlo\r\n0\r\n\r\n"},
      {"bare LF", chunked + "\r\n5\nhello\n0\n\n"},
      {"many CR", chunked + "\r\n5\r\nhello\r\r\r\n0\r\n\r\n"},
      {"extension", chunked + "\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"},
      {"space behind the size", chunked + "\r\n5  \r\nhello\r\n0\r\n\r\n"},
      {"junk behind the size", chunked + "\r\n5 zz\r\nhello\r\n0\r\n\r\n"},
      {"junk at once", chunked + "\r\n5zz\r\nhello\r\n0\r\n\r\n"},
      {"space before the size", chunked + "\r\n 5\r\nhello\r\n0\r\n\r\n", kAccept, kMore,
       "curl wants the size at once"},
      {"upper case", chunked + "\r\nA\r\nhelloworld\r\n0\r\n\r\n"},
      {"trailers", chunked + "\r\n5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", kAccept,
       kAccept, "", true},
      {"no final line", chunked + "\r\n5\r\nhello\r\n0\r\n", kAccept, kMore,
       "the last chunk ends the body"},
      {"no final line, held open", chunked + "\r\n0\r\nA: b\r\n", kAccept, kMore,
       "the last chunk ends the body"},
      {"no last chunk", chunked + "\r\n5\r\nhello\r\n", kAccept, kRefuse, kHead},
      {"cut off in the data", chunked + "\r\n5\r\nhel", kAccept, kRefuse, kHead},
      {"cut off in a size", chunked + "\r\n5\r\nhello\r\n0", kAccept, kRefuse, kHead},
      {"no chunk at all", chunked + "\r\n", kAccept, kRefuse, kHead},
      {"bad size", chunked + "\r\nzz\r\nhello\r\n0\r\n\r\n", kAccept, kRefuse, kHead},
      {"negative size", chunked + "\r\n-5\r\nhello\r\n0\r\n\r\n", kAccept, kRefuse, kHead},
      {"no size", chunked + "\r\n\r\nhello\r\n0\r\n\r\n", kAccept, kRefuse, kHead},
      {"size beyond 64 bits", chunked + "\r\nfffffffffffffffff\r\nhello", kAccept, kRefuse, kHead},
      {"longer than its size", chunked + "\r\n2\r\nhello\r\n0\r\n\r\n", kAccept, kRefuse, kHead},
      {"not chunked after all", chunked + "\r\n<html>hello</html>", kAccept, kRefuse, kHead},
      {"a line of 3,000 bytes",
       chunked + "\r\n5;" + std::string(3000, 'x') + "\r\nhello\r\n0\r\n\r\n"},
      {"a line of 9,000 bytes",
       chunked + "\r\n5;" + std::string(9000, 'x') + "\r\nhello\r\n0\r\n\r\n", kAccept, kLess,
       "the line of a chunk is bounded by 4 KiB"},
      {"Content-Length behind", chunked + "Content-Length: 3\r\n" + hello},
      {"Content-Length before",
       kOk + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" + hello},
      {"Content-Length 0 before",
       kOk + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" + hello},
      {"Content-Length larger", chunked + "Content-Length: 300\r\n" + hello, kAccept, kAccept, "",
       true},
      {"twice", chunked + "Transfer-Encoding: chunked\r\n" + hello},
      {"in a list", kOk + "Transfer-Encoding: identity, chunked\r\n" + hello},
      {"before another", kOk + "Transfer-Encoding: chunked, identity\r\n" + hello},
      {"upper case name", kOk + "TRANSFER-ENCODING: CHUNKED\r\n" + hello},
      {"identity with a length too long",
       kOk + "Transfer-Encoding: identity\r\nContent-Length: 9\r\n\r\nhello"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" + hello},
      {"204", "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n" + hello},
      {"304", "HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n" + hello},
  });
}

// An answer whose body is coded.
std::string Coded(const char* encoding, const std::string& body) {
  return kOk + "Content-Encoding: " + encoding + "\r\n\r\n" + body;
}

TEST_F(CurlTableTest, Encodings) {
  const char* kHead = "HEAD has no body";
  const char* kBrowsers = "this curl refuses it; browsers and gunzip don't";
  const std::string text = "It is written: " + std::string(5000, '.') + " hello";
  const std::string gzip = Deflated(text), zlib = Deflated(text, 15), raw = Deflated(text, -15);
  Expect({
      {"gzip", Coded("gzip", gzip)},
      {"x-gzip", Coded("X-GZip", gzip)},
      {"deflate", Coded("deflate", zlib)},
      {"deflate without a frame", Coded("deflate", raw)},
      {"identity, gzip", Coded("identity, gzip", gzip)},
      {"two headers", Coded("identity\r\nContent-Encoding: gzip", gzip)},
      {"chunked", kOk + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" +
                      gzip.substr(0, 5) + "\r\n" +
                      [](size_t n) {
                        char hex[20];
                        snprintf(hex, sizeof(hex), "%zx", n);
                        return std::string(hex);
                      }(gzip.size() - 5) +
                      "\r\n" + gzip.substr(5) + "\r\n0\r\n\r\n"},
      {"as a transfer encoding", kOk + "Transfer-Encoding: gzip\r\n\r\n" + gzip},
      {"empty", Coded("gzip", "")},
      {"gzip of nothing", Coded("gzip", Deflated(""))},
      {"two members", Coded("gzip", Deflated("It is ") + gzip), kAccept, kMore, kBrowsers},
      {"zeros behind", Coded("gzip", gzip + std::string(20, '\0')), kAccept, kMore, kBrowsers},
      {"junk behind", Coded("gzip", gzip + "junk"), kAccept, kMore, kBrowsers},
      {"junk behind deflate", Coded("deflate", zlib + "junk"), kAccept, kMore, kBrowsers},
      {"gzip called deflate", Coded("deflate", gzip), kAccept, kMore, kBrowsers},
      {"deflate called gzip", Coded("gzip", zlib)},
      {"twice", Coded("gzip, gzip", Deflated(gzip)), kAccept, Relation::kOtherBody,
       "several at a time are not undone: no browser asks for it"},
      {"cut off", Coded("gzip", gzip.substr(0, gzip.size() - 20)), kAccept, kLess,
       "a compressed body has an end of its own, and full wants it whole"},
      {"without its check", Coded("gzip", gzip.substr(0, gzip.size() - 8)), kAccept, kLess,
       "a compressed body has an end of its own, and full wants it whole"},
      {"corrupt", Coded("gzip", gzip.substr(0, 20) + "junk" + gzip.substr(24)), kAccept, kRefuse,
       kHead},
      {"wrong check", Coded("gzip", gzip.substr(0, gzip.size() - 8) + "12345678"), kAccept, kRefuse,
       kHead},
  });
}

// Where curl would go from a Location. "" = nowhere.
TEST_F(CurlTableTest, Locations) {
  struct Location {
    const char* what;
    std::string line;
    bool same = true;
    const char* why = "";
  };
  const char* kControl = "curl refuses a control in a URL; browsers do as we do";
  const std::vector<Location> locations = {
      {"path", "Location: /1\r\n"},
      {"query", "Location: ?a=b\r\n"},
      {"relative", "Location: 1/../1\r\n"},
      {"fragment", "Location: /1#frag\r\n", false, "curl tells it, nobody sends it"},
      {"spaces around", "Location:   /1   \r\n"},
      {"no space", "Location:/1\r\n"},
      {"space within", "Location: /1?a b\r\n", false, "curl writes + in a query, browsers %20"},
      {"upper case", "LOCATION: /1\r\n"},
      {"first wins", "Location: /1\r\nLocation: /2\r\n"},
      {"empty first", "Location: \r\nLocation: /1\r\n"},
      {"empty", "Location: \r\n"},
      {"none", ""},
      {"injected by a CR", "Location: /1\rSet-Cookie: a=b\r\n"},
      {"injected by a LF", "Location: /1\nSet-Cookie: a=b\r\n"},
      {"folded", "Location: /1\r\n /2\r\n"},
      {"a tab", "Location: /1\tx\r\n", false, kControl},
      {"an escape", "Location: /1\x1b[31m\r\n", false, kControl},
      {"UTF-8", "Location: /1\xc3\xa4\r\n", false, "curl writes %c3, browsers %C3"},
  };
  std::vector<Row> rows;
  for (const Location& l : locations) {
    rows.push_back({l.what, "HTTP/1.1 302 Found\r\n" + l.line + "Content-Length: 0\r\n\r\n"});
  }
  Serve(rows);
  for (size_t i = 0; i < locations.size(); ++i) {
    const Location& l = locations[i];
    const CurlSaw curl = AskCurl(server_->Url("/" + std::to_string(i)), true);
    const CheckResult ours = Ask(i, "head-simple");
    const std::string where = ours.redirects.empty() ? "" : ours.redirects.front();
    EXPECT_EQ(where == curl.redirect_url, l.same)
        << l.what << "; curl: " << curl.redirect_url << "; we: " << where;
    EXPECT_EQ(std::string_view(l.why).empty(), l.same) << l.what;
  }
  // Whatever was sent, no request of ours had more lines than we gave it.
  for (const std::string& request : server_->requests()) {
    EXPECT_EQ(request.find("Set-Cookie"), std::string::npos);
    for (const char c : request) {
      EXPECT_TRUE(c == '\r' || c == '\n' || (c >= ' ' && c <= '~')) << request;
    }
  }
}

}  // namespace
}  // namespace jetmon::probe
