#include "cli/api_client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace jetmon::cli {
namespace {

TEST(IsLoopback, KnowsThisMachine) {
  for (const char* url : {"http://127.0.0.1:8080", "http://127.9.9.9", "https://localhost:1/x",
                          "http://[::1]:8080/"}) {
    EXPECT_TRUE(IsLoopback(url)) << url;
  }
  for (const char* url : {"http://10.0.0.1", "https://example.com", "http://127.0.0.1.example.com",
                          "http://localhost.example.com", "http://[::2]/", ""}) {
    EXPECT_FALSE(IsLoopback(url)) << url;
  }
}

TEST(ReadTokenFile, WantsAPrivateFile) {
  const std::string path = testing::TempDir() + "/token";
  std::ofstream(path) << "jm_abc\n";
  chmod(path.c_str(), 0644);
  const auto open = ReadTokenFile(path);
  EXPECT_TRUE(absl::IsPermissionDenied(open.status()));
  EXPECT_NE(open.status().message().find("chmod 600"), absl::string_view::npos);
  chmod(path.c_str(), 0600);
  EXPECT_EQ(*ReadTokenFile(path), "jm_abc");
  EXPECT_TRUE(absl::IsNotFound(ReadTokenFile("/no/such/file").status()));
}

TEST(ApiClient, RefusesWhatIsUnsafeBeforeItSends) {
  Connection remote;
  remote.base_url = "https://192.0.2.1";
  Request change;
  change.method = "POST";
  change.path = "/x";
  change.mutating = true;
  EXPECT_TRUE(absl::IsFailedPrecondition(ApiClient(remote).Send(change).status()));
  remote.base_url = "http://192.0.2.1";
  remote.allow_remote = true;
  remote.token = "jm_abc";
  const auto plain = ApiClient(remote).Send(change);
  EXPECT_TRUE(absl::IsFailedPrecondition(plain.status()));
  EXPECT_EQ(plain.status().message().find("jm_abc"), absl::string_view::npos);
  remote.base_url = "ftp://127.0.0.1";
  EXPECT_TRUE(absl::IsInvalidArgument(ApiClient(remote).Send(change).status()));
}

TEST(ApiClient, SaysThatNobodyListens) {
  Connection nobody;
  nobody.base_url = "http://127.0.0.1:1";
  Request request;
  request.path = "/api/v1/health";
  EXPECT_TRUE(absl::IsUnavailable(ApiClient(nobody).Send(request).status()));
}

}  // namespace
}  // namespace jetmon::cli
