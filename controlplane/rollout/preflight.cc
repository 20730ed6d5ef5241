#include "controlplane/rollout/preflight.h"

#include <condition_variable>
#include <mutex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/owners.h"
#include "probe/url.h"
#include "store/locks.h"
#include "store/sites.h"
#include "store/vantages.h"

namespace jetmon::rollout {
namespace {

constexpr std::chrono::milliseconds kAskWithin{3'000};
constexpr int kSitesAPage = 5000;
constexpr int kMostExamples = 20;

class Items {
 public:
  explicit Items(v1::OperationResponse* answer) : answer_(answer) {}
  void Ok(const char* name, std::string text) { Add(name, "ok", "", std::move(text), ""); }
  void Warn(const char* name, const char* code, std::string text, const char* action) {
    *answer_->add_warnings() = MakeFinding(code, text, action);
    Add(name, "warning", code, std::move(text), action);
  }
  void Block(const char* name, const std::string& code, std::string text,
             const std::string& action) {
    *answer_->add_blockers() = MakeFinding(code, text, action);
    Add(name, "blocker", code, std::move(text), action);
  }
  v1::PreflightResult* result() { return answer_->mutable_preflight(); }

 private:
  void Add(const char* name, const char* status, const std::string& code, std::string text,
           const std::string& action) {
    v1::PreflightItem* item = result()->add_items();
    item->set_name(name);
    item->set_status(status);
    item->set_code(code);
    item->set_text(std::move(text));
    item->set_action(action);
  }
  v1::OperationResponse* answer_;
};

// What each vantage answered, in the order asked.
std::vector<absl::StatusOr<confirm::Facts>> AskAll(const AskStatus& ask,
                                                   const std::vector<confirm::Vantage>& vantages) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable all;
    size_t left = 0;
    std::vector<absl::StatusOr<confirm::Facts>> answers;
  };
  auto shared = std::make_shared<Shared>();
  shared->left = vantages.size();
  shared->answers.assign(vantages.size(), absl::UnavailableError("it did not answer"));
  for (size_t i = 0; i < vantages.size(); ++i) {
    ask(vantages[i], kAskWithin, [shared, i](absl::StatusOr<confirm::Facts> facts) {
      std::lock_guard lock(shared->mutex);
      shared->answers[i] = std::move(facts);
      if (--shared->left == 0) shared->all.notify_all();
    });
  }
  std::unique_lock lock(shared->mutex);
  shared->all.wait_for(lock, kAskWithin + std::chrono::seconds(1),
                       [&] { return shared->left == 0; });
  return shared->answers;
}

void LookAtVantages(const Parts& parts, const Options& options,
                    const std::vector<store::AskableVantage>& rows, Items* items) {
  std::vector<confirm::Vantage> vantages;
  for (const auto& row : rows) {
    vantages.push_back({row.vantage.vantage_id, row.vantage.token_hash, row.endpoints});
  }
  const auto answers = AskAll(parts.ask_status, vantages);
  std::vector<std::string> healthy, troubles;
  std::set<std::string> endpoints;
  bool duplicate = false;
  for (size_t i = 0; i < vantages.size(); ++i) {
    const confirm::Vantage& v = vantages[i];
    for (const std::string& e : v.endpoints) duplicate = !endpoints.insert(e).second || duplicate;
    if (!answers[i].ok()) {
      troubles.push_back(absl::StrCat(v.vantage_id, ": ", answers[i].status().message()));
    } else if (answers[i]->vantage_id != v.vantage_id) {
      troubles.push_back(absl::StrCat(v.vantage_id, " answers as ", answers[i]->vantage_id));
    } else if (answers[i]->protocol_min > confirm::kProtocol ||
               answers[i]->protocol_max < confirm::kProtocol) {
      troubles.push_back(absl::StrCat(v.vantage_id, " speaks another protocol"));
    } else {
      healthy.push_back(v.vantage_id);
    }
  }
  const std::string trouble = absl::StrJoin(troubles, "; ");
  if (static_cast<int>(healthy.size()) < options.peer_offline_limit) {
    items->Block("vantages",
                 vantages.size() < static_cast<size_t>(options.peer_offline_limit)
                     ? "vantages_missing"
                     : "vantage_unreachable",
                 absl::StrCat(healthy.size(), " of the ", options.peer_offline_limit,
                              " wanted vantages are approved and answer",
                              trouble.empty() ? "" : ": ", trouble),
                 "approve vantages and start their Verifliers; see api verifliers agents");
  } else if (!troubles.empty()) {
    items->Warn("vantages", "vantage_unreachable", trouble,
                "these count among the enabled and abstain; repair or disable them");
  } else {
    items->Ok("vantages",
              absl::StrCat(healthy.size(), " vantages answer: ", absl::StrJoin(healthy, ", ")));
  }
  if (duplicate) {
    items->Block("discovery", "vantage_duplicate", "two vantages share an endpoint",
                 "give each vantage its own Veriflier");
  } else {
    items->Ok("discovery", absl::StrCat(vantages.size(), " trusted rows in the registry"));
  }
}

absl::Status LookAtUrls(sql::Transaction& tx, const Options& options, store::Range range,
                        v1::PreflightResult* result) {
  const auto example = [result](const std::string& url) {
    if (result->examples_size() < kMostExamples) result->add_examples(url);
  };
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    for (uint64_t after = 0;;) {
      auto sites = store::ActiveSitesOfBucket(tx, bucket, after, kSitesAPage);
      if (!sites.ok()) return sites.status();
      for (const store::Site& site : *sites) {
        result->set_active_sites(result->active_sites() + 1);
        const probe::Url url = probe::ParseUrl(site.url);
        if (!options.engine.safety.JudgeUrl(url).ok()) {
          result->set_refused_sites(result->refused_sites() + 1);
          example(site.url);
        } else if (probe::NotAvailableYet(url)) {
          result->set_not_available_sites(result->not_available_sites() + 1);
          example(site.url);
        }
      }
      if (sites->size() < static_cast<size_t>(kSitesAPage)) break;
      after = sites->back().site_id;
    }
  }
  return absl::OkStatus();
}

void SayUrls(Items* items) {
  const v1::PreflightResult& r = *items->result();
  if (r.not_available_sites() > 0) {
    items->Block("supported_urls", "not_available",
                 absl::StrCat(r.not_available_sites(), " of ", r.active_sites(),
                              " active sites have https or host-name URLs, which this build can't "
                              "check yet"),
                 "choose a range without them, or wait for a build with TLS and DNS");
  } else {
    items->Ok("supported_urls", absl::StrCat(r.active_sites(), " active sites can be checked"));
  }
  if (r.refused_sites() > 0) {
    items->Warn("target_safety", "target_refused",
                absl::StrCat(r.refused_sites(),
                             " sites have a URL that target safety refuses; "
                             "they will not be checked"),
                "see the examples; correct their URLs");
  } else {
    items->Ok("target_safety", "no site's URL is refused");
  }
}

void LookAtNotifications(const store::Session& session, const OwnerFacts& owner, Items* items) {
  const bool configured = owner.instance.has_value() && owner.instance->notify_configured;
  const bool declared_none = absl::StrContains(session.metadata_json, "\"notifications\":\"none\"");
  if (configured == declared_none) {
    items->Warn("notifications", "notifications_differ",
                configured ? "the Monitor sends notifications; the session declares none"
                           : "the Monitor has no --notify_url: notifications are recorded, not "
                             "sent; the session does not declare it",
                "set --notify_url, or declare metadata.notifications = \"none\"");
  } else {
    items->Ok("notifications", configured ? "the Monitor sends notifications"
                                          : "none are sent, as the session declares");
  }
}

}  // namespace

absl::Status RunPreflight(const Parts& parts, const Options& options, Observer& observer,
                          const store::Session& session, store::Range range,
                          const std::string& owner_host, v1::OperationResponse* answer) {
  observer.WaitUntilHeard(owner_host, options.times.hear_within);
  Items items(answer);
  OwnerFacts owner;
  std::vector<store::AskableVantage> vantages;
  std::vector<std::string> holders, missing;
  size_t bucket_rows = 0;
  v1::PreflightResult counts;
  const absl::Status s = parts.db->Read([&](sql::Transaction& tx) -> absl::Status {
    counts.Clear();
    holders.clear();
    auto facts = LookAtOwner(tx, observer, owner_host);
    if (!facts.ok()) return facts.status();
    owner = *facts;
    auto rows = store::AskableVantages(tx);
    if (!rows.ok()) return rows.status();
    vantages = std::move(*rows);
    auto columns = store::MissingLegacyColumns(tx);
    if (!columns.ok()) return columns.status();
    missing = std::move(*columns);
    auto buckets = store::ListBuckets(tx, range);
    if (!buckets.ok()) return buckets.status();
    bucket_rows = buckets->size();
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    for (const auto& l : *locks) {
      if (l.range.Overlaps(range)) {
        holders.push_back(absl::StrCat(l.owner_host, " holds ", l.range.ToString()));
      }
    }
    return missing.empty() ? LookAtUrls(tx, options, range, &counts) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  *items.result() = counts;
  items.Ok("database", "reachable");
  items.Ok("schema", "as this build needs it");
  if (!holders.empty() || bucket_rows != range.size()) {
    items.Block("bucket_range", "bucket_range_conflict",
                holders.empty() ? absl::StrCat("the database knows ", bucket_rows, " of ",
                                               range.size(), " buckets")
                                : absl::StrJoin(holders, ", "),
                "release it first, or choose another range");
  } else {
    items.Ok("bucket_range", absl::StrCat("buckets ", range.ToString(), " are v1's"));
  }
  if (missing.empty()) {
    items.Ok("legacy_table", "has the columns that are read");
  } else {
    items.Block("legacy_table", "legacy_columns_missing",
                absl::StrCat("missing: ", absl::StrJoin(missing, ", ")),
                "point --database at the fleet's database");
  }
  for (const v1::Finding& b : owner.blockers) {
    items.Block(b.code() == "rollout_mode_blocked" ? "mode" : "owner", b.code(), b.text(),
                b.action());
  }
  if (owner.blockers.empty()) {
    items.Ok("owner",
             absl::StrCat(owner_host, " is one live process, version ", owner.instance->version));
    items.Ok("mode", owner.instance->mode);
  }
  SayUrls(&items);
  LookAtNotifications(session, owner, &items);
  LookAtVantages(parts, options, vantages, &items);
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(items.result()->items_size(), " items looked at, ",
                                   answer->blockers_size(), " blockers, ", answer->warnings_size(),
                                   " warnings"));
  answer->set_next_action(answer->blockers().empty() ? "run smoke"
                                                     : "settle the blockers, run preflight again");
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
