#include "controlplane/rpc/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "jetmon/v1/discovery.pb.h"
#include "jetmon/v1/fleet.pb.h"
#include "jetmon/v1/identity.pb.h"
#include "jetmon/v1/options.pb.h"
#include "jetmon/v1/rollout.pb.h"
#include "jetmon/v1/sites.pb.h"

namespace jetmon::rpc {
namespace {

[[noreturn]] void Fault(std::string_view name, const char* what) {
  fprintf(stderr, "registry of calls: %.*s: %s\n", static_cast<int>(name.size()), name.data(),
          what);
  abort();
}

const google::protobuf::ServiceDescriptor* Service(const google::protobuf::Descriptor* neighbour,
                                                   const char* name) {
  const auto* service = neighbour->file()->FindServiceByName(name);
  if (service == nullptr) Fault(name, "no such service");
  return service;
}

}  // namespace

Registry::Registry() {
  AddService(Service(v1::Health::descriptor(), "IdentityService"));
  AddService(Service(v1::Capabilities::descriptor(), "RolloutService"));
  AddService(Service(v1::AgentMessage::descriptor(), "DiscoveryService"));
  AddService(Service(v1::Overview::descriptor(), "FleetService"));
  AddService(Service(v1::Site::descriptor(), "SiteService"));
}

void Registry::AddService(const google::protobuf::ServiceDescriptor* service) {
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* descriptor = service->method(i);
    const v1::CallOptions& options = descriptor->options().GetExtension(v1::call);
    Method method;
    method.feature = service->name() + "/" + descriptor->name();
    method.name = service->full_name() + "/" + descriptor->name();
    method.descriptor = descriptor;
    // A method whose proto names no scope is the least open one, not the most.
    method.scope =
        options.scope().empty() ? access::Scope::kAdmin : access::ScopeOf(options.scope());
    method.mutating = options.mutating();
    method.idempotent = options.idempotent();
    methods_.emplace(method.name, std::move(method));
  }
}

Method& Registry::At(std::string_view name) {
  const auto it = methods_.find(name);
  if (it == methods_.end()) Fault(name, "no proto has this method");
  return it->second;
}

void Registry::Check(std::string_view name, const google::protobuf::Descriptor* request,
                     const google::protobuf::Descriptor* response, bool streaming) {
  const auto* descriptor = At(name).descriptor;
  if (descriptor->input_type() != request) Fault(name, "has another request type");
  if (descriptor->output_type() != response) Fault(name, "has another response type");
  if (descriptor->client_streaming() || descriptor->server_streaming() != streaming) {
    Fault(name, "streams otherwise than its handler");
  }
}

void Registry::SetUnary(std::string_view name, UnaryHandler handler) {
  Method& method = At(name);
  if (method.available()) Fault(name, "was added twice");
  method.unary = std::move(handler);
}

void Registry::SetStream(std::string_view name, StreamHandler handler) {
  Method& method = At(name);
  if (method.available()) Fault(name, "was added twice");
  method.stream = std::move(handler);
}

void Registry::SetReplay(std::string_view name, const google::protobuf::Descriptor* response,
                         ReplayHandler handler) {
  Method& method = At(name);
  if (method.replay) Fault(name, "has a replay handler already");
  if (!method.idempotent) Fault(name, "is not idempotent: nothing is replayed");
  if (method.descriptor->output_type() != response) Fault(name, "has another response type");
  method.replay = std::move(handler);
}

void Registry::AddExternal(std::string_view name) {
  Method& method = At(name);
  if (method.available()) Fault(name, "was added twice");
  method.external = true;
}

const Method* Registry::Find(std::string_view name) const {
  const auto it = methods_.find(name);
  return it == methods_.end() ? nullptr : &it->second;
}

std::vector<std::string> Registry::AvailableFeatures() const {
  std::vector<std::string> features;
  for (const auto& [name, method] : methods_) {
    if (method.available()) features.push_back(method.feature);
  }
  return features;
}

std::vector<const Method*> Registry::methods() const {
  std::vector<const Method*> all;
  for (const auto& [name, method] : methods_) all.push_back(&method);
  return all;
}

std::vector<std::string> Registry::WithoutReplay() const {
  std::vector<std::string> names;
  for (const auto& [name, method] : methods_) {
    if (method.unary && method.idempotent && !method.replay) names.push_back(name);
  }
  return names;
}

}  // namespace jetmon::rpc
