#ifndef JETMON_STORE_IDS_H_
#define JETMON_STORE_IDS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace jetmon::store {

// A ULID: 26 characters of Crockford base32, the first 10 the millisecond, the rest random.
// Ids made by one process in one millisecond still grow.
std::string NewUlid(int64_t wall_ms);

// `n` bytes from the system's secure generator, as lower-case hex (2n characters).
std::string RandomHex(size_t n);

// SHA-256 as 64 lower-case hex digits.
std::string Sha256Hex(std::string_view data);

// A new API token: "jm_" + unpadded lower-case base32 of 32 random bytes.
std::string NewApiToken();
// A new confirmation token: "jmr_" + 48 hex digits.
std::string NewConfirmationToken();
// A new vantage token: "jv_" + unpadded lower-case base32 of 32 random bytes.
std::string NewVantageToken();

}  // namespace jetmon::store

#endif  // JETMON_STORE_IDS_H_
