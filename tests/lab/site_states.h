#ifndef JETMON_TESTS_LAB_SITE_STATES_H_
#define JETMON_TESTS_LAB_SITE_STATES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/lab/http_server.h"

namespace jetmon::lab {

// How one site of the fixture behaves.
struct SiteState {
  enum class Kind { kUp, kDown, kSlow, kRedirect, kReset, kNever };
  Kind kind = Kind::kUp;
  int code = 500;                         // of kDown
  std::chrono::milliseconds delay{3000};  // of kSlow
  int hops = 1;                           // of kRedirect: redirects before the 200
  std::string only_source;                // unless empty, who else asks finds the site up
};

// The sites 0..count-1 and the answers that they give. A site is addressed by path, /s/N (and its
// redirects /s/N/r/K), or by a Host header whose first label is site-N. Not thread-safe.
class SiteStates {
 public:
  explicit SiteStates(uint64_t count) : states_(count) {}

  struct Target {
    uint64_t site = 0;
    int hop = 0;  // 0: a check's first request
  };
  // Which site a request is for; nullopt: none of ours.
  std::optional<Target> Find(const HttpRequest& request) const;
  HttpAnswer Answer(const Target& target, const HttpRequest& request) const;
  // Applies ?state=up|down|slow|redirect|reset|never[&code=N][&delay_ms=N][&hops=N][&source=IP]
  // to the sites of a list like "3" or "1,5,7-9". InvalidArgument, and nothing changed, if either
  // makes no sense. The sites that were set.
  absl::StatusOr<std::vector<uint64_t>> Set(const std::string& list, const HttpRequest& request);

 private:
  std::vector<SiteState> states_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_SITE_STATES_H_
