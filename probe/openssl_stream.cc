#include "probe/openssl_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

#include "probe/certificate.h"
#include "probe/ip_address.h"
#include "probe/session_der.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

// Chains of the web have two to four; what a peer sends is bounded, too, by OpenSSL's 100 KiB.
constexpr int kMaxChainDepth = 10;
// What a peer may send: a handshake, and records with little in them; a server that sends padding
// as fast as it can must not keep a reactor busy.
constexpr size_t kMaxHandshakeBytes = 256 << 10, kMaxWireBytesPerByte = 128;
constexpr int kMaxTickets = 32;
// Of a session kept. Servers send about 400 bytes, and may send 64 KiB.
constexpr size_t kMaxSessionBytes = 4096;
// 112 bits, RSA of 2,048: what browsers ask of a certificate today.
constexpr int kCertificateLevel = 2;
// As browsers order them: with SHA-256 a resumed handshake costs 6 % less CPU than with SHA-384,
// OpenSSL's first choice (406 us, not 431).
constexpr char kSuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr unsigned char kAlpn[] = "\x08http/1.1";

// What is known of a certificate, from a session or facts to the other.
template <typename From, typename To>
void CopyCertificate(const From& from, To* to) {
  to->not_before_s = from.not_before_s;
  to->not_after_s = from.not_after_s;
  to->subject = from.subject;
  to->issuer = from.issuer;
}

struct FreeSession {
  void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};

OpenSslStream* StreamOf(const SSL* ssl) {
  return static_cast<OpenSslStream*>(SSL_get_ex_data(ssl, 0));
}

OpenSslStream* StreamOf(X509_STORE_CTX* chain) {
  return StreamOf(static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx())));
}

}  // namespace

bool OpenSslStream::Prepare(SSL_CTX* context) {
  SSL_CTX_set_cert_verify_callback(context, VerifyChain, nullptr);
  SSL_CTX_sess_set_new_cb(context, KeepSession);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // As browsers do, and as living sites need it.
  SSL_CTX_set_options(
      context, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_read_ahead(context, 1);  // else two system calls a record
  return SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, 0) == 1 &&
         SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0") == 1 &&
         SSL_CTX_set_ciphersuites(context, kSuites) == 1 &&
         SSL_CTX_set_alpn_protos(context, kAlpn, sizeof(kAlpn) - 1) == 0 && WireMethod() != nullptr;
}

std::string OpenSslStream::Key(const TlsTarget& target) {
  return Cat(target.host, ":", target.port, target.judge ? "+" : "-");
}

OpenSslStream::OpenSslStream(const TlsTarget& target, ByteStream* wire, TlsSessions* sessions,
                             const Clock& clock)
    : target_(target), wire_(wire), sessions_(sessions), clock_(clock) {
  facts_.trust = target.judge ? "no certificate was shown" : "not judged";
}

OpenSslStream::~OpenSslStream() { SSL_free(ssl_); }

std::unique_ptr<OpenSslStream> OpenSslStream::Open(SSL_CTX* context, const TlsTarget& target,
                                                   ByteStream* wire, TlsSessions* sessions,
                                                   const Clock& clock) {
  ERR_clear_error();
  std::unique_ptr<OpenSslStream> stream(new OpenSslStream(target, wire, sessions, clock));
  SSL* ssl = SSL_new(context);
  if (ssl == nullptr || !stream->Set(ssl)) return nullptr;
  return stream;
}

bool OpenSslStream::Set(SSL* ssl) {
  ssl_ = ssl;
  BIO* bio = BIO_new(WireMethod());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_connect_state(ssl_);
  if (SSL_set_ex_data(ssl_, 0, this) != 1) return false;
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl_);
  const bool address = ParseIpAddress(target_.host).ok();
  if (!address && SSL_set_tlsext_host_name(ssl_, target_.host.c_str()) != 1) return false;
  if (target_.judge) {
    const int set =
        address ? X509_VERIFY_PARAM_set1_ip_asc(param, target_.host.c_str())
                : X509_VERIFY_PARAM_set1_host(param, target_.host.data(), target_.host.size());
    if (set != 1) return false;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(clock_.WallMs() / 1000));
  }
  OfferSession();
  return true;
}

void OpenSslStream::OfferSession() {
  auto kept = sessions_->Find(Key(target_), clock_.Boot());
  if (!kept.has_value()) return;
  if (target_.judge && kept->not_after_s <= clock_.WallMs() / 1000) return;
  const auto* at = reinterpret_cast<const unsigned char*>(kept->der.data());
  const std::unique_ptr<SSL_SESSION, FreeSession> session(
      d2i_SSL_SESSION(nullptr, &at, static_cast<long>(kept->der.size())));
  if (session == nullptr || SSL_set_session(ssl_, session.get()) != 1) {
    ERR_clear_error();
    return;
  }
  offered_ = true;
  full_at_ = kept->full_at;
  session_ = *std::move(kept);
  session_.der.clear();
}

Io OpenSslStream::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return After(result);
  if (SSL_session_reused(ssl_) == 1) {
    facts_.resumed = true;
    CopyCertificate(session_, &facts_);
    if (target_.judge) facts_.trust.clear();  // or it would not have been kept
  } else {
    full_at_ = clock_.Boot();
  }
  facts_.version = SSL_get_version(ssl_);
  facts_.cipher = SSL_get_cipher_name(ssl_);
  return Io::kOk;
}

Io OpenSslStream::Write(std::string_view bytes, size_t* done) {
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), done);
  return result == 1 ? Io::kOk : After(result);
}

Io OpenSslStream::Read(char* buffer, size_t size, size_t* done) {
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, buffer, size, done);
  if (result != 1) return After(result);
  data_bytes_ += *done;
  return Io::kOk;
}

// What a call that did not succeed means.
Io OpenSslStream::After(int ssl_result) {
  const int error = SSL_get_error(ssl_, ssl_result);
  switch (error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Io::kAgain;
    case SSL_ERROR_ZERO_RETURN:
      if (SSL_is_init_finished(ssl_) == 1) return Io::kEnd;
      break;
    default:
      break;
  }
  // What the peer said before it broke the connection says more than that it did.
  if (failure_ == Failure::kNone || failure_ == Failure::kConnection) Fail(error);
  return Io::kError;
}

void OpenSslStream::Fail(int ssl_error) {
  const bool in_handshake = SSL_is_init_finished(ssl_) != 1;
  if (in_handshake) sessions_->Drop(Key(target_));
  const long verify_result = SSL_get_verify_result(ssl_);
  if (!store_error_.empty()) {
    failure_ = Failure::kLocal;
    error_ = store_error_;
  } else if (in_handshake && target_.judge && verify_result != X509_V_OK) {
    const bool expired = verify_result == X509_V_ERR_CERT_HAS_EXPIRED;
    failure_ = expired ? Failure::kCertificateExpired : Failure::kCertificate;
    error_ = CertificateError(verify_result, facts_, names_, target_.host, clock_.WallMs() / 1000);
    facts_.trust = error_;
  } else {
    // Not when OpenSSL found fault first, and could not tell the peer any more.
    const bool wire = ssl_error != SSL_ERROR_SSL && !wire_flooded_ && (wire_broken_ || wire_ended_);
    failure_ = wire ? Failure::kConnection : Failure::kProtocol;
    error_ = ConnectionError(ssl_error, in_handshake ? " in the handshake" : "");
  }
}

std::string OpenSslStream::ConnectionError(int ssl_error, std::string_view when) {
  if (wire_flooded_) return Cat("the server sends too much that is no data", when);
  if (failure_ == Failure::kConnection) {
    return Cat(wire_broken_ ? "connection reset" : "connection closed", when);
  }
  const unsigned long code = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(code);
  if (reason == ERR_R_MALLOC_FAILURE) {
    failure_ = Failure::kLocal;
    return "out of memory";
  }
  if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    if (reason == SSL_R_WRONG_VERSION_NUMBER) return "the server does not speak TLS here";
    if (reason > SSL_AD_REASON_OFFSET) {
      return Cat("the server says \"", SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET),
                 "\"");
    }
  }
  const std::string text = OpenSslReason(code);
  return text.empty() ? Cat("error ", ssl_error) : text;
}

BIO_METHOD* OpenSslStream::WireMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "probe wire");
    if (m == nullptr) return m;
    BIO_meth_set_write_ex(m, WriteWire);
    BIO_meth_set_read_ex(m, ReadWire);
    BIO_meth_set_ctrl(m, ControlWire);
    return m;
  }();
  return method;
}

int OpenSslStream::WriteWire(BIO* bio, const char* data, size_t size, size_t* written) {
  auto* stream = static_cast<OpenSslStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  switch (stream->wire_->Write({data, size}, written)) {
    case Io::kOk:
      return 1;
    case Io::kAgain:
      BIO_set_retry_write(bio);
      return 0;
    default:
      stream->wire_broken_ = true;
      return 0;
  }
}

int OpenSslStream::ReadWire(BIO* bio, char* data, size_t size, size_t* read) {
  auto* stream = static_cast<OpenSslStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  switch (stream->wire_->Read(data, size, read)) {
    case Io::kOk:
      stream->wire_bytes_ += *read;
      if (stream->wire_bytes_ / kMaxWireBytesPerByte >
          kMaxHandshakeBytes / kMaxWireBytesPerByte + stream->data_bytes_) {
        stream->wire_flooded_ = true;
      }
      return stream->wire_flooded_ ? 0 : 1;
    case Io::kAgain:
      BIO_set_retry_read(bio);
      return 0;
    case Io::kEnd:
      stream->wire_ended_ = true;
      return 0;
    default:
      stream->wire_broken_ = true;
      return 0;
  }
}

long OpenSslStream::ControlWire(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) {
    return static_cast<OpenSslStream*>(BIO_get_data(bio))->wire_ended_ ? 1 : 0;
  }
  return 0;
}

int OpenSslStream::VerifyChain(X509_STORE_CTX* chain, void*) {
  OpenSslStream* stream = StreamOf(chain);
  X509* shown = X509_STORE_CTX_get0_cert(chain);
  if (shown != nullptr) ShowCertificate(shown, &stream->facts_);
  if (stream->target_.judge) return stream->Judge(chain, shown) ? 1 : 0;
  X509_STORE_CTX_set_error(chain, X509_V_OK);
  return 1;
}

bool OpenSslStream::Judge(X509_STORE_CTX* chain, X509* certificate) {
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(chain), kCertificateLevel);
  X509_STORE_CTX_set_verify_cb(chain, OnVerify);
  if (X509_verify_cert(chain) == 1) {
    facts_.trust.clear();
    return true;
  }
  const int error = X509_STORE_CTX_get_error(chain);
  if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    names_ = AlternativeNames(certificate);
  }
  // A folder of CAs is read as they are wanted: no descriptor is no word about the server.
  const unsigned long first = ERR_peek_error();
  if (error == X509_V_ERR_OUT_OF_MEM) {
    store_error_ = "out of memory";
  } else if (error == X509_V_ERR_STORE_LOOKUP || ERR_GET_LIB(first) == ERR_LIB_SYS) {
    store_error_ = Cat("the store of CAs can't be read: ", OpenSslReason(first));
  }
  return false;
}

// Asked about each certificate; what it lets pass is no error.
int OpenSslStream::OnVerify(int good, X509_STORE_CTX* chain) {
  if (good == 1 || X509_STORE_CTX_get_error(chain) != X509_V_ERR_HOSTNAME_MISMATCH ||
      !WildcardCovers(X509_STORE_CTX_get0_cert(chain), StreamOf(chain)->target_.host)) {
    return good;
  }
  X509_STORE_CTX_set_error(chain, X509_V_OK);
  return 1;
}

// Inside a handshake (TLS 1.2) or a read (TLS 1.3). The session stays OpenSSL's.
int OpenSslStream::KeepSession(SSL* ssl, SSL_SESSION* session) {
  OpenSslStream* stream = StreamOf(ssl);
  if (++stream->tickets_ > kMaxTickets) stream->wire_flooded_ = true;
  if (stream->tickets_ > 1) return 0;
  TlsSession kept;
  kept.der = SessionDer(session);
  if (kept.der.empty() || kept.der.size() > kMaxSessionBytes) return 0;
  const BootTime now = stream->clock_.Boot();
  const bool resumed = SSL_session_reused(ssl) == 1;
  kept.full_at = resumed ? stream->full_at_ : now;
  resumed ? CopyCertificate(stream->session_, &kept) : CopyCertificate(stream->facts_, &kept);
  stream->sessions_->Put(Key(stream->target_), std::move(kept), now);
  return 0;
}

}  // namespace jetmon::probe
