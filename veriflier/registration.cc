#include "veriflier/registration.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "jetmon/v1/discovery.grpc.pb.h"

namespace jetmon::veriflier {
namespace {

constexpr int64_t kFirstBackoffMs = 500, kLongestBackoffMs = 15'000;
constexpr std::chrono::seconds kConnectLimit{5};
constexpr std::chrono::seconds kGoodbyeLimit{1};
constexpr uint32_t kDefaultHeartbeatS = 10;

// One stream as gRPC sees it: reads continuously, one write at a time with the latest message
// waiting. The registration's thread waits on it.
class Stream final : public grpc::ClientBidiReactor<v1::AgentMessage, v1::ControlMessage> {
 public:
  using OnMessage = std::function<void(const v1::ControlMessage&)>;
  Stream(const std::shared_ptr<grpc::Channel>& channel, const std::string& token, OnMessage on)
      : stub_(v1::DiscoveryService::NewStub(channel)), on_message_(std::move(on)) {
    context_.AddMetadata("authorization", "Bearer " + token);
    stub_->async()->Register(&context_, this);
    StartRead(&incoming_);
    AddHold();  // writes come from another thread
    StartCall();
  }

  // Sends, or replaces what waits behind a write that is under way.
  void Send(v1::AgentMessage message) {
    std::lock_guard lock(mutex_);
    if (done_ || closing_) return;
    if (writing_) {
      waiting_ = std::move(message);
      return;
    }
    outgoing_ = std::move(message);
    writing_ = true;
    StartWrite(&outgoing_);
  }
  // No more writes will come: lets the stream end by itself within `limit`, then cancels it, and
  // waits for its end.
  grpc::Status Close(std::chrono::milliseconds limit) {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
      if (!writing_ && !done_) StartWritesDone();
    }
    RemoveHold();
    std::unique_lock lock(mutex_);
    if (!end_.wait_for(lock, limit, [this] { return done_; })) {
      context_.TryCancel();
      end_.wait(lock, [this] { return done_; });
    }
    return status_;
  }
  // True when the server ended the stream, or it broke.
  bool ended() const {
    std::lock_guard lock(mutex_);
    return read_ended_;
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      std::lock_guard lock(mutex_);
      read_ended_ = true;
      return;
    }
    on_message_(incoming_);
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) return;
    if (waiting_.has_value()) {
      outgoing_ = std::move(*waiting_);
      waiting_.reset();
      writing_ = true;
      StartWrite(&outgoing_);
    } else if (closing_) {
      StartWritesDone();
    }
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    done_ = true;
    read_ended_ = true;
    end_.notify_all();
  }

 private:
  std::unique_ptr<v1::DiscoveryService::Stub> stub_;
  grpc::ClientContext context_;
  const OnMessage on_message_;
  v1::ControlMessage incoming_;
  mutable std::mutex mutex_;
  std::condition_variable end_;
  v1::AgentMessage outgoing_;
  std::optional<v1::AgentMessage> waiting_;
  bool writing_ = false, closing_ = false, done_ = false, read_ended_ = false;
  grpc::Status status_;
};

int64_t Jittered(int64_t ms) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_int_distribution<int64_t>(ms / 2, ms)(random);
}

}  // namespace

Registration::Registration(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

Registration::~Registration() { Stop(); }

void Registration::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string Registration::trust() const {
  std::lock_guard lock(mutex_);
  return trust_;
}

void Registration::SetTrust(const std::string& trust, const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (trust_ == trust) return;
  trust_ = trust;
  LogInfo(absl::StrCat("trust: ", trust, reason.empty() ? "" : ", ", reason));
}

bool Registration::Pause(int64_t ms) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return stopping_; });
  return !stopping_;
}

void Registration::Run() {
  int64_t backoff = kFirstBackoffMs;
  for (size_t i = 0;; ++i) {
    const bool welcomed = Stay(options_.control_planes[i % options_.control_planes.size()]);
    SetTrust("unconnected", "");
    if (welcomed) backoff = kFirstBackoffMs;
    if (!Pause(Jittered(backoff))) return;
    backoff = std::min(backoff * 2, kLongestBackoffMs);
  }
}

bool Registration::Stay(const std::string& control_plane) {
  struct Shared {
    std::mutex mutex;
    bool welcomed = false, drain = false;
    uint32_t heartbeat_s = kDefaultHeartbeatS;
    int64_t reconnect_ms = 0;
  } shared;
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Each try has a channel of its own, so that it does not wait for the last one's back-off.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = grpc::CreateCustomChannel(control_plane, grpc::InsecureChannelCredentials(), args);
  const gpr_timespec limit = gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(kConnectLimit.count(), GPR_TIMESPAN));
  if (!channel->WaitForConnected(limit)) {
    LogWarning(absl::StrCat("can't reach the control plane at ", control_plane));
    return false;
  }
  Stream stream(channel, options_.token, [this, &shared](const v1::ControlMessage& message) {
    std::lock_guard lock(shared.mutex);
    if (message.has_welcome()) {
      shared.welcomed = true;
      shared.heartbeat_s = std::max(1u, message.welcome().heartbeat_interval_seconds());
      SetTrust(message.welcome().trust(), message.welcome().reason());
    } else if (message.has_trust_changed()) {
      SetTrust(message.trust_changed().trust(), message.trust_changed().reason());
    } else if (message.has_config_update()) {
      shared.heartbeat_s = std::max(1u, message.config_update().heartbeat_interval_seconds());
    } else if (message.has_drain()) {
      shared.drain = true;
      shared.reconnect_ms = int64_t{1000} * message.drain().reconnect_within_seconds();
    }
    wake_.notify_all();
  });
  v1::AgentMessage hello;
  *hello.mutable_hello() = options_.hello;
  stream.Send(std::move(hello));
  auto next_beat = std::chrono::steady_clock::now();
  bool stopping = false;
  for (;;) {
    bool welcomed, drain;
    uint32_t heartbeat_s;
    {
      std::lock_guard lock(shared.mutex);
      welcomed = shared.welcomed;
      drain = shared.drain;
      heartbeat_s = shared.heartbeat_s;
    }
    if (stream.ended() || drain) break;
    if (welcomed && std::chrono::steady_clock::now() >= next_beat) {
      v1::AgentMessage beat;
      *beat.mutable_heartbeat() = options_.heartbeat();
      stream.Send(std::move(beat));
      next_beat = std::chrono::steady_clock::now() + std::chrono::seconds(heartbeat_s);
    }
    if (!Pause(200)) {
      stopping = true;
      v1::AgentMessage goodbye;
      goodbye.mutable_goodbye()->set_reason("stopping");
      stream.Send(std::move(goodbye));
      break;
    }
  }
  const grpc::Status status = stream.Close(kGoodbyeLimit);
  if (!stopping && !status.ok()) {
    LogWarning(absl::StrCat("registration at ", control_plane, " ended: ", status.error_message()));
  }
  std::lock_guard lock(shared.mutex);
  if (shared.drain && shared.reconnect_ms > 0) {
    shared.welcomed = Pause(Jittered(shared.reconnect_ms)) && shared.welcomed;
  }
  return shared.welcomed;
}

}  // namespace jetmon::veriflier
