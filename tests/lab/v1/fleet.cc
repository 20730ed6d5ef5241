#include "tests/lab/v1/fleet.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kTurnsATick = 4;
constexpr milliseconds kShortestTurn{5}, kLongestTurn{250};

bool Overlap(BucketRange a, BucketRange b) { return a.min <= b.max && b.min <= a.max; }

}  // namespace

absl::StatusOr<BucketRange> ParseBuckets(const std::string& min, const std::string& max,
                                         uint32_t bucket_total) {
  BucketRange range;
  if (!absl::SimpleAtoi(min, &range.min) || !absl::SimpleAtoi(max, &range.max) ||
      range.min > range.max || range.max >= bucket_total) {
    return absl::InvalidArgumentError(
        absl::StrCat(min, "-", max, " is no range of ", bucket_total, " buckets"));
  }
  return range;
}

V1Fleet::V1Fleet(V1Config pattern, uint32_t bucket_total, std::unique_ptr<RealV1World> world)
    : pattern_(std::move(pattern)), bucket_total_(bucket_total), world_(std::move(world)) {}

V1Fleet::~V1Fleet() {
  closing_ = true;
  if (conductor_.joinable()) conductor_.join();
  for (const auto& host : All()) host->Kill();
  world_->Close();
}

void V1Fleet::Run() {
  conductor_ = std::thread([this] {
    const auto pause =
        std::clamp(milliseconds(pattern_.times.tick_ms / kTurnsATick), kShortestTurn, kLongestTurn);
    while (!closing_) {
      for (const auto& host : All()) host->Turn();
      Sweep();
      std::this_thread::sleep_for(pause);
    }
  });
}

absl::Status V1Fleet::Start(BucketRange range, uint32_t batch_size) {
  V1Config config = pattern_;
  config.range = range;
  config.batch_size = batch_size;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& host : hosts_) {
    // Of a host that leaves, another one may have the range already.
    if (!host->ended() && !host->leaving() && Overlap(host->range(), range)) {
      return absl::FailedPreconditionError("a host has buckets of that range");
    }
  }
  LogRange("v1_started", range, "");
  hosts_.push_back(std::make_shared<V1Host>(config, *world_));
  return absl::OkStatus();
}

HttpAnswer V1Fleet::Control(const HttpRequest& request) {
  HttpAnswer answer;
  if (request.path == "/status") {
    answer.content_type = "application/json";
    answer.body = StatusText();
    return answer;
  }
  const auto range =
      ParseBuckets(request.Parameter("min"), request.Parameter("max"), bucket_total_);
  absl::Status done = range.status();
  if (done.ok() && request.method != "POST") done = absl::InvalidArgumentError("POST it");
  if (done.ok()) done = Order(request.path, *range, request);
  answer.status = done.ok() ? 200 : 400;
  answer.body = done.ok() ? "ok\n" : absl::StrCat(done.message(), "\n");
  return answer;
}

absl::Status V1Fleet::Order(const std::string& what, BucketRange range,
                            const HttpRequest& request) {
  if (what == "/start") return StartBy(range, request);
  const auto hosts = Within(range);
  if (!hosts.ok()) return hosts.status();
  if (what == "/stop") {
    for (const auto& host : *hosts) host->Stop();
    LogRange("v1_stopped", range, "stop");
  } else if (what == "/kill") {
    for (const auto& host : *hosts) host->Kill();
    LogRange("v1_stopped", range, "kill");
  } else if (what == "/hup") {
    return Hup(*hosts, request);
  } else if (what == "/stray") {
    for (const auto& host : *hosts) host->FailLastRead();
  } else {
    return absl::InvalidArgumentError("POST /start, /stop, /kill, /hup, /stray or GET /status");
  }
  return absl::OkStatus();
}

absl::Status V1Fleet::StartBy(BucketRange range, const HttpRequest& request) {
  uint32_t batch_size = pattern_.batch_size;
  const std::string given = request.Parameter("batch_size");
  if (!given.empty() && (!absl::SimpleAtoi(given, &batch_size) || batch_size == 0)) {
    return absl::InvalidArgumentError(absl::StrCat(given, " is no BATCH_SIZE"));
  }
  return Start(range, batch_size);
}

absl::Status V1Fleet::Hup(const Hosts& hosts, const HttpRequest& request) {
  const std::string min = request.Parameter("new_min"), max = request.Parameter("new_max");
  if (min.empty() && max.empty()) {
    for (const auto& host : hosts) host->LeaveByHup();
    return absl::OkStatus();
  }
  const auto range = ParseBuckets(min, max, bucket_total_);
  if (!range.ok()) return range.status();
  if (hosts.size() != 1) return absl::InvalidArgumentError("a new range is for one host");
  LogRange("v1_changed", *range, "hup");
  hosts[0]->Configure(*range);
  return absl::OkStatus();
}

absl::StatusOr<V1Fleet::Hosts> V1Fleet::Within(BucketRange range) {
  Hosts found;
  for (const auto& host : All()) {
    const BucketRange own = host->range();
    if (host->ended() || !Overlap(own, range)) continue;
    if (!range.Contains(own.min) || !range.Contains(own.max)) {
      return absl::FailedPreconditionError(
          absl::StrCat("a host has ", own.min, "-", own.max, ", and stops as a whole"));
    }
    found.push_back(host);
  }
  return found;
}

V1Fleet::Hosts V1Fleet::All() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return hosts_;
}

void V1Fleet::Sweep() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = hosts_.begin(); it != hosts_.end();) {
    if (!(*it)->ended()) {
      ++it;
      continue;
    }
    if ((*it)->left()) LogRange("v1_stopped", (*it)->range(), "hup");
    it = hosts_.erase(it);
  }
}

void V1Fleet::LogRange(const char* kind, BucketRange range, const std::string& how) {
  JsonLine line = RealV1World::Line(kind);
  line.Add("min", range.min).Add("max", range.max);
  if (!how.empty()) line.Add("how", how);
  world_->Log(line);
}

std::string V1Fleet::StatusText() {
  std::vector<std::string> texts;
  for (const auto& host : All()) {
    if (host->ended()) continue;
    const BucketRange range = host->range();
    const V1Host::Figures figures = host->figures();
    texts.push_back(absl::StrCat("{\"min\":", range.min, ",\"max\":", range.max,
                                 ",\"rounds\":", figures.rounds, ",\"rows_read\":", figures.rows,
                                 ",\"confirming\":", figures.confirming,
                                 ",\"under_way\":", figures.under_way,
                                 ",\"leaving\":", host->leaving() ? "true" : "false", "}"));
  }
  return absl::StrCat("{\"hosts\":[", absl::StrJoin(texts, ","), "]}\n");
}

}  // namespace jetmon::lab
