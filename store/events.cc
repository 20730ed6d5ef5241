#include "store/events.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "store/bounded.h"
#include "store/event_rows.h"
#include "store/notifications.h"
#include "store/rows.h"
#include "store/slices.h"

namespace jetmon::store {
namespace {

enum class Projected { kWritten, kSiteGone };

// The legacy columns of a site, as long as its row is active in that bucket.
absl::StatusOr<Projected> Project(sql::Transaction& tx, uint64_t site_id, uint32_t bucket,
                                  int status, const std::string& changed) {
  auto matched = tx.ExecuteOne(
      "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
      "jetpack_monitor_site_id = ? AND bucket_no = ? AND monitor_active = 1",
      {status, changed, site_id, bucket});
  if (!matched.ok()) return matched.status();
  return *matched ? Projected::kWritten : Projected::kSiteGone;
}

// What a change of an event does besides its transition.
struct Change {
  Event after;
  const char* reason = "";
  std::string detail;
  std::optional<int> status;  // legacy status to project
};

// Writes one change: projection first (a site that is gone changes nothing), then the row on
// condition that it is as `seen`, then the transition.
absl::StatusOr<ChangeOutcome> Apply(sql::Transaction& tx, const Event& seen, Change change,
                                    const Actor& actor) {
  auto current = OpenEventOfSite(tx, seen.site_id);
  if (!current.ok()) return current.status();
  if (!current->has_value() || (*current)->event_id != seen.event_id ||
      (*current)->last_seq != seen.last_seq || (*current)->severity != seen.severity) {
    return ChangeOutcome::kStale;
  }
  std::optional<Projector> projector;
  if (actor.project && change.status.has_value()) {
    const std::string changed = LegacyTime(actor.now_ms);
    auto projected = Project(tx, seen.site_id, seen.bucket, *change.status, changed);
    if (!projected.ok()) return projected.status();
    if (*projected == Projected::kSiteGone) return ChangeOutcome::kSiteGone;
    change.after.projected_status = change.status;
    change.after.projected_change = changed;
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

// Has the last incident of a site, which has none open, been ended by a check of ours since v1
// wrote its columns? That incident, then.
absl::StatusOr<std::optional<Event>> EndedSinceV1Wrote(sql::Transaction& tx, const Site& site) {
  auto events =
      SelectEvents(tx, "WHERE site_id = ? ORDER BY event_id DESC LIMIT 1", {site.site_id});
  if (!events.ok()) return events.status();
  if (events->empty()) return std::nullopt;
  const Event& e = (*events)[0];
  const bool ours = e.end_reason == transition::kRecovered ||
                    e.end_reason == transition::kProbeCleared ||
                    e.end_reason == transition::kFalseAlarm;
  if (!e.ended_at_ms.has_value() || !ours || e.bucket != site.bucket ||
      ParseLegacyTime(site.last_status_change) > *e.ended_at_ms) {
    return std::nullopt;
  }
  return e;
}

absl::Status Notify(sql::Transaction& tx, const Event& e, const char* kind, int status_id,
                    std::string_view url, std::string_view checks_json, const Actor& actor) {
  Notification n;
  n.notification_id = absl::StrCat("ntf_", e.event_id, "_", kind);
  n.event_id = e.event_id;
  n.site_id = e.site_id;
  n.blog_id = e.blog_id;
  n.bucket = e.bucket;
  n.kind = kind;
  n.url = std::string(url);
  n.status_id = status_id;
  n.status_change_ms = actor.now_ms;
  n.checks_json = std::string(checks_json);
  n.state = actor.notify_sends ? "queued" : "recorded";
  n.next_attempt_at_ms = n.created_at_ms = actor.now_ms;
  auto queued = QueueNotification(tx, n);
  if (!queued.ok()) return queued.status();
  if (!*queued) return absl::InternalError(absl::StrCat(n.notification_id, " was queued before"));
  return absl::OkStatus();
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
  if (actor.project) {
    const std::string changed = LegacyTime(actor.now_ms);
    auto projected =
        Project(tx, site.site_id, site.bucket, static_cast<int>(SiteStatus::kSeemsDown), changed);
    if (!projected.ok()) return projected.status();
    if (*projected == Projected::kSiteGone) return ChangeOutcome::kSiteGone;
    e.projected_status = static_cast<int>(SiteStatus::kSeemsDown);
    e.projected_change = changed;
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
  Change change{seen, "", "", static_cast<int>(SiteStatus::kDown)};
  const std::string word(reason);
  change.reason = word.c_str();
  change.after.severity = Severity::kDown;
  change.after.confirmed_at_ms = actor.now_ms;
  change.after.notified = std::max(seen.notified, 1);
  auto outcome = Apply(tx, seen, change, actor);
  if (!outcome.ok() || *outcome != ChangeOutcome::kChanged || seen.notified != 0) return outcome;
  if (auto s =
          Notify(tx, seen, "down", static_cast<int>(SiteStatus::kDown), url, checks_json, actor);
      !s.ok()) {
    return s;
  }
  return outcome;
}

absl::StatusOr<ChangeOutcome> CloseEvent(sql::Transaction& tx, const Event& seen,
                                         std::string_view reason, std::string_view url,
                                         std::string_view checks_json, const Actor& actor) {
  Change change{seen, "", "", static_cast<int>(SiteStatus::kUp)};
  const std::string word(reason);
  change.reason = word.c_str();
  change.after.severity = Severity::kUp;
  change.after.ended_at_ms = actor.now_ms;
  change.after.end_reason = word;
  auto outcome = Apply(tx, seen, change, actor);
  const bool owes_up = word == transition::kRecovered && seen.notified != 0;
  if (!outcome.ok() || *outcome != ChangeOutcome::kChanged || !owes_up) return outcome;
  if (auto s = Notify(tx, seen, "up", static_cast<int>(SiteStatus::kUp), url, checks_json, actor);
      !s.ok()) {
    return s;
  }
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

absl::StatusOr<uint64_t> ProjectBucket(sql::Transaction& tx, uint32_t bucket, const Actor& actor) {
  auto events = OpenEventsOfBucket(tx, bucket);
  if (!events.ok()) return events.status();
  uint64_t written = 0;
  std::set<uint64_t> open;
  for (const Event& e : *events) {
    open.insert(e.site_id);
    auto site = GetSite(tx, e.site_id);
    if (!site.ok()) return site.status();
    const int expected = LegacyStatusOf(e.severity);
    if (!site->has_value() || !(*site)->active || (*site)->bucket != bucket ||
        (*site)->site_status == expected) {
      continue;
    }
    const std::string changed = LegacyTime(
        e.severity == Severity::kDown && e.confirmed_at_ms != 0 ? e.confirmed_at_ms : actor.now_ms);
    auto projected = Project(tx, e.site_id, bucket, expected, changed);
    if (!projected.ok()) return projected.status();
    if (*projected == Projected::kSiteGone) continue;
    auto s = StoreProjected(tx, e, expected, changed, ProjectorOf(actor));
    if (!s.ok()) return s;
    ++written;
  }
  auto not_up = SitesNotUp(tx, {.buckets = {bucket, bucket}});
  if (!not_up.ok()) return not_up.status();
  for (const Site& site : *not_up) {
    if (open.contains(site.site_id)) continue;
    auto ended = EndedSinceV1Wrote(tx, site);
    if (!ended.ok()) return ended.status();
    if (!ended->has_value()) continue;
    constexpr int kUp = static_cast<int>(SiteStatus::kUp);
    const std::string changed = LegacyTime(*(*ended)->ended_at_ms);
    auto projected = Project(tx, site.site_id, bucket, kUp, changed);
    if (!projected.ok()) return projected.status();
    if (*projected == Projected::kSiteGone) continue;
    if (auto s = StoreProjected(tx, **ended, kUp, changed, ProjectorOf(actor)); !s.ok()) return s;
    ++written;
  }
  return written;
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
