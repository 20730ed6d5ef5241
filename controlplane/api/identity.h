#ifndef JETMON_CONTROLPLANE_API_IDENTITY_H_
#define JETMON_CONTROLPLANE_API_IDENTITY_H_

#include <string>

#include "controlplane/rpc/registry.h"
#include "store/sql/database.h"

namespace jetmon::api {

// Adds IdentityService: GetHealth (is the control plane well? needs no key) and GetMe (which key
// asks?). `db` must outlive the registry.
void AddIdentityService(rpc::Registry& registry, sql::Database& db, std::string server_host,
                        std::string version);

}  // namespace jetmon::api

#endif  // JETMON_CONTROLPLANE_API_IDENTITY_H_
