#ifndef JETMON_CONTROLPLANE_GATEWAY_HTTP_FRAMING_H_
#define JETMON_CONTROLPLANE_GATEWAY_HTTP_FRAMING_H_

#include <optional>
#include <utility>

// Asio 1.74 forgets <utility>, which stands above.
#include <boost/beast/http/message.hpp>

#include "controlplane/gateway/http_server.h"

namespace jetmon::gateway {

using RequestHead = boost::beast::http::request_header<>;

// What is wrong with a header block that Beast could parse, when it leaves open where the request
// ends or whom it is for: Beast skips a transfer coding that it does not know, and takes the body
// for the next request. Nothing when the request can be read on.
std::optional<HttpRefusal> FaultOf(const RequestHead& head);

// The method, target and header fields of `head`, without a body.
HttpRequest RequestOf(const RequestHead& head);

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_HTTP_FRAMING_H_
