#ifndef JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_ITEMS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_ITEMS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/site_urls.h"
#include "jetmon/v1/operation.pb.h"
#include "store/legacy_words.h"

namespace jetmon::rollout {

// What a preflight has looked at, in its answer.
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

// Items supported_urls and target_safety, and in dialect v1 verdicts and duplicates. `active`:
// sites of the range. `duplicates_reason`: why duplicate_across_ranges need not block; "": it does.
void SaySites(const SiteUrls::Result& seen, uint64_t active, store::LegacyDialect dialect,
              const std::string& duplicates_reason, Items* items);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_ITEMS_H_
