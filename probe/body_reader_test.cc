#include "probe/body_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "probe/test_deflate.h"

namespace jetmon::probe {
namespace {

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
    more = reader.SearchRest() && more;
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
  for (const Case& c : {Case{"gzip", Deflated(text)},
                        Case{"X-GZIP ", Deflated(text)},
                        Case{"deflate", Deflated(text, 15)},
                        Case{"deflate", Deflated(text, -15)},
                        Case{"identity", text},
                        Case{"", text},
                        Case{"gzip", Deflated("first") + Deflated(text)},
                        Case{"gzip", Deflated(text) + "trailing garbage"},
                        Case{"gzip", Deflated(text) + "x\x1f\x8b\x08 garbage"},
                        Case{"gzip", Deflated(text) + "\x1fgarbage"},
                        Case{"gzip", Deflated(text) + "\x1f"},
                        Case{"gzip", Deflated(text) + std::string(100, '\0')},
                        Case{"gzip", Deflated("") + Deflated("") + Deflated(text)},
                        Case{"deflate", Deflated(text, 15) + "trailing garbage"},
                        Case{"deflate", Deflated(text, -15) + "trailing garbage"},
                        Case{"deflate", Deflated(text)},
                        Case{"gzip", Deflated(text, 15)},
                        Case{" identity , gzip,", Deflated(text)},
                        Case{"none", text},
                        Case{",", text}}) {
    for (const size_t piece : kPieces) {
      const Seen seen = Read(c.body, &rules, c.encoding, piece);
      EXPECT_TRUE(seen.keyword) << c.encoding << piece;
      EXPECT_EQ(seen.error, "") << c.encoding << piece;
    }
  }
}

// Behind junk nothing is read any more, whatever it looks like and wherever it is cut.
TEST(BodyReaderTest, WhatStandsBehindTheEndIsNotRead) {
  const FullRules rules = Rules("needle", {"poison"});
  const std::string zlib = Deflated("poison, and more", 15);
  for (const std::string& behind : {"x" + Deflated("poison"),
                                    "\x1f"
                                    "x" +
                                        Deflated("poison"),
                                    zlib, zlib.substr(0, zlib.size() - 4)}) {
    for (const size_t piece : kPieces) {
      const Seen seen = Read(Deflated("a needle") + behind, &rules, "gzip", piece);
      EXPECT_TRUE(seen.keyword);
      EXPECT_FALSE(seen.forbidden) << piece;
      EXPECT_EQ(seen.error, "") << piece;
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
  for (const char* encoding : {"br", "gzip, br", "gzip, gzip", "gzip,deflate", "utf-8"}) {
    EXPECT_EQ(
        Read("needle", &rules, encoding, 3).error,
        "content encoding " + std::string(encoding) + " is unknown, no keyword can be looked for");
    EXPECT_EQ(Read("needle", nullptr, encoding, 3).error, "");
  }
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
  // What is counted and not searched has the smaller bound.
  EXPECT_EQ(Read(large, nullptr, "br", 1000).taken, 66'000u);
}

// Large pieces are searched where they lie: every cut through a keyword, and which comes first.
TEST(BodyReaderTest, LargePiecesAreSearchedAcrossTheCut) {
  const std::string word = "needle", filler(5000, '.');
  const FullRules rules = Rules(word), forbidding = Rules("", {"venom", word});
  for (size_t cut = 0; cut <= word.size(); ++cut) {
    for (const std::string& before : {filler, std::string("..")}) {
      const std::string first = before + word.substr(0, cut), second = word.substr(cut) + filler;
      BodyReader reader(&rules, ""), forbidden(&forbidding, "");
      EXPECT_TRUE(reader.Feed(first));
      EXPECT_TRUE(reader.Feed(second));
      EXPECT_TRUE(reader.keyword_found()) << cut;
      forbidden.Feed(first);
      EXPECT_FALSE(forbidden.Feed(second + "venom"));
      EXPECT_EQ(forbidden.forbidden_found(), word) << cut;
    }
  }
}

// Small pieces are searched together, but not put off beyond SearchRest, an error or the bound.
TEST(BodyReaderTest, SmallPiecesAreSearchedInTime) {
  const FullRules rules = Rules("needle", {"poison"});
  BodyReader reader(&rules, "");
  EXPECT_TRUE(reader.Feed("a needle and poi"));
  EXPECT_TRUE(reader.SearchRest());
  EXPECT_TRUE(reader.keyword_found());
  EXPECT_TRUE(reader.Feed("son"));
  EXPECT_FALSE(reader.SearchRest());
  EXPECT_EQ(reader.forbidden_found(), "poison");

  BodyReader bound(&rules, "");
  for (size_t i = 0; i < BodyReader::kMaxSearchedBytes - 6; ++i) ASSERT_TRUE(bound.Feed("."));
  EXPECT_TRUE(bound.Feed("poiso"));
  EXPECT_FALSE(bound.Feed("n"));
  EXPECT_FALSE(bound.SearchRest());
  EXPECT_EQ(bound.forbidden_found(), "poison");

  std::string corrupt = Deflated("poison" + std::string(3000, '.') + "b");
  corrupt[corrupt.size() - 5] ^= 1;  // of its check
  BodyReader coded(&rules, "gzip");
  EXPECT_FALSE(coded.Feed(corrupt));
  EXPECT_EQ(coded.forbidden_found(), "poison");
  EXPECT_EQ(coded.error(), "");
}

// A keyword that ends with the last byte within the bound is found, one that ends behind it is not,
// in whatever pieces, decoded or not.
TEST(BodyReaderTest, TheBoundIsExact) {
  const FullRules rules = Rules("needle"), forbidding = Rules("", {"needle"});
  for (const bool inside : {true, false}) {
    const size_t before = BodyReader::kMaxSearchedBytes - 6 + (inside ? 0 : 1);
    const std::string text = std::string(before, '.') + "needle....";
    for (const size_t piece : {size_t{977}, size_t{65536}, size_t{1} << 24}) {
      for (const auto& [encoding, body] :
           {std::pair{"", text}, {"gzip", Deflated(text)}, {"deflate", Deflated(text, -15)}}) {
        EXPECT_EQ(Read(body, &rules, encoding, piece).keyword, inside) << encoding << piece;
        EXPECT_EQ(Read(body, &forbidding, encoding, piece).forbidden, inside) << encoding << piece;
      }
    }
  }
}

// Which of several is told does not depend on the pieces: the one that ended first.
TEST(BodyReaderTest, TheFirstForbiddenKeywordIsTold) {
  const FullRules rules = Rules("", {"abcdef", "cd", "xbcd", "d"});
  for (const size_t piece : kPieces) {
    BodyReader reader(&rules, "");
    const std::string_view body = "..abcdef..";
    for (size_t i = 0; i < body.size(); i += piece) {
      reader.Feed(body.substr(i, piece));
      if (!reader.SearchRest()) break;
    }
    EXPECT_EQ(reader.forbidden_found(), "cd") << piece;
  }
}

// Keywords and a body that nearly match everywhere; a plain search compares each byte with each.
TEST(BodyReaderTest, NearMatches) {
  std::vector<std::string> forbidden;
  for (char c = 'b'; c < 'b' + 16; ++c) forbidden.push_back(std::string(254, 'a') + c);
  const FullRules rules = Rules(std::string(127, 'a') + "z" + std::string(127, 'a'), forbidden);
  const std::string body(2'000'000, 'a');
  for (const size_t piece : {size_t{1000}, size_t{65536}}) {
    const Seen seen = Read(body, &rules, "", piece);
    EXPECT_FALSE(seen.keyword || seen.forbidden);
    EXPECT_EQ(seen.bytes, BodyReader::kMaxSearchedBytes);
    EXPECT_TRUE(Read(body.substr(0, 900'000) + "e", &rules, "", piece).forbidden);
    EXPECT_TRUE(
        Read(body.substr(0, 900'000) + "z" + body.substr(0, 127), &rules, "", piece).keyword);
  }
}

TEST(BodyReaderTest, ABombStopsAtTheBound) {
  const std::string bomb = Deflated(std::string(100'000'000, '\0'));
  const FullRules rules = Rules("needle");
  EXPECT_EQ(Read(bomb, &rules, "gzip", 1 << 24).bytes, BodyReader::kMaxSearchedBytes);
  EXPECT_LE(Read(bomb, nullptr, "gzip", 1 << 24).bytes, BodyReader::kMaxBytes + 16 * 1024);
}

}  // namespace
}  // namespace jetmon::probe
