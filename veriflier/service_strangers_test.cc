// Callers that go away, have no credential, or send what is not taken.
#include <grpcpp/grpcpp.h>

#include <mutex>
#include <random>
#include <thread>

#include "daemon/test_grpc_call.h"
#include "jetmon/v1/veriflier.grpc.pb.h"
#include "veriflier/test_service.h"

namespace jetmon::veriflier {
namespace {

using std::chrono::microseconds;

// A call as a caller makes it who may go away at any moment.
class Caller {
 public:
  // What is asked: nothing or two sites, with the vantage's credential or another, or who it is.
  enum class Kind { kNoCredential, kWrongCredential, kNoSites, kSites, kTooManySites, kStatus };
  static constexpr int kKinds = 6;

  Caller(const std::string& endpoint, std::string url)
      : stub_(v1::VeriflierService::NewStub(
            grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials()))),
        url_(std::move(url)) {}

  // The status that it sees.
  grpc::StatusCode Ask(Kind kind) { return Call(kind, nullptr); }
  // The same, cancelling `after` it has asked.
  grpc::StatusCode AskAndCancel(Kind kind, microseconds after) { return Call(kind, &after); }

 private:
  grpc::StatusCode Call(Kind kind, const microseconds* cancel_after) {
    grpc::ClientContext context;
    if (kind != Kind::kNoCredential) {
      const std::string token = kind == Kind::kWrongCredential ? "jv_other" : "jv_secret";
      context.AddMetadata("authorization",
                          "Bearer " + confirm::CallerCredential(confirm::TokenHash(token)));
    }
    grpc::Status status;
    std::promise<void> ended;
    v1::CheckSitesRequest request;
    v1::SiteCheckResult result;
    v1::GetVeriflierStatusRequest who;
    v1::VeriflierStatus facts;
    const int sites = kind == Kind::kSites ? 2 : kind == Kind::kTooManySites ? 501 : 0;
    for (int i = 0; i < sites; ++i) {
      v1::SiteCheck* site = request.add_sites();
      site->set_site_id(i);
      // One is refused at once, the other one is under way until the caller has gone.
      site->set_url(i == 0 ? "http://10.1.2.3/" : url_);
    }
    Reader reader(&status, &ended, &result);
    if (kind == Kind::kStatus) {
      stub_->async()->GetVeriflierStatus(&context, &who, &facts, [&](grpc::Status s) {
        status = std::move(s);
        ended.set_value();
      });
    } else {
      stub_->async()->CheckSites(&context, &request, &reader);
      reader.Begin();
    }
    if (cancel_after != nullptr) {
      // Spins: shorter moments than a sleep can tell apart.
      const auto until = std::chrono::steady_clock::now() + *cancel_after;
      while (std::chrono::steady_clock::now() < until) {
      }
      context.TryCancel();
    }
    ended.get_future().wait();
    return status.error_code();
  }

  class Reader final : public grpc::ClientReadReactor<v1::SiteCheckResult> {
   public:
    Reader(grpc::Status* status, std::promise<void>* ended, v1::SiteCheckResult* result)
        : status_(status), ended_(ended), result_(result) {}
    void Begin() {
      StartRead(result_);
      StartCall();
    }
    void OnReadDone(bool ok) override {
      if (ok) StartRead(result_);
    }
    void OnDone(const grpc::Status& status) override {
      *status_ = status;
      ended_->set_value();
    }

   private:
    grpc::Status* const status_;
    std::promise<void>* const ended_;
    v1::SiteCheckResult* const result_;
  };

  std::unique_ptr<v1::VeriflierService::Stub> stub_;
  const std::string url_;
};

TEST_F(ServiceTest, TenThousandCallersThatGoAwayLeaveItServing) {
  constexpr int kCallers = 4, kCalls = 2500, kLongestWaitUs = 400;
  const std::string endpoint = Start(1000, 1000);
  std::map<grpc::StatusCode, int> seen;
  std::mutex mutex;
  std::vector<std::thread> callers;
  for (int c = 0; c < kCallers; ++c) {
    callers.emplace_back([&, c] {
      Caller caller(endpoint, site_.Url("/slow"));
      std::minstd_rand random(c + 1);
      std::map<grpc::StatusCode, int> mine;
      for (int i = 0; i < kCalls; ++i) {
        const auto kind = static_cast<Caller::Kind>(i % Caller::kKinds);
        // A few stay for their answer.
        const bool stays = kind == Caller::Kind::kWrongCredential && i % 50 == 1;
        ++mine[stays ? caller.Ask(kind)
                     : caller.AskAndCancel(kind, microseconds(random() % kLongestWaitUs))];
      }
      std::lock_guard lock(mutex);
      for (const auto& [code, count] : mine) seen[code] += count;
    });
  }
  for (std::thread& t : callers) t.join();
  // Some were answered before they went away and some were not.
  EXPECT_GT(seen[grpc::StatusCode::CANCELLED], 0);
  EXPECT_GT(seen[grpc::StatusCode::UNAUTHENTICATED], 0);
  EXPECT_EQ(Check(Vantage({endpoint}), {Ask(1, "/"), Ask(2, "/down")}),
            (Outcomes{{1, "up"}, {2, "down"}}));
  for (int i = 0; i < 500 && checker_->stats().in_flight > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(checker_->stats().in_flight, 0);
}

TEST_F(ServiceTest, ACallWithoutSitesOrCredentialIsAnsweredAtOnce) {
  const std::string endpoint = Start();
  Caller caller(endpoint, site_.Url("/"));
  using Kind = Caller::Kind;
  for (const auto& [kind, wanted] :
       {std::pair{Kind::kNoCredential, grpc::StatusCode::UNAUTHENTICATED},
        std::pair{Kind::kWrongCredential, grpc::StatusCode::UNAUTHENTICATED},
        std::pair{Kind::kTooManySites, grpc::StatusCode::INVALID_ARGUMENT},
        std::pair{Kind::kNoSites, grpc::StatusCode::OK},
        std::pair{Kind::kSites, grpc::StatusCode::OK},
        std::pair{Kind::kStatus, grpc::StatusCode::OK}}) {
    EXPECT_EQ(caller.Ask(kind), wanted) << static_cast<int>(kind);
  }
}

// 256 KiB on the wire and 256 MiB once they are decompressed, from somebody without a credential.
TEST_F(ServiceTest, CompressedMessagesAreRefused) {
  const std::string endpoint = Start();
  const int port = std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  for (const std::string& encoding : std::vector<std::string>{"gzip", "deflate"}) {
    const std::string bomb = CompressedZeros(encoding, size_t{256} << 20);
    for (const char* method :
         {"/jetmon.v1.VeriflierService/CheckSites",
          "/jetmon.v1.VeriflierService/GetVeriflierStatus", "/grpc.health.v1.Health/Check"}) {
      SCOPED_TRACE(encoding + " " + method);
      const RawAnswer answer = CallRaw(port, {method, encoding, true, bomb});
      EXPECT_EQ(answer.status, 12);  // UNIMPLEMENTED
      EXPECT_EQ(answer.message, "Compression algorithm '" + encoding + "' is disabled.");
      EXPECT_LT(answer.peak_growth, kMostGrowth);
    }
    for (const char* declared : {"", "identity", "br"}) {
      SCOPED_TRACE(declared);
      const RawAnswer answer =
          CallRaw(port, {"/jetmon.v1.VeriflierService/CheckSites", declared, true, bomb});
      EXPECT_GT(answer.status, 0);
      EXPECT_LT(answer.peak_growth, kMostGrowth);
    }
  }
  EXPECT_EQ(Check(Vantage({endpoint}), {Ask(1, "/")}), (Outcomes{{1, "up"}}));
}

}  // namespace
}  // namespace jetmon::veriflier
