#include "store/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace jetmon::store {
namespace {

TEST(NewUlid, GrowsAndIsUnique) {
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    const std::string ulid = NewUlid(1'700'000'000'000 + i / 100);
    EXPECT_EQ(ulid.size(), 26u);
    EXPECT_GT(ulid, last);
    last = ulid;
  }
  // The wall clock set back: still unique and growing.
  EXPECT_GT(NewUlid(1), last);
}

TEST(NewUlid, BeginsWithTheTime) {
  // 2^45 - 1 ms is nine digits of 31 in Crockford's base32; far ahead, so no clock in this test
  // comes after it.
  EXPECT_EQ(NewUlid((int64_t{1} << 45) - 1).substr(0, 10), "0ZZZZZZZZZ");
}

TEST(Tokens, HaveTheirForm) {
  EXPECT_EQ(NewApiToken().size(), 3u + 52u);
  EXPECT_EQ(NewApiToken().substr(0, 3), "jm_");
  EXPECT_EQ(NewConfirmationToken().size(), 4u + 48u);
  EXPECT_EQ(NewConfirmationToken().substr(0, 4), "jmr_");
  EXPECT_EQ(NewVantageToken().substr(0, 3), "jv_");
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(NewApiToken());
  EXPECT_EQ(tokens.size(), 100u);
}

TEST(RandomHexTest, HasTwoDigitsAByte) {
  EXPECT_EQ(RandomHex(0), "");
  const std::string text = RandomHex(20);
  EXPECT_EQ(text.size(), 40u);
  EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(RandomHex(20), text);
}

TEST(Sha256Hex, KnowsAbc) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace jetmon::store
