#include "store/tells.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "store/adoption.h"
#include "store/event_rows.h"
#include "store/legacy_columns.h"
#include "store/tell_rows.h"
#include "store/twins.h"

namespace jetmon::store {
namespace {

absl::StatusOr<bool> SetState(sql::Transaction& tx, const Notification& n, const char* state) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = ? WHERE notification_id = ? AND attempts = ? AND "
      "state = 'queued'",
      {state, n.notification_id, n.attempts});
}

// Whether the tell still says what is so.
bool Stands(const Notification& n, const std::optional<Event>& e) {
  if (!e.has_value()) return false;
  if (n.kind == "up") return e->ended_at_ms.has_value();
  return !e->ended_at_ms.has_value() && e->severity == Severity::kDown && e->told_at_ms == 0;
}

// Writes the columns unless somebody else has told what is to be told. Where they say the same as
// what we wrote or read last, at another time (a receiver's second write, a repeated tell of v1's),
// or only echo what we told before, nobody has.
absl::StatusOr<ColumnWrite> WriteOver(sql::Transaction& tx, const Event& e,
                                      const LegacyColumns& now, const Actor& actor,
                                      LegacyColumns* seen) {
  *seen = Expected(e);
  auto written = WriteColumns(tx, e.site_id, e.bucket, now, *seen);
  if (!written.ok() || *written != ColumnWrite::kChangedMeanwhile) return written;
  auto site = ActiveSiteOf(tx, e.site_id, e.bucket);
  if (!site.ok()) return site.status();
  if (!site->has_value()) return ColumnWrite::kSiteGone;
  const LegacyMeaning said = MeaningOf(LegacyDialect::kV1, (*site)->site_status);
  if (said == MeaningOf(LegacyDialect::kV1, now.status)) {
    auto echo = IsEcho(tx, **site, actor);
    if (!echo.ok()) return echo.status();
    if (!*echo) return ColumnWrite::kChangedMeanwhile;
  }
  *seen = ColumnsOf(**site);
  return WriteColumns(tx, e.site_id, e.bucket, now, *seen);
}

// Somebody else has told: the site is taken over as the columns say.
absl::Status AdoptInstead(sql::Transaction& tx, const Event& e, const Actor& actor) {
  auto site = ActiveSiteOf(tx, e.site_id, e.bucket);
  if (!site.ok() || !site->has_value()) return site.status();
  auto open = OpenEventOfSite(tx, e.site_id);
  if (!open.ok()) return open.status();
  if (open->has_value()) return AdoptOpen(tx, **site, **open, actor).status();
  if (MeaningOf(actor.dialect, (*site)->site_status) != LegacyMeaning::kToldDown) {
    return absl::OkStatus();
  }
  return OpenAdopted(tx, **site, actor);
}

absl::StatusOr<TellOutcome> End(sql::Transaction& tx, const Notification& n, const char* state,
                                TellOutcome outcome) {
  auto ended = SetState(tx, n, state);
  if (!ended.ok()) return ended.status();
  return *ended ? outcome : TellOutcome::kStale;
}

}  // namespace

absl::StatusOr<TellOutcome> CommitTell(sql::Transaction& tx, const Notification& n,
                                       const Actor& actor) {
  auto event = EventOf(tx, n.event_id);
  if (!event.ok()) return event.status();
  if (!Stands(n, *event)) return End(tx, n, "cancelled", TellOutcome::kCancelled);
  const Event& e = **event;
  const bool up = n.kind == "up";
  const LegacyColumns now = {StatusFor(LegacyDialect::kV1, {.severity = e.severity, .told = !up}),
                             LegacyTime(actor.now_ms)};
  LegacyColumns seen;
  auto written = WriteOver(tx, e, now, actor, &seen);
  if (!written.ok()) return written.status();
  if (*written == ColumnWrite::kSiteGone) {
    return End(tx, n, "cancelled", TellOutcome::kCancelled);
  }
  if (*written == ColumnWrite::kChangedMeanwhile) {
    auto ended = End(tx, n, "superseded", TellOutcome::kSuperseded);
    if (!ended.ok() || *ended != TellOutcome::kSuperseded) return ended;
    if (auto s = AdoptInstead(tx, e, actor); !s.ok()) return s;
    return ended;
  }
  auto site = ActiveSiteOf(tx, e.site_id, e.bucket);
  if (!site.ok()) return site.status();
  if (!site->has_value()) return absl::AbortedError("a site left between two statements");
  auto twin = ToldByTwin(tx, **site, e, up);
  if (!twin.ok()) return twin.status();
  const char* state = *twin ? "superseded" : actor.notify_sends ? "sending" : "recorded";
  auto sending = tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = ?, sent_at_ms = ?, prior_status = ?, prior_change = "
      "? WHERE notification_id = ? AND attempts = ? AND state = "
      "'queued'",
      {state, actor.now_ms, seen.status,
       seen.changed.empty() ? sql::Value() : sql::Value(seen.changed), n.notification_id,
       n.attempts});
  if (!sending.ok()) return sending.status();
  // The columns are written already: whoever has the row now has told, and this must not stand.
  if (!*sending) return absl::AbortedError("a tell was taken by another process meanwhile");
  if (auto s = Remember(tx, e, now, up ? e.told_at_ms : actor.now_ms, actor); !s.ok()) return s;
  if (up) {
    if (auto s = MoveOn(tx, e, seen, now, actor); !s.ok()) return s;
  }
  return *twin ? TellOutcome::kToldByTwin : TellOutcome::kCommitted;
}

absl::StatusOr<bool> StillStands(sql::Transaction& tx, const Notification& n, const Actor& actor) {
  auto sending = IsSendingAs(tx, n);
  if (!sending.ok() || !*sending) return sending;
  auto site = GetSite(tx, n.site_id);
  if (!site.ok()) return site.status();
  if (!site->has_value()) return true;  // of a site that is gone nobody else tells anything
  if (MeaningOf(LegacyDialect::kV1, (*site)->site_status) == SaidBy(n)) return true;
  // A late echo of what we told before is nobody's word.
  auto echo = IsEcho(tx, **site, actor);
  if (!echo.ok() || *echo) return echo;
  if (auto ended = SupersedeSending(tx, n); !ended.ok()) return ended.status();
  return false;
}

absl::StatusOr<bool> TakeBackTell(sql::Transaction& tx, const Notification& n, const Actor& actor,
                                  int64_t next_attempt_at_ms) {
  auto event = EventOf(tx, n.event_id);
  if (!event.ok()) return event.status();
  auto sending = IsSendingAs(tx, n);
  if (!sending.ok() || !*sending) return sending;
  if (!event->has_value()) return false;
  auto prior = PriorOf(tx, n.notification_id);
  if (!prior.ok()) return prior.status();
  const Event& e = **event;
  auto written = WriteColumns(tx, e.site_id, e.bucket, *prior, Expected(e));
  if (!written.ok()) return written.status();
  if (*written != ColumnWrite::kWritten) return false;
  const bool up = n.kind == "up";
  // A down that nobody heard of, of an incident that has ended meanwhile: its end is no news
  // either.
  const bool over = !up && e.ended_at_ms.has_value();
  auto back = tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = ?, sent_at_ms = 0, attempts = attempts + 1, "
      "next_attempt_at_ms = ? WHERE notification_id = ? AND attempts = ? AND state = 'sending'",
      {over ? "cancelled" : "queued", next_attempt_at_ms, n.notification_id, n.attempts});
  if (!back.ok()) return back.status();
  if (!*back) return absl::AbortedError("a tell was changed by another process meanwhile");
  if (over) {
    auto end = CancelRow(tx, absl::StrCat("ntf_", e.event_id, "_up"));
    if (!end.ok()) return end.status();
  }
  if (up) {
    if (auto s = MoveOn(tx, e, Expected(e), *prior, actor); !s.ok()) return s;
  }
  auto s = Remember(tx, e, *prior, up ? e.told_at_ms : 0, actor);
  if (!s.ok()) return s;
  return true;
}

absl::Status CancelQueuedDown(sql::Transaction& tx, uint64_t event_id) {
  const std::string id = absl::StrCat("ntf_", event_id, "_down");
  auto cancelled = CancelRow(tx, id);
  if (!cancelled.ok() || *cancelled) return cancelled.status();
  std::string state;
  auto s = tx.Query("SELECT state FROM jetmon_notifications WHERE notification_id = ?", {id},
                    [&](const sql::Row& row) {
                      state = row.Text(0);
                      return absl::OkStatus();
                    });
  if (!s.ok() || state == "cancelled" || state == "superseded") return s;
  return absl::AbortedError("people were told of it meanwhile");
}

absl::StatusOr<bool> IsEcho(sql::Transaction& tx, const Site& site, const Actor& actor) {
  const LegacyMeaning said = MeaningOf(LegacyDialect::kV1, site.site_status);
  if (said == LegacyMeaning::kUnknown) return false;
  const char* kind = said == LegacyMeaning::kUp ? "up" : "down";
  const int64_t written_ms = ParseLegacyTime(site.last_status_change);
  const int64_t since_ms =
      (written_ms == 0 ? actor.now_ms : std::min(written_ms, actor.now_ms)) - actor.echo_ms;
  bool echo = false;
  auto s = tx.Query(
      "SELECT n.notification_id FROM jetpack_monitor_sites s JOIN jetmon_notifications n ON "
      "n.site_id = s.jetpack_monitor_site_id WHERE s.blog_id = ? AND s.monitor_url = ? AND n.kind "
      "= ? AND (n.state = 'sending' OR (n.state = 'delivered' AND n.delivered_at_ms >= ?)) LIMIT 1",
      {site.blog_id, site.url, kind, since_ms}, [&](const sql::Row&) {
        echo = true;
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return echo;
}

absl::StatusOr<bool> EndWasTold(sql::Transaction& tx, const Event& e) {
  bool told = false;
  auto s = tx.Query(
      "SELECT state FROM jetmon_notifications WHERE notification_id = ? AND state IN ('sending', "
      "'delivered', 'recorded')",
      {absl::StrCat("ntf_", e.event_id, "_up")}, [&](const sql::Row&) {
        told = true;
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return told;
}

absl::StatusOr<LastWord> LastWordOf(sql::Transaction& tx, const Site& site) {
  auto events = SelectEvents(
      tx, "WHERE site_id = ? AND told_at_ms <> 0 ORDER BY event_id DESC LIMIT 1", {site.site_id});
  if (!events.ok()) return events.status();
  if (events->empty()) return LastWord::kNone;
  const Event& e = (*events)[0];
  auto told = EndWasTold(tx, e);
  if (!told.ok()) return told.status();
  if (*told) return LastWord::kEndTold;
  return Expected(e) == ColumnsOf(site) ? LastWord::kStillTold : LastWord::kNone;
}

absl::StatusOr<bool> UpIsQueued(sql::Transaction& tx, uint64_t site_id, uint32_t bucket) {
  bool waits = false;
  auto s = tx.Query(
      "SELECT kind, dialect, bucket_no FROM jetmon_notifications WHERE site_id = ? AND state = "
      "'queued'",
      {site_id}, [&](const sql::Row& row) {
        waits = waits || (row.Text(0) == "up" && row.Text(1) == NameOf(LegacyDialect::kV1) &&
                          row.Int(2) == bucket);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return waits;
}

absl::StatusOr<bool> WriteStillDown(sql::Transaction& tx, const Event& e, int64_t after_ms,
                                    const Actor& actor) {
  if (e.told_at_ms == 0 || actor.now_ms - e.told_at_ms < after_ms) return false;
  const LegacyColumns seen = Expected(e);
  if (seen.status != kStatusDown) return false;
  const LegacyColumns now = {kStatusStillDown, LegacyTime(e.told_at_ms + after_ms)};
  auto written = WriteColumns(tx, e.site_id, e.bucket, now, seen);
  if (!written.ok()) return written.status();
  if (*written != ColumnWrite::kWritten) return false;
  auto s = StoreProjected(tx, e, now.status, now.changed, ProjectorOf(actor));
  if (!s.ok()) return s;
  return true;
}

}  // namespace jetmon::store
