#include "confirm/credential.h"

#include <gtest/gtest.h>

namespace jetmon::confirm {
namespace {

// Worked out with: printf abc | openssl dgst -sha256; then
// printf jetmon.v1/check | openssl dgst -sha256 -mac HMAC -macopt hexkey:<that>
constexpr char kHash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Credential, IsTheHmacOfTheHash) {
  EXPECT_EQ(TokenHash("abc"), kHash);
  EXPECT_EQ(CallerCredential(kHash),
            "jc_b7d2c9d61c7ee3a2a2877022a4979bd30b738c9b554ae7666d734429e09f66d4");
}

TEST(Credential, RefusesWhatIsNoHash) {
  EXPECT_EQ(CallerCredential(""), "");
  EXPECT_EQ(CallerCredential(std::string(64, 'g')), "");
  EXPECT_EQ(CallerCredential(std::string(63, 'a')), "");
}

TEST(Credential, ComparesWhole) {
  EXPECT_TRUE(SameSecret("abc", "abc"));
  EXPECT_FALSE(SameSecret("abc", "abd"));
  EXPECT_FALSE(SameSecret("abc", "ab"));
  EXPECT_FALSE(SameSecret("", "a"));
}

}  // namespace
}  // namespace jetmon::confirm
