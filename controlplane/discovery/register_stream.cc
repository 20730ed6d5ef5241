#include "controlplane/discovery/register_stream.h"

#include <grpcpp/grpcpp.h>

#include <memory>

namespace jetmon::discovery {
namespace {

constexpr size_t kMostWaiting = 20'000;
// Messages that wait behind a write; a peer that stopped reading gets no more than these.
constexpr size_t kMostUnsent = 8;
constexpr std::string_view kBearer = "Bearer ";

std::string TokenOf(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return "";
  const std::string_view value(found->second.data(), found->second.size());
  return value.substr(0, kBearer.size()) == kBearer ? std::string(value.substr(kBearer.size()))
                                                    : "";
}

// One stream. gRPC holds it by self_ until OnDone; the registrar by a weak pointer. Every state
// change is made under the mutex; Finish is called once, when no write is under way.
class RegisterStream final : public grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>,
                             public AgentLink,
                             public std::enable_shared_from_this<RegisterStream> {
 public:
  RegisterStream(StreamHub& hub, std::string token) : hub_(hub), token_(std::move(token)) {}

  void Begin() {
    self_ = shared_from_this();
    StartRead(&incoming_);
  }

  void Send(v1::ControlMessage message) override {
    std::lock_guard lock(mutex_);
    if (finished_ || ending_) return;
    if (unsent_.size() >= kMostUnsent) unsent_.pop_front();
    unsent_.push_back(std::move(message));
    Pump();
  }
  void Close(const std::string& reason) override {
    End(grpc::Status(grpc::StatusCode::ABORTED, reason));
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (joined_) hub_.registrar().Left(this, goodbye_);
      End(grpc::Status::OK);
      return;
    }
    if (incoming_.has_hello() && !joined_) {
      joined_ = true;
      auto self = shared_from_this();
      const bool queued = hub_.Enqueue([self] { self->Join(); });
      if (!queued) {
        End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many agents register at once"));
      }
      return;  // the next read begins when the agent has been admitted
    }
    if (!joined_) {
      End(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "the first message must be Hello"));
      return;
    }
    if (incoming_.has_goodbye()) goodbye_ = true;
    if (incoming_.has_heartbeat()) Send(hub_.registrar().Beat(this, incoming_.heartbeat()));
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) unsent_.clear();
    Pump();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    if (joined_) hub_.registrar().Left(this, goodbye_);
    self_.reset();
  }

 private:
  // On the hub's thread.
  void Join() {
    v1::ControlMessage answer =
        hub_.registrar().Join(incoming_.hello(), token_, shared_from_this());
    const bool rejected = answer.welcome().trust() == "rejected";
    const std::string reason = answer.welcome().reason();
    Send(std::move(answer));
    if (rejected) {
      End(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, reason));
    } else {
      StartRead(&incoming_);
    }
  }
  void End(grpc::Status status) {
    std::lock_guard lock(mutex_);
    if (ending_ || finished_) return;
    ending_ = true;
    status_ = std::move(status);
    Pump();
  }
  // With the mutex: writes what waits, then finishes if the stream ends.
  void Pump() {
    if (writing_ || finished_) return;
    if (!unsent_.empty()) {
      outgoing_ = std::move(unsent_.front());
      unsent_.pop_front();
      writing_ = true;
      StartWrite(&outgoing_);
    } else if (ending_) {
      finished_ = true;
      Finish(status_);
    }
  }

  StreamHub& hub_;
  const std::string token_;
  std::shared_ptr<RegisterStream> self_;
  v1::AgentMessage incoming_;  // read by one at a time: gRPC, then the hub, then gRPC
  std::atomic<bool> joined_{false}, goodbye_{false};
  std::mutex mutex_;
  v1::ControlMessage outgoing_;  // guarded by mutex_, as all below
  std::deque<v1::ControlMessage> unsent_;
  bool writing_ = false, ending_ = false, finished_ = false;
  grpc::Status status_;
};

}  // namespace

StreamHub::StreamHub(Registrar& registrar) : registrar_(registrar) {
  thread_ = std::thread([this] { Loop(); });
}

StreamHub::~StreamHub() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>* StreamHub::New(
    grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<RegisterStream>(*this, TokenOf(*context));
  stream->Begin();
  return stream.get();
}

bool StreamHub::Enqueue(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopping_ || queue_.size() >= kMostWaiting) return false;
  queue_.push_back(std::move(work));
  wake_.notify_one();
  return true;
}

void StreamHub::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace jetmon::discovery
