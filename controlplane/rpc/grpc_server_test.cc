#include "controlplane/rpc/grpc_server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "controlplane/rpc/dispatcher.h"
#include "controlplane/rpc/test_access.h"
#include "daemon/test_grpc_call.h"
#include "jetmon/v1/identity.grpc.pb.h"

namespace jetmon {
namespace {

class GrpcServerTest : public ::testing::Test {
 protected:
  GrpcServerTest() {
    registry_.AddUnary<v1::GetMeRequest, v1::Me>(
        "jetmon.v1.IdentityService/GetMe",
        [](rpc::CallContext& call, const v1::GetMeRequest&, v1::Me* me) {
          me->set_consumer(call.caller().consumer);
          return absl::OkStatus();
        });
    auto server = rpc::GrpcServer::Start(
        "127.0.0.1:0", {&registry_, &access_.chain(), &dispatcher_, &SystemClock(), nullptr});
    EXPECT_TRUE(server.ok()) << server.status();
    grpc_ = *std::move(server);
    reader_ = access_.AddKey("dash", "read");
  }
  ~GrpcServerTest() override {
    grpc_->Shutdown(std::chrono::milliseconds(0));
    dispatcher_.CancelAll();
    dispatcher_.Stop();
  }

  rpc::TestAccess access_;
  rpc::Registry registry_;
  rpc::Dispatcher dispatcher_{rpc::Dispatcher::Sizes()};
  std::unique_ptr<rpc::GrpcServer> grpc_;
  std::string reader_;
};

// 256 KiB on the wire and 256 MiB once they are decompressed, from somebody without a key.
TEST_F(GrpcServerTest, CompressedMessagesAreRefused) {
  for (const std::string& encoding : std::vector<std::string>{"gzip", "deflate"}) {
    const std::string bomb = CompressedZeros(encoding, size_t{256} << 20);
    ASSERT_LT(bomb.size(), size_t{1} << 20);
    for (const char* method :
         {"/jetmon.v1.RolloutService/CreateSession", "/jetmon.v1.RolloutService/WatchJob",
          "/jetmon.v1.DiscoveryService/Register", "/grpc.health.v1.Health/Check",
          "/grpc.health.v1.Health/Watch",
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/no.Such/Method"}) {
      SCOPED_TRACE(encoding + " " + method);
      const RawAnswer answer = CallRaw(grpc_->port(), {method, encoding, true, bomb});
      EXPECT_EQ(answer.status, grpc::StatusCode::UNIMPLEMENTED);
      EXPECT_EQ(answer.message, "Compression algorithm '" + encoding + "' is disabled.");
      EXPECT_LT(answer.peak_growth, kMostGrowth);
      // The same encoding, but this message isn't compressed: the call is refused all the same.
      EXPECT_EQ(CallRaw(grpc_->port(), {method, encoding, false, ""}).status,
                grpc::StatusCode::UNIMPLEMENTED);
    }
    // Flagged as compressed, but it isn't said how, or in a way that nobody knows.
    for (const char* declared : {"", "identity", "br", "gzip, gzip"}) {
      SCOPED_TRACE(declared);
      const RawAnswer answer =
          CallRaw(grpc_->port(), {"/jetmon.v1.RolloutService/CreateSession", declared, true, bomb});
      EXPECT_GT(answer.status, 0);
      EXPECT_LT(answer.peak_growth, kMostGrowth);
    }
  }
  // It serves on, and what is declared as it is, is read.
  EXPECT_EQ(
      CallRaw(grpc_->port(), {"/jetmon.v1.IdentityService/GetMe", "identity", false, ""}).status,
      grpc::StatusCode::UNAUTHENTICATED);
}

// What a client of gRPC sees that compresses.
TEST_F(GrpcServerTest, AClientThatCompressesIsToldSo) {
  const auto stub = v1::IdentityService::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(grpc_->port()), grpc::InsecureChannelCredentials()));
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_NONE}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", reader_);
    context.set_compression_algorithm(algorithm);
    v1::Me me;
    const grpc::Status status = stub->GetMe(&context, {}, &me);
    EXPECT_EQ(status.error_code(), algorithm == GRPC_COMPRESS_NONE
                                       ? grpc::StatusCode::OK
                                       : grpc::StatusCode::UNIMPLEMENTED)
        << status.error_message();
  }
}

}  // namespace
}  // namespace jetmon
