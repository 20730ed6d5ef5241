#include "controlplane/discovery/register_stream.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <future>
#include <random>

#include "jetmon/v1/discovery.grpc.pb.h"
#include "store/ids.h"
#include "store/test_database.h"

namespace jetmon::discovery {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A database that can be made to wait: while it is closed, the statement that a Hello ends with
// waits on the thread that runs it.
class Gate {
 public:
  sql::Options Observing() {
    sql::Options options;
    options.observer = [this](std::string_view sql, sql::Params) {
      if (sql.substr(0, kSave.size()) == kSave) Pass();
    };
    return options;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    open_ = false;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // Until a Hello waits.
  void AwaitArrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }

 private:
  static constexpr std::string_view kSave = "INSERT INTO jetmon_veriflier_agents";
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int waiting_ = 0;
};

class Service final : public v1::DiscoveryService::CallbackService {
 public:
  explicit Service(StreamHub& hub) : hub_(hub) {}
  grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>* Register(
      grpc::CallbackServerContext* context) override {
    return hub_.New(context);
  }

 private:
  StreamHub& hub_;
};

// An agent's end of a stream: says Hello at once, reads what it is told.
class Agent final : public grpc::ClientBidiReactor<v1::AgentMessage, v1::ControlMessage> {
 public:
  Agent(v1::DiscoveryService::Stub& stub, const std::string& agent, const std::string& vantage,
        const std::string& token) {
    context_.AddMetadata("authorization", "Bearer " + token);
    v1::Hello* hello = message_.mutable_hello();
    hello->set_agent_id(agent);
    hello->set_vantage_id(vantage);
    hello->set_endpoint("127.0.0.1:7804");
    hello->set_protocol_min(1);
    hello->set_protocol_max(1);
    stub.async()->Register(&context_, this);
    AddHold();
    StartWrite(&message_);
    StartRead(&incoming_);
    StartCall();
  }
  ~Agent() override { Cancel(); }

  // Goes away; returns when the stream has ended.
  void Cancel() {
    if (!held_) return;
    held_ = false;
    context_.TryCancel();
    RemoveHold();
    ended_.get_future().wait();
  }
  // Waits for the answer to its Hello, "" if the stream ended without one.
  std::string Trust() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !trust_.empty() || read_ended_; });
    return trust_;
  }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    if (ok && incoming_.has_welcome()) trust_ = incoming_.welcome().trust();
    read_ended_ = !ok;
    changed_.notify_all();
    if (ok) StartRead(&incoming_);
  }
  void OnDone(const grpc::Status&) override { ended_.set_value(); }

 private:
  grpc::ClientContext context_;
  v1::AgentMessage message_;
  v1::ControlMessage incoming_;
  bool held_ = true;
  std::promise<void> ended_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string trust_;  // guarded by mutex_
  bool read_ended_ = false;
};

class RegisterStreamTest : public testing::Test {
 protected:
  RegisterStreamTest() {
    store::Vantage v;
    v.vantage_id = "v-1";
    v.trust = "trusted";
    v.token_hash = store::Sha256Hex("jv_good");
    EXPECT_TRUE(
        db_->Write([&](sql::Transaction& tx) { return store::InsertVantage(tx, v).status(); })
            .ok());
    for (int port = 26'000 + getpid() % 4000; server_ == nullptr && port < 32'000; ++port) {
      grpc::ServerBuilder builder;
      builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
      endpoint_ = "127.0.0.1:" + std::to_string(port);
      builder.AddListeningPort(endpoint_, grpc::InsecureServerCredentials());
      builder.RegisterService(&service_);
      server_ = builder.BuildAndStart();
    }
    EXPECT_NE(server_, nullptr);
    stub_ = v1::DiscoveryService::NewStub(
        grpc::CreateChannel(endpoint_, grpc::InsecureChannelCredentials()));
  }
  ~RegisterStreamTest() override {
    gate_.Open();
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  std::unique_ptr<Agent> Hello(const std::string& agent, const std::string& vantage = "v-1",
                               const std::string& token = "jv_good") {
    return std::make_unique<Agent>(*stub_, agent, vantage, token);
  }
  std::vector<std::string> Live() {
    std::vector<std::string> live;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) -> absl::Status {
                     live.clear();
                     const auto agents = store::AgentsOfVantage(tx, "v-1");
                     for (const auto& a : *agents) {
                       if (a.state == "live") live.push_back(a.agent_id);
                     }
                     return absl::OkStatus();
                   })
                    .ok());
    return live;
  }
  bool Until(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return condition();
  }

  store::TestDatabase db_;
  Gate gate_;
  std::unique_ptr<sql::Database> gated_ = db_.OpenAnother(gate_.Observing());
  Registrar registrar_{*gated_, SystemClock(), Registrar::Options{"cp-1", "ins_cp"}};
  StreamHub hub_{registrar_};
  Service service_{hub_};
  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::DiscoveryService::Stub> stub_;
};

TEST_F(RegisterStreamTest, AnAgentIsWelcomedAndStaysWhileItsStreamDoes) {
  auto agent = Hello("a-1");
  EXPECT_EQ(agent->Trust(), "trusted");
  EXPECT_EQ(Live(), std::vector<std::string>{"a-1"});
  EXPECT_EQ(Hello("a-2", "v-1", "jv_bad")->Trust(), "rejected");
  EXPECT_EQ(Hello("a-1", "v-1", "jv_bad")->Trust(), "rejected");
  EXPECT_EQ(Live(), std::vector<std::string>{"a-1"});
}

TEST_F(RegisterStreamTest, FourHundredHellosThatGoAwayLeaveNothing) {
  constexpr int kHellos = 400, kLongestWaitUs = 2000;
  std::minstd_rand random(1);
  for (int i = 0; i < kHellos; ++i) {
    // By turns: gone while its own Hello waits for the database; at whatever moment; and while the
    // Hello of another one waits.
    const int how = i % 3;
    if (how != 1) gate_.Close();
    auto agent = Hello("gone-" + std::to_string(i));
    if (how == 0) gate_.AwaitArrival();
    if (how == 1) {
      const auto until = std::chrono::steady_clock::now() + microseconds(random() % kLongestWaitUs);
      while (std::chrono::steady_clock::now() < until) {
      }
    }
    std::unique_ptr<Agent> other;
    if (how == 2) {
      gate_.AwaitArrival();
      other = Hello("behind-" + std::to_string(i));
      other->Cancel();
    }
    agent->Cancel();
    gate_.Open();
  }
  // The hub takes Hellos in order: with this one it is done with all of them.
  auto here = Hello("here");
  EXPECT_EQ(here->Trust(), "trusted");
  EXPECT_TRUE(Until([&] { return Live() == std::vector<std::string>{"here"}; }));
}

}  // namespace
}  // namespace jetmon::discovery
