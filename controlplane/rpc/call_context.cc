#include "controlplane/rpc/call_context.h"

#include "controlplane/access/idempotency.h"
#include "controlplane/error/error.h"

namespace jetmon::rpc {

CallContext::CallContext(const Clock& clock, access::Caller caller, std::string request_id,
                         BootTime deadline, std::shared_ptr<Cancellation> cancellation)
    : clock_(clock),
      caller_(std::move(caller)),
      request_id_(std::move(request_id)),
      deadline_(deadline),
      cancellation_(std::move(cancellation)) {}

bool CallContext::Cancelled() const {
  return cancellation_->cancelled() || clock_.Boot() >= deadline_;
}

absl::Status CallContext::CheckActive() const {
  if (cancellation_->cancelled()) return ForCaller(absl::CancelledError(""));
  if (clock_.Boot() >= deadline_) return ForCaller(absl::DeadlineExceededError(""));
  return absl::OkStatus();
}

Cancellation::Subscription CallContext::OnCancel(std::function<void()> f) const {
  return cancellation_->OnCancel(std::move(f));
}

absl::Status CallContext::CompleteIdempotency(sql::Transaction& tx, std::string_view kind,
                                              std::string_view resource_id) {
  if (claim_ == nullptr) return absl::OkStatus();
  return claim_->Complete(tx, kind, resource_id);
}

void CallContext::SetResponseMetadata(std::string name, std::string value) {
  response_metadata_.emplace_back(std::move(name), std::move(value));
}

}  // namespace jetmon::rpc
