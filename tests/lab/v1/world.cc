#include "tests/lab/v1/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "tests/lab/http_server.h"
#include "tests/lab/v1/tell.h"
#include "tests/lab/v1_check.h"

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A replica's readings in a lag, and the shortest time between two.
constexpr int kReadingsALag = 10;
constexpr milliseconds kShortestPause{20};

}  // namespace

RealV1World::RealV1World(Settings settings, std::unique_ptr<LegacyTable> table,
                         std::unique_ptr<LineLog> log)
    : settings_(std::move(settings)),
      table_(std::move(table)),
      log_(std::move(log)),
      replica_(settings_.replica_lag),
      checks_(settings_.workers),
      tells_(settings_.tellers) {}

absl::Status RealV1World::Open() {
  if (settings_.replica_lag.count() == 0) return absl::OkStatus();
  if (auto s = Follow(); !s.ok()) return s;
  follower_ = std::thread([this] {
    const auto pause = std::max(settings_.replica_lag / kReadingsALag, kShortestPause);
    while (!closing_) {
      std::this_thread::sleep_for(pause);
      if (const absl::Status s = Follow(); !s.ok()) {
        LogWarning(absl::StrCat("the replica stands still: ", s.message()));
      }
    }
  });
  return absl::OkStatus();
}

void RealV1World::Close() {
  closing_ = true;
  if (follower_.joinable()) follower_.join();
  checks_.Close();
  tells_.Close();
}

absl::Status RealV1World::Follow() {
  // What was read was so before this moment: what is seen is never newer than the lag says.
  auto rows = table_->Rows({0, settings_.bucket_total - 1}, /*with_inactive=*/false);
  if (!rows.ok()) return rows.status();
  replica_.Add(steady_clock::now(), std::move(*rows));
  return absl::OkStatus();
}

int64_t RealV1World::NowMs() { return WallNs() / 1'000'000; }

absl::StatusOr<std::vector<LegacyRow>> RealV1World::Read(BucketRange range) {
  auto rows =
      settings_.replica_lag.count() > 0
          ? absl::StatusOr<std::vector<LegacyRow>>(replica_.Read(range, steady_clock::now()))
          : table_->Rows(range, /*with_inactive=*/false);
  JsonLine line = Line(rows.ok() ? "read" : "read_failed");
  line.Add("min", range.min).Add("max", range.max);
  if (rows.ok()) line.Add("rows", static_cast<int64_t>(rows->size()));
  Log(line);
  if (!rows.ok()) LogWarning(absl::StrCat("a query failed: ", rows.status().message()));
  return rows;
}

int RealV1World::Check(const std::string& url, const std::string& source) {
  return CodeAsV1(url, source, settings_.check_limit);
}

void RealV1World::WriteStatus(const LegacyRow& row, int status) {
  const auto rows = table_->SetStatusOf(row.blog_id, row.url, status, WallNs() / 1'000'000'000);
  if (!rows.ok()) LogError(absl::StrCat(row.url, " was not written: ", rows.status().message()));
}

bool RealV1World::Tell(const V1Tell& tell, int attempt) {
  const LegacyRow& row = tell.site.row;
  const std::string text = TellText(tell, settings_.token);
  const bool can = CanBeTold(text);
  Log(Line(can ? "tell" : "untellable")
          .Add("site_id", static_cast<int64_t>(row.site_id))
          .Add("blog_id", static_cast<int64_t>(row.blog_id))
          .Add("bucket", row.bucket)
          .Add("url", row.url)
          .Add("status", tell.status)
          .Add("old_status", row.site_status)
          .Add("attempt", attempt));
  // Where v1 throws it hears of no failure.
  return !can || SendTell(settings_.receiver, settings_.source, text, settings_.tell_limit);
}

JsonLine RealV1World::Line(absl::string_view kind) {
  return JsonLine(kind).Add("wall_ns", WallNs()).Add("boot_ns", BootNs());
}

void RealV1World::Log(const JsonLine& line) {
  log_->Write(line);
  log_->Flush();
}

}  // namespace jetmon::lab
