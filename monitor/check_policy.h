#ifndef JETMON_MONITOR_CHECK_POLICY_H_
#define JETMON_MONITOR_CHECK_POLICY_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "probe/check.h"
#include "store/sites.h"

namespace jetmon::monitor {

// How a site is checked. Never changed once made: sites that are configured alike share one.
struct CheckPolicy {
  probe::Mode mode;
  // Of `full` only: at most so long, and as long as any check may take if zero; its rules, null if
  // it has none.
  std::chrono::milliseconds timeout{0};
  std::shared_ptr<const probe::FullRules> full;
  // What of the site's row can't be used, one line, at most 200 bytes; the default stands in for
  // it. Empty: all can.
  std::string fault;
};

// Makes policies of rows of check configuration. A row that is wrong never keeps its site from
// being checked: each field that can't be used is the default, and `fault` says so. Thread-safe is
// only what it has made.
class CheckPolicies {
 public:
  // The same object for equal rows, as long as somebody holds it.
  std::shared_ptr<const CheckPolicy> Of(const store::CheckConfig& row);
  // How many are known, some of which nobody may hold any more. For tests.
  size_t size() const { return known_.size(); }

 private:
  std::unordered_map<std::string, std::weak_ptr<const CheckPolicy>> known_;  // by all of the row
  size_t tidy_at_ = 64;
};

// For people: that many sites have a fault in their row, such as `one`.
std::string FaultText(size_t sites, const std::string& one);

// Headers from a JSON object of names and values, such as {"X-Key": "abc"}, in its order; {} has
// none. InvalidArgument for anything else: values that are no strings, a name twice, what is
// behind the object. Says nothing about whether the engine takes them.
absl::StatusOr<std::vector<probe::Header>> ParseHeaders(std::string_view json);

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_CHECK_POLICY_H_
