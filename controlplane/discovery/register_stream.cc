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

// One stream. gRPC holds it by self_ until OnDone, the hub while its Hello waits, the registrar
// weakly.
//
// gRPC aborts the process, or touches what it has freed, when a call is finished twice or something
// is started on it afterwards. So everything that is started (reads, writes, the end) is started
// under the mutex, a read or a write only while the stream doesn't end, and the end by Pump alone,
// once, when no write is under way.
class RegisterStream final : public grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>,
                             public AgentLink,
                             public std::enable_shared_from_this<RegisterStream> {
 public:
  RegisterStream(StreamHub& hub, std::string token) : hub_(hub), token_(std::move(token)) {}

  void Begin() {
    self_ = shared_from_this();
    Read();
  }

  void Send(v1::ControlMessage message) override {
    std::lock_guard lock(mutex_);
    if (ending_) return;
    if (unsent_.size() >= kMostUnsent) unsent_.pop_front();
    unsent_.push_back(std::move(message));
    Pump();
  }
  void Close(const std::string& reason) override {
    End(grpc::Status(grpc::StatusCode::ABORTED, reason));
  }
  bool gone() const override { return ending_; }

  void OnReadDone(bool ok) override {
    if (!ok) {
      End(grpc::Status::OK);
      Leave();
      return;
    }
    if (incoming_.has_hello() && !said_hello_) {
      said_hello_ = true;
      auto self = shared_from_this();
      const bool queued = hub_.Enqueue([self] { self->Join(); });
      if (!queued) {
        End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many agents register at once"));
      }
      return;  // the next read begins when the agent has been admitted
    }
    if (!said_hello_) {
      End(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "the first message must be Hello"));
      return;
    }
    if (incoming_.has_goodbye()) goodbye_ = true;
    if (incoming_.has_heartbeat()) {
      if (auto session = Session(); session != nullptr) {
        Send(hub_.registrar().Beat(session, incoming_.heartbeat()));
      }
    }
    Read();
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) unsent_.clear();
    Pump();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    Leave();
    self_.reset();
  }

 private:
  // On the hub's thread. Meanwhile the stream may end, and OnDone have come.
  void Join() {
    Registrar::Joined joined = hub_.registrar().Join(incoming_.hello(), token_, shared_from_this());
    if (joined.session == nullptr) {
      const std::string reason = joined.answer.welcome().reason();
      Send(std::move(joined.answer));
      End(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, reason));
      return;
    }
    bool left = false;
    {
      std::lock_guard lock(mutex_);
      session_ = joined.session;
      left = left_;
    }
    if (left) {
      hub_.registrar().Left(joined.session, goodbye_);
      return;
    }
    Send(std::move(joined.answer));
    Read();
  }
  // No message comes any more. The registrar is told here, or by Join if that is under way.
  void Leave() {
    std::shared_ptr<Registrar::Session> session;
    {
      std::lock_guard lock(mutex_);
      left_ = true;
      session = session_;
    }
    if (session != nullptr) hub_.registrar().Left(session, goodbye_);
  }
  std::shared_ptr<Registrar::Session> Session() {
    std::lock_guard lock(mutex_);
    return session_;
  }
  void Read() {
    std::lock_guard lock(mutex_);
    if (!ending_) StartRead(&incoming_);
  }
  void End(grpc::Status status) {
    std::lock_guard lock(mutex_);
    if (ending_) return;
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
  bool said_hello_ = false;    // of OnReadDone alone
  std::atomic<bool> goodbye_{false};
  std::atomic<bool> ending_{false};  // set under mutex_
  std::mutex mutex_;
  std::shared_ptr<Registrar::Session> session_;  // guarded by mutex_, as all below
  v1::ControlMessage outgoing_;
  std::deque<v1::ControlMessage> unsent_;
  bool left_ = false, writing_ = false, finished_ = false;
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
