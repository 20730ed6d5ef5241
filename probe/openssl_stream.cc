#include "probe/openssl_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "probe/ip_address.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kMaxTextBytes = 200;
// Chains of the web have two to four; what a peer sends is bounded, too, by OpenSSL's 100 KiB.
constexpr int kMaxChainDepth = 10;
// 112 bits, RSA of 2,048: what browsers ask of a certificate today.
constexpr int kCertificateLevel = 2;
constexpr unsigned char kAlpn[] = "\x08http/1.1";
// Of an SSL_SESSION in DER, as OpenSSL writes it: the peer's certificate.
constexpr int kPeerTag = 3;

struct FreeSession {
  void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};

int64_t Seconds(const ASN1_TIME* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<int64_t>(timegm(&parts)) : 0;
}

std::string NameText(const X509_NAME* name) {
  for (const int part : {NID_commonName, NID_organizationName}) {
    char text[kMaxTextBytes];
    const int n = X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), part, text, sizeof(text));
    if (n > 0) return OneLine({text, static_cast<size_t>(n)}, kMaxTextBytes);
  }
  return "";
}

// The first few DNS names and addresses that a certificate is for.
std::string AlternativeNames(const X509* certificate) {
  std::string out;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  const int n = names != nullptr ? sk_GENERAL_NAME_num(names) : 0;
  for (int i = 0; i < n && out.size() < kMaxTextBytes / 2; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    if (!out.empty()) out += ", ";
    out +=
        std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         std::min<size_t>(ASN1_STRING_length(name->d.dNSName), kMaxTextBytes / 2));
  }
  GENERAL_NAMES_free(names);
  return OneLine(out, kMaxTextBytes / 2);
}

std::string DateText(int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  char text[32];
  gmtime_r(&time, &parts);
  return std::string(text, strftime(text, sizeof(text), "%Y-%m-%d", &parts));
}

// One element at the front of `der`: its whole size, and of its head.
bool ReadElement(std::string_view der, size_t* head, size_t* whole, int* tag, int* tag_class) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  long length = 0;
  const int flags = ASN1_get_object(&at, &length, tag, tag_class, static_cast<long>(der.size()));
  if ((flags & 0x80) != 0 || length < 0 || (flags & 1) != 0) return false;
  *head = static_cast<size_t>(at - begin);
  *whole = *head + static_cast<size_t>(length);
  return *whole <= der.size();
}

void AppendLength(std::string* out, size_t length) {
  if (length < 0x80) {
    out->push_back(static_cast<char>(length));
  } else if (length < 0x100) {
    out->append({static_cast<char>(0x81), static_cast<char>(length)});
  } else {
    out->append({static_cast<char>(0x82), static_cast<char>(length >> 8),
                 static_cast<char>(length & 0xff)});
  }
}

// A session without its peer's certificate, a kilobyte that resuming has no use for. The same again
// if it is not built as expected.
std::string WithoutPeer(std::string session) {
  size_t head, whole, size;
  int tag, tag_class;
  if (!ReadElement(session, &head, &whole, &tag, &tag_class)) return session;
  std::string_view rest = std::string_view(session).substr(head, whole - head);
  std::string body;
  while (!rest.empty()) {
    if (!ReadElement(rest, &head, &size, &tag, &tag_class)) return session;
    const bool peer = tag == kPeerTag && tag_class == V_ASN1_CONTEXT_SPECIFIC;
    if (!peer) body += rest.substr(0, size);
    rest.remove_prefix(size);
  }
  if (body.size() > 0xffff) return session;
  std::string out(1, session[0]);
  AppendLength(&out, body.size());
  return out + body;
}

std::string ToDer(SSL_SESSION* session) {
  const int size = i2d_SSL_SESSION(session, nullptr);
  if (size <= 0) return "";
  std::string der(static_cast<size_t>(size), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_SSL_SESSION(session, &at);
  return WithoutPeer(std::move(der));
}

OpenSslStream* StreamOf(const SSL* ssl) {
  return static_cast<OpenSslStream*>(SSL_get_ex_data(ssl, 0));
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
  return SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, 0) == 1 &&
         SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0") == 1 &&
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
  if (target_.judge && kept->facts.not_after_s <= clock_.WallMs() / 1000) return;
  const auto* at = reinterpret_cast<const unsigned char*>(kept->der.data());
  const std::unique_ptr<SSL_SESSION, FreeSession> session(
      d2i_SSL_SESSION(nullptr, &at, static_cast<long>(kept->der.size())));
  if (session == nullptr || SSL_set_session(ssl_, session.get()) != 1) {
    ERR_clear_error();
    return;
  }
  offered_ = true;
  full_at_ = kept->full_at;
  offered_facts_ = std::move(kept->facts);
}

Io OpenSslStream::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return After(result);
  if (SSL_session_reused(ssl_) == 1) {
    facts_ = offered_facts_;
    facts_.resumed = true;
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
  return result == 1 ? Io::kOk : After(result);
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
  if (failure_ == Failure::kNone) Fail(error);
  return Io::kError;
}

void OpenSslStream::Fail(int ssl_error) {
  const long verify_result = SSL_get_verify_result(ssl_);
  if (target_.judge && verify_result != X509_V_OK && SSL_is_init_finished(ssl_) != 1) {
    const bool expired = verify_result == X509_V_ERR_CERT_HAS_EXPIRED;
    failure_ = expired ? Failure::kCertificateExpired : Failure::kCertificate;
    error_ = CertificateError(verify_result);
    facts_.trust = error_;
    return;
  }
  failure_ = Failure::kHandshake;
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  if (wire_broken_) {
    error_ = "connection reset in the handshake";
  } else if (wire_ended_) {
    error_ = "closed in the handshake";
  } else if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
    failure_ = Failure::kLocal;
    error_ = "out of memory";
  } else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
    error_ = "the server does not speak TLS here";
  } else {
    error_ = reason != nullptr ? OneLine(reason, kMaxTextBytes) : Cat("error ", ssl_error);
  }
}

std::string OpenSslStream::CertificateError(long verify_result) const {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Cat("certificate expired", facts_.not_after_s > clock_.WallMs() / 1000
                                            ? " in its chain"
                                            : Cat(" ", DateText(facts_.not_after_s)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Cat("certificate not valid before ", DateText(facts_.not_before_s));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return OneLine(Cat("certificate is for ", names_.empty() ? facts_.subject : names_, ", not ",
                         target_.host),
                     kMaxTextBytes);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "certificate is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "certificate's chain ends in a root that is not trusted";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return OneLine(Cat("certificate's issuer is not known (", facts_.issuer,
                         "): the server leaves out an intermediate, or the CA is not trusted"),
                     kMaxTextBytes);
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
      return "certificate's key is too weak";
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return "certificate's signature is too weak";
    default:
      return OneLine(Cat("certificate: ", X509_verify_cert_error_string(verify_result)),
                     kMaxTextBytes);
  }
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
      return 1;
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
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  OpenSslStream* stream = StreamOf(ssl);
  if (X509* shown = X509_STORE_CTX_get0_cert(chain); shown != nullptr) stream->See(shown);
  if (!stream->target_.judge) {
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
  }
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(chain), kCertificateLevel);
  const int good = X509_verify_cert(chain);
  if (good == 1) stream->facts_.trust.clear();
  return good;
}

void OpenSslStream::See(X509* certificate) {
  facts_.subject = NameText(X509_get_subject_name(certificate));
  facts_.issuer = NameText(X509_get_issuer_name(certificate));
  facts_.not_before_s = Seconds(X509_get0_notBefore(certificate));
  facts_.not_after_s = Seconds(X509_get0_notAfter(certificate));
  names_ = AlternativeNames(certificate);
  if (facts_.subject.empty()) facts_.subject = names_;
}

// Inside a handshake (TLS 1.2) or a read (TLS 1.3). The session stays OpenSSL's.
int OpenSslStream::KeepSession(SSL* ssl, SSL_SESSION* session) {
  OpenSslStream* stream = StreamOf(ssl);
  if (stream->kept_) return 0;
  TlsSession kept;
  kept.der = ToDer(session);
  if (kept.der.empty()) return 0;
  const bool resumed = SSL_session_reused(ssl) == 1;
  kept.full_at = resumed ? stream->full_at_ : stream->clock_.Boot();
  kept.facts = resumed ? stream->offered_facts_ : stream->facts_;
  stream->sessions_->Put(Key(stream->target_), std::move(kept));
  stream->kept_ = true;
  return 0;
}

}  // namespace jetmon::probe
