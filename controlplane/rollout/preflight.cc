#include "controlplane/rollout/preflight.h"

#include <google/protobuf/struct.pb.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>

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

// Asks all vantages at once; what they answered is gathered later.
class Asking {
 public:
  Asking(const AskStatus& ask, std::vector<confirm::Vantage> vantages)
      : vantages_(std::move(vantages)), shared_(std::make_shared<Shared>()) {
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
    shared_->all.wait_for(lock, kAskWithin + std::chrono::seconds(1),
                          [this] { return shared_->left == 0; });
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
  const std::shared_ptr<Shared> shared_;
};

// Names of what is wrong with each vantage, and who is healthy.
struct VantageFacts {
  std::vector<std::string> healthy, troubles, duplicates;
};

VantageFacts Judge(const std::vector<confirm::Vantage>& vantages,
                   const std::vector<absl::StatusOr<confirm::Facts>>& answers) {
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
    for (const std::string& e : v.endpoints) only_one(&by_endpoint, e, v.vantage_id);
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
    } else {
      facts.healthy.push_back(v.vantage_id);
    }
  }
  return facts;
}

void LookAtVantages(const Options& options, Asking* asking, Items* items) {
  const VantageFacts facts = Judge(asking->vantages(), asking->Answers());
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
    items->Ok("discovery", absl::StrCat(known, " trusted rows in the registry"));
  }
}

absl::Status LookAtUrls(sql::Transaction& tx, const Options& options, store::Range range,
                        v1::PreflightResult* result) {
  const auto example = [result](const std::string& url) {
    if (result->examples_size() < kMostExamples) result->add_examples(url);
  };
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    for (store::SiteCursor after;;) {
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
      after = store::SiteCursor::After(sites->back());
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
  OwnerFacts owner;
  std::vector<std::string> holders, missing_columns;
  size_t bucket_rows = 0;
  v1::PreflightResult counts;
};

absl::Status See(sql::Transaction& tx, const Options& options, const Observer& observer,
                 store::Range range, const std::string& owner_host, Seen* seen) {
  *seen = Seen();
  auto owner = LookAtOwner(tx, observer, owner_host);
  if (!owner.ok()) return owner.status();
  seen->owner = *std::move(owner);
  auto columns = store::MissingLegacyColumns(tx);
  if (!columns.ok()) return columns.status();
  seen->missing_columns = *std::move(columns);
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  seen->bucket_rows = buckets->size();
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  for (const auto& l : *locks) {
    if (!l.range.Overlaps(range)) continue;
    seen->holders.push_back(absl::StrCat(l.owner_host, " holds ", l.range.ToString()));
  }
  if (!seen->missing_columns.empty()) return absl::OkStatus();
  return LookAtUrls(tx, options, range, &seen->counts);
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
    items->Ok("bucket_range", absl::StrCat("buckets ", range.ToString(), " are v1's"));
  }
  if (seen.missing_columns.empty()) {
    items->Ok("legacy_table", "has the columns that are read");
  } else {
    items->Block("legacy_table", "legacy_columns_missing",
                 absl::StrCat("missing: ", absl::StrJoin(seen.missing_columns, ", ")),
                 "point --database at the fleet's database");
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

}  // namespace

absl::Status RunPreflight(const Parts& parts, const Options& options, Observer& observer,
                          const store::Session& session, store::Range range,
                          const std::string& owner_host, CanaryRun* canaries,
                          v1::OperationResponse* answer) {
  std::vector<confirm::Vantage> vantages;
  absl::Status s = parts.db->Read([&](sql::Transaction& tx) -> absl::Status {
    vantages.clear();
    auto rows = store::AskableVantages(tx);
    if (!rows.ok()) return rows.status();
    for (const auto& row : *rows) {
      vantages.push_back({row.vantage.vantage_id, row.vantage.token_hash, row.endpoints});
    }
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  Asking asking(parts.ask_status, std::move(vantages));
  // Meanwhile:
  observer.WaitUntilHeard(owner_host, options.times.hear_within);
  Seen seen;
  s = parts.db->Read(
      [&](sql::Transaction& tx) { return See(tx, options, observer, range, owner_host, &seen); });
  if (!s.ok()) return s;
  Items items(answer);
  *items.result() = seen.counts;
  items.Ok("database", "reachable");
  // A process whose schema does not fit does not start.
  items.Ok("schema", "as this build needs it");
  SayRange(seen, range, &items);
  SayOwner(seen.owner, owner_host, &items);
  SayUrls(&items);
  LookAtNotifications(session, seen.owner, &items);
  LookAtVantages(options, &asking, &items);
  if (canaries != nullptr) {
    auto results = canaries->Results();
    if (!results.ok()) return results.status();
    AddCanariesToPreflight(*results, answer);
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(items.result()->items_size(), " items looked at, ",
                                   answer->blockers_size(), " blockers, ", answer->warnings_size(),
                                   " warnings"));
  answer->set_next_action(answer->blockers().empty() ? "run smoke"
                                                     : "settle the blockers, run preflight again");
  return absl::OkStatus();
}

absl::Status EndAbandonedPreflight(JobRun& run) {
  return run.Finish(store::job_state::kFailed, "",
                    "the control plane that ran it ended before it did; run preflight again");
}

}  // namespace jetmon::rollout
