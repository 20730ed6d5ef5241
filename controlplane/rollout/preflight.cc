#include "controlplane/rollout/preflight.h"

#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/owners.h"
#include "controlplane/rollout/preflight_items.h"
#include "controlplane/rollout/site_urls.h"
#include "store/locks.h"
#include "store/schema.h"
#include "store/sites.h"
#include "store/vantages.h"

namespace jetmon::rollout {
namespace {

// All of it but canaries ends within 10 s, whatever does not answer: so long from the beginning
// vantages may take, ...
constexpr std::chrono::milliseconds kAskWithin{3'000};
// ... the Monitor may take to be heard of, sites are looked at, ...
constexpr std::chrono::milliseconds kHearWithin{4'000};
constexpr std::chrono::milliseconds kUrlsWithin{6'000};
// ... and what stands in a few rows may take to be read, by statements of so long each: a server
// that is silent is given up 2 s after that.
constexpr std::chrono::milliseconds kFactsWithin{7'000};
constexpr std::chrono::seconds kStatementLimit{1};

// Asks all vantages at once; what they answered is gathered later.
class Asking {
 public:
  Asking(const AskStatus& ask, std::vector<confirm::Vantage> vantages)
      : vantages_(std::move(vantages)),
        until_(std::chrono::steady_clock::now() + kAskWithin + std::chrono::seconds(1)),
        shared_(std::make_shared<Shared>()) {
    shared_->left = vantages_.size();
    shared_->answers.assign(vantages_.size(), absl::UnavailableError("it did not answer"));
    for (size_t i = 0; i < vantages_.size(); ++i) {
      ask(vantages_[i], kAskWithin, [shared = shared_, i](absl::StatusOr<confirm::Facts> facts) {
        std::lock_guard lock(shared->mutex);
        shared->answers[i] = std::move(facts);
        if (--shared->left == 0) shared->all.notify_all();
      });
    }
  }
  const std::vector<confirm::Vantage>& vantages() const { return vantages_; }
  // In the order asked; waits for what is still to come.
  std::vector<absl::StatusOr<confirm::Facts>> Answers() {
    std::unique_lock lock(shared_->mutex);
    shared_->all.wait_until(lock, until_, [this] { return shared_->left == 0; });
    return shared_->answers;
  }

 private:
  // Outlives this object in calls that answer too late.
  struct Shared {
    std::mutex mutex;
    std::condition_variable all;
    size_t left = 0;
    std::vector<absl::StatusOr<confirm::Facts>> answers;
  };
  const std::vector<confirm::Vantage> vantages_;
  const std::chrono::steady_clock::time_point until_;
  const std::shared_ptr<Shared> shared_;
};

// Names of what is wrong with each vantage, and who is healthy.
struct VantageFacts {
  std::vector<std::string> healthy, troubles, duplicates;
};

// `longest`: the check that each is asked for.
VantageFacts Judge(const std::vector<confirm::Vantage>& vantages,
                   const std::vector<absl::StatusOr<confirm::Facts>>& answers,
                   std::chrono::milliseconds longest) {
  VantageFacts facts;
  std::map<std::string, std::string> by_endpoint, by_reported_id;
  const auto only_one = [&facts](std::map<std::string, std::string>* seen, const std::string& key,
                                 const std::string& vantage_id) {
    const auto [at, is_new] = seen->emplace(key, vantage_id);
    if (is_new || at->second == vantage_id) return;
    facts.duplicates.push_back(absl::StrCat(at->second, " and ", vantage_id, ": ", key));
  };
  for (size_t i = 0; i < vantages.size(); ++i) {
    const confirm::Vantage& v = vantages[i];
    for (const confirm::Endpoint& e : v.endpoints) {
      only_one(&by_endpoint, e.address, v.vantage_id);
    }
    if (!answers[i].ok()) {
      facts.troubles.push_back(absl::StrCat(v.vantage_id, ": ", answers[i].status().message()));
      continue;
    }
    only_one(&by_reported_id, answers[i]->vantage_id, v.vantage_id);
    if (answers[i]->vantage_id != v.vantage_id) {
      facts.troubles.push_back(
          absl::StrCat(v.vantage_id, " answers as ", answers[i]->vantage_id.substr(0, 64)));
    } else if (answers[i]->protocol_min > confirm::kProtocol ||
               answers[i]->protocol_max < confirm::kProtocol) {
      facts.troubles.push_back(absl::StrCat(v.vantage_id, " speaks another protocol"));
    } else if (const auto makes = answers[i]->budget.check(); makes < longest) {
      facts.troubles.push_back(
          absl::StrCat(v.vantage_id, " makes checks of ", SecondsText(makes),
                       " at most and abstains from those of ", SecondsText(longest),
                       ": start its Veriflier with --longest_check=",
                       absl::FormatDuration(absl::FromChrono(longest)), " or more"));
    } else {
      facts.healthy.push_back(v.vantage_id);
    }
  }
  return facts;
}

void LookAtVantages(const Options& options, Asking* asking, Items* items) {
  const VantageFacts facts =
      Judge(asking->vantages(), asking->Answers(), options.times.budget.check());
  const auto wanted = static_cast<size_t>(options.peer_offline_limit);
  const size_t known = asking->vantages().size();
  const std::string trouble = absl::StrJoin(facts.troubles, "; ");
  if (facts.healthy.size() < wanted) {
    items->Block("vantages", known < wanted ? "vantages_missing" : "vantage_unreachable",
                 absl::StrCat(facts.healthy.size(), " of the ", wanted,
                              " wanted vantages are approved and answer",
                              trouble.empty() ? "" : ": ", trouble),
                 "approve vantages and start their Verifliers; see api verifliers agents");
  } else if (!facts.troubles.empty()) {
    items->Warn("vantages", "vantage_unreachable", trouble,
                "these count among the enabled and abstain; repair or disable them");
  } else {
    items->Ok("vantages", absl::StrCat(facts.healthy.size(),
                                       " vantages answer: ", absl::StrJoin(facts.healthy, ", ")));
  }
  if (!facts.duplicates.empty()) {
    items->Block("discovery", "vantage_duplicate",
                 absl::StrCat("taken for two: ", absl::StrJoin(facts.duplicates, "; ")),
                 "give each vantage its own Veriflier and token");
  } else {
    const auto usable = std::count_if(asking->vantages().begin(), asking->vantages().end(),
                                      [](const auto& v) { return !v.endpoints.empty(); });
    items->Ok("discovery", absl::StrCat(known, " trusted rows in the registry, ", usable,
                                        " with an endpoint to ask"));
  }
}

// The text of a field of a free-form object; "" if it has none. By reflection: the inline accessors
// of maps don't fit a library that was built without thread sanitizer into a test that was.
std::string TextIn(const google::protobuf::Struct& object, const std::string& name) {
  const auto* reflection = object.GetReflection();
  const auto* fields = object.GetDescriptor()->FindFieldByName("fields");
  for (int i = 0; i < reflection->FieldSize(object, fields); ++i) {
    const google::protobuf::Message& entry = reflection->GetRepeatedMessage(object, fields, i);
    const auto* of_entry = entry.GetReflection();
    if (of_entry->GetString(entry, entry.GetDescriptor()->map_key()) != name) continue;
    const auto& value = static_cast<const google::protobuf::Value&>(
        of_entry->GetMessage(entry, entry.GetDescriptor()->map_value()));
    return value.string_value();
  }
  return "";
}

void LookAtNotifications(const store::Session& session, const OwnerFacts& owner, Items* items) {
  const bool configured = owner.instance.has_value() && owner.instance->notify_configured;
  const bool declared_none = TextIn(SessionMessage(session).metadata(), "notifications") == "none";
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

// What one read of the database shows.
struct Seen {
  absl::Status schema;  // fits, or what to do
  OwnerFacts owner;
  std::vector<std::string> holders, missing_columns;
  size_t bucket_rows = 0;
  uint64_t active_sites = 0;
};

absl::Status ReadVantages(sql::Transaction& tx, std::vector<confirm::Vantage>* vantages) {
  vantages->clear();
  auto rows = store::AskableVantages(tx);
  if (!rows.ok()) return rows.status();
  for (const auto& row : *rows) {
    confirm::Vantage& vantage = vantages->emplace_back();
    vantage.vantage_id = row.vantage.vantage_id;
    vantage.token_hash = row.vantage.token_hash;
    for (const auto& e : row.endpoints) vantage.endpoints.emplace_back(e.address);
  }
  return absl::OkStatus();
}

absl::Status SeeRange(sql::Transaction& tx, store::Range range, Seen* seen) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  seen->bucket_rows = buckets->size();
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  for (const auto& l : *locks) {
    if (!l.range.Overlaps(range)) continue;
    seen->holders.push_back(absl::StrCat(l.owner_host, " holds ", l.range.ToString(), " (", l.state,
                                         ", run ", l.run_id, ")"));
  }
  return absl::OkStatus();
}

absl::Status SeeTable(sql::Transaction& tx, store::Range range, Seen* seen) {
  auto columns = store::MissingLegacyColumns(tx);
  if (!columns.ok()) return columns.status();
  seen->missing_columns = *std::move(columns);
  if (!seen->missing_columns.empty()) return absl::OkStatus();
  auto active = store::CountActiveSites(tx, range);
  if (!active.ok()) return active.status();
  seen->active_sites = *active;
  return absl::OkStatus();
}

// Gives up once the deadline has passed: a database that answers slowly is one that does not
// answer.
absl::Status See(sql::Transaction& tx, const Observer& observer, store::LegacyDialect dialect,
                 store::Range range, const std::string& owner_host,
                 const std::function<bool()>& in_time, Seen* seen) {
  *seen = Seen();
  const auto schema = sql::InspectSchema(tx, store::Migrations());
  if (!schema.ok()) return schema.status();
  seen->schema = sql::CheckSchema(*schema);
  if (!seen->schema.ok()) return absl::OkStatus();  // nothing else can be relied on
  const std::function<absl::Status()> looks[] = {
      [&] { return SeeRange(tx, range, seen); },
      [&] { return SeeTable(tx, range, seen); },
      [&] {
        auto owner = LookAtOwner(tx, observer, owner_host, dialect);
        if (owner.ok()) seen->owner = *std::move(owner);
        return owner.status();
      },
  };
  for (const auto& look : looks) {
    if (!in_time()) return absl::UnavailableError("it answers too slowly");
    if (auto s = look(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

void SayRange(const Seen& seen, store::Range range, Items* items) {
  if (!seen.holders.empty()) {
    items->Block("bucket_range", "bucket_range_conflict", absl::StrJoin(seen.holders, ", "),
                 "release it first, or choose another range");
  } else if (seen.bucket_rows != range.size()) {
    items->Block(
        "bucket_range", "bucket_range_conflict",
        absl::StrCat("the database knows ", seen.bucket_rows, " of ", range.size(), " buckets"),
        "start the control plane with the fleet's --bucket_total");
  } else {
    items->Ok("bucket_range",
              absl::StrCat("buckets ", range.ToString(),
                           " are v1's; what v1 reads of them: jetmon2 rollout v1-plan-check"));
  }
}

// `sites`: of a table that has its columns.
void SayTable(const Seen& seen, const SiteUrls::Result* sites, Items* items) {
  if (!seen.missing_columns.empty()) {
    items->Block("legacy_table", "legacy_columns_missing",
                 absl::StrCat("missing: ", absl::StrJoin(seen.missing_columns, ", ")),
                 "point --database at the fleet's database");
  } else if (sites != nullptr && !sites->missing_indexes.empty()) {
    items->Block("legacy_table", "legacy_index_missing",
                 absl::StrCat("no index of v1's table begins with ",
                              absl::StrJoin(sites->missing_indexes, ", nor with ")),
                 "add it, as v1 has it: each look for a site would scan the whole table");
  } else {
    items->Ok("legacy_table", "has the columns that are read, and v1's indexes");
  }
}

// The item that a blocker of LookAtOwner belongs to.
const char* ItemOf(const std::string& code) {
  if (code == "rollout_mode_blocked") return "mode";
  return code == "protocol_mismatch" ? "protocol" : "owner";
}

void SayOwner(const OwnerFacts& owner, const std::string& host, Items* items) {
  std::set<std::string> blocked;
  for (const v1::Finding& b : owner.blockers) {
    items->Block(ItemOf(b.code()), b.code(), b.text(), b.action());
    blocked.insert(ItemOf(b.code()));
  }
  // Without one live process nothing is known of its mode and protocol.
  if (!owner.instance.has_value()) return;
  if (blocked.count("owner") == 0) {
    items->Ok("owner",
              absl::StrCat(host, " is one live process, version ", owner.instance->version));
  }
  if (blocked.count("protocol") == 0) {
    items->Ok("protocol", absl::StrCat("version ", owner.instance->protocol));
  }
  if (blocked.count("mode") == 0) items->Ok("mode", owner.instance->mode);
}

void SayAway(const absl::Status& why, Items* items) {
  items->Block("database", "database_unavailable",
               absl::StrCat("the database does not answer in time: ", why.message()),
               "see that it runs, can be reached and has not too much to do; then run preflight "
               "again");
}

void Finish(Items* items, v1::OperationResponse* answer) {
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(items->result()->items_size(), " items looked at, ",
                                   answer->blockers_size(), " blockers, ", answer->warnings_size(),
                                   " warnings"));
  answer->set_next_action(answer->blockers().empty() ? "run smoke"
                                                     : "settle the blockers, run preflight again");
}

// What needs the database; how it answered.
absl::Status LookWithDatabase(sql::Session& session, const Parts& parts, const Options& options,
                              Observer& observer, const PreflightOf& of, BootTime began,
                              Items* items) {
  std::vector<confirm::Vantage> vantages;
  const auto in_time = [&] { return parts.clock->Boot() < began + kFactsWithin; };
  absl::Status s = session.Read(began + kFactsWithin,
                                [&](sql::Transaction& tx) { return ReadVantages(tx, &vantages); });
  if (!s.ok()) return s;
  // Side by side: vantages, sites, and what has to be waited for.
  SiteUrls urls(*parts.db, options.engine.safety, options.legacy.dialect, of.range,
                began + kUrlsWithin);
  Asking asking(parts.ask_status, std::move(vantages));
  observer.WaitUntilHeard(of.owner_host, std::min(options.times.hear_within, kHearWithin));
  Seen seen;
  s = session.Read(began + kFactsWithin, [&](sql::Transaction& tx) {
    return See(tx, observer, options.legacy.dialect, of.range, of.owner_host, in_time, &seen);
  });
  if (!s.ok()) return s;
  const bool readable = seen.schema.ok() && seen.missing_columns.empty();
  if (readable && !urls.Wait().status.ok()) return urls.Wait().status;
  items->Ok("database", "reachable");
  if (!seen.schema.ok()) {
    items->Block("schema", "schema_mismatch", std::string(seen.schema.message()),
                 "bring build and database together, then run preflight again");
    return absl::OkStatus();
  }
  items->Ok("schema", "as this build needs it");
  SayRange(seen, of.range, items);
  SayTable(seen, readable ? &urls.Wait() : nullptr, items);
  SayOwner(seen.owner, of.owner_host, items);
  if (readable) {
    SaySites(urls.Wait(), seen.active_sites, options.legacy.dialect, of.duplicates_reason, items);
  }
  LookAtNotifications(of.session, seen.owner, items);
  LookAtVantages(options, &asking, items);
  return absl::OkStatus();
}

}  // namespace

bool IsDatabaseAway(const absl::Status& status) {
  return absl::IsUnavailable(status) && ReasonOf(status) == v1::ERROR_REASON_UNSPECIFIED;
}

void SayDatabaseAway(const absl::Status& why, v1::OperationResponse* answer) {
  // Where it was there before, it is not any more.
  auto* seen = answer->mutable_preflight()->mutable_items();
  seen->erase(std::remove_if(seen->begin(), seen->end(),
                             [](const v1::PreflightItem& i) { return i.name() == "database"; }),
              seen->end());
  Items items(answer);
  SayAway(why, &items);
  Finish(&items, answer);
}

absl::StatusOr<std::unique_ptr<sql::Session>> PreflightConnection(const Parts& parts) {
  return parts.db->NewSession(kStatementLimit);
}

absl::Status RunPreflight(sql::Session& connection, const Parts& parts, const Options& options,
                          Observer& observer, const PreflightOf& of, CanaryRun* canaries,
                          v1::OperationResponse* answer) {
  const BootTime began = parts.clock->Boot();
  Items items(answer);
  const absl::Status s = LookWithDatabase(connection, parts, options, observer, of, began, &items);
  if (IsDatabaseAway(s)) {
    SayAway(s, &items);
  } else if (!s.ok()) {
    return s;
  }
  if (canaries != nullptr) {
    auto results = canaries->Results();
    if (!results.ok()) return results.status();
    AddCanariesToPreflight(*results, answer);
  }
  Finish(&items, answer);
  return absl::OkStatus();
}

absl::Status EndAbandonedPreflight(JobRun& run) {
  return run.Finish(store::job_state::kFailed, "",
                    "the control plane that ran it ended before it did; run preflight again");
}

}  // namespace jetmon::rollout
