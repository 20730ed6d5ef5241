#include "store/late_words.h"

#include <optional>

#include "store/adoption.h"
#include "store/event_rows.h"
#include "store/legacy_columns.h"
#include "store/tells.h"

namespace jetmon::store {
namespace {

LegacyMeaning MeaningOf(const Site& site) {
  return store::MeaningOf(LegacyDialect::kV1, site.site_status);
}

// Brings the columns back to what they should say. The row was just read: whoever writes it between
// the two is looked at the next time.
absl::StatusOr<LateWord> Correct(sql::Transaction& tx, const Site& site, const LegacyColumns& ours,
                                 bool echo) {
  auto written = WriteColumns(tx, site.site_id, site.bucket, ours, ColumnsOf(site));
  if (!written.ok()) return written.status();
  if (*written != ColumnWrite::kWritten) return LateWord::kNone;
  return echo ? LateWord::kEcho : LateWord::kForeign;
}

absl::StatusOr<LateWord> TakenOver(const absl::Status& s) {
  if (!s.ok()) return s;
  return LateWord::kAdopted;
}

// Of a site that has an open event, and columns that are not what was projected for it.
absl::StatusOr<LateWord> OfOpen(sql::Transaction& tx, const Site& site, const Event& open,
                                bool echo, bool v1_may_speak, const Actor& actor) {
  const LegacyColumns ours = {open.projected_status.value_or(kStatusUp), open.projected_change};
  const LegacyMeaning said = MeaningOf(site);
  const bool told = open.told_at_ms != 0;
  const bool agrees = said == (told ? LegacyMeaning::kToldDown : LegacyMeaning::kUp);
  if (agrees) {
    // The same word with another time, such as v1's repeated tell: it is where we go on from.
    auto s =
        StoreProjected(tx, open, site.site_status, site.last_status_change, ProjectorOf(actor));
    if (!s.ok()) return s;
    return LateWord::kNone;
  }
  if (echo || said == LegacyMeaning::kUnknown || !v1_may_speak) {
    return Correct(tx, site, ours, echo);
  }
  return TakenOver(AdoptOpen(tx, site, open, actor).status());
}

}  // namespace

absl::StatusOr<LateWord> TakeLateWord(sql::Transaction& tx, uint64_t site_id, uint32_t bucket,
                                      bool v1_may_speak, const Actor& actor) {
  auto found = ActiveSiteOf(tx, site_id, bucket);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return LateWord::kNone;
  const Site& site = **found;
  auto open = OpenEventOfSite(tx, site_id);
  if (!open.ok()) return open.status();
  const LegacyMeaning said = MeaningOf(site);
  if (open->has_value()) {
    const Event& e = **open;
    if (e.bucket != bucket || e.dialect != LegacyDialect::kV1) {
      return TakenOver(AdoptOpen(tx, site, e, actor).status());
    }
    if (e.projected_status == site.site_status && e.projected_change == site.last_status_change) {
      return LateWord::kNone;
    }
  } else if (said == LegacyMeaning::kUp) {
    return LateWord::kNone;
  }
  // The end of an incident of ours waits to be told: until then the columns say that it goes on.
  auto waits = UpIsQueued(tx, site_id, bucket);
  if (!waits.ok()) return waits.status();
  if (*waits) return LateWord::kNone;
  auto echo = IsEcho(tx, site, actor);
  if (!echo.ok()) return echo.status();
  if (open->has_value()) return OfOpen(tx, site, **open, *echo, v1_may_speak, actor);
  auto last = LastWordOf(tx, site);
  if (!last.ok()) return last.status();
  if (*last == LastWord::kStillTold) return TakenOver(OpenAdopted(tx, site, actor));
  if ((*echo && *last == LastWord::kEndTold) || said == LegacyMeaning::kUnknown || !v1_may_speak) {
    return Correct(tx, site, {kStatusUp, LegacyTime(actor.now_ms)}, *echo);
  }
  return TakenOver(OpenAdopted(tx, site, actor));
}

}  // namespace jetmon::store
