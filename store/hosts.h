#ifndef JETMON_STORE_HOSTS_H_
#define JETMON_STORE_HOSTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/legacy_words.h"
#include "store/range.h"
#include "store/sql/database.h"

// Hosts and the health records of processes.
namespace jetmon::store {

// The protocol between control plane and Monitors that this build speaks (the meaning of the
// lock rows); a Monitor of another one is not activated.
inline constexpr int kMonitorProtocol = 2;

struct ProcessHealth {
  std::string instance;  // random, one a process
  std::string kind;      // "monitor" or "controlplane"
  std::string host;
  std::string version;
  int protocol = kMonitorProtocol;
  std::string mode;   // standby, api-controlled, active; "" for a control plane
  std::string state;  // standby, activating, active, draining, suspect, stopped
  uint64_t seq = 0;   // grows with every report
  bool goodbye = false;
  int64_t pid = 0;
  std::optional<Range> range;
  uint64_t epoch = 0;  // acknowledged
  uint64_t targets = 0, due_backlog = 0, in_flight = 0, rss_bytes = 0;
  int64_t oldest_due_ms = 0;  // age of the oldest due check
  double checks_per_s = 0;
  bool notify_configured = false;
  // Its --longest_check. 0: it is too old to say, see DeadlineBudget::Announced.
  int64_t longest_check_ms = 0;
  LegacyDialect dialect = LegacyDialect::kJetmon2;  // its --legacy_dialect
  std::vector<std::string> warnings;                // bounded: 20 of 200 characters are kept
  int64_t started_at_ms = 0, updated_at_ms = 0;
};

// Writes the record (insert or update by instance), seq = seq + 1; makes the host's row.
absl::Status ReportHealth(sql::Transaction& tx, const ProcessHealth& h);
// Marks the process as gone by its own word: state stopped, goodbye = 1.
absl::Status SayGoodbye(sql::Transaction& tx, std::string_view instance, int64_t now_ms);
// What whoever waits for the end of a process has to know of it.
struct LastWords {
  bool goodbye = false;          // it said so
  int64_t longest_check_ms = 0;  // as in ProcessHealth
};
// Of an unknown instance: that it said nothing.
absl::StatusOr<LastWords> LastWordsOf(sql::Transaction& tx, std::string_view instance);
// All processes of a kind that have not said goodbye; with
// `with_gone` also the others. By host, then started_at_ms descending; at most 10,000.
absl::StatusOr<std::vector<ProcessHealth>> ListProcesses(sql::Transaction& tx,
                                                         std::string_view kind, bool with_gone);
// The host's generation; 0 when unknown.
absl::StatusOr<uint64_t> HostGeneration(sql::Transaction& tx, std::string_view host);
// Removes records of processes gone (goodbye, or not updated) for longer than `older_than_ms`.
absl::StatusOr<int64_t> PruneProcesses(sql::Transaction& tx, int64_t older_than_ms);

}  // namespace jetmon::store

#endif  // JETMON_STORE_HOSTS_H_
