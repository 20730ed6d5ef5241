#ifndef JETMON_CLI_PROBE_REPORT_H_
#define JETMON_CLI_PROBE_REPORT_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cli/json.h"
#include "probe/check.h"

namespace jetmon::cli {

// Text of others as a terminal may show it and JSON may hold it: what is no UTF-8, controls and
// what turns the direction of writing become '?', byte by byte.
std::string Printable(std::string_view text);

// One check for people, in the manner of curl -v: a line for each thing that was seen, then the
// verdict.
std::string CheckText(const probe::CheckRequest& request, const probe::CheckResult& result);
// The same as JSON: url, mode, outcome, http_code, error_code, failure_class, detail, address,
// redirects, advisories, timings (microseconds, 0 = did not happen) and, over TLS, tls. A request's
// site_id, if it is not 0, is the line of the list that it stands in.
Json CheckJson(const probe::CheckRequest& request, const probe::CheckResult& result);
// One line of a list.
std::string CheckLine(const probe::CheckRequest& request, const probe::CheckResult& result);

// What a list of checks came to.
class ProbeSummary {
 public:
  void Add(const probe::CheckRequest& request, const probe::CheckResult& result);
  // A line that held no URL.
  void AddBadLine() { ++bad_lines_; }
  uint64_t checked() const { return checked_; }
  uint64_t up() const { return up_; }
  uint64_t refused() const { return refused_; }  // by target safety
  uint64_t bad_lines() const { return bad_lines_; }
  // `seconds`: how long it took.
  std::string Text(double seconds) const;
  Json ToJson(double seconds) const;

 private:
  // Of the whole time of checks with a verdict, in microseconds; 3 % too large at most. 0: none.
  int64_t Percentile(double p) const;

  uint64_t checked_ = 0, up_ = 0, refused_ = 0, bad_lines_ = 0;
  std::map<std::string, uint64_t> others_;  // "down: server", "safety", "lost" ...
  std::array<uint64_t, 1024> times_{};      // by logarithm
  uint64_t timed_ = 0;
  int64_t slowest_us_ = 0;
  std::string slowest_url_;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_PROBE_REPORT_H_
