#ifndef JETMON_CONTROLPLANE_GATEWAY_ROUTER_H_
#define JETMON_CONTROLPLANE_GATEWAY_ROUTER_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "controlplane/gateway/path_template.h"
#include "controlplane/rpc/registry.h"

namespace jetmon::gateway {

// One HTTP rule of one method.
struct Route {
  const rpc::Method* method = nullptr;
  std::string http_method;  // GET, POST, PUT, DELETE, PATCH
  PathTemplate path;
  bool body = false;  // the body is the message ("*"); else query parameters are its fields
};

// What a request's method and path lead to.
struct Match {
  enum class Outcome { kFound, kNotFound, kMethodNotAllowed };
  Outcome outcome = Outcome::kNotFound;
  const Route* route = nullptr;
  // Field name and decoded value of each variable.
  std::vector<std::pair<std::string, std::string>> variables;
  std::string allow;  // of kMethodNotAllowed: "GET, POST"
};

// The routes of all methods' google.api.http annotations, as a tree over segments: a literal
// segment goes before a variable. Immutable once built, so thread-safe.
class Router {
 public:
  // Reads the annotations. InvalidArgument for one that can't be served (bad template, unknown
  // field, a body other than "*", two methods on one path): a fault of the protos.
  absl::Status AddAll(const rpc::Registry& registry);

  // `path` without query. A variable never matches an empty segment, nor one that can't be decoded.
  Match Find(std::string_view http_method, std::string_view path) const;
  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> variable;
    // verb -> HTTP method -> route
    std::map<std::string, std::map<std::string, const Route*>, std::less<>> ends;
  };
  using Ends = std::map<std::string, const Route*>;

  absl::Status Add(Route route);
  const Ends* Walk(const Node& node, const RequestPath& path, size_t depth,
                   std::vector<std::string>* values) const;
  const Ends* AtEnd(const Node& node, std::string_view segment,
                    std::vector<std::string>* values) const;

  Node root_;
  std::vector<std::unique_ptr<Route>> routes_;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_ROUTER_H_
