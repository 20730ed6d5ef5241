#include "store/events.h"

#include "absl/strings/str_cat.h"
#include "store/adoption.h"
#include "store/bounded.h"
#include "store/event_rows.h"
#include "store/legacy_columns.h"
#include "store/notifications.h"
#include "store/rows.h"
#include "store/tells.h"

namespace jetmon::store {
namespace {

// Whether people know of an incident. In jetmon2 they will: what is queued can't be cancelled.
bool WasTold(const Event& e, LegacyDialect dialect) {
  return dialect == LegacyDialect::kV1 ? e.told_at_ms != 0 : e.notified != 0;
}

// What a change of an event does besides its transition.
struct Change {
  Event after;
  const char* reason = "";
  std::string detail;
  bool needs_site = true;  // it changes nothing about a site that is gone
};

// Writes one change: projection first (a site that is gone changes nothing), then the row on
// condition that it is as `seen`, then the transition. `told`: whether people knew of it then.
absl::StatusOr<ChangeOutcome> Apply(sql::Transaction& tx, const Event& seen, Change change,
                                    const Actor& actor, bool* told = nullptr) {
  auto current = OpenEventOfSite(tx, seen.site_id);
  if (!current.ok()) return current.status();
  if (!current->has_value() || (*current)->event_id != seen.event_id ||
      (*current)->last_seq != seen.last_seq || (*current)->severity != seen.severity) {
    return ChangeOutcome::kStale;
  }
  if (told != nullptr) *told = WasTold(**current, actor.dialect);
  std::optional<Projector> projector;
  if (actor.dialect == LegacyDialect::kV1) {
    // Nothing is written here: the columns change when people are told.
    change.after.told_at_ms = (*current)->told_at_ms;
    if (change.needs_site) {
      auto site = ActiveSiteOf(tx, seen.site_id, seen.bucket);
      if (!site.ok()) return site.status();
      if (!site->has_value()) return ChangeOutcome::kSiteGone;
    }
  } else if (actor.project && change.needs_site) {
    const LegacyColumns now = {StatusFor(actor.dialect, {.severity = change.after.severity}),
                               LegacyTime(actor.now_ms)};
    auto written = WriteColumns(tx, seen.site_id, seen.bucket, now, std::nullopt);
    if (!written.ok()) return written.status();
    if (*written == ColumnWrite::kSiteGone) return ChangeOutcome::kSiteGone;
    change.after.projected_status = now.status;
    change.after.projected_change = now.changed;
    projector = ProjectorOf(actor);
  }
  auto updated = UpdateEventRow(tx, seen, change.after, projector);
  if (!updated.ok()) return updated.status();
  if (!*updated) return absl::AbortedError("an event changed between two statements");
  if (auto s = InsertTransition(tx, seen, change.after, change.reason, change.detail, actor);
      !s.ok()) {
    return s;
  }
  return ChangeOutcome::kChanged;
}

enum class Begin { kOpen, kAdopted, kSiteGone };

// Dialect jetmon2: a suspicion stands in the columns.
absl::StatusOr<Begin> BeginProjected(sql::Transaction& tx, const Actor& actor, Event* e) {
  if (!actor.project) return Begin::kOpen;
  const LegacyColumns now = {StatusFor(actor.dialect, {.severity = e->severity}),
                             LegacyTime(actor.now_ms)};
  auto written = WriteColumns(tx, e->site_id, e->bucket, now, std::nullopt);
  if (!written.ok()) return written.status();
  if (*written == ColumnWrite::kSiteGone) return Begin::kSiteGone;
  e->projected_status = now.status;
  e->projected_change = now.changed;
  return Begin::kOpen;
}

// Dialect v1: nothing is written. What the columns say is kept, so that the tell finds out whether
// somebody told in between; if somebody has told by now, that incident is taken over.
absl::StatusOr<Begin> BeginUntold(sql::Transaction& tx, const Actor& actor, Event* e) {
  auto site = ActiveSiteOf(tx, e->site_id, e->bucket);
  if (!site.ok()) return site.status();
  if (!site->has_value()) return Begin::kSiteGone;
  if (MeaningOf(actor.dialect, (*site)->site_status) == LegacyMeaning::kToldDown) {
    auto ours = UpIsQueued(tx, e->site_id, e->bucket);
    if (!ours.ok()) return ours.status();
    auto echo = IsEcho(tx, **site, actor);
    if (!echo.ok()) return echo.status();
    auto last = LastWordOf(tx, **site);
    if (!last.ok()) return last.status();
    if (!*ours && !(*echo && *last == LastWord::kEndTold)) {
      if (auto s = OpenAdopted(tx, **site, actor); !s.ok()) return s;
      return Begin::kAdopted;
    }
  }
  e->projected_status = (*site)->site_status;
  e->projected_change = (*site)->last_status_change;
  return Begin::kOpen;
}

absl::Status Notify(sql::Transaction& tx, const Event& e, const char* kind, std::string_view url,
                    std::string_view checks_json, const Actor& actor) {
  const bool v1 = actor.dialect == LegacyDialect::kV1;
  const bool up = std::string_view(kind) == "up";
  Notification n;
  n.notification_id = absl::StrCat("ntf_", e.event_id, "_", kind);
  n.event_id = e.event_id;
  n.site_id = e.site_id;
  n.blog_id = e.blog_id;
  n.bucket = e.bucket;
  n.kind = kind;
  n.url = std::string(url);
  n.status_id =
      StatusFor(actor.dialect, {.severity = up ? Severity::kUp : Severity::kDown, .told = !up});
  n.status_change_ms = actor.now_ms;
  n.checks_json = std::string(checks_json);
  n.state = actor.notify_sends || v1 ? "queued" : "recorded";
  n.dialect = actor.dialect;
  n.next_attempt_at_ms = n.created_at_ms = actor.now_ms;
  auto queued = QueueNotification(tx, n);
  if (!queued.ok()) return queued.status();
  if (!*queued) return absl::InternalError(absl::StrCat(n.notification_id, " was queued before"));
  if (!v1 || actor.notify_sends) return absl::OkStatus();
  // Without a receiver, what is recorded counts as told.
  return CommitTell(tx, n, actor).status();
}

}  // namespace

absl::StatusOr<std::optional<Event>> OpenEventOfSite(sql::Transaction& tx, uint64_t site_id) {
  auto events = SelectEvents(tx, "WHERE site_id = ? AND ended_at_ms IS NULL", {site_id});
  if (!events.ok()) return events.status();
  if (events->size() > 1) {
    return absl::InternalError(absl::StrCat("site ", site_id, " has several open events"));
  }
  return events->empty() ? std::nullopt : std::optional((*events)[0]);
}

absl::StatusOr<std::vector<Event>> OpenEventsOfBucket(sql::Transaction& tx, uint32_t bucket) {
  return SelectEvents(tx, "WHERE bucket_no = ? AND ended_at_ms IS NULL ORDER BY site_id", {bucket});
}

absl::StatusOr<ChangeOutcome> OpenEvent(sql::Transaction& tx, const Site& site, const Failure& why,
                                        const Actor& actor, Event* opened) {
  auto open = OpenEventOfSite(tx, site.site_id);
  if (!open.ok()) return open.status();
  if (open->has_value()) return ChangeOutcome::kStale;
  Event e;
  e.site_id = site.site_id;
  e.blog_id = site.blog_id;
  e.bucket = site.bucket;
  e.severity = Severity::kSeemsDown;
  e.source = actor.source;
  e.error_code = why.error_code;
  e.http_code = why.http_code;
  e.failure_class = why.failure_class;
  e.started_at_ms = actor.now_ms;
  e.last_seq = 1;
  e.dialect = actor.dialect;
  auto begun = actor.dialect == LegacyDialect::kV1 ? BeginUntold(tx, actor, &e)
                                                   : BeginProjected(tx, actor, &e);
  if (!begun.ok()) return begun.status();
  if (*begun == Begin::kSiteGone) return ChangeOutcome::kSiteGone;
  if (*begun == Begin::kAdopted) {
    auto adopted = OpenEventOfSite(tx, site.site_id);
    if (!adopted.ok()) return adopted.status();
    if (opened != nullptr && adopted->has_value()) *opened = **adopted;
    return ChangeOutcome::kChanged;
  }
  if (auto s = InsertEvent(tx, &e, transition::kOpened, why.detail, actor, ProjectorOf(actor));
      !s.ok()) {
    return s;
  }
  if (opened != nullptr) *opened = e;
  return ChangeOutcome::kChanged;
}

absl::StatusOr<ChangeOutcome> ConfirmDown(sql::Transaction& tx, const Event& seen,
                                          std::string_view reason, std::string_view url,
                                          std::string_view checks_json, const Actor& actor) {
  if (seen.severity != Severity::kSeemsDown) {
    return absl::InvalidArgumentError("only an event that seems down can be confirmed");
  }
  const bool tells = seen.notified == 0 && !actor.muted;
  Change change{seen, "", ""};
  const std::string word(reason);
  change.reason = word.c_str();
  change.after.severity = Severity::kDown;
  change.after.confirmed_at_ms = actor.now_ms;
  if (tells) change.after.notified = 1;
  auto outcome = Apply(tx, seen, change, actor);
  if (!outcome.ok() || *outcome != ChangeOutcome::kChanged || !tells) return outcome;
  if (auto s = Notify(tx, seen, "down", url, checks_json, actor); !s.ok()) return s;
  return outcome;
}

absl::StatusOr<ChangeOutcome> CloseEvent(sql::Transaction& tx, const Event& seen,
                                         std::string_view reason, std::string_view url,
                                         std::string_view checks_json, const Actor& actor) {
  Change change{seen, "", ""};
  const std::string word(reason);
  change.reason = word.c_str();
  change.needs_site = word != transition::kSiteRemoved;
  change.after.severity = Severity::kUp;
  change.after.ended_at_ms = actor.now_ms;
  change.after.end_reason = word;
  bool told = false;
  auto outcome = Apply(tx, seen, change, actor, &told);
  if (!outcome.ok() || *outcome != ChangeOutcome::kChanged) return outcome;
  if (seen.dialect == LegacyDialect::kV1 && !told && seen.notified == 1) {
    if (auto s = CancelQueuedDown(tx, seen.event_id); !s.ok()) return s;
  }
  if (word != transition::kRecovered || !told || actor.muted) return outcome;
  if (auto s = Notify(tx, seen, "up", url, checks_json, actor); !s.ok()) return s;
  return outcome;
}

absl::Status InsertFalsePositive(sql::Transaction& tx, const Event& e, int up_votes, int down_votes,
                                 int64_t now_ms) {
  return tx
      .Execute(
          "INSERT INTO jetmon_false_positives (event_id, site_id, up_votes, down_votes, at_ms) "
          "VALUES (?, ?, ?, ?, ?)",
          {e.event_id, e.site_id, up_votes, down_votes, now_ms})
      .status();
}

absl::Status InsertHistory(sql::Transaction& tx, const std::vector<CheckHistoryRow>& rows,
                           const Actor& actor) {
  std::vector<std::vector<sql::Value>> values;
  for (const CheckHistoryRow& r : rows) {
    values.push_back({r.site_id, r.bucket, r.at_ms, r.source, actor.epoch, actor.instance,
                      actor.host, r.outcome, r.http_code, r.error_code, r.failure_class, r.total_us,
                      Bounded(r.detail, kMaxDetail)});
  }
  return InsertRows(tx,
                    "INSERT INTO jetmon_check_history (site_id, bucket_no, at_ms, source, epoch, "
                    "instance, host, outcome, http_code, error_code, failure_class, total_us, "
                    "detail) VALUES ",
                    "", 13, values);
}

}  // namespace jetmon::store
