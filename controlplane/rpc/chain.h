#ifndef JETMON_CONTROLPLANE_RPC_CHAIN_H_
#define JETMON_CONTROLPLANE_RPC_CHAIN_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "controlplane/access/audit.h"
#include "controlplane/access/authenticator.h"
#include "controlplane/access/idempotency.h"
#include "controlplane/access/rate_limiter.h"
#include "controlplane/rpc/call_context.h"
#include "controlplane/rpc/registry.h"
#include "controlplane/rpc/statistics.h"
#include "store/sql/database.h"

namespace jetmon::rpc {

// What a transport knows of a call before it is looked at.
struct CallInput {
  const Method* method = nullptr;
  std::string authorization;  // the header's or metadata's value; "" = none
  std::optional<std::string> idempotency_key;
  std::string request_id;  // as the caller sent it; one is made when it has not the right form
  // The caller's own deadline.
  std::optional<BootTime> deadline;
  BootTime received;
  std::shared_ptr<Cancellation> cancellation;  // never null
  // The request. With `decode`, empty until that has run, which is after identity, rate limit and
  // scope: what is wrong with a body is told only to who may send one.
  const google::protobuf::Message* request = nullptr;
  std::function<absl::Status()> decode;
};

// Before the first message or the answer: what goes into headers or initial metadata.
using HeadersReady = std::function<void(const CallContext::Metadata&)>;

// What the transport gives a streaming call.
struct StreamOutput {
  // The call is accepted: headers. Called at most once, before any Write.
  HeadersReady begin;
  MessageSink* sink = nullptr;
};

// What each call passes, whatever its transport: request id, deadline, identity, rate limit,
// scope, form, idempotency, the handler, audit, statistics. Thread-safe; blocks: call it on a
// worker thread. Owns nothing; what it is given must outlive it.
class Chain {
 public:
  struct Limits {
    std::chrono::seconds unary{65};     // longest call; 5 s above the longest `wait`
    std::chrono::seconds stream{3600};  // longest stream
    size_t request_bytes = 1 << 20;
  };
  struct Parts {
    access::Authenticator* authenticator = nullptr;
    access::RateLimiter* rate_limiter = nullptr;
    access::Idempotency* idempotency = nullptr;
    access::Audit* audit = nullptr;
    Statistics* statistics = nullptr;
    const Clock* clock = nullptr;
  };
  Chain(Parts parts, Limits limits);

  struct Result {
    absl::Status status;  // OK or an error with a reason
    // x-request-id, ratelimit-*, retry-after, idempotency-replayed and what the handler set.
    CallContext::Metadata metadata;
  };
  // `response` is complete when the status is OK.
  Result Call(const CallInput& input, google::protobuf::Message* response);
  // Returns when the stream has ended. The result's metadata is what `begin` was given, if it was.
  Result Stream(const CallInput& input, const StreamOutput& output);
  // A call that its transport could not even hand to a worker (full queue, stopping server):
  // audited and counted like any other. Blocks for the audit row of a mutating call.
  Result Refuse(const CallInput& input, absl::Status why);
  // Counts a request that named no method.
  void CountUnrouted(const absl::Status& why);

 private:
  class Running;

  const Parts parts_;
  const Limits limits_;
};

// 8 to 64 of [A-Za-z0-9_-].
bool ValidRequestId(std::string_view id);
// "req_" + ULID.
std::string NewRequestId(const Clock& clock);

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_CHAIN_H_
