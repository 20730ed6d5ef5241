// A request that can't be read: each is answered, wherever it stands on its connection, and each
// gives the connection's place back.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "controlplane/gateway/http_server.h"
#include "controlplane/gateway/test_echo.h"
#include "controlplane/gateway/test_socket.h"

namespace jetmon::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kGood[] = "GET /good HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr char kPost[] = "POST /bad HTTP/1.1\r\nHost: x\r\n";

struct Bad {
  std::string name;
  std::string bytes;
  std::string status;
};

std::string Chunked(const std::string& chunks) {
  return std::string(kPost) + "Transfer-Encoding: chunked\r\n\r\n" + chunks;
}

std::string Post(const std::string& lines, const std::string& body = "abc") {
  return kPost + lines + "\r\n\r\n" + body;
}

std::vector<Bad> NoRequests() {
  return {
      {"no request line", "GARBAGE\r\n\r\n", "400"},
      {"unknown version", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "400"},
      {"no target", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"no colon", "GET / HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", "400"},
      {"space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
      {"control character", std::string("GET / HTTP/1.1\r\nHost: x\r\na: \x01\r\n\r\n"), "400"},
      {"lines that end in LF", "GET / HTTP/1.1\nHost: x\n\n", "400"},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
      {"header of 20 KB",
       "GET / HTTP/1.1\r\nHost: x\r\na: " + std::string(20'000, 'a') + "\r\n\r\n", "431"},
      {"target of 20 KB", "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n",
       "431"},
      {"header without an end", "GET / HTTP/1.1\r\nHost: x\r\na: " + std::string(100'000, 'a'),
       "431"},
  };
}

std::vector<Bad> NoLengths() {
  return {
      {"no number", Post("Content-Length: x"), "400"},
      {"a sign", Post("Content-Length: +3"), "400"},
      {"past 64 bits", Post("Content-Length: 99999999999999999999"), "400"},
      {"two lengths that differ", Post("Content-Length: 3\r\nContent-Length: 4"), "400"},
      {"two lengths that agree", Post("Content-Length: 3\r\nContent-Length: 3"), "400"},
      {"a list of lengths", Post("Content-Length: 3, 3"), "400"},
      {"length, then chunks", Post("Content-Length: 3\r\nTransfer-Encoding: chunked"), "400"},
      {"chunks, then length", Post("Transfer-Encoding: chunked\r\nContent-Length: 3"), "400"},
      {"unknown coding beside a length", Post("Transfer-Encoding: xchunked\r\nContent-Length: 3"),
       "400"},
      {"unknown coding", Post("Transfer-Encoding: xchunked"), "501"},
      {"gzip, chunked", Post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), "501"},
      {"gzip and chunked on two lines",
       Post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "501"},
      {"chunked is not the last", Post("Transfer-Encoding: chunked, identity"), "501"},
      {"chunked twice", Post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), "501"},
      {"chunks in HTTP/1.0",
       "POST /bad HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n"
       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400"},
      {"length above 1 MiB", Post("Content-Length: 1048577"), "413"},
  };
}

std::vector<Bad> NoBodies() {
  return {
      {"size is no number", Chunked("zz\r\n"), "400"},
      {"size is absent", Chunked("\r\n"), "400"},
      {"more than the size says", Chunked("2\r\nabc\r\n0\r\n\r\n"), "400"},
      {"bad extension", Chunked("3;=\r\nabc\r\n0\r\n\r\n"), "400"},
      {"bad trailer", Chunked("0\r\nnothing\r\n\r\n"), "400"},
      {"a length among the trailers", Chunked("0\r\nContent-Length: 3\r\n\r\n"), "400"},
      {"chunk above 1 MiB", Chunked("100001\r\n"), "413"},
      {"chunks above 1 MiB", Chunked("80000\r\n" + std::string(0x80000, 'a') + "\r\n80001\r\n"),
       "413"},
      {"extension without an end", Chunked("3;a=" + std::string(100'000, 'a')), "431"},
      {"trailers without an end", Chunked("0\r\na: " + std::string(100'000, 'a')), "431"},
  };
}

std::vector<Bad> AllBad() {
  std::vector<Bad> all = NoRequests();
  for (const auto& more : {NoLengths(), NoBodies()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Where each answer begins in `text`.
std::vector<size_t> Answers(const std::string& text) {
  static constexpr std::string_view kVersion = "HTTP/1.1 ";
  std::vector<size_t> starts;
  for (size_t at = text.find(kVersion); at != std::string::npos; at = text.find(kVersion, at + 1)) {
    const size_t status = at + kVersion.size();
    if (status < text.size() && absl::ascii_isdigit(text[status])) starts.push_back(at);
  }
  return starts;
}

class HttpRefusalTest : public ::testing::Test {
 protected:
  void Start(HttpServer::Limits limits = {}) {
    auto server = HttpServer::Start("127.0.0.1:0", echo_, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // The bad request's answer has come whole, says that the connection ends, and is the last one,
  // although a good request follows.
  static void ExpectRefused(TestSocket& client, const Bad& bad, size_t answers_before) {
    EXPECT_TRUE(client.ReadToEnd()) << "broken off, or open for 20 s";
    const std::string& got = client.got();
    const std::vector<size_t> answers = Answers(got);
    ASSERT_EQ(answers.size(), answers_before + 1) << got;
    const size_t last = answers.back();
    EXPECT_EQ(got.substr(last + 9, 3), bad.status) << got.substr(last);
    EXPECT_NE(got.find("\r\nconnection: close\r\n", last), std::string::npos) << got.substr(last);
    EXPECT_EQ(got.find("/smuggled"), std::string::npos);
  }
  Echo echo_;
  std::unique_ptr<HttpServer> server_;
};

constexpr char kSmuggled[] = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(HttpRefusalTest, TheFirstRequest) {
  Start();
  for (const Bad& bad : AllBad()) {
    SCOPED_TRACE(bad.name);
    TestSocket client(server_->port());
    client.Send(bad.bytes + kSmuggled);
    ExpectRefused(client, bad, 0);
  }
}

TEST_F(HttpRefusalTest, ALaterRequest) {
  Start();
  for (const Bad& bad : AllBad()) {
    SCOPED_TRACE(bad.name);
    TestSocket client(server_->port());
    for (int i = 0; i < 2; ++i) {
      client.got().clear();
      client.Send(kGood);
      ASSERT_TRUE(client.ReadUntil("GET /good"));
    }
    client.Send(bad.bytes + kSmuggled);
    ExpectRefused(client, bad, 1);
  }
}

TEST_F(HttpRefusalTest, APipelinedRequest) {
  Start();
  for (const Bad& bad : AllBad()) {
    SCOPED_TRACE(bad.name);
    TestSocket client(server_->port());
    client.Send(kGood + bad.bytes + kSmuggled);
    ExpectRefused(client, bad, 1);
  }
}

TEST_F(HttpRefusalTest, RequestThatEndsBeforeItsEnd) {
  Start();
  for (const std::string& half :
       {std::string("GET / HT"), std::string(kPost), Post("Content-Length: 9"), Chunked("3\r\nab"),
        Chunked("0\r\n")}) {
    for (const bool later : {false, true}) {
      SCOPED_TRACE(half);
      TestSocket client(server_->port());
      client.Send((later ? kGood : "") + half);
      client.ShutdownWrite();
      ExpectRefused(client, {"", "", "400"}, later ? 1 : 0);
    }
  }
}

// Nobody reads what follows a request that was refused; the answer arrives all the same.
TEST_F(HttpRefusalTest, TheAnswerArrivesWhateverFollows) {
  Start();
  for (const Bad& bad : NoRequests()) {
    SCOPED_TRACE(bad.name);
    TestSocket client(server_->port());
    client.Send(kGood);
    ASSERT_TRUE(client.ReadUntil("GET /good"));
    EXPECT_TRUE(client.Send(bad.bytes + std::string(6 << 20, '\n')));
    ExpectRefused(client, bad, 1);
  }
}

// Each way in which reading fails gives the place back: there is only one, and each client keeps
// its end open.
TEST_F(HttpRefusalTest, EachGivesItsPlaceBack) {
  Start({.connections = 1, .drain = milliseconds(20)});
  std::list<TestSocket> open;
  for (const Bad& bad : AllBad()) {
    SCOPED_TRACE(bad.name);
    open.emplace_back(server_->port());
    open.back().Send(kGood + bad.bytes);
    TestSocket good(server_->port());
    good.Send(kGood);
    ASSERT_TRUE(good.ReadUntil("GET /good"));
  }
}

TEST_F(HttpRefusalTest, ClientsThatGoGiveTheirPlacesBack) {
  Start({.connections = 1});
  for (const std::string& half :
       {std::string(), std::string("GET / HT"), std::string("GARBAGE\r\n\r\n"),
        Post("Content-Length: 9"), Chunked("3\r\nab")}) {
    for (const bool reset : {false, true}) {
      SCOPED_TRACE(half);
      TestSocket gone(server_->port());
      gone.Send(kGood);
      ASSERT_TRUE(gone.ReadUntil("GET /good"));
      gone.Send(half);
      reset ? gone.Reset() : gone.Close();
      TestSocket good(server_->port());
      good.Send(kGood);
      ASSERT_TRUE(good.ReadUntil("GET /good"));
    }
  }
}

// More bad connections than there are places, and none of them is closed by its client.
TEST_F(HttpRefusalTest, BadConnectionsEndNobodyElses) {
  Start({.connections = 4});
  std::list<TestSocket> bad;
  for (int i = 0; i < 9; ++i) {
    bad.emplace_back(server_->port());
    bad.back().Send(std::string(kGood) + "GARBAGE\r\n\r\n");
  }
  TestSocket good(server_->port());
  good.Send(kGood);
  EXPECT_TRUE(good.ReadUntil("GET /good"));
}

TEST_F(HttpRefusalTest, SilenceIsClosedAndHalfARequestAnswered) {
  Start({.idle = milliseconds(200), .body = milliseconds(200)});
  for (const bool later : {false, true}) {
    TestSocket silent(server_->port());
    silent.Send(later ? kGood : "\r\n");
    EXPECT_TRUE(silent.ReadToEnd());
    EXPECT_EQ(Answers(silent.got()).size(), later ? 1u : 0u);
    for (const std::string& half :
         {std::string("\r"), std::string("GET / HT"), std::string(kPost), Post("Content-Length: 9"),
          Chunked("3\r\nab"), Chunked("3;a=b"), Chunked("0\r\na: b\r\n")}) {
      SCOPED_TRACE(half);
      TestSocket client(server_->port());
      client.Send((later ? kGood : "") + half);
      ExpectRefused(client, {"", "", "408"}, later ? 1 : 0);
    }
  }
}

// A client that sends byte by byte is bounded like one that is silent.
TEST_F(HttpRefusalTest, ADripIsBounded) {
  Start({.idle = milliseconds(300), .body = milliseconds(300)});
  for (const std::string& begin :
       {std::string("GET / HTTP/1.1\r\na: "), Post("Content-Length: 100000", ""),
        Chunked("10000\r\n"), Chunked("3;a="), Chunked("0\r\na: ")}) {
    SCOPED_TRACE(begin);
    TestSocket client(server_->port());
    client.Send(begin);
    int sent = 0;
    for (; sent < 2'000 && !client.Readable(milliseconds(10)); ++sent) client.Send("x");
    EXPECT_LT(sent, 2'000);
    ASSERT_TRUE(client.ReadUntil("HTTP/1.1 408 "));
  }
}

// The header's limit is on the whole of it, also when its fields come one by one.
TEST_F(HttpRefusalTest, FieldsOneByOneAreBounded) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n");
  const std::string field = "a: " + std::string(1'000, 'a') + "\r\n";
  int sent = 0;
  for (; sent < 100 && !client.Readable(milliseconds(5)); ++sent) client.Send(field);
  EXPECT_LT(sent, 100);
  ASSERT_TRUE(client.ReadUntil("HTTP/1.1 431 "));
}

// A client that asks for more and more, and reads nothing of it.
TEST_F(HttpRefusalTest, AnswersThatNobodyReadsAreBounded) {
  Start({.connections = 1, .idle = milliseconds(300)});
  TestSocket client(server_->port());
  const std::string body(1 << 20, 'x');
  int sent = 0;
  while (sent < 64 && client.Send(Post("Content-Length: 1048576", body))) ++sent;
  EXPECT_LT(sent, 64);
  TestSocket good(server_->port());
  good.Send(kGood);
  EXPECT_TRUE(good.ReadUntil("GET /good"));
}

TEST_F(HttpRefusalTest, EmptyLinesBeforeARequestPass) {
  Start();
  TestSocket client(server_->port());
  client.Send(std::string("\r\n") + kGood + "\r\n\r\n" + kGood + "\r");
  client.Send(std::string("\n") + Post("Content-Length: 3") + "\r\n" + kPost +
              "Content-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReadToEnd());
  EXPECT_EQ(Answers(client.got()).size(), 4u) << client.got();
  EXPECT_NE(client.got().find("POST /bad  abc"), std::string::npos);
}

// What follows the body is no header: it was judged, routed and allowed without it.
TEST_F(HttpRefusalTest, TrailersAreNoHeaders) {
  class Headers final : public HttpHandler {
   public:
    void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange,
                std::function<void()>*) override {
      const std::string* key = request.Find("authorization");
      exchange->Respond(200, {}, key == nullptr ? "no key, " + request.body : "a key");
    }
    void Refuse(const HttpRefusal&, HttpExchange& exchange) override {
      exchange.Respond(400, {}, "");
    }
  } handler;
  auto server = HttpServer::Start("127.0.0.1:0", handler, {});
  ASSERT_TRUE(server.ok());
  TestSocket client((*server)->port());
  client.Send(Chunked("3\r\nabc\r\n0\r\nauthorization: Bearer x\r\n\r\n"));
  EXPECT_TRUE(client.ReadUntil("no key, abc")) << client.got();
}

// Requests with bytes changed, in pieces, from clients that stay, go or break off: the server
// lives, and the next good request is answered.
TEST_F(HttpRefusalTest, NoGarbageHoldsAPlace) {
  Start({.connections = 2,
         .idle = milliseconds(40),
         .body = milliseconds(40),
         .drain = milliseconds(10)});
  std::vector<std::string> seeds = {kGood, Post("Content-Length: 3"),
                                    Chunked("3\r\nabc\r\n0\r\n\r\n"),
                                    Post("Expect: 100-continue\r\nContent-Length: 3")};
  for (const Bad& bad : AllBad()) seeds.push_back(bad.bytes.substr(0, 30'000));
  std::mt19937 random(1);
  std::list<TestSocket> clients;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    std::string bytes = (random() % 2 == 0 ? kGood : "") + seeds[random() % seeds.size()] + kGood;
    for (size_t n = random() % 4; n > 0; --n) {
      bytes[random() % std::min<size_t>(bytes.size(), 120)] = "\r\n :;,\0z9"[random() % 9];
    }
    TestSocket& client = clients.emplace_back(server_->port());
    while (!bytes.empty()) {
      const size_t n = 1 + random() % bytes.size();
      client.Send(bytes.substr(0, n));
      bytes.erase(0, n);
    }
    switch (random() % 4) {
      case 0:
        client.Close();
        break;
      case 1:
        client.Reset();
        break;
      case 2:
        client.ShutdownWrite();
        break;
      default:
        break;
    }
    TestSocket good(server_->port());
    good.Send(kGood);
    ASSERT_TRUE(good.ReadUntil("GET /good"));
    if (clients.size() > 8) clients.pop_front();
  }
}

}  // namespace
}  // namespace jetmon::gateway
