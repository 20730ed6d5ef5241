// Hostile and broken web servers: each verdict is written down, comes in time, and costs little.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "probe/hostile_fixture.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;

constexpr char kUp[] = "up 200 0 success";
constexpr char kNothing[] = "down 0 2 intermittent";
constexpr char kTimedOut[] = "down 0 1 intermittent";
constexpr char kBody[] = "down 200 8 intermittent";

std::string Gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

enum class Then { kClose, kReset };

struct Row {
  const char* what;
  std::string answer;
  Then then;
  const char* verdicts[3];  // head-legacy, get-simple, get-full
};

void ExpectRows(const std::vector<Row>& rows) {
  const auto engine = MakeEngine();
  for (const Row& row : rows) {
    TestServer server([&](TestServer::Connection& c, const std::string&) {
      c.Send(row.answer);
      if (row.then == Then::kReset) c.Reset();
    });
    ExpectVerdicts(*engine, row.what, server.Url("/"), row.verdicts);
  }
}

TEST(HostileHttpTest, OddButReadable) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  ExpectRows({
      {"no space after the code", "HTTP/1.1 200\r\n\r\n", Then::kClose, {kUp, kUp, kUp}},
      {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Then::kClose, {kUp, kUp, kUp}},
      {"space in a header's name", ok + "X Y : z\r\n\r\n", Then::kClose, {kUp, kUp, kUp}},
      {"header without a colon", ok + "what is this\r\n\r\n", Then::kClose, {kUp, kUp, kUp}},
      {"both framings",
       ok + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"both framings, the other way",
       ok + "Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"length twice",
       ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"lengths that differ",
       ok + "Content-Length: 2\r\nContent-Length: 9\r\n\r\nok",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", Then::kClose, {kUp, kUp, kUp}},
      {"1xx first",
       "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + ok + "\r\n",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"204 with a body",
       "HTTP/1.1 204 N\r\nContent-Length: 9\r\n\r\nbo",
       Then::kClose,
       {"up 204 0 success", "up 204 0 success", "up 204 0 success"}},
      {"304 with a body",
       "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\nbo",
       Then::kClose,
       {"up 304 0 success", "up 304 0 success", "up 304 0 success"}},
      {"HEAD answered with a body",
       ok + "Content-Length: 6\r\n\r\nabcdef",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"trailers",
       ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
       Then::kClose,
       {kUp, kUp, kUp}},
      {"999",
       "HTTP/1.1 999 No\r\n\r\n",
       Then::kClose,
       {"down 999 0 server", "down 999 0 server", "down 999 0 server"}},
  });
}

TEST(HostileHttpTest, Broken) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  ExpectRows({
      {"HTTP/0.9", "hello\n", Then::kClose, {kNothing, kNothing, kNothing}},
      {"an HTTP/2 preface",
       std::string("\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64", 15),
       Then::kClose,
       {kNothing, kNothing, kNothing}},
      {"nothing", "", Then::kClose, {kNothing, kNothing, kNothing}},
      {"only a 1xx",
       "HTTP/1.1 100 Continue\r\n\r\n",
       Then::kClose,
       {"up 100 0 success", kNothing, kNothing}},
      {"reset before the answer", "", Then::kReset, {kNothing, kNothing, kNothing}},
      {"reset in the status line", "HTTP/1.1 2", Then::kReset, {kNothing, kNothing, kNothing}},
      {"reset in the headers", ok + "A: b", Then::kReset, {kUp, kBody, kBody}},
      {"reset in the body", ok + "Content-Length: 9\r\n\r\nok", Then::kReset, {kUp, kUp, kBody}},
      {"reset in an endless body", ok + "\r\nok", Then::kReset, {kUp, kUp, kBody}},
      {"truncated body", ok + "Content-Length: 9\r\n\r\nok", Then::kClose, {kUp, kUp, kBody}},
      {"a 503 with a truncated body",
       "HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nok",
       Then::kClose,
       {"down 503 0 server", "down 503 0 server", "down 503 0 server"}},
      {"chunk size no number", chunked + "zz\r\nok\r\n0\r\n\r\n", Then::kClose, {kUp, kUp, kBody}},
      {"chunk size negative", chunked + "-2\r\nok\r\n0\r\n\r\n", Then::kClose, {kUp, kUp, kBody}},
      {"chunk size too large",
       chunked + "fffffffffffffffff\r\nok",
       Then::kClose,
       {kUp, kUp, kBody}},
      {"chunk longer than its size",
       chunked + "1\r\nok\r\n0\r\n\r\n",
       Then::kClose,
       {kUp, kUp, kBody}},
      {"chunks without an end", chunked + "2\r\nok\r\n", Then::kClose, {kUp, kUp, kBody}},
      {"corrupt gzip",
       ok + "Content-Encoding: gzip\r\n\r\nno gzip",
       Then::kClose,
       {kUp, kUp, kBody}},
      {"truncated gzip",
       ok + "Content-Encoding: gzip\r\n\r\n" + Gzip(std::string(999, 'x')).substr(0, 15),
       Then::kClose,
       {kUp, kUp, kBody}},
  });
}

TEST(HostileHttpTest, Slow) {
  const auto engine = MakeEngine();
  TestServer never([](TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  ExpectVerdicts(*engine, "never answers", never.Url("/"), {kTimedOut, kTimedOut, kTimedOut},
                 milliseconds(300));
  const auto trickle = [](std::string first) {
    return [first](TestServer::Connection& c, const std::string&) {
      bool there = c.Send(first);
      while (there) {
        std::this_thread::sleep_for(milliseconds(20));
        there = c.Send("H");
      }
    };
  };
  TestServer no_status(trickle(""));
  ExpectVerdicts(*engine, "a byte now and then", no_status.Url("/"), {kNothing, kNothing, kNothing},
                 milliseconds(300));
  TestServer status(trickle("HTTP/1.1 200 OK\r\nX: "));
  ExpectVerdicts(*engine, "a byte of a header now and then", status.Url("/"),
                 {kUp, "down 200 1 intermittent", "down 200 1 intermittent"}, milliseconds(300));
  TestServer body(trickle("HTTP/1.1 200 OK\r\n\r\n"));
  ExpectVerdicts(*engine, "a byte of the body now and then", body.Url("/"),
                 {kUp, kUp, "down 200 1 intermittent"}, milliseconds(300));
}

TEST(HostileHttpTest, EndlessIsBounded) {
  const auto engine = MakeEngine();
  std::atomic<size_t> sent{0};
  const auto endless = [&](std::string first, std::string more) {
    return [&sent, first, more](TestServer::Connection& c, const std::string&) {
      bool there = c.Send(first);
      while (there && sent < size_t{1} << 30) {
        there = c.Send(more);
        sent += more.size();
      }
    };
  };
  // A server can fill the sockets' buffers, and what is read before the bound is seen.
  constexpr size_t kMost = 3 * (8 << 20);
  const size_t before = ResidentBytes();
  {
    TestServer headers(endless("HTTP/1.1 200 OK\r\n", std::string(1000, 'x') + ": y\r\n"));
    ExpectVerdicts(*engine, "endless headers", headers.Url("/"), {kUp, kBody, kBody});
    TestServer line(endless("HTTP/1.1 200 OK\r\nX: ", std::string(1000, 'x')));
    ExpectVerdicts(*engine, "an endless header", line.Url("/"), {kUp, kBody, kBody});
    TestServer interims(endless("", "HTTP/1.1 100 C\r\n\r\n"));
    ExpectVerdicts(*engine, "endless 1xx", interims.Url("/"),
                   {"up 100 0 success", kNothing, kNothing});
    EXPECT_LT(sent, 3 * kMost);
    sent = 0;
    TestServer gigabyte(endless("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
                                std::string(100'000, 'x')));
    ExpectVerdicts(*engine, "1 GB", gigabyte.Url("/"), {kUp, kUp, kUp});
    EXPECT_LT(sent, kMost);
    sent = 0;
    TestServer chunks(
        endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n1\r\nx\r\n"));
    ExpectVerdicts(*engine, "endless chunks", chunks.Url("/"), {kUp, kUp, kUp});
    EXPECT_LT(sent, kMost);
  }
  const std::string bomb =
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + Gzip(std::string(200'000'000, '\0'));
  const size_t with_bomb = ResidentBytes();
  TestServer exploding([&](TestServer::Connection& c, const std::string&) { c.Send(bomb); });
  ExpectVerdicts(*engine, "a gzip bomb", exploding.Url("/"), {kUp, kUp, kUp});
  CheckRequest request = MakeRequest(exploding.Url("/"), "get-full");
  auto rules = std::make_shared<FullRules>();
  rules->keyword = "needle";
  request.full = rules;
  EXPECT_EQ(VerdictText(RunCheck(*engine, request)), "down 200 5 keyword_missing");
  EXPECT_LT(ResidentBytes(), std::max(before, with_bomb) + (32 << 20));
}

TEST(HostileHttpTest, AnswersBeforeItIsAsked) {
  TestServer server(
      [](TestServer::Connection& c, const std::string&) {
        c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        c.AwaitClose();
      },
      4, "127.0.0.1", TestServer::Reading::kRaw);
  const auto engine = MakeEngine();
  ExpectVerdicts(*engine, "eager", server.Url("/"), {kUp, kUp, kUp});
}

TEST(HostileHttpTest, ManyAtOnceAllEnd) {
  std::atomic<int> turn{0};
  TestServer server(
      [&](TestServer::Connection& c, const std::string&) {
        switch (turn++ % 6) {
          case 0:
            c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            break;
          case 1:
            c.Send("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'));
            break;
          case 2:
            c.Reset();
            break;
          case 3:
            c.Send("garbage");
            break;
          case 4:
            c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz");
            break;
          default:
            c.Send("HTTP/1.1 302 F\r\nLocation: http://10.0.0.1/\r\n\r\n");
        }
      },
      32);
  const size_t descriptors = OpenDescriptors();
  {
    const auto engine = MakeEngine();
    std::vector<CheckRequest> requests;
    for (int i = 0; i < 3000; ++i) {
      requests.push_back(MakeRequest(server.Url("/"), kHostileModes[i % 3]));
    }
    int ended = 0, verdicts = 0;
    CheckAllOptions all;
    all.concurrency = 500;
    EXPECT_TRUE(CheckAll(
                    *engine, std::move(requests),
                    [&](const CheckResult& r) {
                      ++ended;
                      verdicts += IsVerdict(r.outcome) || r.outcome == Outcome::kSafety ? 1 : 0;
                    },
                    all)
                    .ok());
    EXPECT_EQ(ended, 3000);
    EXPECT_EQ(verdicts, 3000);
  }
  // The server closes its side of the last connections in its own time.
  for (int i = 0; i < 2000 && OpenDescriptors() > descriptors; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_LE(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace jetmon::probe
