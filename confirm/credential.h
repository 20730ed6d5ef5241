#ifndef JETMON_CONFIRM_CREDENTIAL_H_
#define JETMON_CONFIRM_CREDENTIAL_H_

#include <string>
#include <string_view>

// The credential of callers of a Veriflier: who knows only the stored SHA-256 of a vantage's
// token can make it, and the Veriflier computes the same from its token.
namespace jetmon::confirm {

// SHA-256 of a vantage's token as 64 lower-case hex digits, as the registry stores it.
std::string TokenHash(std::string_view token);

// "jc_" + hex HMAC-SHA-256(key = the 32 bytes that `token_hash_hex` spells, message =
// "jetmon.v1/check"). "" if token_hash_hex is not 64 hex digits.
std::string CallerCredential(std::string_view token_hash_hex);

// Compares in constant time.
bool SameSecret(std::string_view a, std::string_view b);

}  // namespace jetmon::confirm

#endif  // JETMON_CONFIRM_CREDENTIAL_H_
