// OpenSslClient against servers that break off, are no TLS servers, or keep it busy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "probe/test_server.h"
#include "probe/tls_client_fixture.h"

namespace jetmon::probe {
namespace {

using Failure = TlsStream::Failure;
using testing::HasSubstr;

class OpenSslHostileTest : public TlsClientTest {
 protected:
  // Of a client against a server that speaks by `handler` alone.
  TlsSeen VisitRaw(TestServer::Handler handler) {
    TestServer server(std::move(handler), 1, "127.0.0.1", TestServer::Reading::kRaw);
    const TlsSeen seen = Visit(*Make(), server.port());
    EXPECT_EQ(seen.handshake, Io::kError);
    const bool connection = seen.error.starts_with("connection ");
    EXPECT_EQ(seen.failure, connection ? Failure::kConnection : Failure::kProtocol);
    EXPECT_EQ(seen.facts.version, "");
    EXPECT_EQ(seen.facts.trust, "no certificate was shown");
    return seen;
  }
};

std::string Record(int type, const std::string& body) {
  std::string out = {static_cast<char>(type), 3, 3, static_cast<char>(body.size() >> 8),
                     static_cast<char>(body.size() & 0xff)};
  return out + body;
}

TEST_F(OpenSslHostileTest, SaysWhyThereIsNoHandshake) {
  using Peer = TestServer::Connection;
  EXPECT_EQ(VisitRaw([](Peer& c, const auto&) { c.ReadSome(); }).error,
            "connection closed in the handshake");
  EXPECT_EQ(VisitRaw([](Peer& c, const auto&) {
              c.ReadSome();
              c.Reset();
            }).error,
            "connection reset in the handshake");
  EXPECT_EQ(VisitRaw([](Peer& c, const auto&) {
              c.ReadSome();
              c.Send(Record(22, std::string(200, '\2')).substr(0, 100));
            }).error,
            "connection closed in the handshake");
  EXPECT_EQ(VisitRaw([](Peer& c, const auto&) {
              c.ReadSome();
              c.Send("HTTP/1.1 400 Bad Request\r\n\r\n");
            }).error,
            "the server does not speak TLS here");
  EXPECT_EQ(VisitRaw([](Peer& c, const auto&) {
              c.ReadSome();
              c.Send(Record(21, {2, 112}));
              c.AwaitClose();
            }).error,
            "the server says \"unrecognized name\"");
}

TEST_F(OpenSslHostileTest, WaitsForAServerThatIsSilent) {
  TestServer server([](auto& c, const auto&) { c.AwaitClose(); }, 1, "127.0.0.1",
                    TestServer::Reading::kRaw);
  const auto connection = ConnectTo(server.port());
  const auto client = Make();
  const auto stream = client->Open({.host = "127.0.0.1"}, connection.get());
  server.AwaitConnections(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stream->Handshake(), Io::kAgain);
  EXPECT_EQ(stream->failure(), Failure::kNone);
}

TEST_F(OpenSslHostileTest, NoCommonCipherOrNoCertificate) {
  const auto client = Make();
  for (const char* ciphers : {"aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0"}) {
    TestTlsServer server(Issue(*root_, {}), AnswerOk,
                         {.max_version = TLS1_2_VERSION, .prepare = [&](SSL_CTX* context) {
                            ASSERT_EQ(SSL_CTX_set_cipher_list(context, ciphers), 1);
                          }});
    for (const bool judge : {true, false}) {
      const TlsSeen seen = Visit(*client, server.port(), judge);
      EXPECT_EQ(seen.failure, Failure::kProtocol) << ciphers;
      EXPECT_THAT(seen.error, HasSubstr("handshake failure"));
    }
  }
}

// A message that clients skip, again and again.
TEST_F(OpenSslHostileTest, EndlessHandshakeIsCut) {
  const std::string record = Record(22, std::string(16'000, '\0'));
  size_t sent = 0;
  const TlsSeen seen = VisitRaw([&](TestServer::Connection& c, const auto&) {
    while (sent < (64u << 20) && c.Send(record)) sent += record.size();
  });
  EXPECT_THAT(seen.error, HasSubstr("too much that is no data"));
  EXPECT_LT(sent, 32u << 20);  // what the sockets held, but not all
}

TEST_F(OpenSslHostileTest, EndlessTicketsAreCut) {
  TestTlsServer server(Issue(*root_, {}), [&](auto& c, const auto&) {
    // OpenSSL does not mind that a peer is gone when it sends tickets.
    for (int i = 0; i < 1000; ++i) {
      SSL_new_session_ticket(c.ssl());
      SSL_do_handshake(c.ssl());
    }
  });
  const TlsSeen seen = Visit(*Make(), server.port());
  EXPECT_EQ(seen.handshake, Io::kOk);
  EXPECT_EQ(seen.end, Io::kError);
  EXPECT_THAT(seen.error, HasSubstr("too much that is no data"));
}

TEST_F(OpenSslHostileTest, EndlessKeyUpdatesAreCut) {
  TestTlsServer server(Issue(*root_, {}), [&](auto& c, const auto&) {
    while (SSL_key_update(c.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(c.ssl()) == 1) {
    }
  });
  EXPECT_EQ(Visit(*Make(), server.port()).end, Io::kError);
}

// A byte a record, as some servers flush: 24 on the wire for each.
TEST_F(OpenSslHostileTest, SmallRecordsArePatientlyRead) {
  const std::string answer(20'000, 'a');
  TestTlsServer server(Issue(*root_, {}), [&](auto& c, const auto&) {
    for (size_t i = 0; i < answer.size(); ++i) c.Send(answer.substr(i, 1));
  });
  const TlsSeen seen = Visit(*Make(), server.port());
  EXPECT_EQ(seen.end, Io::kEnd) << seen.error;
  EXPECT_EQ(seen.answer.size(), answer.size());
}

TEST_F(OpenSslHostileTest, AnswersAKeyUpdate) {
  TestTlsServer server(Issue(*root_, {}), [&](auto& c, const auto&) {
    EXPECT_TRUE(c.Send("o"));
    EXPECT_EQ(SSL_key_update(c.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    EXPECT_TRUE(c.Send("k"));
  });
  EXPECT_EQ(Visit(*Make(), server.port()).answer, "ok");
}

TEST_F(OpenSslHostileTest, RenegotiatesAsOldServersDo) {
  TestTlsServer server(Issue(*root_, {}),
                       [&](auto& c, const auto&) {
                         SSL_renegotiate(c.ssl());
                         SSL_do_handshake(c.ssl());  // asks for it
                         SSL_clear_mode(c.ssl(), SSL_MODE_AUTO_RETRY);
                         char none;
                         SSL_read(c.ssl(), &none, 1);  // and does it
                         EXPECT_EQ(SSL_num_renegotiations(c.ssl()), 1);
                         c.Send("ok");
                       },
                       {.max_version = TLS1_2_VERSION});
  const TlsSeen seen = Visit(*Make(), server.port());
  EXPECT_EQ(seen.answer, "ok") << seen.error;
  EXPECT_EQ(seen.end, Io::kEnd);
}

// The wire gives a byte at a time, takes seven, and says kAgain before each.
class ThinWire final : public ByteStream {
 public:
  explicit ThinWire(ByteStream& under) : under_(under) {}
  Io Write(std::string_view bytes, size_t* done) override {
    return (++calls_ & 1) != 0 ? Io::kAgain : under_.Write(bytes.substr(0, 7), done);
  }
  Io Read(char* buffer, size_t size, size_t* done) override {
    return (++calls_ & 1) != 0 ? Io::kAgain : under_.Read(buffer, std::min<size_t>(size, 1), done);
  }

 private:
  ByteStream& under_;
  int calls_ = 0;
};

TEST_F(OpenSslHostileTest, AnyCutOfTheStreamWillDo) {
  const auto client = Make();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestTlsServer server(Issue(*root_, {}), AnswerOk, {.max_version = version});
    for (const bool resumed : {false, true}) {
      const auto connection = ConnectTo(server.port());
      ThinWire wire(*connection);
      const TlsSeen seen =
          Converse(*client, {.host = "127.0.0.1", .port = server.port()}, *connection, wire);
      EXPECT_EQ(seen.answer, "ok") << seen.error;
      EXPECT_EQ(seen.facts.resumed, resumed);
    }
  }
}

// As when the lease has lapsed.
class MuteWire final : public ByteStream {
 public:
  Io Write(std::string_view, size_t*) override {
    ++writes;
    return Io::kError;
  }
  Io Read(char*, size_t, size_t*) override { return Io::kAgain; }
  int writes = 0;
};

TEST_F(OpenSslHostileTest, ARefusedWriteEndsIt) {
  MuteWire wire;
  const auto client = Make();
  const auto stream = client->Open({.host = "127.0.0.1"}, &wire);
  EXPECT_EQ(wire.writes, 0);
  EXPECT_EQ(stream->Handshake(), Io::kError);
  EXPECT_EQ(stream->Handshake(), Io::kError);
  EXPECT_LE(wire.writes, 2);
}

}  // namespace
}  // namespace jetmon::probe
