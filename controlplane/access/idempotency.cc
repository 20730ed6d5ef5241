#include "controlplane/access/idempotency.h"

#include <algorithm>

#include "controlplane/error/error.h"
#include "store/keys.h"

namespace jetmon::access {
namespace {

constexpr char kRunning[] = "running";
constexpr size_t kMostSightings = 4096;
constexpr std::chrono::seconds kLongestRetryAfter{2};

std::string Id(std::string_view key_id, std::string_view idempotency_key) {
  return std::string(key_id) + '\n' + std::string(idempotency_key);
}

absl::Status InProgress(std::chrono::nanoseconds left) {
  using std::chrono::milliseconds;
  const auto delay = std::clamp(std::chrono::duration_cast<milliseconds>(left), milliseconds(1000),
                                milliseconds(kLongestRetryAfter));
  return WithRetryAfter(Error(v1::IDEMPOTENCY_IN_PROGRESS,
                              "the first request with this idempotency key still runs; send it "
                              "again a little later"),
                        delay);
}

}  // namespace

IdempotencyClaim::IdempotencyClaim(sql::Database& db, std::string key_id,
                                   std::string idempotency_key, uint64_t attempt)
    : db_(db),
      key_id_(std::move(key_id)),
      idempotency_key_(std::move(idempotency_key)),
      attempt_(attempt) {}

absl::Status IdempotencyClaim::Complete(sql::Transaction& tx, std::string_view kind,
                                        std::string_view resource_id) {
  const auto done =
      store::CompleteIdempotent(tx, key_id_, idempotency_key_, attempt_, kind, resource_id);
  if (!done.ok()) return done.status();
  if (*done) return absl::OkStatus();
  // Not in_progress: its code, Aborted, would have the transaction run again and again.
  return Error(v1::IDEMPOTENCY_CONFLICT,
               "another request took this idempotency key over; ask again what became of it");
}

absl::Status IdempotencyClaim::Release(BootTime deadline) {
  return db_.Write(deadline, [&](sql::Transaction& tx) {
    return store::AbandonIdempotent(tx, key_id_, idempotency_key_, attempt_);
  });
}

bool ValidIdempotencyKey(std::string_view key) {
  return !key.empty() && key.size() <= 255 &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Idempotency::Idempotency(sql::Database& db, const Clock& clock) : db_(db), clock_(clock) {}

std::chrono::nanoseconds Idempotency::SeenFor(const std::string& id, uint64_t attempt) {
  const BootTime now = clock_.Boot();
  std::lock_guard lock(mu_);
  const auto [it, inserted] = seen_.try_emplace(id, Sighting{attempt, now});
  if (inserted) {
    order_.push_back(id);
    if (order_.size() > kMostSightings) {
      seen_.erase(order_.front());
      order_.pop_front();
    }
    return std::chrono::nanoseconds(0);
  }
  if (it->second.attempt != attempt) it->second = Sighting{attempt, now};
  return now - it->second.since;
}

void Idempotency::Forget(const std::string& id) {
  std::lock_guard lock(mu_);
  // Its place in order_ stays and is reused if the id comes back.
  const auto it = seen_.find(id);
  if (it != seen_.end()) it->second.attempt = 0;
}

absl::StatusOr<Idempotency::Begun> Idempotency::Begin(std::string_view key_id,
                                                      std::string_view idempotency_key,
                                                      std::string_view operation,
                                                      std::string_view request_hash,
                                                      BootTime deadline) {
  const std::string id = Id(key_id, idempotency_key);
  uint64_t claimed = 0;
  std::optional<store::IdempotencyRecord> found;
  const absl::Status status = db_.Write(deadline, [&](sql::Transaction& tx) -> absl::Status {
    claimed = 0;
    found.reset();
    store::IdempotencyRecord record;
    record.key_id = std::string(key_id);
    record.idempotency_key = std::string(idempotency_key);
    record.operation = std::string(operation);
    record.request_hash = std::string(request_hash);
    record.state = kRunning;
    record.attempt = 1;
    record.created_at_ms = record.lease_at_ms = clock_.WallMs();
    const auto begun = store::BeginIdempotent(tx, record);
    if (!begun.ok()) return begun.status();
    if (*begun) {
      claimed = 1;
      return absl::OkStatus();
    }
    auto read = store::GetIdempotency(tx, key_id, idempotency_key);
    if (!read.ok()) return read.status();
    if (!read->has_value()) return absl::AbortedError("the record went meanwhile");
    found = std::move(**read);
    if (found->operation != operation || found->request_hash != request_hash ||
        found->state != kRunning || SeenFor(id, found->attempt) < kLease) {
      return absl::OkStatus();
    }
    const auto taken = store::RetakeIdempotent(tx, key_id, idempotency_key, found->attempt,
                                               request_hash, clock_.WallMs());
    if (!taken.ok()) return taken.status();
    if (*taken) claimed = found->attempt + 1;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  Begun begun;
  if (claimed != 0) {
    Forget(id);
    begun.claim = std::make_unique<IdempotencyClaim>(db_, std::string(key_id),
                                                     std::string(idempotency_key), claimed);
    return begun;
  }
  if (found->operation != operation || found->request_hash != request_hash) {
    return Error(v1::IDEMPOTENCY_CONFLICT,
                 "this idempotency key was used for another request; use a new key");
  }
  if (found->state == kRunning) return InProgress(kLease - SeenFor(id, found->attempt));
  begun.replay_kind = found->resource_kind;
  begun.replay_id = found->resource_id;
  return begun;
}

}  // namespace jetmon::access
