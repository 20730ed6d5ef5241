#include "controlplane/rpc/registry.h"

#include <algorithm>
#include <set>

#include "gtest/gtest.h"
#include "jetmon/v1/identity.pb.h"
#include "jetmon/v1/options.pb.h"
#include "jetmon/v1/rollout.pb.h"

namespace jetmon::rpc {
namespace {

constexpr char kGetMe[] = "jetmon.v1.IdentityService/GetMe";
constexpr char kSeed[] = "jetmon.v1.RolloutService/Seed";

absl::Status Me(CallContext&, const v1::GetMeRequest&, v1::Me*) { return absl::OkStatus(); }

TEST(RegistryTest, KnowsEveryMethodAndWhatItsProtoSays) {
  const Registry registry;
  std::set<std::string> services;
  for (const Method* method : registry.methods()) {
    SCOPED_TRACE(method->name);
    services.insert(method->descriptor->service()->name());
    EXPECT_FALSE(method->available());
    const v1::CallOptions& options = method->descriptor->options().GetExtension(v1::call);
    EXPECT_FALSE(options.scope().empty()) << "every method says who may call it";
    EXPECT_EQ(access::ScopeName(method->scope), options.scope());
    EXPECT_EQ(method->mutating, options.mutating());
    EXPECT_TRUE(!method->idempotent || method->mutating);
    // What changes something needs more than a read key.
    EXPECT_TRUE(!method->mutating || method->scope >= access::Scope::kWrite);
  }
  EXPECT_EQ(services, (std::set<std::string>{"DiscoveryService", "FleetService", "IdentityService",
                                             "RolloutService", "SiteService"}));
  ASSERT_NE(registry.Find(kSeed), nullptr);
  EXPECT_EQ(registry.Find(kSeed)->feature, "RolloutService/Seed");
  EXPECT_TRUE(registry.Find(kSeed)->idempotent);
  EXPECT_EQ(registry.Find("jetmon.v1.RolloutService/Nothing"), nullptr);
}

TEST(RegistryTest, FeaturesAreWhatIsServed) {
  Registry registry;
  EXPECT_TRUE(registry.AvailableFeatures().empty());
  registry.AddUnary<v1::GetMeRequest, v1::Me>(kGetMe, Me);
  EXPECT_TRUE(registry.Find(kGetMe)->available());
  EXPECT_FALSE(registry.Find(kSeed)->available());
  EXPECT_EQ(registry.AvailableFeatures(), std::vector<std::string>{"IdentityService/GetMe"});
}

TEST(RegistryTest, SaysWhichLackReplay) {
  Registry registry;
  registry.AddUnary<v1::PlannedRequest, v1::OperationResponse>(
      kSeed, [](CallContext&, const v1::PlannedRequest&, v1::OperationResponse*) {
        return absl::OkStatus();
      });
  EXPECT_EQ(registry.WithoutReplay(), std::vector<std::string>{kSeed});
  registry.AddReplay<v1::OperationResponse>(
      kSeed, [](CallContext&, std::string_view, std::string_view, v1::OperationResponse*) {
        return absl::OkStatus();
      });
  EXPECT_TRUE(registry.WithoutReplay().empty());
}

TEST(RegistryDeathTest, FaultsOfTheProgramEndIt) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Registry registry;
  registry.AddUnary<v1::GetMeRequest, v1::Me>(kGetMe, Me);
  EXPECT_DEATH((registry.AddUnary<v1::GetMeRequest, v1::Me>(kGetMe, Me)), "twice");
  EXPECT_DEATH((registry.AddUnary<v1::GetMeRequest, v1::Me>(kSeed, Me)), "request type");
  EXPECT_DEATH((registry.AddUnary<v1::GetMeRequest, v1::Me>("jetmon.v1.X/Y", Me)), "no proto");
}

}  // namespace
}  // namespace jetmon::rpc
