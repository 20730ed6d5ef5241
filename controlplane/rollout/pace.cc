#include "controlplane/rollout/pace.h"

#include <algorithm>

#include "store/slices.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kFirstRows = 2000, kFewestRows = 500;
// Of an embedded database a batch held all: who waits for it looks every 25 ms or more often, and
// is let in within a batch or two. On a server nobody waits for these rows; the rest is for its
// disk and its replicas.
constexpr int kPausePart = 5, kPausePartOfServer = 16;
constexpr milliseconds kLongestPause{50};

}  // namespace

Pace::Pace(const sql::Dialect& dialect, uint64_t most_rows)
    : embedded_(dialect.Embedded()),
      most_rows_(most_rows != 0 ? most_rows : store::MostRowsAtOnce(dialect)),
      rows_(std::min(kFirstRows, most_rows_)) {}

void Pace::Rest(JobRun& run, std::chrono::nanoseconds held) {
  if (held > kHold) rows_ = std::max(rows_ / 2, std::min(kFewestRows, most_rows_));
  if (held < kHold / 2) rows_ = std::min(rows_ * 2, most_rows_);
  const int part = embedded_ ? kPausePart : kPausePartOfServer;
  run.Pause(std::min(std::chrono::ceil<milliseconds>(held / part), kLongestPause));
}

}  // namespace jetmon::rollout
