#ifndef JETMON_STORE_PARTS_H_
#define JETMON_STORE_PARTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "store/locks.h"
#include "store/range.h"
#include "store/sql/database.h"

// Release of a part of a range: of some buckets from either end of it, one part at a time, while
// the owner keeps the rest. As in locks.h every function runs inside the caller's transaction and
// answers false, having changed nothing, when its condition did not hold. Each change is one of
// the range row too and bumps its revision, so that only a Monitor that has read it renews; and
// while a part is on its way no other change of the range's state matches.
//
//   (of an active range) -BeginPartRelease-> draining
//   draining -ReportPartDrained (drained=1)-> FreePartDrained -> released
//   draining -RevokePart-> revoked -> FreePartRevoked -> released
//   draining|revoked -FreePartDead-> released
namespace jetmon::store {

// The part that this job releases or has released.
absl::StatusOr<std::optional<RangePart>> GetRangePart(sql::Transaction& tx,
                                                      std::string_view job_id);
// The part of that range that leaves, or has left, the range lock: buckets leave a lock once.
absl::StatusOr<std::optional<RangePart>> FindRangePart(sql::Transaction& tx, uint64_t epoch,
                                                       Range range);

// --- control plane
// Takes a part out of an active range: its buckets drain, the rest stays as it is. False unless the
// range is active, no other part of it is on its way, and the part is one end of it and not all.
absl::StatusOr<bool> BeginPartRelease(sql::Transaction& tx, uint64_t epoch, Range part,
                                      std::string_view job_id, int64_t now_ms);
// draining, not drained -> revoked: the lease is renewed only by a Monitor that has given the part
// up.
absl::StatusOr<bool> RevokePart(sql::Transaction& tx, std::string_view job_id, int64_t now_ms);
// draining and drained -> released: the part's buckets are v1's, the range is the rest.
absl::StatusOr<bool> FreePartDrained(sql::Transaction& tx, std::string_view job_id, int64_t now_ms);
// revoked -> released. The caller knows that a grace has passed since it saw the part revoked.
absl::StatusOr<bool> FreePartRevoked(sql::Transaction& tx, std::string_view job_id, int64_t now_ms);
// draining|revoked -> released, where the range's lease_seq still is what the observer saw
// unchanged for a grace (or what it was when its process had said goodbye).
absl::StatusOr<bool> FreePartDead(sql::Transaction& tx, std::string_view job_id,
                                  uint64_t lease_seq_seen, int64_t now_ms);

// --- Monitor
// draining -> drained = 1 where the range's instance is this. Renews the lease, as ReportDrained
// does.
absl::StatusOr<bool> ReportPartDrained(sql::Transaction& tx, std::string_view job_id,
                                       std::string_view instance, uint64_t notifications_left,
                                       int64_t now_ms);

}  // namespace jetmon::store

#endif  // JETMON_STORE_PARTS_H_
