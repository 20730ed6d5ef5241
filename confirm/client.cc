#include "confirm/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "confirm/credential.h"
#include "jetmon/v1/veriflier.grpc.pb.h"

namespace jetmon::confirm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxChannels = 1000;
// An endpoint that can't be reached is noticed well before the whole deadline is gone.
constexpr int kMinBackoffMs = 200, kMaxBackoffMs = 2000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kMinBackoffMs);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMinBackoffMs);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxBackoffMs);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), args);
}

}  // namespace

// The calls under way and the channels. Calls hold it by shared_ptr, so that the last callback may
// come while the client is being destroyed.
class Client::Calls {
 public:
  std::shared_ptr<grpc::Channel> Channel(const std::string& endpoint) {
    std::lock_guard lock(mutex_);
    auto known = channels_.find(endpoint);
    if (known != channels_.end()) return known->second;
    if (channels_.size() >= kMaxChannels) channels_.clear();
    return channels_.emplace(endpoint, MakeChannel(endpoint)).first->second;
  }
  // False once the client is going away.
  bool Enter(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    contexts_.insert(context);
    return true;
  }
  void Leave(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    contexts_.erase(context);
  }
  // A chain of tries is one unit of work, from the first call to its callback's return.
  void BeginWork() {
    std::lock_guard lock(mutex_);
    ++work_;
  }
  void EndWork() {
    std::lock_guard lock(mutex_);
    --work_;
    idle_.notify_all();
  }
  void CancelAll(bool close) {
    std::lock_guard lock(mutex_);
    closed_ = closed_ || close;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
  }
  void WaitUntilIdle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return work_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  std::unordered_map<std::string, std::shared_ptr<grpc::Channel>> channels_;
  std::unordered_set<grpc::ClientContext*> contexts_;
  int work_ = 0;
  bool closed_ = false;
};

namespace {

void SetUp(grpc::ClientContext* context, const Vantage& vantage, steady_clock::time_point limit) {
  context->AddMetadata("authorization", "Bearer " + CallerCredential(vantage.token_hash));
  const auto left = std::chrono::duration_cast<milliseconds>(limit - steady_clock::now());
  // A monotonic deadline: a change of the wall clock neither ends nor prolongs a call.
  context->set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(left.count(), GPR_TIMESPAN)));
}

}  // namespace

namespace {

void Fill(const Rules& rules, v1::SiteRules* out) {
  out->set_keyword(rules.keyword);
  for (const std::string& k : rules.forbidden_keywords) out->add_forbidden_keywords(k);
  out->set_redirect_policy(rules.redirect_policy);
  for (const auto& [name, value] : rules.headers) {
    v1::SiteHeader* header = out->add_headers();
    header->set_name(name);
    header->set_value(value);
  }
}

// The questions of one CheckSites and the answers so far; goes from one endpoint to the next.
struct Round {
  Vantage vantage;
  std::vector<Question> questions;
  std::vector<Answer> answers;
  std::vector<bool> answered;
  std::unordered_map<uint64_t, size_t> index;  // by site id
  steady_clock::time_point limit;
  size_t next_endpoint = 0;
  std::function<void(std::vector<Answer>)> done;

  void Take(const v1::SiteCheckResult& result) {
    auto at = index.find(result.site_id());
    if (at == index.end()) return;
    Answer& a = answers[at->second];
    a.agent_id = result.agent_id();
    a.outcome = result.outcome();
    a.http_code = result.http_code();
    a.error_code = result.error_code();
    a.failure_class = result.failure_class();
    a.error = result.error();
    a.total_us = result.total_us();
    answered[at->second] = a.outcome != "agent_overloaded";
  }
  bool IsFor(size_t question, const Endpoint& endpoint) const {
    return !answered[question] && questions[question].timeout <= endpoint.budget.check();
  }
  // Takes the next endpoint that something can be asked of; null if there is none.
  const Endpoint* NextEndpoint() {
    while (next_endpoint < vantage.endpoints.size()) {
      const Endpoint& endpoint = vantage.endpoints[next_endpoint++];
      for (size_t i = 0; i < questions.size(); ++i) {
        if (IsFor(i, endpoint)) return &endpoint;
      }
    }
    return nullptr;
  }
  v1::CheckSitesRequest Request(const Endpoint& endpoint) const {
    v1::CheckSitesRequest request;
    const auto left = std::chrono::duration_cast<milliseconds>(limit - steady_clock::now());
    request.set_deadline_ms(static_cast<uint32_t>(std::max<int64_t>(left.count(), 1)));
    for (size_t i = 0; i < questions.size(); ++i) {
      if (!IsFor(i, endpoint)) continue;
      const Question& q = questions[i];
      auto* site = request.add_sites();
      site->set_site_id(q.site_id);
      site->set_blog_id(q.blog_id);
      site->set_url(q.url);
      site->set_method(q.method);
      site->set_profile(q.profile);
      site->set_timeout_ms(static_cast<uint32_t>(q.timeout.count()));
      site->set_request_id(q.request_id);
      if (q.rules != nullptr) Fill(*q.rules, site->mutable_rules());
    }
    return request;
  }
};

template <typename Calls>
class CheckCall final : public grpc::ClientReadReactor<v1::SiteCheckResult> {
 public:
  // Asks the round's next endpoint, or ends the round when there is none or no time.
  static void Start(std::shared_ptr<Calls> calls, std::unique_ptr<Round> round) {
    const Endpoint* endpoint = steady_clock::now() < round->limit ? round->NextEndpoint() : nullptr;
    if (endpoint != nullptr) {
      auto* call = new CheckCall(calls, std::move(round));
      if (calls->Enter(&call->context_)) {
        call->Begin(*endpoint);
        return;
      }
      round = std::move(call->round_);
      delete call;
    }
    round->done(std::move(round->answers));
    calls->EndWork();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    round_->Take(result_);
    StartRead(&result_);
  }
  void OnDone(const grpc::Status&) override {
    calls_->Leave(&context_);
    auto calls = calls_;
    auto round = std::move(round_);
    delete this;
    Start(std::move(calls), std::move(round));
  }

 private:
  CheckCall(std::shared_ptr<Calls> calls, std::unique_ptr<Round> round)
      : calls_(std::move(calls)), round_(std::move(round)) {}
  void Begin(const Endpoint& endpoint) {
    stub_ = v1::VeriflierService::NewStub(calls_->Channel(endpoint.address));
    request_ = round_->Request(endpoint);
    SetUp(&context_, round_->vantage, round_->limit);
    stub_->async()->CheckSites(&context_, &request_, this);
    StartRead(&result_);
    StartCall();
  }

  std::shared_ptr<Calls> calls_;
  std::unique_ptr<Round> round_;
  std::unique_ptr<v1::VeriflierService::Stub> stub_;
  grpc::ClientContext context_;
  v1::CheckSitesRequest request_;
  v1::SiteCheckResult result_;
};

// One GetStatus, over the endpoints in order.
template <typename Calls>
struct StatusCall {
  std::shared_ptr<Calls> calls;
  Vantage vantage;
  steady_clock::time_point limit;
  size_t next_endpoint = 0;
  absl::Status last = absl::UnavailableError("it has no endpoint");
  std::function<void(absl::StatusOr<Facts>)> done;
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<v1::VeriflierService::Stub> stub;
  v1::GetVeriflierStatusRequest request;
  v1::VeriflierStatus reply;

  void End(absl::StatusOr<Facts> facts) {
    auto keep = calls;
    done(std::move(facts));
    delete this;
    keep->EndWork();
  }
  void Next() {
    if (next_endpoint >= vantage.endpoints.size() || steady_clock::now() >= limit) {
      return End(last);
    }
    const std::string endpoint = vantage.endpoints[next_endpoint++].address;
    context = std::make_unique<grpc::ClientContext>();
    SetUp(context.get(), vantage, limit);
    if (!calls->Enter(context.get())) return End(absl::CancelledError("shutting down"));
    stub = v1::VeriflierService::NewStub(calls->Channel(endpoint));
    stub->async()->GetVeriflierStatus(
        context.get(), &request, &reply, [this, endpoint](grpc::Status status) {
          calls->Leave(context.get());
          if (status.ok()) return End(Read());
          last = status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
                         status.error_code() == grpc::StatusCode::PERMISSION_DENIED
                     ? absl::PermissionDeniedError(endpoint + " refuses this vantage's credential")
                     : absl::UnavailableError(endpoint +
                                              " does not answer: " + status.error_message());
          Next();
        });
  }
  Facts Read() const {
    Facts f;
    f.vantage_id = reply.vantage_id();
    f.agent_id = reply.agent_id();
    f.build = reply.build();
    f.trust = reply.trust();
    f.protocol_min = reply.protocol_min();
    f.protocol_max = reply.protocol_max();
    f.in_flight = reply.in_flight();
    f.queue_depth = reply.queue_depth();
    f.budget = DeadlineBudget::Announced(reply.longest_check_ms());
    return f;
  }
};

}  // namespace

size_t Question::size() const {
  constexpr size_t kFields = 64, kItem = 8;
  size_t bytes = kFields + url.size() + method.size() + profile.size() + request_id.size();
  if (rules == nullptr) return bytes;
  bytes += rules->keyword.size() + rules->redirect_policy.size();
  for (const std::string& k : rules->forbidden_keywords) bytes += kItem + k.size();
  for (const auto& [name, value] : rules->headers) bytes += kItem + name.size() + value.size();
  return bytes;
}

Client::Client(DeadlineBudget budget) : budget_(budget), calls_(std::make_shared<Calls>()) {}

Client::~Client() {
  calls_->CancelAll(/*close=*/true);
  calls_->WaitUntilIdle();
}

void Client::CancelAll() { calls_->CancelAll(/*close=*/false); }

void Client::CheckSites(const Vantage& vantage, std::vector<Question> questions,
                        milliseconds deadline, std::function<void(std::vector<Answer>)> done) {
  auto round = std::make_unique<Round>();
  round->vantage = vantage;
  round->questions = std::move(questions);
  round->limit = steady_clock::now() + std::min(deadline, budget_.round());
  round->answered.assign(round->questions.size(), false);
  for (size_t i = 0; i < round->questions.size(); ++i) {
    const Question& q = round->questions[i];
    Answer unknown;
    unknown.site_id = q.site_id;
    unknown.vantage_id = vantage.vantage_id;
    unknown.request_id = q.request_id;
    round->answers.push_back(std::move(unknown));
    round->index[q.site_id] = i;
  }
  round->done = std::move(done);
  calls_->BeginWork();
  CheckCall<Calls>::Start(calls_, std::move(round));
}

void Client::GetStatus(const Vantage& vantage, milliseconds deadline,
                       std::function<void(absl::StatusOr<Facts>)> done) {
  auto* call = new StatusCall<Calls>;
  call->calls = calls_;
  call->vantage = vantage;
  call->limit = steady_clock::now() + std::min(deadline, budget_.round());
  call->done = std::move(done);
  calls_->BeginWork();
  call->Next();
}

}  // namespace jetmon::confirm
