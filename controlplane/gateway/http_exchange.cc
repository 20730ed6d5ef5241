#include "controlplane/gateway/http_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace jetmon::gateway {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMostPending = 256 << 10;
constexpr milliseconds kStall{60'000};

const char* Phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

}  // namespace

std::string HttpHead(int status, const HttpHeaders& headers, std::string_view framing, bool close) {
  std::string out = absl::StrCat("HTTP/1.1 ", status, " ", Phrase(status), "\r\n");
  for (const auto& [name, value] : headers) {
    out.append(name).append(": ").append(value).append("\r\n");
  }
  out.append(framing);
  if (close) out.append("connection: close\r\n");
  out.append("\r\n");
  return out;
}

WireExchange::WireExchange(WireThread& thread, std::shared_ptr<Wire> wire, bool head, bool http10)
    : thread_(thread), wire_(std::move(wire)), head_(head), http10_(http10) {
  thread_.ExchangeBegins();
}

WireExchange::~WireExchange() {
  if (!answered_ || streaming_) Post([](Wire& wire) { wire.Close(); });
  // The connection may end on the server's thread only.
  thread_.Post([wire = std::move(wire_)] {});
  thread_.ExchangeEnds();
}

void WireExchange::Post(std::function<void(Wire&)> f) {
  thread_.Post([wire = wire_, f = std::move(f)] { f(*wire); });
}

std::string WireExchange::Frame(std::string data) const {
  if (http10_ || data.empty()) return data;
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}

bool WireExchange::gone() {
  std::lock_guard lock(mu_);
  return gone_;
}

void WireExchange::Respond(int status, HttpHeaders headers, std::string body) {
  if (answered_.exchange(true)) return;
  const std::string framing = absl::StrCat("content-length: ", body.size(), "\r\n");
  if (head_) body.clear();
  Post([status, headers = std::move(headers), framing, body = std::move(body)](Wire& wire) {
    wire.Send(HttpHead(status, headers, framing, wire.must_close()) + body, true);
  });
}

void WireExchange::BeginStream(int status, HttpHeaders headers, std::string heartbeat,
                               milliseconds heartbeat_every) {
  if (answered_.exchange(true)) return;
  streaming_ = true;
  // HTTP/1.0 knows no chunks: the connection's end is the stream's.
  Post([status, headers = std::move(headers), http10 = http10_,
        heartbeat = Frame(std::move(heartbeat)), heartbeat_every](Wire& wire) {
    if (http10) wire.CloseAfter();
    const char* framing = http10 ? "" : "transfer-encoding: chunked\r\n";
    wire.Send(HttpHead(status, headers, framing, wire.must_close()), false);
    wire.SetHeartbeat(heartbeat, heartbeat_every);
  });
}

bool WireExchange::Write(std::string data) {
  if (!streaming_ || data.empty()) return !gone();
  data = Frame(std::move(data));
  {
    std::unique_lock lock(mu_);
    if (!room_.wait_for(lock, kStall, [&] { return gone_ || pending_ < kMostPending; })) {
      gone_ = true;
    }
    if (gone_) return false;
    pending_ += data.size();
  }
  Post([data = std::move(data)](Wire& wire) { wire.Send(data, false); });
  return true;
}

void WireExchange::EndStream() {
  if (!streaming_.exchange(false)) return;
  Post([end = std::string(http10_ ? "" : "0\r\n\r\n")](Wire& wire) { wire.Send(end, true); });
}

void WireExchange::Sent(size_t bytes) {
  std::lock_guard lock(mu_);
  pending_ -= std::min(pending_, bytes);
  room_.notify_all();
}

void WireExchange::Gone() {
  {
    std::lock_guard lock(mu_);
    gone_ = true;
    room_.notify_all();
  }
  if (on_gone) std::exchange(on_gone, nullptr)();
}

}  // namespace jetmon::gateway
