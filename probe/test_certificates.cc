#include "probe/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace jetmon::probe {
namespace {

void Require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test certificates: %s\n", what);
  std::abort();
}

void Extend(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Require(e != nullptr && X509_add_ext(certificate, e, -1) == 1, value.c_str());
  X509_EXTENSION_free(e);
}

TestIdentity Make(const TestIdentity* issuer, const TestCertificate& wanted) {
  static std::atomic<long> serial{1};
  TestIdentity made;
  made.key.reset(wanted.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(wanted.rsa_bits))
                                     : EVP_EC_gen("P-256"),
                 FreeCertificate());
  made.certificate.reset(X509_new(), FreeCertificate());
  Require(made.key != nullptr && made.certificate != nullptr, "key");
  X509* c = made.certificate.get();
  X509_set_version(c, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
  X509_gmtime_adj(X509_getm_notBefore(c), wanted.from_s);
  X509_gmtime_adj(X509_getm_notAfter(c), wanted.until_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer->certificate.get() : c));
  X509_set_pubkey(c, made.key.get());
  Extend(c, NID_basic_constraints, wanted.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (wanted.ca) {
    Extend(c, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    std::string names;
    for (const std::string& name : wanted.names) names += (names.empty() ? "" : ",") + name;
    Extend(c, NID_subject_alt_name, names.empty() ? "IP:127.0.0.1" : names);
  }
  EVP_PKEY* signer = issuer ? issuer->key.get() : made.key.get();
  Require(X509_sign(c, signer, wanted.sha1 ? EVP_sha1() : EVP_sha256()) > 0, "sign");
  return made;
}

}  // namespace

TestIdentity MakeSelfSigned(const TestCertificate& wanted) { return Make(nullptr, wanted); }

TestIdentity Issue(const TestIdentity& issuer, const TestCertificate& wanted) {
  TestIdentity made = Make(&issuer, wanted);
  const X509* c = issuer.certificate.get();
  if (X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) != 0) {
    made.chain.push_back(issuer.certificate);
  }
  return made;
}

TestIdentity MakeCa(const std::string& name) {
  TestCertificate wanted;
  wanted.name = name;
  wanted.ca = true;
  return MakeSelfSigned(wanted);
}

std::string WriteCertificate(const TestIdentity& identity, const std::string& name) {
  const char* folder = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/" + name;
  FILE* file = std::fopen(path.c_str(), "w");
  Require(file != nullptr && PEM_write_X509(file, identity.certificate.get()) == 1, path.c_str());
  std::fclose(file);
  return path;
}

}  // namespace jetmon::probe
