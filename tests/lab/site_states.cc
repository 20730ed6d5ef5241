#include "tests/lab/site_states.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace jetmon::lab {
namespace {

using Kind = SiteState::Kind;

std::optional<Kind> ParseKind(const std::string& name) {
  if (name == "up") return Kind::kUp;
  if (name == "down") return Kind::kDown;
  if (name == "slow") return Kind::kSlow;
  if (name == "redirect") return Kind::kRedirect;
  if (name == "reset") return Kind::kReset;
  if (name == "never") return Kind::kNever;
  return std::nullopt;
}

// Sets *value from an optional parameter; false if it is there and not within low..high.
bool TakeNumber(const HttpRequest& request, const char* name, int low, int high, int* value) {
  const std::string text = request.Parameter(name);
  return text.empty() || (absl::SimpleAtoi(text, value) && *value >= low && *value <= high);
}

}  // namespace

std::optional<SiteStates::Target> SiteStates::Find(const HttpRequest& request) const {
  Target target;
  absl::string_view rest = request.path;
  if (absl::ConsumePrefix(&rest, "/s/")) {
    const std::vector<absl::string_view> parts = absl::StrSplit(rest, '/');
    if (!absl::SimpleAtoi(parts[0], &target.site)) return std::nullopt;
    if (parts.size() == 3 && parts[1] == "r" && !absl::SimpleAtoi(parts[2], &target.hop)) {
      return std::nullopt;
    }
  } else {
    absl::string_view host = request.host;
    if (!absl::ConsumePrefix(&host, "site-")) return std::nullopt;
    host = host.substr(0, host.find_first_of(".:"));
    if (!absl::SimpleAtoi(host, &target.site)) return std::nullopt;
    if (absl::ConsumePrefix(&rest, "/r/") && !absl::SimpleAtoi(rest, &target.hop)) {
      return std::nullopt;
    }
  }
  if (target.site >= states_.size()) return std::nullopt;
  return target;
}

HttpAnswer SiteStates::Answer(const Target& target, const HttpRequest& request) const {
  const SiteState& state = states_[target.site];
  HttpAnswer answer;
  answer.content_type = "text/html";
  answer.body = absl::StrCat("<html><body>site ", target.site, "</body></html>\n");
  if (!state.only_source.empty() && state.only_source != request.source) return answer;
  switch (state.kind) {
    case Kind::kUp:
      break;
    case Kind::kDown:
      answer.status = state.code;
      break;
    case Kind::kSlow:
      answer.delay = state.delay;
      break;
    case Kind::kRedirect:
      if (target.hop < state.hops) {
        const bool by_path = request.path.rfind("/s/", 0) == 0;
        answer.status = 302;
        answer.location = by_path ? absl::StrCat("/s/", target.site, "/r/", target.hop + 1)
                                  : absl::StrCat("/r/", target.hop + 1);
      }
      break;
    case Kind::kReset:
      answer.kind = HttpAnswer::Kind::kReset;
      break;
    case Kind::kNever:
      answer.kind = HttpAnswer::Kind::kNever;
      break;
  }
  return answer;
}

absl::StatusOr<std::vector<uint64_t>> SiteStates::Set(const std::string& list,
                                                      const HttpRequest& request) {
  SiteState state;
  const auto kind = ParseKind(request.Parameter("state"));
  int delay_ms = static_cast<int>(state.delay.count());
  if (!kind || !TakeNumber(request, "code", 100, 599, &state.code) ||
      !TakeNumber(request, "delay_ms", 0, 600'000, &delay_ms) ||
      !TakeNumber(request, "hops", 1, 100, &state.hops)) {
    return absl::InvalidArgumentError(
        "want state=up|down|slow|redirect|reset|never and numbers in bounds");
  }
  state.kind = *kind;
  state.delay = std::chrono::milliseconds(delay_ms);
  state.only_source = request.Parameter("source");
  std::vector<uint64_t> sites;
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    uint64_t first = 0, last = 0;
    if (!absl::SimpleAtoi(ends.first, &first)) first = states_.size();
    last = first;
    if (!ends.second.empty() && !absl::SimpleAtoi(ends.second, &last)) last = states_.size();
    if (last < first || last >= states_.size()) {
      return absl::InvalidArgumentError(absl::StrCat("'", part, "' names no sites"));
    }
    for (uint64_t site = first; site <= last; ++site) sites.push_back(site);
  }
  for (const uint64_t site : sites) states_[site] = state;
  return sites;
}

}  // namespace jetmon::lab
