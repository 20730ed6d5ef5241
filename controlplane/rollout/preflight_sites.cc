// What a preflight says of the sites of its range.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/preflight_items.h"

namespace jetmon::rollout {
namespace {

void SayUrls(const SiteUrls::Result& seen, uint64_t active, Items* items) {
  v1::PreflightResult* r = items->result();
  r->set_active_sites(seen.all ? seen.looked_at : std::max(active, seen.looked_at));
  r->set_looked_at_sites(seen.looked_at);
  r->set_refused_sites(seen.refused.count);
  for (const std::string& url : seen.refused.examples) r->add_examples(url);
  const std::string of =
      seen.all ? absl::StrCat("of ", seen.looked_at, " active sites")
               : absl::StrCat("of the ", seen.looked_at, " active sites that were looked at");
  if (!seen.all) {
    items->Warn("supported_urls", "urls_not_all_looked_at",
                absl::StrCat(seen.looked_at, " of ", r->active_sites(),
                             " active sites were looked at before time was over"),
                "choose smaller ranges, or run preflight again when the database has less to do");
  } else {
    items->Ok("supported_urls",
              absl::StrCat("all ", seen.looked_at, " active sites were looked at"));
  }
  if (seen.refused.count > 0) {
    items->Warn("target_safety", "target_refused",
                absl::StrCat(seen.refused.count, " ", of,
                             " have a URL that target safety refuses; they will not be checked"),
                "see the examples; correct their URLs");
  } else {
    items->Ok("target_safety", absl::StrCat("none ", of, " is refused"));
  }
}

// Dialect v1: what v1 says of the range's sites, and we don't; and whom else they belong to.
void SayV1s(const SiteUrls::Result& seen, const std::string& duplicates_reason, Items* items) {
  v1::PreflightResult* r = items->result();
  r->set_differing_sites(seen.differs.count);
  for (const std::string& text : seen.differs.examples) r->add_differing_examples(text);
  r->set_duplicates_across_ranges(seen.split.count);
  for (const std::string& text : seen.split.examples) r->add_duplicate_examples(text);
  if (seen.differs.count > 0) {
    items->Warn("verdicts", "verdict_may_change",
                absl::StrCat(seen.differs.count,
                             " sites are checked or told otherwise than by v1, such as ",
                             seen.differs.examples.front()),
                "expect outages to begin or end with the hand-over; see the examples");
  } else {
    items->Ok("verdicts", "no URL is read otherwise than by v1");
  }
  if (seen.split.count == 0) {
    items->Ok("duplicates", "no site has a second row outside of the range");
    return;
  }
  const std::string text =
      absl::StrCat(seen.split.count,
                   " rows have the same blog and URL as one outside of the range: people are "
                   "told of those twice, such as ",
                   seen.split.examples.front());
  if (duplicates_reason.empty()) {
    items->Block("duplicates", "duplicate_across_ranges", text,
                 "deactivate one of each, or move both into one range; or override "
                 "duplicate_across_ranges with a reason");
  } else {
    items->Warn("duplicates", "duplicate_across_ranges",
                absl::StrCat(text, "; overridden: ", duplicates_reason),
                "people may be told twice of these");
  }
}

}  // namespace

void SaySites(const SiteUrls::Result& seen, uint64_t active, store::LegacyDialect dialect,
              const std::string& duplicates_reason, Items* items) {
  SayUrls(seen, active, items);
  if (dialect == store::LegacyDialect::kV1) SayV1s(seen, duplicates_reason, items);
}

}  // namespace jetmon::rollout
