#ifndef JETMON_CONTROLPLANE_GATEWAY_GATEWAY_H_
#define JETMON_CONTROLPLANE_GATEWAY_GATEWAY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "controlplane/gateway/http_server.h"
#include "controlplane/gateway/router.h"
#include "controlplane/rpc/chain.h"
#include "controlplane/rpc/dispatcher.h"
#include "controlplane/rpc/registry.h"
#include "controlplane/rpc/statistics.h"

namespace jetmon::gateway {

// The REST transport: takes an HTTP request to its registry entry and the answer back. Routes come
// from the google.api.http annotations, plus GET /metrics and GET /api/v1/openapi.json. Thin: what
// a call passes is the chain's. Thread-safe after Init.
//
// A server stream is newline-delimited JSON: {"result":{...}} for each message, {"heartbeat":{}}
// every 15 s of silence, and at its end {"end":{"code":"ok"}} or {"error":{...}}. Asked for
// text/event-stream it is `data: {...}` for each message, a comment as heartbeat, and the events
// `end` and `error`.
class Gateway final : public HttpHandler {
 public:
  struct Parts {
    const rpc::Registry* registry = nullptr;
    rpc::Chain* chain = nullptr;
    rpc::Dispatcher* dispatcher = nullptr;
    const rpc::Statistics* statistics = nullptr;
    const Clock* clock = nullptr;
    std::chrono::milliseconds heartbeat_every{15'000};
  };
  explicit Gateway(Parts parts);
  // Builds the routes; before the server starts.
  absl::Status Init();

  void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange,
              std::function<void()>* on_gone) override;
  void Refuse(const HttpRefusal& refusal, HttpExchange& exchange) override;

 private:
  class Call;

  // Answers what is no call; false when it is one.
  bool AnswerOwn(const HttpRequest& request, HttpExchange& exchange);
  void RefuseUnrouted(const HttpRequest& request, const Match& match, HttpExchange& exchange);

  const Parts parts_;
  Router router_;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_GATEWAY_H_
