#ifndef JETMON_PROBE_TEST_CERTIFICATES_H_
#define JETMON_PROBE_TEST_CERTIFICATES_H_

#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace jetmon::probe {

struct FreeCertificate {
  void operator()(X509* c) const { X509_free(c); }
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
};

// A certificate with its key, and those that it is shown with.
struct TestIdentity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;
  std::vector<std::shared_ptr<X509>> chain;  // intermediates
};

struct TestCertificate {
  std::string name = "127.0.0.1";       // common name
  std::vector<std::string> names = {};  // "DNS:a.example", "IP:127.0.0.1"; empty = IP:127.0.0.1
  int64_t from_s = -86'400;             // valid, from now
  int64_t until_s = 90 * 86'400;
  int rsa_bits = 0;  // 0 = ECDSA P-256
  bool sha1 = false;
  bool ca = false;
};

// Makes certificates for tests, in memory.
TestIdentity MakeSelfSigned(const TestCertificate& wanted);
// Signed by `issuer`; shown with the issuer too if that is an intermediate of another.
TestIdentity Issue(const TestIdentity& issuer, const TestCertificate& wanted);
TestIdentity MakeCa(const std::string& name);

// Writes the certificate alone as PEM to a file of the test's own folder; its path.
std::string WriteCertificate(const TestIdentity& identity, const std::string& name);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_CERTIFICATES_H_
