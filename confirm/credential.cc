#include "confirm/credential.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace jetmon::confirm {
namespace {

constexpr std::string_view kMessage = "jetmon.v1/check";
constexpr size_t kBytes = 32;

std::string Hex(const unsigned char* bytes, size_t n) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * n);
  for (size_t i = 0; i < n; ++i) {
    hex.push_back(kDigits[bytes[i] >> 4]);
    hex.push_back(kDigits[bytes[i] & 15]);
  }
  return hex;
}

int Digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string TokenHash(std::string_view token) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest);
  return Hex(digest, sizeof(digest));
}

std::string CallerCredential(std::string_view token_hash_hex) {
  if (token_hash_hex.size() != 2 * kBytes) return "";
  unsigned char key[kBytes];
  for (size_t i = 0; i < kBytes; ++i) {
    const int high = Digit(token_hash_hex[2 * i]), low = Digit(token_hash_hex[2 * i + 1]);
    if (high < 0 || low < 0) return "";
    key[i] = static_cast<unsigned char>(high << 4 | low);
  }
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key, kBytes, reinterpret_cast<const unsigned char*>(kMessage.data()),
       kMessage.size(), mac, &size);
  return "jc_" + Hex(mac, size);
}

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace jetmon::confirm
