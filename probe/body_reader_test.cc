#include "probe/body_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace jetmon::probe {
namespace {

// `bits` as zlib's: 15 + 16 for gzip, 15 for deflate, -15 for deflate without a frame.
std::string Deflated(std::string_view text, int bits = 15 + 16) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

struct Seen {
  bool keyword, forbidden;
  std::string error;
  size_t bytes;
  size_t taken;  // bytes fed until no more were wanted
};

Seen Read(std::string_view body, const FullRules* rules, std::string_view encoding, size_t piece) {
  BodyReader reader(rules, encoding);
  size_t taken = 0;
  bool more = true;
  while (more && taken < body.size()) {
    const std::string_view next = body.substr(taken, piece);
    taken += next.size();
    more = reader.Feed(next);
  }
  if (more) reader.Finish();
  return {reader.keyword_found(), !reader.forbidden_found().empty(), reader.error(), reader.bytes(),
          taken};
}

FullRules Rules(std::string keyword, std::vector<std::string> forbidden = {}) {
  FullRules rules;
  rules.keyword = std::move(keyword);
  rules.forbidden_keywords = std::move(forbidden);
  return rules;
}

constexpr size_t kPieces[] = {1, 2, 3, 7, 4096, 1 << 24};

TEST(BodyReaderTest, KeywordsAcrossAnyCut) {
  const FullRules rules = Rules("needle", {"poison", "x"});
  for (const size_t piece : kPieces) {
    EXPECT_TRUE(Read("a needneedle b", &rules, "", piece).keyword) << piece;
    EXPECT_FALSE(Read("a needneedl e b", &rules, "", piece).keyword) << piece;
    EXPECT_TRUE(Read("popoisoison poison", &rules, "", piece).forbidden) << piece;
    EXPECT_TRUE(Read("box", &rules, "", piece).forbidden) << piece;
    EXPECT_FALSE(Read("Needle Poison", &rules, "", piece).keyword) << "case counts";
    EXPECT_FALSE(Read("Needle Poison", &rules, "", piece).forbidden) << "case counts";
    EXPECT_FALSE(Read("", &rules, "", piece).keyword);
  }
  EXPECT_TRUE(Read("anything", nullptr, "", 3).keyword);
}

TEST(BodyReaderTest, EncodingsAreUndone) {
  const FullRules rules = Rules("needle");
  const std::string text = std::string(30'000, '.') + "needle" + std::string(100, '.');
  struct Case {
    const char* encoding;
    std::string body;
  };
  for (const Case& c :
       {Case{"gzip", Deflated(text)}, Case{"X-GZIP ", Deflated(text)},
        Case{"deflate", Deflated(text, 15)}, Case{"deflate", Deflated(text, -15)},
        Case{"identity", text}, Case{"", text}, Case{"gzip", Deflated("first") + Deflated(text)},
        Case{"gzip", Deflated(text) + "trailing garbage"}}) {
    for (const size_t piece : kPieces) {
      const Seen seen = Read(c.body, &rules, c.encoding, piece);
      EXPECT_TRUE(seen.keyword) << c.encoding << piece;
      EXPECT_EQ(seen.error, "") << c.encoding << piece;
    }
  }
}

TEST(BodyReaderTest, BrokenEncodings) {
  const FullRules rules = Rules("needle");
  const std::string good = Deflated(std::string(1000, 'a') + "b");
  std::string corrupt = good;
  corrupt[good.size() / 2] ^= 0x55;
  for (const size_t piece : kPieces) {
    EXPECT_EQ(Read(good.substr(0, good.size() - 9), &rules, "gzip", piece).error,
              "compressed body broke off");
    EXPECT_EQ(Read("\x1f", &rules, "gzip", piece).error, "compressed body broke off");
    EXPECT_EQ(Read(corrupt, &rules, "gzip", piece).error, "compressed body is corrupt");
    EXPECT_EQ(Read("plain text", nullptr, "gzip", piece).error, "compressed body is corrupt");
    EXPECT_EQ(Read("", nullptr, "gzip", piece).error, "");
  }
}

TEST(BodyReaderTest, AnUnknownEncodingMattersOnlyToKeywords) {
  const FullRules rules = Rules("needle");
  EXPECT_EQ(Read("needle", &rules, "br", 3).error,
            "content encoding br can't be searched for keywords");
  EXPECT_EQ(Read("needle", nullptr, "br", 3).error, "");
  const FullRules none;
  EXPECT_EQ(Read("needle", &none, "gzip, br", 3).error, "");
}

TEST(BodyReaderTest, Bounds) {
  const std::string large(3'000'000, 'a');
  EXPECT_EQ(Read(large, nullptr, "", 1000).taken, 66'000u);
  const FullRules found = Rules("a");
  EXPECT_EQ(Read(large, &found, "", 1000).taken, 66'000u);
  const FullRules wanted = Rules("b");
  EXPECT_EQ(Read(large, &wanted, "", 1000).taken, 1'049'000u);
  EXPECT_FALSE(Read(large + "b", &wanted, "", 1000).keyword);
  const FullRules forbidding = Rules("", {"b"});
  EXPECT_EQ(Read(large, &forbidding, "", 1000).taken, 1'049'000u);
  EXPECT_EQ(Read("b" + large, &forbidding, "", 1000).taken, 1000u);
}

TEST(BodyReaderTest, ABombStopsAtTheBound) {
  const std::string bomb = Deflated(std::string(100'000'000, '\0'));
  const FullRules rules = Rules("needle");
  EXPECT_EQ(Read(bomb, &rules, "gzip", 1 << 24).bytes, BodyReader::kMaxSearchedBytes);
  EXPECT_LE(Read(bomb, nullptr, "gzip", 1 << 24).bytes, BodyReader::kMaxBytes + 16 * 1024);
}

}  // namespace
}  // namespace jetmon::probe
