#include "tests/lab/v1/rules.h"

#include <algorithm>
#include <utility>

namespace jetmon::lab {
namespace {

constexpr int kDown = 0, kUp = 1, kStillDown = 2;
constexpr size_t kChecksToConfirm = 3;  // NUM_OF_CHECKS
constexpr int64_t kMinuteMs = 60'000;

}  // namespace

V1Times V1Times::Scaled(int64_t minute_ms) const {
  V1Times scaled = *this;
  for (int64_t* time :
       {&scaled.round_ms, &scaled.tick_ms, &scaled.between_checks_ms, &scaled.between_notices_ms,
        &scaled.verifliers_limit_ms, &scaled.tell_limit_ms, &scaled.orphan_ms}) {
    *time = std::max<int64_t>(*time * minute_ms / kMinuteMs, 1);
  }
  return scaled;
}

int V1Rules::StatusOf(const LegacyRow& row, bool up, int64_t now_ms) const {
  if (up) return kUp;
  const int64_t changed_ms = row.last_status_change_s.value_or(0) * 1000;
  const bool recent = now_ms < changed_ms + times_.between_notices_ms;
  const bool first = row.site_status == kUp || (row.site_status != kStillDown && recent);
  return first ? kDown : kStillDown;
}

std::optional<V1Tell> V1Rules::OnCheck(V1Site site, int code, int64_t rtt_ms, int64_t now_ms) {
  site.last_check_ms = now_ms;
  const int status = StatusOf(site.row, code > 0 && code < 400, now_ms);
  if (status == site.row.site_status) return std::nullopt;
  V1Check check;
  check.status = status;
  check.code = code;
  check.rtt_ms = rtt_ms;
  site.checks.push_back(check);
  if (status != kDown) return V1Tell{std::move(site), status};
  if (site.checks.size() < kChecksToConfirm) {
    retries_.push_back(std::move(site));
  } else if (Find(site.row.blog_id, site.row.url) == nullptr) {
    // Who is being asked about it already answers for this row too.
    Asked asked;
    asked.site = std::move(site);
    asked.last_activity_ms = now_ms;
    asked_.push_back(std::move(asked));
  }
  return std::nullopt;
}

V1Rules::Due V1Rules::Tick(int64_t now_ms) {
  Due due;
  for (auto it = asked_.begin(); it != asked_.end();) {
    if (!it->sent) {
      it->sent = true;
      it->outstanding = verifliers_;
      due.remote.push_back(it->site);
    } else if (it->outstanding <= 0 || now_ms > it->last_activity_ms + times_.verifliers_limit_ms) {
      it = asked_.erase(it);
      continue;
    }
    ++it;
  }
  for (auto it = retries_.begin(); it != retries_.end();) {
    if (now_ms < it->last_check_ms + times_.between_checks_ms) {
      ++it;
      continue;
    }
    due.local.push_back(std::move(*it));
    it = retries_.erase(it);
  }
  return due;
}

std::optional<V1Tell> V1Rules::OnVeriflier(uint64_t blog_id, const std::string& url, V1Check result,
                                           int64_t now_ms) {
  Asked* asked = Find(blog_id, url);
  if (asked == nullptr) return std::nullopt;
  --asked->outstanding;
  asked->last_activity_ms = now_ms;
  result.by_veriflier = true;
  const bool down = result.status == kDown;
  asked->site.checks.push_back(std::move(result));
  if (!down || ++asked->confirmed < limit_) return std::nullopt;
  return V1Tell{asked->site, kDown};
}

void V1Rules::Forget() {
  retries_.clear();
  asked_.clear();
}

V1Rules::Asked* V1Rules::Find(uint64_t blog_id, const std::string& url) {
  const auto it = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& a) {
    return a.site.row.blog_id == blog_id && a.site.row.url == url;
  });
  return it == asked_.end() ? nullptr : &*it;
}

}  // namespace jetmon::lab
