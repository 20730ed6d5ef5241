#ifndef JETMON_CONTROLPLANE_RPC_CALL_CONTEXT_H_
#define JETMON_CONTROLPLANE_RPC_CALL_CONTEXT_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "controlplane/access/caller.h"
#include "controlplane/rpc/cancellation.h"
#include "store/sql/database.h"

namespace jetmon::access {
class IdempotencyClaim;
}

namespace jetmon::rpc {

// What a handler knows of its call besides the request: who calls, until when, whether anybody
// still waits; and where it says what the audit row and the idempotency record shall hold. Made by
// the chain, lives as long as the handler runs. The const part is thread-safe; the rest belongs to
// the handler's thread.
class CallContext {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  CallContext(const Clock& clock, access::Caller caller, std::string request_id, BootTime deadline,
              std::shared_ptr<Cancellation> cancellation);
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  const access::Caller& caller() const { return caller_; }
  const std::string& request_id() const { return request_id_; }
  // By Boot(); never absent (the chain bounds it). Hand it to Database::Read and Write.
  BootTime deadline() const { return deadline_; }
  const Clock& clock() const { return clock_; }

  // The caller is gone, the server stops, or the deadline has passed.
  bool Cancelled() const;
  // OK, or call_cancelled or deadline_exceeded: what a handler that gives up returns.
  absl::Status CheckActive() const;
  // See Cancellation::OnCancel. Not called for the deadline.
  [[nodiscard]] Cancellation::Subscription OnCancel(std::function<void()> f) const;

  // The audit row of a mutating call. The chain fills run, range and outcome in from the request's
  // fields run_id, bucket_min, bucket_max and from the result; these say it better, but for the
  // range. The outcome is "ok" or the error's reason unless said, such as "blocked".
  void AuditRun(std::string run_id) { audit_run_ = std::move(run_id); }
  void AuditOutcome(std::string outcome) { audit_outcome_ = std::move(outcome); }
  // Words for people, such as the override's reason; bounded to 1,000 characters; never a secret.
  void AuditDetail(std::string detail) { audit_detail_ = std::move(detail); }
  const std::string& audit_run() const { return audit_run_; }
  const std::string& audit_outcome() const { return audit_outcome_; }
  const std::string& audit_detail() const { return audit_detail_; }

  // To be called in the transaction that commits the call's mutation: an equal request with the
  // same idempotency key is then answered by the method's replay handler, given `kind` ("job",
  // "session", "checkpoint") and `resource_id`. Does nothing when the call has no key. An error
  // (another request took the key over) must end the transaction.
  absl::Status CompleteIdempotency(sql::Transaction& tx, std::string_view kind,
                                   std::string_view resource_id);

  // Lower-case name; a header over REST, initial metadata over gRPC.
  void SetResponseMetadata(std::string name, std::string value);
  const Metadata& response_metadata() const { return response_metadata_; }

  // For the chain.
  void set_claim(access::IdempotencyClaim* claim) { claim_ = claim; }

 private:
  const Clock& clock_;
  const access::Caller caller_;
  const std::string request_id_;
  const BootTime deadline_;
  const std::shared_ptr<Cancellation> cancellation_;
  access::IdempotencyClaim* claim_ = nullptr;
  std::string audit_run_, audit_outcome_, audit_detail_;
  Metadata response_metadata_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_CALL_CONTEXT_H_
