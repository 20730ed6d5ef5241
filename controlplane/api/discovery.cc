#include "controlplane/api/discovery.h"

#include "absl/strings/str_cat.h"

namespace jetmon::api {
namespace {

using rpc::CallContext;

std::string Name(const char* method) { return absl::StrCat("jetmon.v1.DiscoveryService/", method); }

}  // namespace

void AddDiscoveryService(rpc::Registry& registry, discovery::Vantages& vantages) {
  registry.AddExternal(Name("Register"));
  registry.AddUnary<v1::ListVantagesRequest, v1::ListVantagesResponse>(
      Name("ListVantages"),
      [&vantages](CallContext&, const v1::ListVantagesRequest& request,
                  v1::ListVantagesResponse* response) { return vantages.List(request, response); });
  registry.AddUnary<v1::GetVantageRequest, v1::Vantage>(
      Name("GetVantage"),
      [&vantages](CallContext&, const v1::GetVantageRequest& request, v1::Vantage* response) {
        return vantages.Get(request.vantage_id(), response);
      });
  registry.AddUnary<v1::PutVantageRequest, v1::PutVantageResponse>(
      Name("PutVantage"), [&vantages](CallContext& call, const v1::PutVantageRequest& request,
                                      v1::PutVantageResponse* response) {
        call.AuditDetail(absl::StrCat("vantage ", request.vantage_id().substr(0, 64)));
        return vantages.Put(call.caller().consumer, request, response);
      });
  registry.AddUnary<v1::GetVantageRequest, v1::DeleteVantageResponse>(
      Name("DeleteVantage"), [&vantages](CallContext& call, const v1::GetVantageRequest& request,
                                         v1::DeleteVantageResponse*) {
        call.AuditDetail(absl::StrCat("vantage ", request.vantage_id().substr(0, 64)));
        return vantages.Delete(request.vantage_id());
      });
  registry.AddUnary<v1::ListAgentsRequest, v1::ListAgentsResponse>(
      Name("ListAgents"), [&vantages](CallContext&, const v1::ListAgentsRequest& request,
                                      v1::ListAgentsResponse* response) {
        return vantages.ListAgents(request, response);
      });
}

}  // namespace jetmon::api
