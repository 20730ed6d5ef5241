#include "cli/v1_plan_report.h"

#include "absl/strings/str_cat.h"

namespace jetmon::cli {
namespace {

std::string Text(const V1Settings& s) {
  return absl::StrCat("bucket_min ", s.min, ", bucket_max ", s.max, ", batch_size ", s.batch);
}

// What is to be done about a host that does not read just what it is there for.
std::string Advice(const V1HostReport& r) {
  if (r.exact && r.exact_if_older) return "";
  if (r.set_instead.has_value()) {
    return absl::StrCat(r.exact ? "if it runs an older v1, set " : "set instead: ",
                        Text(*r.set_instead), ": ", r.older_too ? "any v1" : "v1", " then reads ",
                        r.intended.ToString(), r.older_too ? "" : "; an older one does not");
  }
  if (r.exact) return "";
  if (r.intended.empty()) return "stop this host: v2 holds all of its buckets";
  return absl::StrCat("no setting reads just ", r.intended.ToString(),
                      ": v2 holds what is between; stop this host, or release that");
}

std::string HostText(const V1HostReport& r) {
  std::string text = absl::StrCat(r.host.name, ": ", Text(r.host.settings), "\n  reads        ",
                                  r.reads.ToString(), "\n");
  const std::pair<const char*, const BucketSet*> lines[] = {
      {"never reads  ", &r.never}, {"at its start ", &r.at_start}, {"may stray to ", &r.strays}};
  for (const auto& [name, set] : lines) {
    if (!set->empty()) absl::StrAppend(&text, "  ", name, set->ToString(), "\n");
  }
  if (const std::string advice = Advice(r); !advice.empty()) {
    absl::StrAppend(&text, "  ", advice, "\n");
  }
  return text;
}

std::string FindingText(const V1PlanFinding& f, const char* blocked) {
  return absl::StrCat(f.blocks ? blocked : "warning ", f.code, ": ", f.text,
                      f.action.empty() ? "" : " -> ", f.action, "\n");
}

Json SettingsJson(const V1Settings& s) {
  Json json;
  json.Set("bucket_min", static_cast<double>(s.min))
      .Set("bucket_max", static_cast<double>(s.max))
      .Set("batch_size", static_cast<double>(s.batch));
  return json;
}

Json EmptyList() { return *Json::Parse("[]"); }

Json SetJson(const BucketSet& set) {
  Json list = EmptyList();
  for (const store::Range& r : set.ranges()) {
    Json range;
    range.Set("bucket_min", static_cast<double>(r.min))
        .Set("bucket_max", static_cast<double>(r.max));
    list.Append(range);
  }
  return list;
}

Json HostJson(const V1HostReport& r) {
  Json json = SettingsJson(r.host.settings);
  json.Set("host", r.host.name)
      .Set("intended", SetJson(r.intended))
      .Set("reads", SetJson(r.reads))
      .Set("never_reads", SetJson(r.never))
      .Set("reads_at_start", SetJson(r.at_start))
      .Set("may_stray_to", SetJson(r.strays))
      .Set("exact", r.exact)
      .Set("exact_if_older", r.exact_if_older);
  if (r.set_instead.has_value()) json.Set("set_instead", SettingsJson(*r.set_instead));
  return json;
}

Json FindingsJson(const std::vector<V1PlanFinding>& findings, bool blocks) {
  Json list = EmptyList();
  for (const V1PlanFinding& f : findings) {
    if (f.blocks != blocks) continue;
    Json json;
    json.Set("code", f.code).Set("text", f.text).Set("action", f.action);
    list.Append(json);
  }
  return list;
}

}  // namespace

std::string V1PlanText(const V1PlanReport& report) {
  std::string text;
  for (const V1HostReport& r : report.hosts) text += HostText(r);
  for (const V1PlanFinding& f : report.findings) text += FindingText(f, "BLOCKED ");
  if (!report.blocked()) {
    return text + "ok: every bucket is read by one v1 host, or held by v2\n";
  }
  if (report.left.empty()) {
    return text +
           "blocked; with what stands at the hosts set, every bucket is read by one v1 "
           "host, or held by v2\n";
  }
  text += "blocked; with what stands at the hosts set there is left:\n";
  for (const V1PlanFinding& f : report.left) text += FindingText(f, "  ");
  return text;
}

Json V1PlanJson(const V1PlanReport& report) {
  Json hosts = EmptyList();
  for (const V1HostReport& r : report.hosts) hosts.Append(HostJson(r));
  Json json;
  json.Set("status", report.blocked() ? "blocked" : "ok")
      .Set("hosts", hosts)
      .Set("blockers", FindingsJson(report.findings, true))
      .Set("warnings", FindingsJson(report.findings, false))
      .Set("left", FindingsJson(report.left, true));
  return json;
}

}  // namespace jetmon::cli
