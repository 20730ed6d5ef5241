#ifndef JETMON_CONTROLPLANE_ROLLOUT_MESSAGES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_MESSAGES_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controlplane/message/message.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/notifications.h"
#include "store/sessions.h"

// Rows of the store as messages of the API.
namespace jetmon::rollout {

// The overrides that a range lock keeps as a JSON array; none if it can't be read.
std::vector<v1::Override> OverridesOf(const std::string& json);

v1::Session SessionMessage(const store::Session& s);
v1::Checkpoint CheckpointMessage(const store::Checkpoint& c);
v1::Job JobMessage(const store::Job& j);
v1::Notification NotificationMessage(const store::Notification& n);
v1::Finding MakeFinding(std::string code, std::string text, std::string action);

// For people: "32 s", "1.5 s".
std::string SecondsText(std::chrono::milliseconds d);

// Whether the job runs, and goes on only when an operator has decided something.
bool AwaitsDecision(const store::Job& j);

// The answer of an operation by its job: the stored answer once it ended, else running, or blocked
// while it awaits a decision; always with the job itself.
v1::OperationResponse JobResponse(const store::Job& j);

// An answer's head: operation, run, range, owner.
v1::OperationResponse Head(std::string_view operation, std::string_view run_id, store::Range range,
                           std::string_view owner_host);
// Warnings empty_range, sample_is_all, sites_skipped: of `asked` sites of a range with `active`
// ones, of which so many were not `done` ("probed").
void WarnOfSample(uint64_t asked, uint64_t active, uint64_t skipped, const char* done,
                  v1::OperationResponse* answer);
// Sets status blocked or ok by whether it has blockers.
void SetStatusByBlockers(v1::OperationResponse* response);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_MESSAGES_H_
