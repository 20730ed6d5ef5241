#include "controlplane/rollout/requests.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "controlplane/message/message.h"

namespace jetmon::rollout {
namespace {

constexpr uint64_t kDefaultSample = 100;
constexpr uint64_t kLargestSample = 10'000'000;
constexpr std::chrono::milliseconds kDefaultWait{10'000};

}  // namespace

absl::StatusOr<store::Range> CheckRange(bool has_min, uint32_t min, bool has_max, uint32_t max,
                                        uint32_t bucket_total) {
  std::string what;
  if (!has_min || !has_max) {
    what = "bucket_min and bucket_max are required";
  } else if (min > max) {
    what = absl::StrCat("bucket_min ", min, " is above bucket_max ", max);
  } else if (max >= bucket_total) {
    what = absl::StrCat("bucket_max ", max, " is past the last bucket, ", bucket_total - 1);
  } else {
    return store::Range{min, max};
  }
  return WithField(Error(v1::INVALID_BUCKET_RANGE, what), has_min ? "bucket_max" : "bucket_min",
                   what);
}

absl::Status CheckHost(const std::string& host) {
  if (host.empty() || IsName(host, 128)) {
    return absl::OkStatus();
  }
  return InvalidField("owner_host", "takes up to 128 letters, digits, '.', '_' and '-'");
}

absl::Status CheckReason(const v1::Override& o) {
  if (o.reason().find_first_not_of(" \t\r\n") == std::string::npos || o.reason().size() > 255) {
    return InvalidField("override", "a reason of 1 to 255 characters is required");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::chrono::milliseconds> WaitOf(const std::string& wait) {
  if (wait.empty()) return kDefaultWait;
  absl::Duration d;
  if (!absl::ParseDuration(wait, &d) || d < absl::ZeroDuration() || d > absl::Seconds(60)) {
    return InvalidField("wait", "takes a duration of 0s to 60s");
  }
  return std::chrono::milliseconds(absl::ToInt64Milliseconds(d));
}

absl::StatusOr<uint64_t> SampleSizeOf(const std::string& size) {
  if (size.empty()) return kDefaultSample;
  uint64_t n = 0;
  if (size.find_first_not_of("0123456789") != std::string::npos || !absl::SimpleAtoi(size, &n) ||
      n < 1 || n > kLargestSample) {
    return Error(v1::INVALID_SIZE,
                 absl::StrCat("sample_size takes a count of 1 to ", kLargestSample));
  }
  return n;
}

uint64_t StageSize::Of(uint64_t eligible) const {
  if (!percent) return std::min(n, eligible);
  return eligible / 100 * n + (eligible % 100 * n + 99) / 100;
}

absl::StatusOr<StageSize> StageSizeOf(const std::string& size) {
  if (size.empty()) {
    return Error(v1::SIZE_REQUIRED, "a stage needs size: a count of sites, or a percentage as 5%");
  }
  StageSize s;
  s.percent = size.back() == '%';
  const std::string digits = s.percent ? size.substr(0, size.size() - 1) : size;
  const uint64_t most = s.percent ? 100 : kLargestSample;
  if (digits.empty() || digits[0] == '0' || digits.size() > 8 ||
      digits.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(digits, &s.n) || s.n > most) {
    return Error(v1::INVALID_SIZE,
                 absl::StrCat("size takes a count of 1 to ", kLargestSample, ", or 1% to 100%"));
  }
  return s;
}

absl::StatusOr<int64_t> SinceOf(const std::string& since, int64_t now_ms) {
  if (since.empty()) return now_ms - int64_t{15} * 60'000;
  absl::Duration d;
  absl::Time t;
  std::string ignored;
  if (absl::ParseDuration(since, &d)) {
    if (d > absl::ZeroDuration() && d <= absl::Hours(24 * 366)) {
      return now_ms - absl::ToInt64Milliseconds(d);
    }
  } else if (absl::ParseTime(absl::RFC3339_full, since, &t, &ignored)) {
    const int64_t ms = absl::ToUnixMillis(t);
    if (ms > 0 && ms <= now_ms) return ms;
  }
  return Error(v1::INVALID_SINCE,
               "since takes a duration such as 15m, or an RFC 3339 time in the past");
}

absl::StatusOr<store::Session> CheckRun(sql::Transaction& tx, const std::string& run_id,
                                        std::optional<store::Range> range, bool closed_too) {
  auto session = store::GetSession(tx, run_id);
  if (!session.ok()) return session.status();
  if (!session->has_value()) {
    return Error(v1::RUN_NOT_FOUND, run_id.empty()
                                        ? "run_id is required: open a session first"
                                        : absl::StrCat("there is no run ", run_id.substr(0, 64)));
  }
  const store::Session& s = **session;
  if (s.state != "open" && !closed_too) {
    return Error(v1::RUN_CLOSED, absl::StrCat(run_id, " is closed; open a new session"));
  }
  if (range.has_value() && !s.range.Covers(*range)) {
    return Error(v1::RUN_RANGE_MISMATCH,
                 absl::StrCat("buckets ", range->ToString(), " are not within ", run_id,
                              "'s range ", s.range.ToString()));
  }
  return s;
}

absl::StatusOr<store::Job> CheckJob(sql::Transaction& tx, const std::string& job_id) {
  auto job = store::GetJob(tx, job_id);
  if (!job.ok()) return job.status();
  if (job->has_value()) return **job;
  return Error(v1::JOB_NOT_FOUND, absl::StrCat("there is no job ", job_id.substr(0, 64)));
}

}  // namespace jetmon::rollout
