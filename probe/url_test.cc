#include "probe/url.h"

#include <gtest/gtest.h>

#include <string>

namespace jetmon::probe {
namespace {

struct Case {
  std::string text;
  UrlKind kind;
  std::string whole;  // Text()
};

TEST(UrlTest, TakesApart) {
  const Url url = ParseUrl("  HTTP://127.0.0.1:8080/a b?q=1#part \n");
  EXPECT_EQ(url.kind, UrlKind::kWeb);
  EXPECT_EQ(url.host, "127.0.0.1");
  EXPECT_EQ(url.port, 8080);
  EXPECT_EQ(url.target, "/a%20b?q=1");
  EXPECT_EQ(url.HostHeader(), "127.0.0.1:8080");
  ASSERT_TRUE(url.address.has_value());
  EXPECT_EQ(IpAddressText(*url.address), "127.0.0.1");
}

TEST(UrlTest, ToldApartByKind) {
  const Case cases[] = {
      {"http://93.184.216.34", UrlKind::kWeb, "http://93.184.216.34/"},
      {"93.184.216.34:80/x", UrlKind::kWeb, "http://93.184.216.34/x"},
      {"http://[2606:2800::1]:81?x", UrlKind::kWeb, "http://[2606:2800::1]:81/?x"},
      {"//1.2.3.4/x", UrlKind::kWeb, "http://1.2.3.4/x"},
      {"http://1.2.3.4:/", UrlKind::kWeb, "http://1.2.3.4/"},
      {"Example.COM", UrlKind::kWeb, "http://example.com/"},
      {"example.com:8080/x", UrlKind::kWeb, "http://example.com:8080/x"},
      {"localhost.", UrlKind::kWeb, "http://localhost./"},
      {"http://b\xc3\xbc"
       "cher.example/\xc3\xbc",
       UrlKind::kWeb,
       "http://b\xc3\xbc"
       "cher.example/%C3%BC"},
      {"https://example.com", UrlKind::kWeb, "https://example.com/"},
      {"https://1.2.3.4:444/", UrlKind::kWeb, "https://1.2.3.4:444/"},
      {"http://a:b@1.2.3.4/", UrlKind::kWeb, "http://1.2.3.4/"},
      {"http://0177.0.0.1/", UrlKind::kNumericHost, "http://0177.0.0.1/"},
      {"http://2130706433/", UrlKind::kNumericHost, "http://2130706433/"},
      {"http://0x7f000001/", UrlKind::kNumericHost, "http://0x7f000001/"},
      {"http://127.1/", UrlKind::kNumericHost, "http://127.1/"},
      {"http://127.0.0.1./", UrlKind::kNumericHost, "http://127.0.0.1./"},
      {"https://0x7f.1/", UrlKind::kNumericHost, "https://0x7f.1/"},
      {"http://300.1.1.1/", UrlKind::kNumericHost, "http://300.1.1.1/"},
  };
  for (const Case& c : cases) {
    const Url url = ParseUrl(c.text);
    EXPECT_EQ(url.kind, c.kind) << c.text << ": " << url.error;
    EXPECT_EQ(url.Text(), c.whole);
  }
  EXPECT_TRUE(ParseUrl("http://a:b@1.2.3.4/").has_userinfo);
  EXPECT_TRUE(ParseUrl("http://1.2.3.4@5.6.7.8/").has_userinfo);
  EXPECT_FALSE(ParseUrl("http://1.2.3.4/a@b").has_userinfo);
}

TEST(UrlTest, OtherSchemes) {
  for (const char* text : {"ftp://1.2.3.4/", "mailto:a@b.example", "javascript:alert(1)",
                           "file:///x", "user:secret@1.2.3.4"}) {
    EXPECT_EQ(ParseUrl(text).kind, UrlKind::kOtherScheme) << text;
  }
}

TEST(UrlTest, Malformed) {
  for (const std::string& text : {std::string(),
                                  std::string("   "),
                                  std::string("http://"),
                                  std::string("http:///x"),
                                  std::string("http:/1.2.3.4/"),
                                  std::string("http:1.2.3.4"),
                                  std::string("http://a b/"),
                                  std::string("http://1.2.3.4:0/"),
                                  std::string("http://1.2.3.4:65536/"),
                                  std::string("http://1.2.3.4:99999999999/"),
                                  std::string("http://1.2.3.4:x/"),
                                  std::string("http://[::1/"),
                                  std::string("http://[::1]x/"),
                                  std::string("http://[1.2.3.4]/"),
                                  std::string("http://[fe80::1%25lo]/"),
                                  std::string("http://::1/"),
                                  std::string("http://a.com\\@127.0.0.1/"),
                                  std::string("http://%31.2.3.4/"),
                                  std::string("http://.example/"),
                                  std::string("http://1.2.3.4\0/", 16),
                                  "http://" + std::string(256, 'a') + "/",
                                  "http://1.2.3.4/" + std::string(kMaxUrlBytes, 'x')}) {
    const Url url = ParseUrl(text);
    EXPECT_EQ(url.kind, UrlKind::kMalformed) << text;
    EXPECT_FALSE(url.error.empty()) << text;
  }
}

// No byte of a target may end the request line or begin a header.
TEST(UrlTest, TargetIsSafeInARequestLine) {
  std::string text = "http://1.2.3.4/";
  for (int c = 0; c < 256; ++c) text.push_back(static_cast<char>(c));
  text += "x";
  for (const unsigned char c : ParseUrl(text).target) EXPECT_TRUE(c > ' ' && c < 0x7f) << int{c};
}

TEST(UrlTest, ResolvesLocations) {
  const Url base = ParseUrl("http://1.2.3.4:81/a/b?q");
  const std::pair<std::string, std::string> cases[] = {
      {"http://5.6.7.8/x#y", "http://5.6.7.8/x"},
      {"HTTPS://5.6.7.8/x", "https://5.6.7.8/x"},
      {"//5.6.7.8/x", "http://5.6.7.8/x"},
      {"/x", "http://1.2.3.4:81/x"},
      {"x?y", "http://1.2.3.4:81/a/x?y"},
      {"?y", "http://1.2.3.4:81/a/b?y"},
      {"#y", "http://1.2.3.4:81/a/b?q"},
      {"../../../x", "http://1.2.3.4:81/x"},
      {"./..", "http://1.2.3.4:81/"},
      {"/c/./d/../e/", "http://1.2.3.4:81/c/e/"},
      {"c//d", "http://1.2.3.4:81/a/c//d"},
      {" /sp ace ", "http://1.2.3.4:81/sp%20ace"},
  };
  for (const auto& [location, whole] : cases) {
    EXPECT_EQ(ResolveLocation(base, location).Text(), whole) << location;
  }
  EXPECT_EQ(ResolveLocation(base, "ftp://x/").kind, UrlKind::kOtherScheme);
  EXPECT_EQ(ResolveLocation(base, "localhost:80/x").kind, UrlKind::kOtherScheme);
  EXPECT_EQ(ResolveLocation(base, "http://").kind, UrlKind::kMalformed);
  EXPECT_EQ(ResolveLocation(base, std::string(kMaxUrlBytes + 1, 'x')).kind, UrlKind::kMalformed);
  EXPECT_EQ(ResolveLocation(base, std::string(kMaxUrlBytes, ' ') + "/x").Text(),
            "http://1.2.3.4:81/x");
}

TEST(UrlTest, RelativeLocationDropsUserinfo) {
  EXPECT_FALSE(ResolveLocation(ParseUrl("http://a@1.2.3.4/"), "/x").has_userinfo);
}

}  // namespace
}  // namespace jetmon::probe
