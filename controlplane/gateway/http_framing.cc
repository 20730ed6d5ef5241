#include "controlplane/gateway/http_framing.h"

#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace jetmon::gateway {
namespace {

namespace http = boost::beast::http;

HttpRefusal Malformed(const char* why) { return {HttpRefusal::Fault::kMalformed, why}; }

std::string Value(const RequestHead& head, http::field name) {
  const auto value = head[name];
  return std::string(value.data(), value.size());
}

size_t Count(const RequestHead& head, http::field name) {
  const auto range = head.equal_range(name);
  return static_cast<size_t>(std::distance(range.first, range.second));
}

}  // namespace

std::optional<HttpRefusal> FaultOf(const RequestHead& head) {
  const bool http11 = head.version() >= 11;
  const size_t hosts = Count(head, http::field::host);
  if (hosts > 1 || (http11 && hosts == 0)) return Malformed("send exactly one Host header");
  const size_t lengths = Count(head, http::field::content_length);
  if (lengths > 1 || absl::StrContains(Value(head, http::field::content_length), ",")) {
    return Malformed("send at most one Content-Length, of one number");
  }
  const size_t codings = Count(head, http::field::transfer_encoding);
  if (codings == 0) return std::nullopt;
  if (lengths > 0) return Malformed("send either Content-Length or Transfer-Encoding, not both");
  if (!http11) return Malformed("Transfer-Encoding needs HTTP/1.1");
  if (codings > 1 ||
      !absl::EqualsIgnoreCase(Value(head, http::field::transfer_encoding), "chunked")) {
    return HttpRefusal{HttpRefusal::Fault::kUnknownCoding,
                       "the only transfer coding that is read is `chunked`"};
  }
  return std::nullopt;
}

HttpRequest RequestOf(const RequestHead& head) {
  HttpRequest request;
  request.method = std::string(head.method_string());
  std::string target(head.target());
  if (const size_t scheme = target.find("://");
      !target.empty() && target[0] != '/' && scheme != std::string::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string::npos ? "/" : target.substr(slash);
  }
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  for (const auto& field : head) {
    request.headers.emplace_back(absl::AsciiStrToLower(std::string(field.name_string())),
                                 std::string(field.value()));
  }
  return request;
}

}  // namespace jetmon::gateway
