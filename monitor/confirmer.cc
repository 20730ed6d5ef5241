#include "monitor/confirmer.h"

#include "store/vantages.h"

namespace jetmon::monitor {
namespace {

// One round: the answers of all vantages come together here.
struct Round {
  std::mutex mutex;
  std::vector<RoundResult> results;  // in the order of the questions
  size_t waiting = 0;                // vantages
  Confirmer::Done done;

  void Take(const std::vector<confirm::Answer>& answers) {
    std::unique_lock lock(mutex);
    for (size_t i = 0; i < answers.size() && i < results.size(); ++i) {
      const confirm::Answer& a = answers[i];
      results[i].votes.Count(a.outcome);
      if (a.outcome == "unknown") continue;
      results[i].checks.push_back({2, a.vantage_id, a.outcome == "up" ? 1 : 0,
                                   static_cast<int64_t>(a.total_us / 1000), a.http_code});
    }
    if (--waiting > 0) return;
    lock.unlock();
    done(std::move(results));
  }
};

class TheConfirmer final : public Confirmer {
 public:
  explicit TheConfirmer(DeadlineBudget budget) : client_(budget) {}
  void Ask(std::vector<confirm::Question> questions, milliseconds deadline, Done done) override {
    std::vector<confirm::Vantage> vantages;
    {
      std::lock_guard lock(mutex_);
      vantages = vantages_;
    }
    auto round = std::make_shared<Round>();
    round->done = std::move(done);
    round->waiting = vantages.size();
    for (const confirm::Question& q : questions) {
      RoundResult result;
      result.site_id = q.site_id;
      result.votes.enabled = static_cast<int>(vantages.size());
      round->results.push_back(std::move(result));
    }
    if (vantages.empty()) {
      round->done(std::move(round->results));
      return;
    }
    for (const confirm::Vantage& v : vantages) {
      client_.CheckSites(v, questions, deadline,
                         [round](std::vector<confirm::Answer> answers) { round->Take(answers); });
    }
  }
  void SetVantages(std::vector<confirm::Vantage> vantages) override {
    std::lock_guard lock(mutex_);
    vantages_ = std::move(vantages);
  }
  size_t enabled() const override {
    std::lock_guard lock(mutex_);
    return vantages_.size();
  }
  void CancelAll() override { client_.CancelAll(); }

 private:
  mutable std::mutex mutex_;
  std::vector<confirm::Vantage> vantages_;  // guarded by mutex_
  confirm::Client client_;                  // last member: gone first
};

}  // namespace

absl::StatusOr<std::vector<confirm::Vantage>> ReadVantages(sql::Transaction& tx) {
  auto rows = store::AskableVantages(tx);
  if (!rows.ok()) return rows.status();
  std::vector<confirm::Vantage> vantages;
  for (const store::AskableVantage& a : *rows) {
    confirm::Vantage& vantage = vantages.emplace_back();
    vantage.vantage_id = a.vantage.vantage_id;
    vantage.token_hash = a.vantage.token_hash;
    for (const store::AskableEndpoint& e : a.endpoints) {
      vantage.endpoints.emplace_back(e.address, DeadlineBudget::Announced(e.longest_check_ms));
    }
  }
  return vantages;
}

std::unique_ptr<Confirmer> NewConfirmer(DeadlineBudget budget) {
  return std::make_unique<TheConfirmer>(budget);
}

}  // namespace jetmon::monitor
