#include "probe/certificate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include <algorithm>

#include "probe/ip_address.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kMaxTextBytes = 200;

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

std::string NameText(const GENERAL_NAME* name) {
  const ASN1_STRING* text = name->type == GEN_DNS     ? name->d.dNSName
                            : name->type == GEN_IPADD ? name->d.iPAddress
                                                      : nullptr;
  if (text == nullptr) return "";
  const std::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                               static_cast<size_t>(ASN1_STRING_length(text)));
  if (name->type == GEN_DNS) return OneLine(bytes, kMaxTextBytes / 2);
  IpAddress address;
  if (bytes.size() != 4 && bytes.size() != 16) return "";
  if (bytes.size() == 16) address.family = IpAddress::Family::kV6;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return IpAddressText(address);
}

std::string DateText(int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  char text[32];
  gmtime_r(&time, &parts);
  return std::string(text, strftime(text, sizeof(text), "%Y-%m-%d", &parts));
}

}  // namespace

std::string OpenSslReason(unsigned long code) {
  if (ERR_SYSTEM_ERROR(code)) return ErrorText(ERR_GET_REASON(code));
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? OneLine(text, kMaxTextBytes / 2) : "";
}

std::string AlternativeNames(const X509* certificate) {
  std::string out;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  const int n = names != nullptr ? sk_GENERAL_NAME_num(names) : 0;
  for (int i = 0; i < n && out.size() < kMaxTextBytes / 2; ++i) {
    const std::string text = NameText(sk_GENERAL_NAME_value(names, i));
    if (!text.empty()) out += Cat(out.empty() ? "" : ", ", text);
  }
  GENERAL_NAMES_free(names);
  return OneLine(out, kMaxTextBytes / 2);
}

void ShowCertificate(const X509* certificate, TlsFacts* facts) {
  facts->subject = NameText(X509_get_subject_name(certificate));
  facts->issuer = NameText(X509_get_issuer_name(certificate));
  facts->not_before_s = Seconds(X509_get0_notBefore(certificate));
  facts->not_after_s = Seconds(X509_get0_notAfter(certificate));
  if (facts->subject.empty()) facts->subject = AlternativeNames(certificate);
}

bool WildcardCovers(X509* certificate, std::string_view host) {
  const size_t dot = host.find('.');
  if (dot == std::string_view::npos || host.substr(0, dot).find('_') == std::string_view::npos) {
    return false;
  }
  const std::string other = Cat("no-such-label", host.substr(dot));
  char* pattern = nullptr;
  const bool covers = X509_check_host(certificate, other.data(), other.size(),
                                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, &pattern) == 1 &&
                      pattern != nullptr && std::string_view(pattern).starts_with("*.");
  OPENSSL_free(pattern);
  return covers;
}

std::string CertificateError(long verify_result, const TlsFacts& facts, std::string_view names,
                             std::string_view host, int64_t now_s) {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Cat("certificate expired", facts.not_after_s > now_s
                                            ? " in its chain"
                                            : Cat(" ", DateText(facts.not_after_s)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Cat("certificate not valid before ", DateText(facts.not_before_s));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return OneLine(
          Cat("certificate is for ", names.empty() ? std::string_view(facts.subject) : names,
              ", not for ", host),
          kMaxTextBytes);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "certificate is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "certificate's chain ends in a root that is not trusted";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return OneLine(Cat("certificate's issuer is not known (", facts.issuer,
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

}  // namespace jetmon::probe
