// TLS servers that let go of a handshake at each step of it, through the engine.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_table.h"
#include "probe/test_dns_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kStalled{700};
constexpr seconds kPlenty{30}, kSlack{5};

// What happens when the server has said so much.
enum class Fate { kStall, kClose, kReset, kGarbage };
constexpr Fate kFates[] = {Fate::kStall, Fate::kClose, Fate::kReset, Fate::kGarbage};

// A TLS server that speaks through memory, so that each of its bytes can be held back.
class CutServer {
 public:
  struct Options {
    int version = TLS1_3_VERSION;
    int64_t cut = INT64_MAX;  // of its own bytes, those that it sends before its fate
    Fate fate = Fate::kStall;
    int64_t flip = -1;       // this byte of its own comes wrong
    bool byte_wise = false;  // a packet a byte
    bool awaits = false;     // the client's next bytes, before its fate
  };

  CutServer(const TestIdentity& identity, const Options& options)
      : options_(options), context_(SSL_CTX_new(TLS_server_method())) {
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX_set_min_proto_version(context_, options.version);
    SSL_CTX_set_max_proto_version(context_, options.version);
    SSL_CTX_use_certificate(context_, identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_, identity.key.get());
    // Tickets come behind the handshake, and are not what is cut here.
    SSL_CTX_set_options(context_, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context_, 0);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    server_ = std::make_unique<TestServer>(
        [this](TestServer::Connection& c, const std::string&) { Serve(c); }, 5, "127.0.0.1",
        TestServer::Reading::kRaw);
  }
  ~CutServer() {
    server_.reset();
    SSL_CTX_free(context_);
  }

  std::string Url() const { return "https" + server_->Url("/").substr(4); }
  // Its bytes of a handshake that ended.
  std::string said() const {
    std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  void Serve(TestServer::Connection& c) {
    SSL* ssl = SSL_new(context_);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    std::string said;
    bool going = options_.cut > 0;
    while (going && SSL_do_handshake(ssl) != 1) going = Flush(ssl, c, &said) && Take(ssl, c);
    if (going && Flush(ssl, c, &said)) {
      {
        std::lock_guard lock(mutex_);
        said_ = said;
      }
      char buffer[4096];
      while (SSL_read(ssl, buffer, sizeof(buffer)) <= 0 && Take(ssl, c)) {
      }
      const std::string answer = Ok("Content-Length: 2\r\n") + "ok";
      SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
      Flush(ssl, c, &said);
    }
    const bool cut = static_cast<int64_t>(said.size()) >= options_.cut;
    if (cut && options_.awaits) c.ReadSome();
    if (cut) Meet(c);
    SSL_free(ssl);
    ERR_clear_error();
  }

  // Sends what it has to say; false at the cut, or when the peer has gone.
  bool Flush(SSL* ssl, TestServer::Connection& c, std::string* said) {
    char buffer[16 * 1024];
    for (;;) {
      const int n = BIO_read(SSL_get_wbio(ssl), buffer, sizeof(buffer));
      if (n <= 0) return true;
      const int64_t sent = static_cast<int64_t>(said->size());
      if (options_.flip >= sent && options_.flip < sent + n) buffer[options_.flip - sent] ^= 0x10;
      const size_t now = static_cast<size_t>(std::min<int64_t>(n, options_.cut - sent));
      const size_t piece = options_.byte_wise ? 1 : now;
      for (size_t i = 0; i < now; i += piece) {
        if (!c.Send({buffer + i, piece})) return false;
      }
      said->append(buffer, now);
      if (static_cast<int64_t>(said->size()) >= options_.cut) return false;
    }
  }

  static bool Take(SSL* ssl, TestServer::Connection& c) {
    const std::string bytes = c.ReadSome();
    BIO_write(SSL_get_rbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
    return !bytes.empty();
  }

  void Meet(TestServer::Connection& c) {
    if (options_.fate == Fate::kStall) c.AwaitClose();
    if (options_.fate == Fate::kReset) c.Reset();
    if (options_.fate == Fate::kGarbage) c.Send(std::string(40'000, '\xff'));
  }

  const Options options_;
  SSL_CTX* const context_;
  mutable std::mutex mutex_;
  std::string said_;  // guarded by mutex_
  std::unique_ptr<TestServer> server_;
};

class HostileHandshakeTest : public testing::Test {
 protected:
  HostileHandshakeTest() {
    TestCertificate rsa;
    rsa.rsa_bits = 2048;  // its signatures are all of one length
    identity_ = Issue(root_, rsa);
    Engine::Options options = LabOptions();
    options.ca_file = WriteCertificate(root_, "root.pem");
    options.resolvers = dns_.address();
    engine_ = MakeEngine(options);
  }

  void Expect(const std::string& what, const std::string& url, const Verdicts& verdicts) {
    ExpectSaid(what, RunAll(*engine_, InAllModes(url, kPlenty)), verdicts, kSlack);
  }
  int64_t WholeHandshake(int version) {
    CutServer server(identity_, {.version = version});
    Expect("a good server", server.Url(), Always(Up(200)));
    return static_cast<int64_t>(server.said().size());
  }

  TestDnsServer dns_;
  const TestIdentity root_ = MakeCa("Test Root");
  TestIdentity identity_;
  std::unique_ptr<Engine> engine_;
};

Said AtTheCut(Fate fate, bool handshake_ended) {
  if (fate == Fate::kStall) return TimedOut();
  return handshake_ended && fate != Fate::kGarbage ? NoAnswer() : BadTls();
}

TEST_F(HostileHandshakeTest, LetsGoAtEachStep) {
  const size_t descriptors = OpenDescriptors();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const int64_t whole = WholeHandshake(version);
    ASSERT_GT(whole, 800);
    std::vector<std::unique_ptr<CutServer>> servers;
    std::vector<Said> verdicts;
    std::vector<std::string> what;
    std::vector<CheckRequest> requests;
    // In a record's head, in the first message, in the certificate, in the last flight, at its end.
    for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{5}, int64_t{9}, int64_t{60},
                              whole / 4, whole / 2, whole - 280, whole - 40, whole - 1, whole}) {
      for (const Fate fate : kFates) {
        servers.push_back(std::make_unique<CutServer>(
            identity_, CutServer::Options{
                           .version = version, .cut = cut, .fate = fate, .awaits = cut == whole}));
        const bool stalls = fate == Fate::kStall;
        for (const CheckRequest& r :
             InAllModes(servers.back()->Url(), stalls ? kStalled : milliseconds(kPlenty))) {
          requests.push_back(r);
          verdicts.push_back(AtTheCut(fate, cut == whole));
          what.push_back("version " + std::to_string(version) + ", cut at " + std::to_string(cut) +
                         " of " + std::to_string(whole) + ", fate " +
                         std::to_string(static_cast<int>(fate)) + ", " + ModeName(r.mode));
        }
      }
    }
    const std::vector<Ended> ended = RunAll(*engine_, requests);
    for (size_t i = 0; i < ended.size(); ++i) {
      const CheckResult& r = ended[i].result;
      EXPECT_EQ(SaidBy(r), verdicts[i]) << what[i] << ": " << r.detail;
      EXPECT_LT(ended[i].took, kSlack) << what[i];
      if (r.error_code != ErrorCode::kTimeout) continue;
      EXPECT_GE(ended[i].took, kStalled) << what[i];
      // A busy machine may not even come to the handshake in this time.
      EXPECT_TRUE(r.detail.starts_with("timeout")) << what[i] << ": " << r.detail;
    }
  }
  EXPECT_LE(AwaitDescriptors(descriptors), descriptors);
}

TEST_F(HostileHandshakeTest, AByteAPacketIsSlowAndGood) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CutServer server(identity_, {.version = version, .byte_wise = true});
    Expect("byte by byte", server.Url(), Always(Up(200)));
  }
}

// Where a server's flight says how long something is: in the heads of its records, and of the
// messages in those that are not encrypted.
std::set<int64_t> LengthsIn(const std::string& flight) {
  constexpr char kHandshake = 22, kChangeCipherSpec = 20;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(flight[i]); };
  std::set<int64_t> lengths;
  bool plain = true;
  for (size_t record = 0; record + 5 <= flight.size();) {
    const size_t end = record + 5 + (byte(record + 3) << 8 | byte(record + 4));
    lengths.insert({static_cast<int64_t>(record) + 3, static_cast<int64_t>(record) + 4});
    plain = plain && flight[record] != kChangeCipherSpec;
    for (size_t at = record + 5; plain && flight[record] == kHandshake && at + 4 <= end;) {
      for (size_t i = 1; i <= 3; ++i) lengths.insert(static_cast<int64_t>(at + i));
      at += 4 + (byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
    }
    record = end;
  }
  return lengths;
}

// Whatever is wrong in one byte, no answer that was not sent, and an end. A peer that says that it
// sends more than it does is waited for; all else is seen at once.
TEST_F(HostileHandshakeTest, AWrongByteAnywhere) {
  constexpr milliseconds kLonger{1500};
  // Of the first record's version the second byte: it is to be ignored (RFC 8446, 5.1).
  constexpr int64_t kUnread = 2;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CutServer good(identity_, {.version = version});
    Expect("a good server", good.Url(), Always(Up(200)));
    const int64_t whole = static_cast<int64_t>(good.said().size());
    const std::set<int64_t> lengths = LengthsIn(good.said());
    ASSERT_GT(lengths.size(), 10u);
    std::set<int64_t> flips = lengths;
    for (int64_t flip = 0; flip < whole; flip += flip < 60 ? 1 : 53) flips.insert(flip);
    std::vector<std::unique_ptr<CutServer>> servers;
    std::vector<CheckRequest> requests;
    std::vector<int64_t> flip_of;
    for (const int64_t flip : flips) {
      servers.push_back(std::make_unique<CutServer>(
          identity_, CutServer::Options{.version = version, .flip = flip}));
      const milliseconds timeout = lengths.contains(flip) ? kLonger : milliseconds(kPlenty);
      for (const CheckRequest& r : InAllModes(servers.back()->Url(), timeout)) {
        requests.push_back(r);
        flip_of.push_back(flip);
      }
    }
    const std::vector<Ended> ended = RunAll(*engine_, requests);
    for (size_t i = 0; i < ended.size(); ++i) {
      const Said said = SaidBy(ended[i].result);
      const std::string what = "version " + std::to_string(version) + ", byte " +
                               std::to_string(flip_of[i]) + " of " + std::to_string(whole) + ", " +
                               ModeName(requests[i].mode) + ": " + ended[i].result.detail;
      EXPECT_LT(ended[i].took, kPlenty) << what;
      if (flip_of[i] == kUnread) {
        EXPECT_EQ(said, Up(200)) << what;
      } else if (lengths.contains(flip_of[i]) && said == TimedOut()) {
        EXPECT_GE(ended[i].took, kLonger) << what;  // more was said to come
      } else {
        EXPECT_EQ(said, BadTls()) << what;
      }
    }
  }
}

void AnswerOk(TestTlsServer::Connection& c, const std::string&) {
  c.Send(Ok("Content-Length: 2\r\n") + "ok");
}

TEST_F(HostileHandshakeTest, WantsOurCertificate) {
  // TLS 1.3 servers say so behind the handshake.
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestTlsServer::Options options;
    options.max_version = version;
    options.prepare = [](SSL_CTX* context) {
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    };
    TestTlsServer server(identity_, AnswerOk, options);
    Expect("wants a certificate", server.Url("/"), Always(BadTls()));
  }
}

TEST_F(HostileHandshakeTest, LongChains) {
  const auto with = [&](int others) {
    TestTlsServer::Options options;
    options.prepare = [this, others](SSL_CTX* context) {
      for (int i = 0; i < others; ++i) SSL_CTX_add1_chain_cert(context, root_.certificate.get());
    };
    return options;
  };
  TestTlsServer hundred(identity_, AnswerOk, with(100));
  Expect("a hundred certificates", hundred.Url("/"), Always(Up(200)));
  TestTlsServer thousand(identity_, AnswerOk, with(1000));
  Expect("a thousand certificates", thousand.Url("/"), Always(BadTls()));
}

TEST_F(HostileHandshakeTest, NoMoreTlsBehindTheHandshake) {
  TestTlsServer plain(identity_, [](TestTlsServer::Connection& c, const std::string&) {
    c.raw().Send(Ok("Content-Length: 2\r\n") + "ok");
  });
  Expect("plain text", plain.Url("/"), Always(BadTls()));
  TestTlsServer late(identity_, [](TestTlsServer::Connection& c, const std::string&) {
    c.Send(Ok("Content-Length: 200\r\n") + "ok");
    c.raw().Send(std::string(100, 'x'));
  });
  Expect("plain text in the body", late.Url("/"), ByBody(Up(200), BadBody()));
}

}  // namespace
}  // namespace jetmon::probe
