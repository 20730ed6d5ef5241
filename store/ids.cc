#include "store/ids.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include <mutex>
#include <vector>

namespace jetmon::store {
namespace {

constexpr char kCrockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr char kBase32[] = "abcdefghijklmnopqrstuvwxyz234567";
constexpr size_t kTokenBytes = 32;

std::vector<unsigned char> RandomBytes(size_t n) {
  std::vector<unsigned char> bytes(n);
  // Without randomness no token may be made.
  if (RAND_bytes(bytes.data(), static_cast<int>(n)) != 1) abort();
  return bytes;
}

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

std::string Base32(const std::vector<unsigned char>& bytes) {
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char b : bytes) {
    bits = bits << 8 | b;
    count += 8;
    while (count >= 5) {
      count -= 5;
      text.push_back(kBase32[bits >> count & 31]);
    }
  }
  if (count > 0) text.push_back(kBase32[bits << (5 - count) & 31]);
  return text;
}

// The 80 random bits of the last ULID; within one millisecond the next is one more.
struct UlidState {
  std::mutex mutex;
  int64_t ms = -1;
  std::vector<unsigned char> random;
};

}  // namespace

std::string NewUlid(int64_t wall_ms) {
  static UlidState* state = new UlidState;
  std::lock_guard lock(state->mutex);
  if (wall_ms > state->ms || state->random.empty()) {
    state->ms = wall_ms;
    state->random = RandomBytes(10);
    state->random[0] &= 0x7f;  // room to count up
  } else {
    for (size_t i = state->random.size(); i-- > 0 && ++state->random[i] == 0;) {
    }
  }
  std::string ulid(26, '0');
  uint64_t ms = static_cast<uint64_t>(state->ms);
  for (int i = 9; i >= 0; --i, ms >>= 5) ulid[i] = kCrockford[ms & 31];
  uint32_t bits = 0;
  int count = 0, at = 10;
  for (unsigned char b : state->random) {
    bits = bits << 8 | b;
    count += 8;
    while (count >= 5) {
      count -= 5;
      ulid[at++] = kCrockford[bits >> count & 31];
    }
  }
  return ulid;
}

std::string RandomHex(size_t n) {
  const auto bytes = RandomBytes(n);
  return Hex(bytes.data(), bytes.size());
}

std::string Sha256Hex(std::string_view data) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest);
  return Hex(digest, sizeof(digest));
}

std::string NewApiToken() { return "jm_" + Base32(RandomBytes(kTokenBytes)); }
std::string NewConfirmationToken() { return "jmr_" + RandomHex(24); }
std::string NewVantageToken() { return "jv_" + Base32(RandomBytes(kTokenBytes)); }

}  // namespace jetmon::store
