#ifndef JETMON_MONITOR_CONFIRMER_H_
#define JETMON_MONITOR_CONFIRMER_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "confirm/client.h"
#include "monitor/config.h"
#include "monitor/incidents.h"
#include "monitor/votes.h"
#include "store/sql/database.h"

namespace jetmon::monitor {

// Which vantages an operator has enabled, read from the registry.
absl::StatusOr<std::vector<confirm::Vantage>> ReadVantages(sql::Transaction& tx);

// What the vantages said about one site.
struct RoundResult {
  uint64_t site_id = 0;
  Votes votes;
  std::vector<CheckRecord> checks;
};

// Asks all enabled vantages at once about sites that failed locally, and gathers each round's
// votes. Thread-safe. Stop cancels the calls; after the destructor no callback comes.
class Confirmer {
 public:
  using Done = std::function<void(std::vector<RoundResult>)>;
  virtual ~Confirmer() = default;

  // `done` is called once, from another thread, when every vantage has answered or the deadline
  // has passed. At most 500 questions.
  virtual void Ask(std::vector<confirm::Question> questions, milliseconds deadline, Done done) = 0;
  // The set that the next round asks; the last known one stays while it can't be read.
  virtual void SetVantages(std::vector<confirm::Vantage> vantages) = 0;
  virtual size_t enabled() const = 0;
  // Ends the rounds under way soon, with what was answered.
  virtual void CancelAll() = 0;
};

// One that asks over gRPC; no round lasts longer than the budget's.
std::unique_ptr<Confirmer> NewConfirmer(DeadlineBudget budget);

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_CONFIRMER_H_
