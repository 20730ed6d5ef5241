#include "controlplane/housekeeping.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/hosts.h"
#include "store/keys.h"
#include "store/tokens.h"

namespace jetmon::controlplane {
namespace {

constexpr std::chrono::seconds kReportEvery{5};
constexpr int kReportsAPrune = 12;
constexpr int64_t kDayMs = 24 * 3600 * 1000;

}  // namespace

Housekeeping::Housekeeping(sql::Database& db, Process process)
    : db_(db),
      process_(std::move(process)),
      started_at_ms_(db.clock().WallMs()),
      thread_([this] { Run(); }) {}

Housekeeping::~Housekeeping() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  const absl::Status status = db_.Write([&](sql::Transaction& tx) {
    return store::SayGoodbye(tx, process_.instance, db_.clock().WallMs());
  });
  if (!status.ok()) LogWarning(absl::StrCat("goodbye not written: ", status.message()));
}

void Housekeeping::Run() {
  for (int round = 0;; ++round) {
    Report();
    if (round % kReportsAPrune == 0) Prune();
    std::unique_lock lock(mu_);
    if (wake_.wait_for(lock, kReportEvery, [&] { return stopping_; })) return;
  }
}

void Housekeeping::Report() {
  const absl::Status status = db_.Write([&](sql::Transaction& tx) {
    store::ProcessHealth health;
    health.instance = process_.instance;
    health.kind = "controlplane";
    health.host = process_.host;
    health.version = process_.version;
    health.state = "active";
    health.pid = getpid();
    health.started_at_ms = started_at_ms_;
    health.updated_at_ms = db_.clock().WallMs();
    return store::ReportHealth(tx, health);
  });
  if (!status.ok()) LogWarning(absl::StrCat("health record not written: ", status.message()));
}

void Housekeeping::Prune() {
  const int64_t now = db_.clock().WallMs();
  const absl::Status status = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto pruned = store::PruneIdempotency(tx, now - kDayMs);
    if (pruned.ok()) pruned = store::PruneTokens(tx, now - kDayMs);
    if (pruned.ok()) pruned = store::PruneProcesses(tx, now - 7 * kDayMs);
    return pruned.status();
  });
  if (!status.ok()) LogWarning(absl::StrCat("old records not removed: ", status.message()));
}

}  // namespace jetmon::controlplane
