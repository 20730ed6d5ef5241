#ifndef JETMON_STORE_COMPARISON_RESULTS_H_
#define JETMON_STORE_COMPARISON_RESULTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/page.h"
#include "store/sql/database.h"

// What a comparison of two modes found: one row a site and job. Written once, never changed, and
// removed with its job.
namespace jetmon::store {

namespace comparison_class {
inline constexpr char kSame[] = "same";
inline constexpr char kGetBetter[] = "get_better";
inline constexpr char kGetWorse[] = "get_worse";
inline constexpr char kDifferentFailure[] = "different_failure";
}  // namespace comparison_class

// What one of the two checks gave.
struct ComparedCheck {
  std::string outcome;  // up, down
  int http_code = 0;
  int error_code = 0;
  std::string failure_class, detail;
  int64_t us = 0;  // the whole check
};

struct Comparison {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  std::string url;
  bool to_first = false;  // the check with the mode `to` went first
  std::string comparison_class;
  ComparedCheck from, to;
  int64_t at_ms = 0;
};

// A site that has a row of this job already keeps it: the new one is left out. The caller's
// transaction holds the job, so nobody else writes rows of it.
absl::Status InsertComparisons(sql::Transaction& tx, std::string_view job_id,
                               const std::vector<Comparison>& rows);
// Which of these sites have a row of this job; ascending.
absl::StatusOr<std::vector<uint64_t>> ComparedSites(sql::Transaction& tx, std::string_view job_id,
                                                    const std::vector<uint64_t>& site_ids);
// By site id, those behind `after`, at most `limit`. Class "" = any.
absl::StatusOr<std::vector<Comparison>> ComparisonsAfter(sql::Transaction& tx,
                                                         std::string_view job_id,
                                                         std::string_view comparison_class,
                                                         uint64_t after, int limit);
// The same as a page of a list.
absl::StatusOr<Page<Comparison>> ListComparisons(sql::Transaction& tx, std::string_view job_id,
                                                 std::string_view comparison_class,
                                                 const PageRequest& page);
// Removes rows of a job, at most `limit` (> 0) of them; how many. 0: none are left.
absl::StatusOr<int64_t> DeleteComparisonResults(sql::Transaction& tx, std::string_view job_id,
                                                int limit);

}  // namespace jetmon::store

#endif  // JETMON_STORE_COMPARISON_RESULTS_H_
