#include "probe/session_der.h"

#include <openssl/asn1.h>

#include <string_view>
#include <utility>

namespace jetmon::probe {
namespace {

// Of an SSL_SESSION in DER, as OpenSSL writes it: the peer's certificate.
constexpr int kPeerTag = 3;

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

}  // namespace

std::string SessionDer(SSL_SESSION* session) {
  const int size = i2d_SSL_SESSION(session, nullptr);
  if (size <= 0) return "";
  std::string der(static_cast<size_t>(size), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_SSL_SESSION(session, &at);
  return WithoutPeer(std::move(der));
}

}  // namespace jetmon::probe
