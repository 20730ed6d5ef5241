#include "controlplane/gateway/gateway.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "controlplane/error/error.h"
#include "controlplane/gateway/media_type.h"
#include "controlplane/gateway/transcoder.h"
#include "google/protobuf/message.h"

namespace jetmon::gateway {
namespace {

std::string HeaderOf(const HttpRequest& request, std::string_view name) {
  const std::string* value = request.Find(name);
  return value == nullptr ? "" : *value;
}

HttpHeaders HeadersFor(const rpc::CallContext::Metadata& metadata, std::string_view type) {
  HttpHeaders headers = {{"content-type", std::string(type)}, {"cache-control", "no-store"}};
  headers.insert(headers.end(), metadata.begin(), metadata.end());
  return headers;
}

std::string RequestIdIn(const rpc::CallContext::Metadata& metadata) {
  for (const auto& [name, value] : metadata) {
    if (name == "x-request-id") return value;
  }
  return "";
}

void RespondError(HttpExchange& exchange, const absl::Status& status, HttpHeaders headers,
                  std::string_view request_id) {
  exchange.Respond(HttpStatusOf(ReasonOf(status)), std::move(headers),
                   ErrorJson(status, request_id) + "\n");
}

v1::ErrorReason ReasonFor(HttpRefusal::Fault fault) {
  switch (fault) {
    case HttpRefusal::Fault::kMalformed:
      return v1::MALFORMED_REQUEST;
    case HttpRefusal::Fault::kHeaderTooLarge:
      return v1::HEADER_TOO_LARGE;
    case HttpRefusal::Fault::kUnknownCoding:
      return v1::UNSUPPORTED_TRANSFER_CODING;
    case HttpRefusal::Fault::kTooSlow:
      return v1::REQUEST_TIMEOUT;
  }
  return v1::MALFORMED_REQUEST;
}

// Nothing is decompressed: a small body would become a large one.
bool IsEncoded(const HttpRequest& request) {
  return std::any_of(request.headers.begin(), request.headers.end(), [](const auto& header) {
    return header.first == "content-encoding" && !absl::EqualsIgnoreCase(header.second, "identity");
  });
}

absl::Status NoWorker() {
  return WithRetryAfter(Error(v1::RATE_LIMITED, "the server is busy; try again a little later"),
                        std::chrono::seconds(1));
}

}  // namespace

// One routed request; shared by the task that runs it and, until then, its alternatives.
class Gateway::Call final : public rpc::MessageSink, public std::enable_shared_from_this<Call> {
 public:
  Call(const Parts& parts, HttpRequest request, Match match, std::shared_ptr<HttpExchange> exchange)
      : parts_(parts),
        request_(std::move(request)),
        match_(std::move(match)),
        method_(*match_.route->method),
        exchange_(std::move(exchange)),
        accept_(HeaderOf(request_, "accept")),
        events_(Names(accept_, kEventStream)) {
    auto* factory = google::protobuf::MessageFactory::generated_factory();
    message_.reset(factory->GetPrototype(method_.descriptor->input_type())->New());
    response_.reset(factory->GetPrototype(method_.descriptor->output_type())->New());
    input_.method = &method_;
    input_.authorization = HeaderOf(request_, "authorization");
    if (const std::string* key = request_.Find("idempotency-key")) input_.idempotency_key = *key;
    input_.request_id = HeaderOf(request_, "x-request-id");
    input_.received = parts_.clock->Boot();
    input_.cancellation = std::make_shared<rpc::Cancellation>();
    input_.request = message_.get();
    input_.decode = [this] { return Decode(); };
  }

  const std::shared_ptr<rpc::Cancellation>& cancellation() const { return input_.cancellation; }

  void Dispatch() {
    const auto self = shared_from_this();
    const bool stream = method_.descriptor->server_streaming();
    parts_.dispatcher->Dispatch(
        stream ? rpc::Dispatcher::Kind::kStream : rpc::Dispatcher::Kind::kUnary,
        input_.cancellation, [self, stream] { stream ? self->RunStream() : self->RunUnary(); },
        [self] { self->AnswerError(self->parts_.chain->Refuse(self->input_, NoWorker())); },
        [self] {
          self->AnswerError({NoWorker(), {}});
        });
  }

  bool Write(const google::protobuf::Message& message) override {
    const auto json = ToJson(message);
    if (!json.ok()) return false;
    return exchange_->Write(events_ ? absl::StrCat("data: ", *json, "\n\n")
                                    : absl::StrCat("{\"result\":", *json, "}\n"));
  }

 private:
  absl::Status Decode();
  void RunUnary();
  void RunStream();
  void AnswerError(const rpc::Chain::Result& result);

  const Parts& parts_;
  const HttpRequest request_;
  const Match match_;
  const rpc::Method& method_;
  const std::shared_ptr<HttpExchange> exchange_;
  const std::string accept_;
  const bool events_;
  bool began_ = false;
  std::unique_ptr<google::protobuf::Message> message_, response_;
  rpc::CallInput input_;
};

absl::Status Gateway::Call::Decode() {
  if (request_.body_too_large) return Error(v1::BODY_TOO_LARGE, "the body is above 1 MiB");
  if (IsEncoded(request_)) {
    return Error(v1::UNSUPPORTED_MEDIA_TYPE,
                 "send the body uncompressed, without Content-Encoding");
  }
  const bool stream = method_.descriptor->server_streaming();
  const bool acceptable = stream ? Accepts(accept_, kNdjson) || Accepts(accept_, kEventStream)
                                 : Accepts(accept_, kJson);
  if (!acceptable) {
    return Error(v1::NOT_ACCEPTABLE,
                 stream ? "this is answered as application/x-ndjson or text/event-stream"
                        : "this is answered as application/json");
  }
  if (match_.route->body && !request_.body.empty() && !IsJson(HeaderOf(request_, "content-type"))) {
    return Error(v1::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json");
  }
  absl::Status status;
  if (match_.route->body) {
    status = FromJson(request_.body, message_.get());
  }
  // A field that stands in the path or the body has no place in the query.
  if (status.ok()) status = FromPath(match_.variables, message_.get());
  if (status.ok()) {
    if (match_.route->body && !request_.query.empty()) {
      return Error(v1::UNKNOWN_FIELD, "this call takes no query; send the fields in the body");
    }
    status = FromQuery(request_.query, message_.get());
  }
  return status;
}

void Gateway::Call::RunUnary() {
  const rpc::Chain::Result result = parts_.chain->Call(input_, response_.get());
  if (!result.status.ok()) return AnswerError(result);
  auto json = ToJson(*response_);
  if (!json.ok()) return AnswerError({ForCaller(json.status()), result.metadata});
  exchange_->Respond(200, HeadersFor(result.metadata, kJson), *std::move(json) + "\n");
}

void Gateway::Call::RunStream() {
  rpc::StreamOutput output;
  output.sink = this;
  output.begin = [this](const rpc::CallContext::Metadata& metadata) {
    began_ = true;
    exchange_->BeginStream(200, HeadersFor(metadata, events_ ? kEventStream : kNdjson),
                           events_ ? ": heartbeat\n\n" : "{\"heartbeat\":{}}\n",
                           parts_.heartbeat_every);
  };
  const rpc::Chain::Result result = parts_.chain->Stream(input_, output);
  if (!began_) return AnswerError(result);
  if (result.status.ok()) {
    exchange_->Write(events_ ? "event: end\ndata: {\"code\":\"ok\"}\n\n"
                             : "{\"end\":{\"code\":\"ok\"}}\n");
  } else {
    const std::string error = ErrorJson(result.status, RequestIdIn(result.metadata));
    exchange_->Write(events_ ? absl::StrCat("event: error\ndata: ", error, "\n\n") : error + "\n");
  }
  exchange_->EndStream();
}

void Gateway::Call::AnswerError(const rpc::Chain::Result& result) {
  HttpHeaders headers = HeadersFor(result.metadata, kJson);
  std::string request_id = RequestIdIn(result.metadata);
  if (request_id.empty()) {
    request_id = rpc::ValidRequestId(input_.request_id) ? input_.request_id
                                                        : rpc::NewRequestId(*parts_.clock);
    headers.emplace_back("x-request-id", request_id);
  }
  RespondError(*exchange_, result.status, std::move(headers), request_id);
}

Gateway::Gateway(Parts parts) : parts_(parts) {}

absl::Status Gateway::Init() { return router_.AddAll(*parts_.registry); }

void Gateway::Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange,
                     std::function<void()>* on_gone) {
  if (AnswerOwn(request, *exchange)) return;
  Match match = router_.Find(request.method, request.path);
  if (match.outcome != Match::Outcome::kFound) return RefuseUnrouted(request, match, *exchange);
  auto call =
      std::make_shared<Call>(parts_, std::move(request), std::move(match), std::move(exchange));
  *on_gone = [cancellation = call->cancellation()] { cancellation->Cancel(); };
  call->Dispatch();
}

void Gateway::Refuse(const HttpRefusal& refusal, HttpExchange& exchange) {
  const absl::Status status = Error(ReasonFor(refusal.fault), refusal.why);
  const std::string request_id = rpc::NewRequestId(*parts_.clock);
  parts_.chain->CountUnrouted(status);
  RespondError(exchange, status,
               {{"content-type", std::string(kJson)}, {"x-request-id", request_id}}, request_id);
}

bool Gateway::AnswerOwn(const HttpRequest& request, HttpExchange& exchange) {
  if (request.path != "/metrics" || request.method != "GET") return false;
  exchange.Respond(200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                   parts_.statistics->ToPrometheus());
  return true;
}

void Gateway::RefuseUnrouted(const HttpRequest& request, const Match& match,
                             HttpExchange& exchange) {
  const std::string sent = HeaderOf(request, "x-request-id");
  const std::string request_id =
      rpc::ValidRequestId(sent) ? sent : rpc::NewRequestId(*parts_.clock);
  HttpHeaders headers = {{"content-type", std::string(kJson)}, {"x-request-id", request_id}};
  std::string allow = match.allow;
  const bool openapi = request.path == "/api/v1/openapi.json";
  if (openapi || request.path == "/metrics") allow = "GET";
  absl::Status status = Error(v1::NOT_FOUND, "there is no such path");
  if (openapi && request.method == "GET") {
    status = Error(v1::NOT_AVAILABLE, "this build serves no OpenAPI document");
  } else if (!allow.empty()) {
    headers.emplace_back("allow", allow);
    status = Error(v1::METHOD_NOT_ALLOWED, absl::StrCat("this path takes ", allow));
  }
  parts_.chain->CountUnrouted(status);
  RespondError(exchange, status, std::move(headers), request_id);
}

}  // namespace jetmon::gateway
