#ifndef JETMON_PROBE_SESSION_DER_H_
#define JETMON_PROBE_SESSION_DER_H_

#include <openssl/ssl.h>

#include <string>

namespace jetmon::probe {

// A session as bytes that d2i_SSL_SESSION takes, without the peer's certificate. Empty when OpenSSL
// can't write it.
std::string SessionDer(SSL_SESSION* session);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_SESSION_DER_H_
