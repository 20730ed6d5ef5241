#include "controlplane/rollout/owners.h"

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"

namespace jetmon::rollout {

absl::StatusOr<OwnerFacts> LookAtOwner(sql::Transaction& tx, const Observer& observer,
                                       const std::string& host, store::LegacyDialect dialect) {
  OwnerFacts facts;
  auto generation = store::HostGeneration(tx, host);
  if (!generation.ok()) return generation.status();
  facts.generation = *generation;
  auto processes = store::ListProcesses(tx, "monitor", /*with_gone=*/false);
  if (!processes.ok()) return processes.status();
  std::vector<store::ProcessHealth> candidates;
  for (const store::ProcessHealth& p : *processes) {
    if (p.host == host && !observer.Dead(observer.Process(p.instance))) candidates.push_back(p);
  }
  const auto block = [&facts](const char* code, std::string text, const std::string& action) {
    facts.blockers.push_back(MakeFinding(code, std::move(text), action));
  };
  if (candidates.empty()) {
    block("owner_unavailable", absl::StrCat("no live Monitor reports as host ", host),
          "start jetmon-monitor with this --host, or name another host");
    return facts;
  }
  if (candidates.size() > 1) {
    block("owner_ambiguous",
          absl::StrCat(candidates.size(), " processes report as host ", host,
                       " and none of them is known to be dead"),
          absl::StrCat("stop all but one; one that was killed is known to be dead after ",
                       SecondsText(observer.grace())));
    return facts;
  }
  const store::ProcessHealth& p = candidates[0];
  const auto sight = observer.Process(p.instance);
  if (!sight.has_value() || !sight->seen_to_change) {
    block("owner_unavailable",
          absl::StrCat("host ", host, " was not heard of since this control plane started"),
          "try again in some seconds; if it stays, look at the Monitor");
    return facts;
  }
  if (p.protocol != store::kMonitorProtocol) {
    block("protocol_mismatch",
          absl::StrCat("host ", host, " speaks protocol ", p.protocol, ", this control plane ",
                       store::kMonitorProtocol),
          "upgrade the older one");
  }
  if (p.mode != "api-controlled") {
    block("rollout_mode_blocked",
          absl::StrCat("host ", host, " runs in mode ", p.mode, ", not api-controlled"),
          "restart it with --rollout_mode=api-controlled");
  }
  const auto longest = DeadlineBudget::Announced(p.longest_check_ms).check();
  const auto known = observer.budget().check();
  if (longest > known) {
    block("longest_check_exceeded",
          absl::StrCat("checks of host ", host, " may take ", SecondsText(longest),
                       ", and this control plane frees a range as if they took ",
                       SecondsText(known), " at most"),
          "start control plane and Monitor with the same --longest_check");
  }
  if (p.dialect != dialect) {
    const std::string theirs(store::NameOf(p.dialect)), ours(store::NameOf(dialect));
    block("legacy_dialect_mismatch",
          absl::StrCat("host ", host, " reads site_status as ", theirs, ", this control plane as ",
                       ours),
          "start control plane and Monitors with the same --legacy_dialect");
  }
  facts.instance = p;
  return facts;
}

}  // namespace jetmon::rollout
