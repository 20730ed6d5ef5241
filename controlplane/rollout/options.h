#ifndef JETMON_CONTROLPLANE_ROLLOUT_OPTIONS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_OPTIONS_H_

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "clock/deadline_budget.h"
#include "confirm/client.h"
#include "probe/engine.h"
#include "store/legacy_words.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// Times of the protocol; tests make them shorter.
struct Times {
  // Of the longest check of any Monitor that is given a range, and of what is probed from here.
  DeadlineBudget budget;
  // A lease or a worker that was seen unchanged for so long is dead.
  std::chrono::milliseconds grace = budget.grace();
  // An activation that is not acknowledged by then is given up.
  std::chrono::milliseconds acknowledge_within{60'000};
  // A drain that is not over by then is revoked: later than a dead owner is known to be dead, and
  // than a Monitor's drain lasts.
  std::chrono::milliseconds drain_within{60'000};
  // How often a job looks at what it waits for.
  std::chrono::milliseconds look{200};
  // How often the observer reads.
  std::chrono::milliseconds observe{1'000};
  // How often the sweep looks for ranges that are on their way and have no job.
  std::chrono::milliseconds sweep{1'000};
  // How long a plan waits for a Monitor to be heard of after this control plane's start.
  std::chrono::milliseconds hear_within{6'000};
};

// What is known of the program that has the sites before and after a rollout.
struct LegacyTimes {
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;
  // The rest matters in dialect v1 only. How late the receiver of notifications may write the
  // legacy columns, and how far behind the primary v1 reads them.
  std::chrono::milliseconds receiver_delay{60'000}, replica_lag{30'000};
  // What is still being sent when a release begins is waited for so long.
  std::chrono::milliseconds deliver_within{60'000};
};

struct Options {
  uint32_t bucket_total = 512;
  LegacyTimes legacy;
  std::chrono::milliseconds unit{60'000};
  int peer_offline_limit = 3;
  std::string server_host;
  std::string instance;  // of this control plane, random
  std::string version;
  probe::Engine::Options engine;  // what smoke probes with
  Times times;
  // Rows of sites that a batch of seed, or of a policy stage, goes over at most; 0: what suits the
  // database.
  uint64_t seed_rows = 0;

  // Dialect v1: how long after v1 was stopped a tell of its may still be written: by the receiver,
  // and before that sent by a worker that outlived its master for 20 s.
  std::chrono::milliseconds LastWordsWithin() const { return legacy.receiver_delay + unit / 3; }
};

// Who calls, and how the transaction that commits the call's mutation settles its idempotency
// record: (transaction, "job" | "session" | "checkpoint", its id). May be empty.
struct Caller {
  std::string key_id, consumer;
  std::function<absl::Status(sql::Transaction&, std::string_view, std::string_view)> on_commit;
};

// Asks one vantage who it is; calls back once, from any thread.
using AskStatus = std::function<void(const confirm::Vantage&, std::chrono::milliseconds,
                                     std::function<void(absl::StatusOr<confirm::Facts>)>)>;

// What the domain runs on; all outlive it.
struct Parts {
  const Clock* clock = nullptr;
  sql::Database* db = nullptr;
  AskStatus ask_status;
  // Told right before a commit, and again once it was done: its name, of commits.h. For tests; may
  // be empty.
  std::function<void(std::string_view, bool committed)> at_commit = nullptr;

  // Runs one write transaction under its name (of commits.h, else Internal).
  absl::Status Commit(std::string_view name, const sql::Body& body) const;
  absl::Status Commit(std::string_view name, BootTime deadline, const sql::Body& body) const;
  // On a connection of the caller's own, for who must know sooner that the database does not
  // answer.
  absl::Status Commit(std::string_view name, sql::Session& session, BootTime deadline,
                      const sql::Body& body) const;

 private:
  using Writer = std::function<absl::Status(const sql::Body&)>;
  absl::Status CommitBy(std::string_view name, const Writer& write, const sql::Body& body) const;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_OPTIONS_H_
