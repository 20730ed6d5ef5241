#ifndef JETMON_PROBE_CERTIFICATE_H_
#define JETMON_PROBE_CERTIFICATE_H_

#include <openssl/x509.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "probe/check.h"

// What is said of certificates, from what OpenSSL knows. All text is one line of printable ASCII.
namespace jetmon::probe {

// What an error of OpenSSL's queue means, at most 128 bytes; "" when it does not say.
std::string OpenSslReason(unsigned long code);

// The first few DNS names and addresses that a certificate is for, at most 100 bytes.
std::string AlternativeNames(const X509* certificate);

// Its names and times, into the facts.
void ShowCertificate(const X509* certificate, TlsFacts* facts);

// Browsers, curl and Go let *.example.org cover my_shop.example.org, which OpenSSL does not. True
// when an underscore in the first label is all that keeps a wildcard from covering `host`.
bool WildcardCovers(X509* certificate, std::string_view host);

// What is wrong with a certificate, at most 200 bytes. `facts` are of the server's own, `names` are
// those that it is for (may be empty), `host` was asked for.
std::string CertificateError(long verify_result, const TlsFacts& facts, std::string_view names,
                             std::string_view host, int64_t now_s);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CERTIFICATE_H_
