#ifndef JETMON_PROBE_OPENSSL_STREAM_H_
#define JETMON_PROBE_OPENSSL_STREAM_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "clock/clock.h"
#include "probe/tls.h"
#include "probe/tls_sessions.h"

namespace jetmon::probe {

// One connection of an OpenSslClient. OpenSSL calls back into it through the SSL's application
// data.
class OpenSslStream final : public TlsStream {
 public:
  // Prepares an SSL context for streams: everything but its CAs.
  static bool Prepare(SSL_CTX* context);

  // `sessions` and `wire` outlive the stream. Null when memory is out.
  static std::unique_ptr<OpenSslStream> Open(SSL_CTX* context, const TlsTarget& target,
                                             ByteStream* wire, TlsSessions* sessions,
                                             const Clock& clock);
  ~OpenSslStream() override;

  Io Handshake() override;
  Io Write(std::string_view bytes, size_t* done) override;
  Io Read(char* buffer, size_t size, size_t* done) override;
  Failure failure() const override { return failure_; }
  const std::string& error() const override { return error_; }
  bool offered_session() const override { return offered_; }
  const TlsFacts& facts() const override { return facts_; }

  // The key of a target's session.
  static std::string Key(const TlsTarget& target);

 private:
  OpenSslStream(const TlsTarget& target, ByteStream* wire, TlsSessions* sessions,
                const Clock& clock);
  bool Set(SSL* ssl);
  void OfferSession();
  Io After(int ssl_result);
  void Fail(int ssl_error);
  std::string ConnectionError(int ssl_error, std::string_view when);

  // OpenSSL's callbacks.
  static BIO_METHOD* WireMethod();
  static int WriteWire(BIO* bio, const char* data, size_t size, size_t* written);
  static int ReadWire(BIO* bio, char* data, size_t size, size_t* read);
  static long ControlWire(BIO* bio, int command, long number, void* pointer);
  static int VerifyChain(X509_STORE_CTX* chain, void*);
  static int KeepSession(SSL* ssl, SSL_SESSION* session);
  bool Judge(X509_STORE_CTX* chain, X509* certificate);
  static int OnVerify(int good, X509_STORE_CTX* chain);

  const TlsTarget target_;
  ByteStream* const wire_;
  TlsSessions* const sessions_;
  const Clock& clock_;
  SSL* ssl_ = nullptr;
  bool offered_ = false;
  bool wire_ended_ = false, wire_broken_ = false, wire_flooded_ = false;
  size_t wire_bytes_ = 0, data_bytes_ = 0;  // read, and of these the peer's data
  int tickets_ = 0;
  BootTime full_at_;         // of this connection's full handshake, or the offered session's
  TlsSession session_;       // the offered one, without its DER
  std::string names_;        // whom a certificate is for that is not for this host, for people
  std::string store_error_;  // why the CAs can't be looked into
  Failure failure_ = Failure::kNone;
  std::string error_;
  TlsFacts facts_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_OPENSSL_STREAM_H_
