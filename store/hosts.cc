#include "store/hosts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "store/bounded.h"

namespace jetmon::store {
namespace {

constexpr size_t kMaxWarnings = 20;
constexpr size_t kMaxWarning = 200;

constexpr char kColumns[] =
    "instance, kind, host, version, protocol, mode, state, seq, goodbye, pid, bucket_min, "
    "bucket_max, epoch, targets, due_backlog, oldest_due_ms, checks_per_s, in_flight, rss_bytes, "
    "notify_configured, warnings, started_at_ms, updated_at_ms, longest_check_ms, dialect";

ProcessHealth HealthOf(const sql::Row& row) {
  ProcessHealth h;
  h.instance = row.Text(0);
  h.kind = row.Text(1);
  h.host = row.Text(2);
  h.version = row.Text(3);
  h.protocol = static_cast<int>(row.Int(4));
  h.mode = row.Text(5);
  h.state = row.Text(6);
  h.seq = row.Uint(7);
  h.goodbye = row.Bool(8);
  h.pid = row.Int(9);
  if (!row.IsNull(10) && !row.IsNull(11)) {
    h.range = Range{static_cast<uint32_t>(row.Int(10)), static_cast<uint32_t>(row.Int(11))};
  }
  h.epoch = row.Uint(12);
  h.targets = row.Uint(13);
  h.due_backlog = row.Uint(14);
  h.oldest_due_ms = row.Int(15);
  h.checks_per_s = row.Double(16);
  h.in_flight = row.Uint(17);
  h.rss_bytes = row.Uint(18);
  h.notify_configured = row.Bool(19);
  h.warnings = absl::StrSplit(row.Text(20), '\n', absl::SkipEmpty());
  h.started_at_ms = row.Int(21);
  h.updated_at_ms = row.Int(22);
  h.longest_check_ms = row.Int(23);
  h.dialect = ParseLegacyDialect(row.Text(24)).value_or(LegacyDialect::kJetmon2);
  return h;
}

std::string JoinWarnings(const std::vector<std::string>& warnings) {
  std::vector<std::string> kept;
  for (const std::string& w : warnings) {
    if (kept.size() == kMaxWarnings) break;
    std::string line = Bounded(w, kMaxWarning);
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    kept.push_back(std::move(line));
  }
  return absl::StrJoin(kept, "\n");
}

}  // namespace

absl::Status ReportHealth(sql::Transaction& tx, const ProcessHealth& h) {
  sql::Value min, max;
  if (h.range.has_value()) {
    min = sql::Value(h.range->min);
    max = sql::Value(h.range->max);
  }
  const std::string warnings = JoinWarnings(h.warnings);
  auto updated = tx.ExecuteOne(
      "UPDATE jetmon_process_health SET seq = seq + 1, version = ?, protocol = ?, mode = ?, state "
      "= ?, goodbye = ?, pid = ?, bucket_min = ?, bucket_max = ?, epoch = ?, targets = ?, "
      "due_backlog = ?, oldest_due_ms = ?, checks_per_s = ?, in_flight = ?, rss_bytes = ?, "
      "notify_configured = ?, warnings = ?, updated_at_ms = ?, longest_check_ms = ?, dialect = ? "
      "WHERE "
      "instance = ?",
      {h.version,
       h.protocol,
       h.mode,
       h.state,
       h.goodbye,
       h.pid,
       min,
       max,
       h.epoch,
       h.targets,
       h.due_backlog,
       h.oldest_due_ms,
       h.checks_per_s,
       h.in_flight,
       h.rss_bytes,
       h.notify_configured,
       warnings,
       h.updated_at_ms,
       h.longest_check_ms,
       NameOf(h.dialect),
       h.instance});
  if (!updated.ok()) return updated.status();
  if (*updated) return absl::OkStatus();
  auto host =
      tx.InsertIfNew("INSERT INTO jetmon_hosts (host, generation, created_at_ms) VALUES (?, 0, ?)",
                     {h.host, h.updated_at_ms});
  if (!host.ok()) return host.status();
  return tx
      .Execute(absl::StrCat("INSERT INTO jetmon_process_health (", kColumns,
                            ") VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                            "?, ?, ?, ?, ?)"),
               {h.instance,
                h.kind,
                h.host,
                h.version,
                h.protocol,
                h.mode,
                h.state,
                h.goodbye,
                h.pid,
                min,
                max,
                h.epoch,
                h.targets,
                h.due_backlog,
                h.oldest_due_ms,
                h.checks_per_s,
                h.in_flight,
                h.rss_bytes,
                h.notify_configured,
                warnings,
                h.started_at_ms,
                h.updated_at_ms,
                h.longest_check_ms,
                NameOf(h.dialect)})
      .status();
}

absl::Status SayGoodbye(sql::Transaction& tx, std::string_view instance, int64_t now_ms) {
  return tx
      .Execute(
          "UPDATE jetmon_process_health SET goodbye = 1, state = 'stopped', seq = seq + 1, "
          "updated_at_ms = ? WHERE instance = ?",
          {now_ms, instance})
      .status();
}

absl::StatusOr<LastWords> LastWordsOf(sql::Transaction& tx, std::string_view instance) {
  LastWords words;
  auto found =
      tx.QueryOne("SELECT goodbye, longest_check_ms FROM jetmon_process_health WHERE instance = ?",
                  {instance}, [&](const sql::Row& row) {
                    words.goodbye = row.Bool(0);
                    words.longest_check_ms = row.Int(1);
                    return absl::OkStatus();
                  });
  if (!found.ok()) return found.status();
  return words;
}

absl::StatusOr<std::vector<ProcessHealth>> ListProcesses(sql::Transaction& tx,
                                                         std::string_view kind, bool with_gone) {
  std::vector<ProcessHealth> rows;
  auto s =
      tx.Query(absl::StrCat("SELECT ", kColumns,
                            " FROM jetmon_process_health WHERE kind = ? AND (? OR goodbye = 0) "
                            "ORDER BY host, started_at_ms DESC LIMIT 10000"),
               {kind, with_gone}, [&](const sql::Row& row) {
                 rows.push_back(HealthOf(row));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return rows;
}

absl::StatusOr<uint64_t> HostGeneration(sql::Transaction& tx, std::string_view host) {
  uint64_t generation = 0;
  auto found = tx.QueryOne("SELECT generation FROM jetmon_hosts WHERE host = ?", {host},
                           [&](const sql::Row& row) {
                             generation = row.Uint(0);
                             return absl::OkStatus();
                           });
  if (!found.ok()) return found.status();
  return generation;
}

absl::StatusOr<int64_t> PruneProcesses(sql::Transaction& tx, int64_t older_than_ms) {
  return tx.Execute("DELETE FROM jetmon_process_health WHERE updated_at_ms < ?", {older_than_ms});
}

}  // namespace jetmon::store
