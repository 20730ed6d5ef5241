#include "controlplane/access/audit.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"

namespace jetmon::access {
namespace {

constexpr size_t kLongestDetail = 1000;
// What a caller sends as a run id may be anything; the column is not.
constexpr size_t kLongestWord = 64;

void Cut(std::string& text, size_t limit) {
  if (text.size() <= limit) return;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  text.resize(limit);
}

std::string Describe(const store::AuditRow& row) {
  const std::string range = row.bucket_min.has_value() && row.bucket_max.has_value()
                                ? absl::StrCat(" range ", *row.bucket_min, "-", *row.bucket_max)
                                : std::string();
  return absl::StrCat(row.operation, " outcome ", row.outcome, " consumer ", row.consumer, " key ",
                      row.key_id, " request ", row.request_id, " run ", row.run_id, range);
}

}  // namespace

Audit::Audit(sql::Database& db) : db_(db) {}

void Audit::Write(store::AuditRow row, BootTime deadline) {
  row.at_ms = db_.clock().WallMs();
  Cut(row.detail, kLongestDetail);
  Cut(row.run_id, kLongestWord);
  Cut(row.outcome, kLongestWord);
  const absl::Status status =
      db_.Write(deadline, [&](sql::Transaction& tx) { return store::InsertAudit(tx, row); });
  if (status.ok()) return;
  failures_.fetch_add(1);
  LogError(absl::StrCat("audit row not written (", status.message(), "): ", Describe(row)));
}

}  // namespace jetmon::access
