#include "controlplane/rpc/chain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controlplane/error/error.h"
#include "controlplane/rpc/request_fields.h"
#include "daemon/log.h"
#include "store/ids.h"

namespace jetmon::rpc {
namespace {

// For what is written after the handler is done, whatever became of its own deadline.
constexpr std::chrono::seconds kAfterwards{10};

std::string WholeSeconds(std::chrono::milliseconds d) {
  return absl::StrCat(std::max<int64_t>(1, (d.count() + 999) / 1000));
}

}  // namespace

// One call under way: each step of the chain, in the order of the methods.
class Chain::Running {
 public:
  Running(const Chain& chain, const CallInput& input, std::chrono::seconds longest);
  ~Running() { chain_.parts_.statistics->CallEnds(); }

  // Identity, rate limit, scope, availability, form. After OK, context() is there.
  absl::Status Admit();
  // Takes the idempotency key, or finds what to replay.
  absl::Status Claim();
  bool replays() const { return !replay_id_.empty(); }
  absl::Status Replay(google::protobuf::Message* response);
  CallContext& context() { return *context_; }
  // What is known for the headers by now.
  CallContext::Metadata Headers(const absl::Status& status) const;
  // The end of the call: releases the key, writes the audit row, counts.
  Result Finish(const absl::Status& status);

 private:
  absl::Status Identify();
  absl::Status TakeFromRate();
  absl::Status Decode();
  void WriteAudit(const absl::Status& status, std::chrono::nanoseconds took);
  BootTime Afterwards() const { return chain_.parts_.clock->Boot() + kAfterwards; }

  const Chain& chain_;
  const CallInput& input_;
  const Method& method_;
  const std::string request_id_;
  BootTime deadline_;
  access::Caller caller_;
  CallContext::Metadata rate_headers_;
  std::unique_ptr<access::IdempotencyClaim> claim_;
  std::string replay_kind_, replay_id_;
  std::optional<CallContext> context_;
};

Chain::Running::Running(const Chain& chain, const CallInput& input, std::chrono::seconds longest)
    : chain_(chain),
      input_(input),
      method_(*input.method),
      request_id_(ValidRequestId(input.request_id) ? input.request_id
                                                   : NewRequestId(*chain.parts_.clock)),
      deadline_(input.received + longest) {
  if (input.deadline.has_value()) deadline_ = std::min(deadline_, *input.deadline);
  chain_.parts_.statistics->CallBegins();
}

absl::Status Chain::Running::Identify() {
  if (method_.scope == access::Scope::kNone) return absl::OkStatus();
  auto caller = chain_.parts_.authenticator->Authenticate(input_.authorization, deadline_);
  if (!caller.ok()) return caller.status();
  caller_ = *std::move(caller);
  return absl::OkStatus();
}

absl::Status Chain::Running::TakeFromRate() {
  if (caller_.key_id.empty()) return absl::OkStatus();
  const auto decision = chain_.parts_.rate_limiter->Take(caller_.key_id);
  rate_headers_ = {{"ratelimit-limit", absl::StrCat(decision.limit)},
                   {"ratelimit-remaining", absl::StrCat(decision.remaining)},
                   {"ratelimit-reset", absl::StrCat(decision.reset.count())}};
  if (decision.allowed) return absl::OkStatus();
  return WithRetryAfter(
      Error(v1::RATE_LIMITED, "this key sends more requests than it may; send fewer"),
      decision.retry_after);
}

absl::Status Chain::Running::Decode() {
  if (input_.decode) {
    const absl::Status status = input_.decode();
    if (!status.ok()) return status;
  }
  if (input_.request->ByteSizeLong() > chain_.limits_.request_bytes) {
    return Error(v1::BODY_TOO_LARGE,
                 absl::StrCat("the request is above ", chain_.limits_.request_bytes, " bytes"));
  }
  if (method_.mutating && input_.idempotency_key.has_value() &&
      !access::ValidIdempotencyKey(*input_.idempotency_key)) {
    return InvalidField("idempotency-key", "must be 1 to 255 visible ASCII characters");
  }
  return absl::OkStatus();
}

absl::Status Chain::Running::Admit() {
  absl::Status status = Identify();
  if (status.ok()) status = TakeFromRate();
  if (status.ok()) status = access::CheckScope(caller_, method_.scope);
  if (status.ok() && !method_.unary && !method_.stream) {
    status =
        Error(v1::NOT_AVAILABLE, absl::StrCat(method_.feature, " is not served by this build"));
  }
  if (status.ok()) status = Decode();
  if (!status.ok()) return status;
  context_.emplace(*chain_.parts_.clock, caller_, request_id_, deadline_, input_.cancellation);
  return context_->CheckActive();
}

absl::Status Chain::Running::Claim() {
  if (!method_.idempotent || !input_.idempotency_key.has_value() || IsDryRun(*input_.request)) {
    return absl::OkStatus();
  }
  auto begun =
      chain_.parts_.idempotency->Begin(caller_.key_id, *input_.idempotency_key, method_.feature,
                                       RequestHash(*input_.request), deadline_);
  if (!begun.ok()) return begun.status();
  claim_ = std::move(begun->claim);
  context_->set_claim(claim_.get());
  if (claim_ == nullptr) {
    replay_kind_ = begun->replay_kind;
    replay_id_ = begun->replay_id;
  }
  return absl::OkStatus();
}

absl::Status Chain::Running::Replay(google::protobuf::Message* response) {
  if (!method_.replay) return absl::InternalError("no replay handler");
  const absl::Status status = method_.replay(*context_, replay_kind_, replay_id_, response);
  if (status.ok()) {
    context_->SetResponseMetadata("idempotency-replayed", "true");
    context_->AuditDetail(absl::StrCat("replayed ", replay_kind_, " ", replay_id_));
    if (replay_kind_ == "session") context_->AuditRun(replay_id_);
  }
  return status;
}

CallContext::Metadata Chain::Running::Headers(const absl::Status& status) const {
  CallContext::Metadata headers = {{"x-request-id", request_id_}};
  headers.insert(headers.end(), rate_headers_.begin(), rate_headers_.end());
  const auto retry_after = RetryAfterOf(status);
  if (retry_after.has_value()) headers.emplace_back("retry-after", WholeSeconds(*retry_after));
  if (context_.has_value()) {
    const auto& more = context_->response_metadata();
    headers.insert(headers.end(), more.begin(), more.end());
  }
  return headers;
}

void Chain::Running::WriteAudit(const absl::Status& status, std::chrono::nanoseconds took) {
  if (!method_.mutating) return;
  store::AuditRow row;
  row.consumer = caller_.consumer;
  row.key_id = caller_.key_id;
  row.operation = method_.feature;
  row.request_id = request_id_;
  row.latency_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  // A request that could not be read may still be filled in part.
  row.run_id = TextField(*input_.request, "run_id");
  row.bucket_min = UintField(*input_.request, "bucket_min");
  row.bucket_max = UintField(*input_.request, "bucket_max");
  row.outcome = status.ok() ? "ok" : std::string(ReasonCode(ReasonOf(status)));
  if (!status.ok()) row.detail = std::string(status.message());
  if (context_.has_value()) {
    if (!context_->audit_run().empty()) row.run_id = context_->audit_run();
    if (status.ok() && !context_->audit_outcome().empty()) row.outcome = context_->audit_outcome();
    if (!context_->audit_detail().empty()) row.detail = context_->audit_detail();
  }
  chain_.parts_.audit->Write(std::move(row), Afterwards());
}

Chain::Result Chain::Running::Finish(const absl::Status& status) {
  Result result;
  result.status = ForCaller(status);
  if (ReasonOf(result.status) == v1::INTERNAL) {
    LogError(absl::StrCat(method_.feature, " ", request_id_, ": ", status.ToString()));
  }
  if (claim_ != nullptr) {
    const absl::Status released = claim_->Release(Afterwards());
    if (!released.ok()) {
      LogWarning(absl::StrCat(request_id_, ": idempotency key not released: ", released.message()));
    }
  }
  const std::chrono::nanoseconds took = chain_.parts_.clock->Boot() - input_.received;
  WriteAudit(result.status, took);
  chain_.parts_.statistics->Record(
      method_.feature, result.status.ok() ? "ok" : std::string(ReasonCode(ReasonOf(result.status))),
      took);
  result.metadata = Headers(result.status);
  return result;
}

Chain::Chain(Parts parts, Limits limits) : parts_(parts), limits_(limits) {}

Chain::Result Chain::Call(const CallInput& input, google::protobuf::Message* response) {
  Running call(*this, input, limits_.unary);
  absl::Status status = call.Admit();
  if (status.ok()) status = call.Claim();
  if (status.ok()) {
    status = call.replays() ? call.Replay(response)
                            : input.method->unary(call.context(), *input.request, response);
  }
  return call.Finish(status);
}

Chain::Result Chain::Stream(const CallInput& input, const StreamOutput& output) {
  Running call(*this, input, limits_.stream);
  absl::Status status = call.Admit();
  if (status.ok()) {
    if (output.begin) output.begin(call.Headers(status));
    status = input.method->stream(call.context(), *input.request, *output.sink);
  }
  return call.Finish(status);
}

Chain::Result Chain::Refuse(const CallInput& input, absl::Status why) {
  Running call(*this, input, limits_.unary);
  return call.Finish(std::move(why));
}

void Chain::CountUnrouted(const absl::Status& why) {
  parts_.statistics->Record("none", std::string(ReasonCode(ReasonOf(ForCaller(why)))),
                            std::chrono::nanoseconds(0));
}

bool ValidRequestId(std::string_view id) {
  return id.size() >= 8 && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

std::string NewRequestId(const Clock& clock) {
  return absl::StrCat("req_", store::NewUlid(clock.WallMs()));
}

}  // namespace jetmon::rpc
