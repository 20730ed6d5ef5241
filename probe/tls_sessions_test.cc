#include "probe/tls_sessions.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace jetmon::probe {
namespace {

using std::chrono::minutes;

constexpr BootTime kStart{1};

TlsSession At(BootTime full_at, const std::string& der = "") {
  TlsSession session;
  session.full_at = full_at;
  session.der = der;
  return session;
}

TEST(TlsSessions, AreGoodForAnHour) {
  TlsSessions sessions(10);
  EXPECT_FALSE(sessions.Find("a", kStart).has_value());
  sessions.Put("a", At(kStart, "x"), kStart);
  EXPECT_EQ(sessions.Find("a", kStart + minutes(59))->der, "x");
  EXPECT_FALSE(sessions.Find("a", kStart + minutes(60)).has_value());
  EXPECT_EQ(sessions.size(), 0u);
}

TEST(TlsSessions, ANewOneTakesTheOldOnesPlace) {
  TlsSessions sessions(1);
  sessions.Put("a", At(kStart, "x"), kStart);
  sessions.Put("a", At(kStart, "y"), kStart);
  EXPECT_EQ(sessions.Find("a", kStart)->der, "y");
  EXPECT_EQ(sessions.size(), 1u);
  sessions.Drop("a");
  sessions.Drop("a");
  EXPECT_FALSE(sessions.Find("a", kStart).has_value());
}

TEST(TlsSessions, OnlyOneThatIsOverIsPushedOut) {
  TlsSessions sessions(2);
  sessions.Put("a", At(kStart), kStart);
  sessions.Put("b", At(kStart + minutes(30)), kStart + minutes(30));
  sessions.Put("c", At(kStart + minutes(40)), kStart + minutes(40));
  EXPECT_FALSE(sessions.Find("c", kStart + minutes(40)).has_value());
  sessions.Put("c", At(kStart + minutes(61)), kStart + minutes(61));
  EXPECT_TRUE(sessions.Find("c", kStart + minutes(61)).has_value());
  EXPECT_TRUE(sessions.Find("b", kStart + minutes(61)).has_value());
  EXPECT_FALSE(sessions.Find("a", kStart + minutes(61)).has_value());
  EXPECT_EQ(sessions.size(), 2u);
}

// Each target in turn, more than fit: as many resume as there are places.
TEST(TlsSessions, MoreTargetsThanPlacesStillResume) {
  TlsSessions sessions(50);
  int found = 0;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      const std::string target = std::to_string(i);
      if (sessions.Find(target, kStart)) {
        ++found;
      } else {
        sessions.Put(target, At(kStart), kStart);
      }
    }
  }
  EXPECT_EQ(found, 50);
}

TEST(TlsSessions, OfNoPlaceKeepNothing) {
  TlsSessions sessions(0);
  sessions.Put("a", At(kStart), kStart);
  EXPECT_EQ(sessions.size(), 0u);
}

}  // namespace
}  // namespace jetmon::probe
