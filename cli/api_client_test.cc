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

Response Answer(const std::string& body, int http_status = 200) {
  Response r;
  r.http_status = http_status;
  r.body = body;
  r.json = *Json::Parse(body);
  return r;
}

TEST(AllPages, AreOneAnswer) {
  std::vector<std::string> asked;
  Request open;
  open.query = {{"state", "open"}};
  const auto answer = AllPages(
      [&](const Request& request) -> absl::StatusOr<Response> {
        EXPECT_EQ(request.query[0], (std::pair<std::string, std::string>{"state", "open"}));
        asked.push_back(request.query.back().second);
        if (asked.size() == 1) {
          return Answer(
              R"({"run_id":"rol_1","entries":[{"n":"1"},{"n":"2"}],"next_page_token":"a"})");
        }
        if (asked.size() == 2) return Answer(R"({"entries":[{"n":"3"}],"next_page_token":"b"})");
        return Answer(R"({"run_id":"rol_1","entries":[{"n":"4"}],"next_page_token":""})");
      },
      open, "entries");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(asked, (std::vector<std::string>{"", "a", "b"}));
  std::string all;
  for (const Json& row : answer->json["entries"].Items()) all += row["n"].Text();
  EXPECT_EQ(all, "1234");
  EXPECT_EQ(answer->json["run_id"].Text(), "rol_1");
  EXPECT_EQ(answer->body, answer->json.Dump());
}

TEST(AllPages, EndWithTheFirstError) {
  int calls = 0;
  const auto answer = AllPages(
      [&](const Request&) -> absl::StatusOr<Response> {
        if (++calls == 1) return Answer(R"({"entries":[{"n":"1"}],"next_page_token":"a"})");
        return Answer(R"({"error":{"code":"run_not_found"}})", 404);
      },
      {}, "entries");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->error_code(), "run_not_found");
  // A server that leads in circles is left.
  calls = 0;
  EXPECT_TRUE(AllPages(
                  [&](const Request&) -> absl::StatusOr<Response> {
                    ++calls;
                    return Answer(R"({"entries":[],"next_page_token":"a"})");
                  },
                  {}, "entries")
                  .ok());
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace jetmon::cli
