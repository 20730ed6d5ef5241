#ifndef JETMON_TESTS_LAB_V1_RULES_H_
#define JETMON_TESTS_LAB_V1_RULES_H_

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "tests/lab/legacy_table.h"

namespace jetmon::lab {

// v1's times in milliseconds, at production's scale.
struct V1Times {
  int64_t round_ms = 300'000;              // MIN_TIME_BETWEEN_ROUNDS_SEC
  int64_t tick_ms = 5'000;                 // what waits is looked at so often
  int64_t between_checks_ms = 30'000;      // TIME_BETWEEN_CHECKS_SEC
  int64_t between_notices_ms = 3'540'000;  // TIME_BETWEEN_NOTICES_MIN
  int64_t verifliers_limit_ms = 60'000;    // TIMEOUT_FOR_REQUESTS_SEC
  int64_t tell_limit_ms = 20'000;          // of a request to the receiver
  int64_t orphan_ms = 20'000;              // a worker outlives its master so long
  // All of them, when a minute lasts `minute_ms`; none becomes less than 1 ms.
  V1Times Scaled(int64_t minute_ms) const;
};

// What one check found, as v1 reports it with a tell.
struct V1Check {
  bool by_veriflier = false;
  std::string host;  // of a veriflier
  int status = 0;    // 0 down, 1 up, 2 still down
  int code = 0;      // HTTP; 0: none
  int64_t rtt_ms = 0;
};

// A row as it was read in a round, and what was found since.
struct V1Site {
  LegacyRow row;
  std::vector<V1Check> checks;
  int64_t last_check_ms = 0;
};

// What v1 says to its receiver. `site.row` has the old status and time.
struct V1Tell {
  V1Site site;
  int status = 0;
};

// Who is told what, and who is asked, by v1's rules. Knows no clock, table or network: it is given
// rows as they were read, results as they came, and the time (Unix ms). What it keeps in mind is
// what v1 does: sites whose first checks failed, and those that verifliers are asked about. A row
// is never read again meanwhile.
//
// A failing check of a row that says 1 (or anything but 1 and 2, told recently) is the first of
// three; then the verifliers are asked; each answer "down" from the limit-th on tells 0. A failing
// check of a row that says neither 1 nor 2, and was told long ago or never, tells 2. A good check
// of a row that does not say 1 tells 1. Everything else is silent.
class V1Rules {
 public:
  // `limit`: so many verifliers have to agree (PEER_OFFLINE_LIMIT), of `verifliers`.
  V1Rules(const V1Times& times, int verifliers, int limit)
      : times_(times), verifliers_(verifliers), limit_(limit) {}

  // A local check of the site ended with `code`: what is told now.
  std::optional<V1Tell> OnCheck(V1Site site, int code, int64_t rtt_ms, int64_t now_ms);

  struct Due {
    std::vector<V1Site> local;   // check these again
    std::vector<V1Site> remote;  // let each veriflier check these
  };
  // To be called every tick: what is due, and what is given up.
  Due Tick(int64_t now_ms);

  // A veriflier has checked a site (which it knows by blog and URL): what is told now.
  std::optional<V1Tell> OnVeriflier(uint64_t blog_id, const std::string& url, V1Check result,
                                    int64_t now_ms);

  // The process ends: nothing is kept.
  void Forget();
  // How many sites wait for another check or an answer.
  size_t confirming() const { return retries_.size() + asked_.size(); }

 private:
  struct Asked {
    V1Site site;
    int confirmed = 0;
    int outstanding = 0;
    bool sent = false;
    int64_t last_activity_ms = 0;
  };
  int StatusOf(const LegacyRow& row, bool up, int64_t now_ms) const;
  Asked* Find(uint64_t blog_id, const std::string& url);

  const V1Times times_;
  const int verifliers_, limit_;
  std::list<V1Site> retries_;
  std::list<Asked> asked_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_RULES_H_
