#ifndef JETMON_STORE_RACE_FIXTURE_H_
#define JETMON_STORE_RACE_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "store/test_database.h"

namespace jetmon::store {

// Starts `body(0..n-1)` at the same moment and waits for all.
inline void AtOnce(int n, const std::function<void(int)>& body) {
  std::latch start(n);
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& t : threads) t.join();
}

// A database that three processes have open (of a cluster, each on a node of its own), and
// transactions that want the same thing at the same moment.
class RaceFixture : public testing::Test {
 protected:
  static constexpr int kRacers = 6;
  static constexpr int kRounds = 20;

  RaceFixture() {
    for (int i = 0; i < 3; ++i) processes_.push_back(db_.OpenAnother());
  }
  sql::Database& Db(int i) { return *processes_[i % processes_.size()]; }

  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s << " " << sql::EngineText(s);
  }

  // Each racer asks in a transaction of its own. Whoever was answered true; the others were all
  // answered false: an error is no answer.
  std::vector<int> Winners(
      const std::function<absl::StatusOr<bool>(sql::Transaction& tx, int racer)>& ask) {
    std::vector<char> won(kRacers, 0);
    AtOnce(kRacers, [&](int i) {
      const absl::Status s = Db(i).Write([&](sql::Transaction& tx) -> absl::Status {
        const absl::StatusOr<bool> answer = ask(tx, i);
        won[i] = answer.ok() && *answer ? 1 : 0;
        return answer.status();
      });
      EXPECT_TRUE(s.ok()) << "racer " << i << " was not told: " << s << " " << sql::EngineText(s);
    });
    std::vector<int> winners;
    for (int i = 0; i < kRacers; ++i) {
      if (won[i] != 0) winners.push_back(i);
    }
    return winners;
  }

  TestDatabase db_;
  std::vector<std::unique_ptr<sql::Database>> processes_;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_RACE_FIXTURE_H_
