#include "controlplane/server.h"

#include <fstream>
#include <string>

#include "controlplane/gateway/test_socket.h"
#include "gtest/gtest.h"
#include "store/hosts.h"
#include "store/test_database.h"

namespace jetmon::controlplane {
namespace {

Config Loopback(const std::string& database) {
  Config config;
  config.database.url = database;
  config.server_host = "cp-1";
  config.grpc_listen = "127.0.0.1:0";
  config.http_listen = "127.0.0.1:0";
  config.engine.safety = *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8");
  return config;
}

std::string Get(int port, const std::string& path) {
  gateway::TestSocket client(port);
  client.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReadToEnd());
  return client.got();
}

TEST(ServerTest, AnswersAndStops) {
  store::TestDatabase db;
  auto server = Server::Start(Loopback(db.url()));
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string health = Get((*server)->http_port(), "/api/v1/health");
  EXPECT_TRUE(health.starts_with("HTTP/1.1 200 ")) << health;
  EXPECT_NE(health.find("\"server_host\":\"cp-1\""), std::string::npos) << health;
  EXPECT_NE(health.find("\"database\":\"ok\""), std::string::npos) << health;
  EXPECT_TRUE(Get((*server)->http_port(), "/api/v1/me").starts_with("HTTP/1.1 401 "));
  EXPECT_GT((*server)->grpc_port(), 0);
  (*server)->Shutdown();
  server->reset();
  // It said goodbye: nobody waits for it.
  std::vector<store::ProcessHealth> left;
  ASSERT_TRUE(db->Read([&](sql::Transaction& tx) {
                  auto read = store::ListProcesses(tx, "controlplane", /*with_gone=*/false);
                  if (read.ok()) left = *read;
                  return read.status();
                }).ok());
  EXPECT_TRUE(left.empty());
}

TEST(ServerTest, SaysWhyItCantStart) {
  store::TestDatabase db;
  const auto server = Server::Start(Loopback(db.url()));
  ASSERT_TRUE(server.ok()) << server.status();
  const auto refusal = [](const Config& config) {
    const absl::Status status = Server::Start(config).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
    return std::string(status.message());
  };
  Config config = Loopback(db.url());
  config.http_listen = "127.0.0.1:" + std::to_string((*server)->http_port());
  EXPECT_NE(refusal(config).find(config.http_listen), std::string::npos);
  config = Loopback(db.url());
  config.grpc_listen = "127.0.0.1:" + std::to_string((*server)->grpc_port());
  EXPECT_NE(refusal(config).find(config.grpc_listen), std::string::npos);
  EXPECT_NE(refusal(Loopback("sqlite:///nowhere/at/all.db")).find("/nowhere"), std::string::npos);
  EXPECT_FALSE(refusal(Loopback("postgres://x")).empty());
}

}  // namespace
}  // namespace jetmon::controlplane
