// Claims of overlapping ranges by eight processes' worth of threads, on every node of a cluster,
// for 500 rounds. What happened is judged from the rows, and then held against what the calls said.
#include <algorithm>
#include <random>

#include "store/locks_fixture.h"
#include "store/race_fixture.h"

namespace jetmon::store {
namespace {

constexpr int kClaimRounds = 500;

struct Claim {
  Range range;
  uint64_t epoch = 0;  // 0: refused
  GrantOutcome outcome = GrantOutcome::kGranted;
};

// What the database holds, in its own words.
struct Rows {
  struct Held {
    Range range;
    std::string host;
  };
  std::map<uint64_t, Held> ranges;                             // by epoch
  std::map<uint32_t, std::pair<uint64_t, std::string>> taken;  // by bucket: epoch, host
};

class ClaimsRaceTest : public LocksFixture {
 protected:
  ClaimsRaceTest() {
    for (int i = 0; i < 3; ++i) processes_.push_back(first_.OpenAnother());
  }

  std::vector<Claim> ClaimAtOnce(const std::vector<uint64_t>& generations) {
    std::vector<Claim> claims(kHosts);
    for (Claim& c : claims) {
      const uint32_t min = random_() % kBuckets, length = 1 + random_() % 12;
      c.range = {min, std::min(min + length, kBuckets) - 1};
    }
    // Two at least want the same bucket.
    claims[1].range = {claims[0].range.max, std::min(claims[0].range.max + 3, kBuckets - 1)};
    AtOnce(kHosts, [&](int i) {
      claims[i].epoch = Give(*processes_[i % processes_.size()], claims[i].range, i, generations[i],
                             &claims[i].outcome);
    });
    return claims;
  }

  // Read on another node than the last time, after everything that was committed anywhere.
  Rows ReadRows() {
    Rows rows;
    const absl::Status s = first_->Read([&](sql::Transaction& tx) -> absl::Status {
      rows = {};
      auto s = tx.Query(
          "SELECT epoch, bucket_min, bucket_max, owner_host FROM jetmon_rollout_range_locks WHERE "
          "state <> 'released'",
          {}, [&](const sql::Row& row) {
            rows.ranges[row.Uint(0)] = {
                {static_cast<uint32_t>(row.Int(1)), static_cast<uint32_t>(row.Int(2))},
                row.Text(3)};
            return absl::OkStatus();
          });
      if (!s.ok()) return s;
      return tx.Query(
          "SELECT bucket_no, epoch, owner_host FROM jetmon_rollout_bucket_locks WHERE epoch <> 0 "
          "OR owner_host IS NOT NULL OR pool <> 'v1'",
          {}, [&](const sql::Row& row) {
            rows.taken[static_cast<uint32_t>(row.Int(0))] = {row.Uint(1), row.Text(2)};
            return absl::OkStatus();
          });
    });
    EXPECT_TRUE(s.ok()) << s;
    return rows;
  }

  // No bucket of two, no range with a bucket missing, no bucket of nobody's range.
  static void JudgeRows(const Rows& rows) {
    uint32_t owed = 0;
    for (const auto& [epoch, held] : rows.ranges) {
      owed += held.range.size();
      for (uint32_t b = held.range.min; b <= held.range.max; ++b) {
        const auto bucket = rows.taken.find(b);
        ASSERT_TRUE(bucket != rows.taken.end() && bucket->second.first == epoch &&
                    bucket->second.second == held.host)
            << "bucket " << b << " of " << held.range.ToString() << " is not " << held.host << "'s";
      }
    }
    ASSERT_EQ(rows.taken.size(), owed);
  }

  // Whoever was told that it has a range has it; whoever was refused has nothing, was told why, and
  // somebody else has a bucket that it wanted.
  static void JudgeAnswers(const Rows& rows, const std::vector<Claim>& claims) {
    size_t granted = 0;
    for (int i = 0; i < kHosts; ++i) {
      const Claim& c = claims[i];
      if (c.epoch != 0) {
        ++granted;
        const auto held = rows.ranges.find(c.epoch);
        ASSERT_TRUE(held != rows.ranges.end()) << Host(i) << " was told " << c.epoch;
        ASSERT_EQ(held->second.range, c.range);
        ASSERT_EQ(held->second.host, Host(i));
        continue;
      }
      ASSERT_EQ(c.outcome, GrantOutcome::kBucketsTaken) << Host(i);
      bool met = false;
      for (const auto& [epoch, held] : rows.ranges) met = met || held.range.Overlaps(c.range);
      ASSERT_TRUE(met) << Host(i) << " was refused " << c.range.ToString() << ", which is free";
    }
    ASSERT_EQ(granted, rows.ranges.size());
  }

  std::mt19937 random_{20260117};
  std::vector<std::unique_ptr<sql::Database>> processes_;
};

TEST_F(ClaimsRaceTest, NoDoubleWinsNoPartialClaimsAndEveryLoserIsTold) {
  int granted = 0, refused = 0;
  std::vector<uint64_t> generations;
  for (int i = 0; i < kHosts; ++i) generations.push_back(Generation(i));
  for (int round = 0; round < kClaimRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::vector<Claim> claims = ClaimAtOnce(generations);
    const Rows rows = ReadRows();
    JudgeRows(rows);
    JudgeAnswers(rows, claims);
    if (HasFatalFailure()) return;
    for (int i = 0; i < kHosts; ++i) {
      const Claim& c = claims[i];
      (c.epoch != 0 ? granted : refused) += 1;
      if (c.epoch == 0) continue;
      ++generations[i];  // a grant bumps it
      Release(c.epoch);
    }
  }
  printf("%d rounds: %d granted, %d refused and told\n", kClaimRounds, granted, refused);
  EXPECT_GT(granted, kClaimRounds);
  EXPECT_GT(refused, kClaimRounds);
}

}  // namespace
}  // namespace jetmon::store
