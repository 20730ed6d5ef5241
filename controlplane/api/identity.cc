#include "controlplane/api/identity.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "controlplane/message/message.h"
#include "jetmon/v1/identity.pb.h"
#include "store/keys.h"

namespace jetmon::api {
namespace {

// Whoever asks for health wants to know soon, also that the database does not answer.
constexpr std::chrono::seconds kDatabaseLimit{2};

// A read of a table that every control plane needs.
absl::Status AskDatabase(const rpc::CallContext& call, sql::Database& db) {
  const BootTime deadline = std::min(call.deadline(), call.clock().Boot() + kDatabaseLimit);
  return db.Read(deadline,
                 [](sql::Transaction& tx) { return store::FindKeyByTokenHash(tx, "").status(); });
}

}  // namespace

void AddIdentityService(rpc::Registry& registry, sql::Database& db, std::string server_host,
                        std::string version) {
  registry.AddUnary<v1::GetHealthRequest, v1::Health>(
      "jetmon.v1.IdentityService/GetHealth",
      [&db, server_host = std::move(server_host), version = std::move(version)](
          rpc::CallContext& call, const v1::GetHealthRequest&, v1::Health* health) {
        const bool well = AskDatabase(call, db).ok();
        health->set_status(well ? "ok" : "degraded");
        health->set_version(version);
        health->set_server_host(server_host);
        health->set_database(well ? "ok" : "the database can't be read");
        SetTime(health->mutable_time(), call.clock().WallMs());
        return absl::OkStatus();
      });
  registry.AddUnary<v1::GetMeRequest, v1::Me>(
      "jetmon.v1.IdentityService/GetMe",
      [](rpc::CallContext& call, const v1::GetMeRequest&, v1::Me* me) {
        const access::Caller& caller = call.caller();
        me->set_key_id(caller.key_id);
        me->set_consumer(caller.consumer);
        me->set_scope(std::string(access::ScopeName(caller.scope)));
        if (caller.expires_at_ms != 0) SetTime(me->mutable_expires_at(), caller.expires_at_ms);
        return absl::OkStatus();
      });
}

}  // namespace jetmon::api
