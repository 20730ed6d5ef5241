#ifndef JETMON_CONTROLPLANE_ACCESS_AUDIT_H_
#define JETMON_CONTROLPLANE_ACCESS_AUDIT_H_

#include <atomic>
#include <cstdint>

#include "clock/clock.h"
#include "store/keys.h"
#include "store/sql/database.h"

namespace jetmon::access {

// Writes the audit log. Thread-safe.
class Audit {
 public:
  explicit Audit(sql::Database& db);

  // Writes the row (its at_ms is set here), trying until `deadline`. A row that could not be
  // written is logged with all it holds, and counted: the mutation itself stands.
  void Write(store::AuditRow row, BootTime deadline);

  uint64_t failures() const { return failures_.load(); }

 private:
  sql::Database& db_;
  std::atomic<uint64_t> failures_{0};
};

}  // namespace jetmon::access

#endif  // JETMON_CONTROLPLANE_ACCESS_AUDIT_H_
