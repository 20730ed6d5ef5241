#include "store/tell_decisions.h"

#include "absl/strings/str_cat.h"
#include "store/event_rows.h"
#include "store/tell_rows.h"
#include "store/tells.h"

namespace jetmon::store {
namespace {

// More rows of one blog and URL are not looked for.
constexpr int kMostTwins = 100;

LegacyMeaning MeaningIn(const LegacyColumns& columns) {
  return MeaningOf(LegacyDialect::kV1, columns.status);
}

// The columns before the commit, as v1 has to find them: what it is to tell must not stand there
// already, as a receiver's late write of an earlier word may have.
absl::StatusOr<LegacyColumns> PutBack(sql::Transaction& tx, const Notification& n, const Event& e) {
  auto row = PriorOf(tx, n.notification_id);
  if (!row.ok()) return row.status();
  const LegacyColumns& prior = *row;
  const bool told_down = MeaningIn(prior) == LegacyMeaning::kToldDown;
  if (n.kind == "up" && !told_down) return LegacyColumns{kStatusDown, LegacyTime(e.told_at_ms)};
  if (n.kind != "up" && told_down) return LegacyColumns{kStatusUp, prior.changed};
  return prior;
}

// Whether the columns are as we wrote them for this tell, or 59 minutes after it.
bool AsWeLeftThem(const LegacyColumns& columns, const Notification& n, const Event& e) {
  if (columns.status == kStatusStillDown) return columns == Expected(e);
  const int status = n.kind == "up" ? kStatusUp : kStatusDown;
  return columns == LegacyColumns{status, LegacyTime(n.sent_at_ms)};
}

// An incident that was opened since as told, because of what the columns said of this one.
absl::Status UntellSuccessor(sql::Transaction& tx, const Event& e, const LegacyColumns& now,
                             const Actor& actor) {
  auto open = OpenEventOfSite(tx, e.site_id);
  if (!open.ok() || !open->has_value()) return open.status();
  const Event& f = **open;
  if (f.event_id == e.event_id || f.told_at_ms == 0 || Expected(f) != Expected(e)) {
    return absl::OkStatus();
  }
  return Remember(tx, f, now, 0, actor);
}

// The row keeps the time of its commit: that tells it from one that nobody ever sent.
absl::Status CancelSending(sql::Transaction& tx, const Notification& n, const char* state) {
  auto cancelled = tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = 'cancelled', attempts = attempts + 1 WHERE "
      "notification_id = ? AND attempts = ? AND state = ?",
      {n.notification_id, n.attempts, state});
  if (!cancelled.ok()) return cancelled.status();
  if (!*cancelled) return absl::AbortedError("a tell was changed by another process meanwhile");
  return absl::OkStatus();
}

// Writes what v1 has to find; `now`: what the columns say then. False: the receiver has written
// them.
absl::StatusOr<bool> WriteBack(sql::Transaction& tx, const Notification& n, const Event& e,
                               LegacyColumns* now) {
  *now = Expected(e);
  auto site = ActiveSiteOf(tx, e.site_id, e.bucket);
  if (!site.ok()) return site.status();
  if (!site->has_value()) return true;  // nobody tells anything of it
  const LegacyColumns there = ColumnsOf(**site);
  *now = there;
  const bool same = MeaningIn(there) == SaidBy(n);
  if (same && !AsWeLeftThem(there, n, e)) return false;
  // The opposite stands there already: v1 tells what it finds.
  if (!same && MeaningIn(there) != LegacyMeaning::kUnknown) return true;
  auto prior = PutBack(tx, n, e);
  if (!prior.ok()) return prior.status();
  auto written = WriteColumns(tx, e.site_id, e.bucket, *prior, there);
  if (!written.ok()) return written.status();
  if (*written != ColumnWrite::kWritten) return absl::AbortedError("a site changed meanwhile");
  *now = *prior;
  return true;
}

// Takes a down of `e` back, as far as rows of incidents and tells go.
absl::Status UntellDown(sql::Transaction& tx, const Notification& n, const Event& e,
                        const LegacyColumns& now, const char* state, const Actor& actor) {
  if (auto s = CancelSending(tx, n, state); !s.ok()) return s;
  if (e.ended_at_ms.has_value()) {
    // Its end is no news either.
    auto up = CancelRow(tx, absl::StrCat("ntf_", e.event_id, "_up"));
    if (!up.ok()) return up.status();
  }
  if (auto s = UntellSuccessor(tx, e, now, actor); !s.ok()) return s;
  return Remember(tx, e, now, 0, actor);
}

// Rows of the same blog and URL that counted as told by `told`.
absl::Status UntellTwins(sql::Transaction& tx, const Notification& told, const Actor& actor) {
  std::vector<std::string> ids;
  auto s = tx.Query(
      "SELECT n.notification_id FROM jetpack_monitor_sites t JOIN jetpack_monitor_sites s ON "
      "s.blog_id = t.blog_id AND s.monitor_url = t.monitor_url JOIN jetmon_notifications n ON "
      "n.site_id = s.jetpack_monitor_site_id WHERE t.jetpack_monitor_site_id = ? AND n.site_id <> "
      "? AND n.kind = 'down' AND n.state = 'superseded' AND n.sent_at_ms >= ? LIMIT ?",
      {told.site_id, told.site_id, told.sent_at_ms, kMostTwins}, [&](const sql::Row& row) {
        ids.push_back(row.Text(0));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  for (const std::string& id : ids) {
    auto n = GetNotification(tx, id);
    if (!n.ok()) return n.status();
    if (!n->has_value()) continue;
    auto e = EventOf(tx, (*n)->event_id);
    if (!e.ok()) return e.status();
    if (!e->has_value() || (*e)->told_at_ms == 0) continue;
    auto end_told = EndWasTold(tx, **e);
    if (!end_told.ok()) return end_told.status();
    // Told by somebody else, or its end was.
    if (*end_told || !AsWeLeftThem(Expected(**e), **n, **e)) continue;
    LegacyColumns now;
    auto back = WriteBack(tx, **n, **e, &now);
    if (!back.ok()) return back.status();
    if (!*back) continue;
    if (s = UntellDown(tx, **n, **e, now, "superseded", actor); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<DecisionOutcome> Untell(sql::Transaction& tx, const Notification& n,
                                       const Actor& actor) {
  auto sending = IsSendingAs(tx, n);
  if (!sending.ok()) return sending.status();
  if (!*sending) return DecisionOutcome::kNotSending;
  auto event = EventOf(tx, n.event_id);
  if (!event.ok()) return event.status();
  if (!event->has_value()) {
    if (auto s = CancelSending(tx, n, "sending"); !s.ok()) return s;
    return DecisionOutcome::kDecided;
  }
  const Event& e = **event;
  LegacyColumns now;
  auto back = WriteBack(tx, n, e, &now);
  if (!back.ok()) return back.status();
  if (!*back) {
    auto ended = SupersedeSending(tx, n);
    if (!ended.ok()) return ended.status();
    return *ended ? DecisionOutcome::kToldSince : DecisionOutcome::kNotSending;
  }
  absl::Status s;
  if (n.kind == "up") {
    s = CancelSending(tx, n, "sending");
    if (s.ok()) s = MoveOn(tx, e, Expected(e), now, actor);
    if (s.ok()) s = Remember(tx, e, now, e.told_at_ms, actor);
  } else {
    s = UntellDown(tx, n, e, now, "sending", actor);
    if (s.ok()) s = UntellTwins(tx, n, actor);
  }
  if (!s.ok()) return s;
  return DecisionOutcome::kDecided;
}

}  // namespace

absl::StatusOr<DecisionOutcome> DecideTell(sql::Transaction& tx, const Notification& n,
                                           TellDecision decision, const Actor& actor) {
  if (n.state != "sending") return DecisionOutcome::kNotSending;
  if (decision == TellDecision::kUntold) return Untell(tx, n, actor);
  auto told = MarkDelivered(tx, n, actor.now_ms);
  if (!told.ok()) return told.status();
  return *told ? DecisionOutcome::kDecided : DecisionOutcome::kNotSending;
}

absl::StatusOr<bool> TakenAfterAll(sql::Transaction& tx, const Notification& n,
                                   const Actor& actor) {
  auto delivered = tx.ExecuteOne(
      "UPDATE jetmon_notifications SET delivered_at_ms = ?, state = 'delivered' WHERE state = "
      "'cancelled' AND sent_at_ms <> 0 AND notification_id = ? AND attempts = ?",
      {actor.now_ms, n.notification_id, n.attempts + 1});
  if (!delivered.ok() || !*delivered) return delivered;
  auto event = EventOf(tx, n.event_id);
  if (!event.ok()) return event.status();
  if (!event->has_value()) return true;
  const Event& e = **event;
  const bool up = n.kind == "up";
  const int64_t told_at_ms = up ? e.told_at_ms : actor.now_ms;
  LegacyColumns now = {up ? kStatusUp : kStatusDown, LegacyTime(actor.now_ms)};
  auto site = ActiveSiteOf(tx, e.site_id, e.bucket);
  if (!site.ok()) return site.status();
  if (site->has_value()) {
    const LegacyColumns there = ColumnsOf(**site);
    if (MeaningIn(there) == MeaningIn(now)) {
      now = there;  // the receiver has written it already
    } else {
      auto written = WriteColumns(tx, e.site_id, e.bucket, now, there);
      if (!written.ok()) return written.status();
      if (*written != ColumnWrite::kWritten) return absl::AbortedError("a site changed meanwhile");
    }
  }
  if (auto s = Remember(tx, e, now, told_at_ms, actor); !s.ok()) return s;
  return true;
}

}  // namespace jetmon::store
