#ifndef JETMON_CONTROLPLANE_DISCOVERY_VANTAGES_H_
#define JETMON_CONTROLPLANE_DISCOVERY_VANTAGES_H_

#include <string>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "jetmon/v1/discovery.pb.h"
#include "store/sql/database.h"

namespace jetmon::discovery {

// The operator's side of the registry: vantages and what agents there are. Errors carry a reason.
// Blocking; thread-safe.
class Vantages {
 public:
  Vantages(sql::Database& db, const Clock& clock) : db_(db), clock_(clock) {}

  absl::Status List(const v1::ListVantagesRequest& request, v1::ListVantagesResponse* response);
  absl::Status Get(const std::string& vantage_id, v1::Vantage* response);
  // Creates (with a new token, returned this once) or changes. Enabling a pending vantage trusts
  // the token that its agent brought.
  absl::Status Put(const std::string& consumer, const v1::PutVantageRequest& request,
                   v1::PutVantageResponse* response);
  absl::Status Delete(const std::string& vantage_id);
  absl::Status ListAgents(const v1::ListAgentsRequest& request, v1::ListAgentsResponse* response);

 private:
  sql::Database& db_;
  const Clock& clock_;
};

}  // namespace jetmon::discovery

#endif  // JETMON_CONTROLPLANE_DISCOVERY_VANTAGES_H_
