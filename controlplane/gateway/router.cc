#include "controlplane/gateway/router.h"

#include "google/api/annotations.pb.h"

namespace jetmon::gateway {
namespace {

absl::Status Fault(const rpc::Method& method, std::string_view what) {
  return absl::InvalidArgumentError("google.api.http of " + method.name + ": " + std::string(what));
}

// The HTTP method and the path of a rule; "" for a pattern that is not served.
std::pair<std::string, std::string> Pattern(const google::api::HttpRule& rule) {
  switch (rule.pattern_case()) {
    case google::api::HttpRule::kGet:
      return {"GET", rule.get()};
    case google::api::HttpRule::kPut:
      return {"PUT", rule.put()};
    case google::api::HttpRule::kPost:
      return {"POST", rule.post()};
    case google::api::HttpRule::kDelete:
      return {"DELETE", rule.delete_()};
    case google::api::HttpRule::kPatch:
      return {"PATCH", rule.patch()};
    default:
      return {"", ""};
  }
}

}  // namespace

absl::Status Router::AddAll(const rpc::Registry& registry) {
  for (const rpc::Method* method : registry.methods()) {
    if (!method->descriptor->options().HasExtension(google::api::http)) continue;
    const auto& rule = method->descriptor->options().GetExtension(google::api::http);
    auto [http_method, text] = Pattern(rule);
    if (http_method.empty()) return Fault(*method, "has no pattern that is served");
    if (!rule.body().empty() && rule.body() != "*") return Fault(*method, "body must be *");
    auto path = ParsePathTemplate(text);
    if (!path.ok()) return Fault(*method, std::string(path.status().message()));
    const absl::Status status =
        Add(Route{method, std::move(http_method), *std::move(path), rule.body() == "*"});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Router::Add(Route route) {
  Node* node = &root_;
  for (const auto& segment : route.path.segments) {
    std::unique_ptr<Node>* next = nullptr;
    if (segment.variable) {
      const auto* field = route.method->descriptor->input_type()->FindFieldByName(segment.text);
      if (field == nullptr || field->is_repeated()) {
        return Fault(*route.method, "no such field: " + segment.text);
      }
      next = &node->variable;
    } else {
      next = &node->literals[segment.text];
    }
    if (*next == nullptr) *next = std::make_unique<Node>();
    node = next->get();
  }
  auto owned = std::make_unique<Route>(std::move(route));
  const bool added = node->ends[owned->path.verb].emplace(owned->http_method, owned.get()).second;
  if (!added) return Fault(*owned->method, "another method has the same path");
  routes_.push_back(std::move(owned));
  return absl::OkStatus();
}

const Router::Ends* Router::AtEnd(const Node& node, std::string_view segment,
                                  std::vector<std::string>* values) const {
  // "{run_id}:close" before a value that holds a colon.
  const size_t colon = segment.rfind(':');
  const std::string_view verb = colon == std::string_view::npos ? "" : segment.substr(colon + 1);
  for (const bool with_verb : {true, false}) {
    if (with_verb && verb.empty()) continue;
    const std::string_view value = with_verb ? segment.substr(0, colon) : segment;
    const std::string_view wanted = with_verb ? verb : std::string_view();
    const auto literal = node.literals.find(value);
    if (literal != node.literals.end()) {
      const auto end = literal->second->ends.find(wanted);
      if (end != literal->second->ends.end()) return &end->second;
    }
    if (node.variable != nullptr && !value.empty()) {
      const auto end = node.variable->ends.find(wanted);
      auto decoded = PercentDecode(value, /*query=*/false);
      if (end != node.variable->ends.end() && decoded.ok()) {
        values->push_back(*std::move(decoded));
        return &end->second;
      }
    }
  }
  return nullptr;
}

const Router::Ends* Router::Walk(const Node& node, const RequestPath& path, size_t depth,
                                 std::vector<std::string>* values) const {
  const std::string_view segment = path.segments[depth];
  if (depth + 1 == path.segments.size()) return AtEnd(node, segment, values);
  const auto literal = node.literals.find(segment);
  if (literal != node.literals.end()) {
    const Ends* ends = Walk(*literal->second, path, depth + 1, values);
    if (ends != nullptr) return ends;
  }
  if (node.variable == nullptr || segment.empty()) return nullptr;
  auto decoded = PercentDecode(segment, /*query=*/false);
  if (!decoded.ok()) return nullptr;
  const size_t before = values->size();
  values->push_back(*std::move(decoded));
  const Ends* ends = Walk(*node.variable, path, depth + 1, values);
  if (ends == nullptr) values->resize(before);
  return ends;
}

Match Router::Find(std::string_view http_method, std::string_view path) const {
  Match match;
  const auto split = SplitPath(path);
  if (!split.ok()) return match;
  std::vector<std::string> values;
  const Ends* ends = Walk(root_, *split, 0, &values);
  if (ends == nullptr) return match;
  const auto end = ends->find(std::string(http_method));
  if (end == ends->end()) {
    match.outcome = Match::Outcome::kMethodNotAllowed;
    for (const auto& [name, route] : *ends) {
      if (!match.allow.empty()) match.allow += ", ";
      match.allow += name;
    }
    return match;
  }
  match.outcome = Match::Outcome::kFound;
  match.route = end->second;
  size_t i = 0;
  for (const auto& segment : match.route->path.segments) {
    if (segment.variable) match.variables.emplace_back(segment.text, std::move(values[i++]));
  }
  return match;
}

}  // namespace jetmon::gateway
