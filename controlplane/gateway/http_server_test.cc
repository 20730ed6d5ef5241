#include "controlplane/gateway/http_server.h"

#include <atomic>
#include <thread>

#include "controlplane/gateway/test_echo.h"
#include "controlplane/gateway/test_socket.h"
#include "gtest/gtest.h"

namespace jetmon::gateway {
namespace {

using std::chrono::milliseconds;

TEST_F(HttpServerTest, KeepsAliveAndPipelines) {
  Start();
  TestSocket client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.got().clear();
    client.Send("POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    ASSERT_TRUE(client.ReadUntil("POST /a%20b c=d hello"));
    EXPECT_TRUE(client.got().starts_with("HTTP/1.1 200 OK\r\nx-test: 1\r\n")) << client.got();
  }
  client.got().clear();
  client.Send(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReadToEnd());
  const std::string& got = client.got();
  EXPECT_LT(got.find("GET /1"), got.find("GET /2"));
  EXPECT_LT(got.find("GET /2"), got.find("GET /3"));
  EXPECT_NE(got.find("GET /3"), std::string::npos);
}

TEST_F(HttpServerTest, ByteByByteAndChunked) {
  Start();
  TestSocket client(server_->port());
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (const char c : request) ASSERT_TRUE(client.Send(std::string(1, c)));
  EXPECT_TRUE(client.ReadUntil("POST /x  abcde"));
}

TEST_F(HttpServerTest, AbsoluteTargetAndHttp10) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET http://host:80/p?q HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client.ReadToEnd());
  EXPECT_NE(client.got().find("GET /p q"), std::string::npos);
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  Start();
  TestSocket client(server_->port());
  client.Send("HEAD /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReadToEnd());
  EXPECT_TRUE(client.got().ends_with("\r\n\r\n"));
  EXPECT_NE(client.got().find("content-length: 9"), std::string::npos) << client.got();
}

// The whole answer arrives although nobody read the body.
TEST_F(HttpServerTest, TooLargeBodyIsAnsweredAndDrained) {
  Start();
  for (const bool chunked : {false, true}) {
    TestSocket client(server_->port());
    const std::string body(4 << 20, 'x');
    client.Send(chunked ? "POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "400000\r\n"
                        : "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\n");
    client.Send(body);
    client.ShutdownWrite();
    EXPECT_TRUE(client.ReadToEnd());
    EXPECT_TRUE(client.got().starts_with("HTTP/1.1 413 ")) << client.got();
    EXPECT_NE(client.got().find("TOO LARGE"), std::string::npos);
  }
}

TEST_F(HttpServerTest, ExpectContinue) {
  Start();
  TestSocket client(server_->port());
  client.Send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.ReadUntil("HTTP/1.1 100 Continue\r\n\r\n"));
  client.Send("ab");
  EXPECT_TRUE(client.ReadUntil("POST /x  ab"));
}

TEST_F(HttpServerTest, ClientThatGoesIsNoticed) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto exchange = echo_.Held();
  client.Close();
  EXPECT_TRUE(echo_.WaitGone());
  exchange->Respond(200, {}, "nobody reads it");
}

TEST_F(HttpServerTest, DroppedExchangeClosesTheConnection) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET /drop HTTP/1.1\r\nHost: x\r\n\r\n");
  client.ReadToEnd();
  EXPECT_EQ(client.got(), "");
}

TEST_F(HttpServerTest, StreamsWithHeartbeats) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto exchange = echo_.Held();
  exchange->BeginStream(200, {}, "beat\n", milliseconds(20));
  EXPECT_TRUE(exchange->Write("first\n"));
  ASSERT_TRUE(client.ReadUntil("6\r\nfirst\n\r\n"));
  ASSERT_TRUE(client.ReadUntil("5\r\nbeat\n\r\n5\r\nbeat\n\r\n"));
  EXPECT_TRUE(exchange->Write("last\n"));
  exchange->EndStream();
  ASSERT_TRUE(client.ReadUntil("5\r\nlast\n\r\n0\r\n\r\n"));
  // The connection lives on.
  client.got().clear();
  client.Send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.ReadUntil("GET /next"));
}

TEST_F(HttpServerTest, SlowReaderHoldsTheWriterBack) {
  Start();
  TestSocket client(server_->port());
  client.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto exchange = echo_.Held();
  exchange->BeginStream(200, {}, "", milliseconds(0));
  std::atomic<size_t> written{0};
  std::atomic<bool> refused{false};
  std::thread writer([&] {
    const std::string piece(64 << 10, 'x');
    while (written < (size_t{256} << 20)) {
      if (!exchange->Write(piece)) {
        refused = true;
        return;
      }
      written += piece.size();
    }
  });
  // It stops by itself, far below what it wants to write.
  size_t before = 1;
  while (before != written.load() || before == 0) {
    before = written.load();
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_LT(written.load(), size_t{64} << 20);
  client.Close();
  writer.join();
  EXPECT_TRUE(refused.load());
}

TEST_F(HttpServerTest, IdleConnectionIsClosed) {
  Start({.idle = milliseconds(100)});
  TestSocket silent(server_->port());
  EXPECT_TRUE(silent.ReadToEnd());
  EXPECT_EQ(silent.got(), "");
}

TEST_F(HttpServerTest, ConnectionsAreBounded) {
  Start({.connections = 2});
  TestSocket first(server_->port());
  first.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(first.ReadUntil("GET /1"));
  TestSocket second(server_->port());
  second.Send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(second.ReadUntil("GET /2"));
  // The third waits to be accepted until one has gone.
  TestSocket third(server_->port());
  third.Send("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
  first.Close();
  EXPECT_TRUE(third.ReadUntil("GET /3"));
}

TEST_F(HttpServerTest, ShutdownFinishesWhatRuns) {
  Start();
  TestSocket idle(server_->port());
  idle.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(idle.ReadUntil("GET /1"));
  TestSocket busy(server_->port());
  busy.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  auto exchange = echo_.Held();
  std::thread stopper([&] { server_->Shutdown(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.ReadToEnd());
  exchange->Respond(200, {}, "finished");
  exchange.reset();
  EXPECT_TRUE(busy.ReadToEnd());
  EXPECT_NE(busy.got().find("connection: close"), std::string::npos);
  EXPECT_NE(busy.got().find("finished"), std::string::npos);
  stopper.join();
}

TEST_F(HttpServerTest, ShutdownWithoutGraceTellsTheHandler) {
  Start();
  TestSocket busy(server_->port());
  busy.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  auto exchange = echo_.Held();
  server_->Shutdown(milliseconds(0));
  EXPECT_TRUE(echo_.WaitGone());
  exchange.reset();
}

TEST_F(HttpServerTest, AddressesThatCantBeHad) {
  Start();
  const std::string taken = "127.0.0.1:" + std::to_string(server_->port());
  EXPECT_EQ(HttpServer::Start(taken, echo_, {}).status().code(), absl::StatusCode::kUnavailable);
  for (const char* bad : {"", "x", "127.0.0.1", "127.0.0.1:x", "host:1", "127.0.0.1:70000"}) {
    EXPECT_EQ(HttpServer::Start(bad, echo_, {}).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

}  // namespace
}  // namespace jetmon::gateway
