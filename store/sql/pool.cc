#include "store/sql/pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace jetmon::sql {
namespace {

using std::chrono::nanoseconds;

// A connection that lay idle for longer is asked whether it still answers.
constexpr std::chrono::seconds kTrusted{5};

}  // namespace

Pool::Pool(Options options, std::unique_ptr<Connector> connector)
    : options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : SystemClock()),
      connector_(std::move(connector)) {}

absl::StatusOr<std::unique_ptr<Connection>> Pool::Take(BootTime deadline) {
  const auto wait =
      std::min(nanoseconds(deadline - clock_.Boot()), nanoseconds(options_.pool_wait));
  std::unique_lock lock(mutex_);
  if (!freed_.wait_for(lock, wait,
                       [this] { return !idle_.empty() || out_ < options_.pool_size; })) {
    ++counts_.exhausted;
    return absl::UnavailableError(
        absl::StrCat("all ", options_.pool_size, " database connections stayed in use"));
  }
  ++out_;
  std::vector<Idle> doubtful;  // closed when nobody waits for us
  while (!idle_.empty()) {
    Idle last = std::move(idle_.back());
    idle_.pop_back();
    if (!connector_->IsCurrent(*last.connection)) {
      doubtful.push_back(std::move(last));
      continue;
    }
    lock.unlock();
    if (clock_.Boot() - last.since < kTrusted || last.connection->Answers()) {
      return std::move(last.connection);
    }
    Closing(*last.connection);
    doubtful.push_back(std::move(last));
    lock.lock();
    // The others lay idle for longer and lead to the same server: to ask each would be to wait for
    // its silence that many times.
    for (Idle& other : idle_) doubtful.push_back(std::move(other));
    idle_.clear();
  }
  lock.unlock();
  doubtful.clear();
  auto made = Make(options_.server.statement_limit);
  if (!made.ok()) Give(nullptr);
  return made;
}

absl::StatusOr<std::unique_ptr<Connection>> Pool::Make(std::chrono::seconds statement_limit) {
  auto made = connector_->Connect(statement_limit);
  if (made.ok()) ++counts_.connections;
  return made;
}

void Pool::Give(std::unique_ptr<Connection> connection) {
  std::vector<Idle> doubtful;  // closed without the lock: a server that is away makes that slow
  {
    std::lock_guard lock(mutex_);
    --out_;
    if (connection != nullptr && !IsGood(*connection)) {
      Closing(*connection);
      doubtful.swap(idle_);
      doubtful.push_back({std::move(connection), {}});
    }
    if (connection != nullptr) idle_.push_back({std::move(connection), clock_.Boot()});
  }
  freed_.notify_one();
}

}  // namespace jetmon::sql
