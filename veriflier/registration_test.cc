#include "veriflier/registration.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "jetmon/v1/discovery.grpc.pb.h"

namespace jetmon::veriflier {
namespace {

// A control plane that welcomes everybody and remembers what it was told.
class ControlPlane final : public v1::DiscoveryService::Service {
 public:
  grpc::Status Register(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ControlMessage, v1::AgentMessage>* stream) override {
    v1::AgentMessage message;
    while (stream->Read(&message)) {
      v1::ControlMessage answer;
      std::lock_guard lock(mutex_);
      if (message.has_hello()) {
        const auto& metadata = context->client_metadata();
        auto at = metadata.find("authorization");
        token_ = at == metadata.end() ? "" : std::string(at->second.data(), at->second.size());
        ++hellos_;
        answer.mutable_welcome()->set_trust("pending");
        answer.mutable_welcome()->set_heartbeat_interval_seconds(1);
        stream->Write(answer);
        answer.mutable_trust_changed()->set_trust("trusted");
        stream->Write(answer);
      } else if (message.has_heartbeat()) {
        ++beats_;
        answer.mutable_heartbeat_ack();
        stream->Write(answer);
      } else {
        ++goodbyes_;
      }
    }
    return grpc::Status::OK;
  }
  int hellos() { return Get(hellos_); }
  int beats() { return Get(beats_); }
  int goodbyes() { return Get(goodbyes_); }
  std::string token() {
    std::lock_guard lock(mutex_);
    return token_;
  }

 private:
  int Get(const int& value) {
    std::lock_guard lock(mutex_);
    return value;
  }
  std::mutex mutex_;
  int hellos_ = 0, beats_ = 0, goodbyes_ = 0;
  std::string token_;
};

class RegistrationTest : public testing::Test {
 protected:
  void Serve() {
    // The port of before, or the first free one.
    const int first = port_ != 0 ? port_ : 25'000 + getpid() % 5000;
    const int last = port_ != 0 ? port_ : 32'000;
    for (port_ = first; server_ == nullptr && port_ <= last; ++port_) {
      grpc::ServerBuilder builder;
      builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
      builder.AddListeningPort("127.0.0.1:" + std::to_string(port_),
                               grpc::InsecureServerCredentials());
      builder.RegisterService(&control_plane_);
      server_ = builder.BuildAndStart();
    }
    --port_;
    ASSERT_NE(server_, nullptr);
  }
  std::unique_ptr<Registration> Begin() {
    Registration::Options options;
    options.control_planes = {"127.0.0.1:" + std::to_string(port_)};
    options.token = "jv_secret";
    options.hello.set_agent_id("agent-1");
    options.heartbeat = [] { return v1::Heartbeat(); };
    return std::make_unique<Registration>(std::move(options));
  }
  bool Until(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
  }
  int port_ = 0;
  ControlPlane control_plane_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(RegistrationTest, RegistersBeatsAndSaysGoodbye) {
  Serve();
  auto registration = Begin();
  EXPECT_TRUE(Until([&] { return registration->trust() == "trusted"; }));
  EXPECT_EQ(control_plane_.token(), "Bearer jv_secret");
  EXPECT_TRUE(Until([&] { return control_plane_.beats() >= 2; }));
  registration.reset();
  EXPECT_TRUE(Until([&] { return control_plane_.goodbyes() == 1; }));
}

TEST_F(RegistrationTest, ComesBackWhenTheControlPlaneDoes) {
  Serve();
  auto registration = Begin();
  EXPECT_TRUE(Until([&] { return registration->trust() == "trusted"; }));
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
  EXPECT_TRUE(Until([&] { return registration->trust() == "unconnected"; }));
  Serve();
  EXPECT_TRUE(Until([&] { return registration->trust() == "trusted"; }));
  EXPECT_EQ(control_plane_.hellos(), 2);
}

TEST_F(RegistrationTest, EndsAtOnceWhenNobodyAnswers) {
  port_ = 1;
  const auto began = std::chrono::steady_clock::now();
  { auto registration = Begin(); }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(8));
}

}  // namespace
}  // namespace jetmon::veriflier
