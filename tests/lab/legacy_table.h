#ifndef JETMON_TESTS_LAB_LEGACY_TABLE_H_
#define JETMON_TESTS_LAB_LEGACY_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jetmon::lab {

// A contiguous inclusive range of buckets.
struct BucketRange {
  uint32_t min = 0, max = 0;
  bool Contains(uint32_t bucket) const { return bucket >= min && bucket <= max; }
};

// What v1 reads of one site.
struct LegacySite {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  std::string url;
  int site_status = 1;     // 0 seems down, 1 up, 2 down
  int check_interval = 5;  // units of --interval_unit
};

// A whole row, as version 1 itself reads it.
struct LegacyRow {
  uint64_t site_id = 0, blog_id = 0;
  uint32_t bucket = 0;
  std::string url;
  bool active = true;
  int site_status = 1;
  std::optional<int64_t> last_status_change_s;  // Unix; nullopt: NULL
};

// The table that v1 works on. Thread-safe.
class LegacyTable {
 public:
  virtual ~LegacyTable() = default;
  // The active sites of a range.
  virtual absl::StatusOr<std::vector<LegacySite>> ActiveSites(BucketRange range) = 0;
  // Writes site_status and last_status_change as v1 does: by site id alone. Waits up to a minute
  // while others write or the database is away; after an error it may be called again with the same
  // values.
  virtual absl::Status SetStatus(uint64_t site_id, int status, int64_t unix_seconds) = 0;
  // The rows of a range by site id, the active ones or all.
  virtual absl::StatusOr<std::vector<LegacyRow>> Rows(BucketRange range, bool with_inactive) = 0;
  // Writes both columns of all rows of a (blog, URL), however they stand; how many there are. Waits
  // as SetStatus does.
  virtual absl::StatusOr<int64_t> SetStatusOf(uint64_t blog_id, const std::string& url, int status,
                                              int64_t unix_seconds) = 0;
};

// Of a URL as our programs take it; the table must be there. A server's password comes from the
// environment (JETMON_DATABASE_PASSWORD). One short transaction a call.
absl::StatusOr<std::unique_ptr<LegacyTable>> OpenLegacyTable(const std::string& url);

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_LEGACY_TABLE_H_
