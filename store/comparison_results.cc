#include "store/comparison_results.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/bounded.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "job_id, site_id, bucket_no, url, first_mode, class, from_outcome, from_http_code, "
    "from_error_code, from_failure_class, from_detail, from_us, to_outcome, to_http_code, "
    "to_error_code, to_failure_class, to_detail, to_us, at_ms";
constexpr size_t kColumnCount = 19;
// As wide as the columns are.
constexpr size_t kUrl = 300, kFailureClass = 32, kDetail = 255;

void Append(const ComparedCheck& check, std::vector<sql::Value>* values) {
  values->emplace_back(check.outcome);
  values->emplace_back(check.http_code);
  values->emplace_back(check.error_code);
  values->emplace_back(Bounded(check.failure_class, kFailureClass));
  values->emplace_back(Bounded(check.detail, kDetail));
  values->emplace_back(check.us);
}

ComparedCheck CheckAt(const sql::Row& row, int column) {
  ComparedCheck c;
  c.outcome = row.Text(column);
  c.http_code = static_cast<int>(row.Int(column + 1));
  c.error_code = static_cast<int>(row.Int(column + 2));
  c.failure_class = row.Text(column + 3);
  c.detail = row.Text(column + 4);
  c.us = row.Int(column + 5);
  return c;
}

Comparison ComparisonOf(const sql::Row& row) {
  Comparison c;
  c.site_id = row.Uint(1);
  c.bucket = static_cast<uint32_t>(row.Int(2));
  c.url = row.Text(3);
  c.to_first = row.Text(4) == "to";
  c.comparison_class = row.Text(5);
  c.from = CheckAt(row, 6);
  c.to = CheckAt(row, 12);
  c.at_ms = row.Int(18);
  return c;
}

}  // namespace

absl::Status InsertComparisons(sql::Transaction& tx, std::string_view job_id,
                               const std::vector<Comparison>& comparisons) {
  std::vector<uint64_t> ids;
  for (const Comparison& c : comparisons) ids.push_back(c.site_id);
  auto known = ComparedSites(tx, job_id, ids);
  if (!known.ok()) return known.status();
  std::vector<std::vector<sql::Value>> rows;
  for (const Comparison& c : comparisons) {
    const auto at = std::lower_bound(known->begin(), known->end(), c.site_id);
    if (at != known->end() && *at == c.site_id) continue;
    known->insert(at, c.site_id);
    std::vector<sql::Value> values = {job_id,
                                      c.site_id,
                                      c.bucket,
                                      Bounded(c.url, kUrl),
                                      c.to_first ? "to" : "from",
                                      c.comparison_class};
    Append(c.from, &values);
    Append(c.to, &values);
    values.emplace_back(c.at_ms);
    rows.push_back(std::move(values));
  }
  return InsertRows(
      tx, absl::StrCat("INSERT INTO jetmon_rollout_comparison_results (", kColumns, ") VALUES "),
      "", kColumnCount, rows);
}

absl::StatusOr<std::vector<uint64_t>> ComparedSites(sql::Transaction& tx, std::string_view job_id,
                                                    const std::vector<uint64_t>& site_ids) {
  std::vector<uint64_t> known;
  auto s = InPieces(site_ids.size(), [&](size_t at, size_t n) {
    std::vector<sql::Value> values = {job_id};
    values.insert(values.end(), site_ids.begin() + at, site_ids.begin() + at + n);
    return tx.Query(absl::StrCat("SELECT site_id FROM jetmon_rollout_comparison_results WHERE "
                                 "job_id = ? AND site_id IN ",
                                 Marks(n)),
                    values, [&](const sql::Row& row) {
                      known.push_back(row.Uint(0));
                      return absl::OkStatus();
                    });
  });
  if (!s.ok()) return s;
  std::sort(known.begin(), known.end());
  return known;
}

absl::StatusOr<std::vector<Comparison>> ComparisonsAfter(sql::Transaction& tx,
                                                         std::string_view job_id,
                                                         std::string_view comparison_class,
                                                         uint64_t after, int limit) {
  std::vector<sql::Value> values = {job_id};
  if (!comparison_class.empty()) values.emplace_back(comparison_class);
  values.emplace_back(after);
  values.emplace_back(limit);
  std::vector<Comparison> rows;
  auto s = tx.Query(
      absl::StrCat("SELECT ", kColumns, " FROM jetmon_rollout_comparison_results WHERE job_id = ? ",
                   comparison_class.empty() ? "" : "AND class = ? ",
                   "AND site_id > ? ORDER BY site_id LIMIT ?"),
      values, [&](const sql::Row& row) {
        rows.push_back(ComparisonOf(row));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return rows;
}

absl::StatusOr<Page<Comparison>> ListComparisons(sql::Transaction& tx, std::string_view job_id,
                                                 std::string_view comparison_class,
                                                 const PageRequest& page) {
  auto key = KeyOfPageToken(page.token);
  if (!key.ok()) return key.status();
  uint64_t after = 0;
  if (!key->empty() && !absl::SimpleAtoi(*key, &after)) {
    return absl::InvalidArgumentError("page_token is none that this list made");
  }
  auto rows =
      ComparisonsAfter(tx, job_id, comparison_class, after, static_cast<int>(page.size) + 1);
  if (!rows.ok()) return rows.status();
  return MakePage(*std::move(rows), page.size,
                  [](const Comparison& c) { return absl::StrCat(c.site_id); });
}

absl::StatusOr<int64_t> DeleteComparisonResults(sql::Transaction& tx, std::string_view job_id,
                                                int limit) {
  // No engine's DELETE takes a limit in the same words: up to the last of so many instead.
  int64_t last = INT64_MAX;
  auto found = tx.QueryOne(
      "SELECT site_id FROM jetmon_rollout_comparison_results WHERE job_id = ? ORDER BY site_id "
      "LIMIT 1 OFFSET ?",
      {job_id, limit - 1}, [&](const sql::Row& row) {
        last = row.Int(0);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return tx.Execute(
      "DELETE FROM jetmon_rollout_comparison_results WHERE job_id = ? AND site_id <= ?",
      {job_id, last});
}

}  // namespace jetmon::store
