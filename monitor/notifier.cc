#include "monitor/notifier.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/tell_decisions.h"

namespace jetmon::monitor {
namespace {

constexpr milliseconds kTurnPeriod{500};
constexpr int kAtOnce = 100;
constexpr int kBreakAfter = 5;
constexpr std::chrono::seconds kBreak{60};
constexpr int64_t kFirstBackoffMs = 1'000, kLongestBackoffMs = 300'000;
constexpr int kDoublings = 10;
constexpr std::chrono::seconds kLookPeriod{5};
// Longer than one attempt takes, whoever makes it: nobody else makes one meanwhile.
constexpr int64_t kClaimMs = 30'000;
static_assert(kClaimMs >= 2 * DeadlineBudget::kPatience.count());
constexpr uint32_t kLastBucket = 65'535;

std::string JsonText(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20) {
      constexpr char kDigits[] = "0123456789abcdef";
      absl::StrAppend(&out, "\\u00");
      out.push_back(kDigits[c >> 4]);
      out.push_back(kDigits[c & 15]);
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out + "\"";
}

size_t Discard(char*, size_t, size_t n, void*) { return n; }

}  // namespace

std::string NotificationBody(const store::Notification& n, int64_t now_ms) {
  return absl::StrCat("{\"notification_id\":", JsonText(n.notification_id),
                      ",\"blog_id\":", n.blog_id, ",\"monitor_url\":", JsonText(n.url),
                      ",\"status_id\":", n.status_id, ",\"last_check\":", now_ms / 1000,
                      ",\"last_status_change\":", n.status_change_ms / 1000,
                      ",\"status_type\":", JsonText(n.kind), ",\"checks\":", n.checks_json, "}");
}

Notifier::Notifier(const Config& config, const Clock& clock, sql::Database& db,
                   const TellGate& gate, Post post)
    : config_(config), clock_(clock), db_(db), gate_(gate), post_(std::move(post)) {}

Notifier::~Notifier() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Notifier::Run() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      Turn();
      lock.lock();
      wake_.wait_for(lock, kTurnPeriod, [this] { return stopping_; });
    }
  });
}

int Notifier::Turn() {
  if (clock_.Boot() < closed_until_) return 0;
  const bool look = clock_.Boot() >= next_look_;
  std::vector<Due> own, left;
  if (!Read(look, &own, &left).ok()) return 0;  // at the next turn
  if (look) next_look_ = clock_.Boot() + kLookPeriod;
  // What its receiver refuses again and again holds up nothing that was not tried yet.
  const auto fewer = [](const Due& a, const Due& b) { return a.n.attempts < b.n.attempts; };
  std::stable_sort(own.begin(), own.end(), fewer);
  std::stable_sort(left.begin(), left.end(), fewer);
  const int delivered = DeliverAll(std::move(own));
  return delivered + DeliverAll(std::move(left));
}

absl::Status Notifier::Read(bool look_for_left, std::vector<Due>* own, std::vector<Due>* left) {
  return db_.Read([&](sql::Transaction& tx) -> absl::Status {
    own->clear();
    left->clear();
    const auto add = [&](store::Range range, uint64_t epoch, std::optional<store::Range> muted,
                         std::vector<Due>* to) -> absl::Status {
      auto rows = store::DueNotifications(tx, range, clock_.WallMs(), kAtOnce);
      if (!rows.ok()) return rows.status();
      for (store::Notification& n : *rows) {
        // v1 tells that itself.
        const bool untold = n.dialect == store::LegacyDialect::kV1 && n.state == "queued";
        const bool v1s = epoch == 0 || (muted.has_value() && muted->Contains(n.bucket));
        if (!v1s || !untold) to->push_back({std::move(n), epoch});
      }
      return absl::OkStatus();
    };
    auto locks =
        look_for_left ? store::ListHeldRanges(tx) : store::ListHeldRangesOfHost(tx, config_.host);
    if (!locks.ok()) return locks.status();
    uint32_t next = 0;  // the first bucket behind the ranges so far
    for (const store::RangeLock& lock : *locks) {
      if (lock.owner_host == config_.host && lock.owner_instance == config_.instance) {
        const auto muted = lock.mute.has_value() ? std::optional(lock.mute->range) : std::nullopt;
        if (auto s = add(lock.range, lock.epoch, muted, own); !s.ok()) return s;
      }
      if (look_for_left && lock.range.min > next) {
        if (auto s = add({next, lock.range.min - 1}, 0, std::nullopt, left); !s.ok()) return s;
      }
      next = lock.range.max + 1;
    }
    return look_for_left ? add({next, kLastBucket}, 0, std::nullopt, left) : absl::OkStatus();
  });
}

int Notifier::DeliverAll(std::vector<Due> due) {
  int delivered = 0;
  for (Due& one : due) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    if (clock_.Boot() < closed_until_) break;
    if (MayBegin(&one) && Deliver(one)) ++delivered;
  }
  return delivered;
}

bool Notifier::MayBegin(Due* due) {
  const bool v1 = due->n.dialect == store::LegacyDialect::kV1;
  if (v1 && due->n.state == "sending" && !StillSo(*due)) return false;
  if (due->epoch == 0) return Claim(&due->n);
  return !v1 || Commit(due);
}

bool Notifier::StillSo(const Due& due) {
  bool so = false;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto stands = store::StillStands(tx, due.n, TellingActor(due.epoch));
    if (stands.ok()) so = *stands;
    return stands.status();
  });
  if (s.ok() && !so) {
    LogInfo(
        absl::StrCat(due.n.notification_id, " is superseded: people were told otherwise since"));
  }
  return s.ok() && so;
}

bool Notifier::Claim(store::Notification* n) {
  bool ours = false;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto marked = store::MarkFailedAttempt(tx, *n, clock_.WallMs() + kClaimMs);
    if (!marked.ok()) return marked.status();
    ours = *marked;
    return absl::OkStatus();
  });
  if (!s.ok() || !ours) return false;
  ++n->attempts;
  return true;
}

store::Actor Notifier::TellingActor(uint64_t epoch) const {
  store::Actor actor;
  actor.source = "monitor";
  actor.epoch = epoch;
  actor.instance = config_.instance;
  actor.host = config_.host;
  actor.notify_sends = true;
  actor.dialect = store::LegacyDialect::kV1;
  actor.echo_ms = config_.receiver_delay.count();
  actor.now_ms = clock_.WallMs();
  return actor;
}

bool Notifier::Commit(Due* due) {
  const milliseconds limit = config_.Deadlines().notification();
  if (due->n.state == "sending") return gate_.MaySend(due->epoch, clock_.Boot(), limit);
  if (!gate_.MayTell(due->epoch, clock_.Boot(), limit)) return false;
  store::TellOutcome outcome = store::TellOutcome::kStale;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    outcome = store::TellOutcome::kStale;
    auto ours = store::FenceTell(tx, due->n.bucket, due->epoch, config_.instance);
    if (!ours.ok()) return ours.status();
    if (!*ours) return absl::PermissionDeniedError("nothing is told of this bucket now");
    auto committed = store::CommitTell(tx, due->n, TellingActor(due->epoch));
    if (committed.ok()) outcome = *committed;
    return committed.status();
  });
  if (!s.ok()) return false;  // muted, not ours any more, or the database: looked at again
  if (outcome == store::TellOutcome::kSuperseded || outcome == store::TellOutcome::kCancelled) {
    LogInfo(absl::StrCat(due->n.notification_id,
                         outcome == store::TellOutcome::kSuperseded
                             ? " is superseded: somebody else has written site_status"
                             : " is cancelled: its site or its incident is gone"));
  }
  if (outcome != store::TellOutcome::kCommitted) return false;  // or another row told it
  due->n.state = "sending";
  due->committed_now = true;
  // The commit may have taken long. If so it is sent later, by whoever may.
  return gate_.MaySend(due->epoch, clock_.Boot(), limit);
}

absl::StatusOr<bool> Notifier::Fenced(
    const Due& due, const std::function<absl::StatusOr<bool>(sql::Transaction&)>& write) {
  bool did = false;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto ours = store::FenceBucket(tx, due.n.bucket, due.epoch, config_.instance);
    if (!ours.ok()) return ours.status();
    if (!*ours) return absl::PermissionDeniedError("the bucket is not ours any more");
    auto written = write(tx);
    did = written.ok() && *written;
    return written.status();
  });
  if (!s.ok()) return s;
  return did;
}

bool Notifier::TakeBack(const Due& due, int64_t next_attempt_at_ms) {
  if (!due.committed_now) return false;
  const auto queued = Fenced(due, [&](sql::Transaction& tx) {
    return store::TakeBackTell(tx, due.n, TellingActor(due.epoch), next_attempt_at_ms);
  });
  return queued.ok() && *queued;
}

void Notifier::TakenAfterAll(const Due& due) {
  const auto was_untold = Fenced(due, [&](sql::Transaction& tx) {
    return store::TakenAfterAll(tx, due.n, TellingActor(due.epoch));
  });
  if (!was_untold.ok()) {
    LogWarning(absl::StrCat(due.n.notification_id,
                            " was taken by the receiver, and is not being sent any more: ",
                            was_untold.status().message()));
  } else if (*was_untold) {
    LogWarning(absl::StrCat(due.n.notification_id,
                            " was called untold while it was sent; the receiver has taken it, and "
                            "it counts as told"));
  }
}

bool Notifier::Deliver(const Due& due) {
  const store::Notification& n = due.n;
  const Posted posted = post_(n.notification_id, NotificationBody(n, clock_.WallMs()));
  const bool taken = posted == Posted::kTaken;
  failures_ = taken ? 0 : failures_ + 1;
  if (failures_ >= kBreakAfter) {
    closed_until_ = clock_.Boot() + kBreak;
    failures_ = 0;
    LogWarning("the notification receiver failed 5 times in a row; trying again in 60 s");
  }
  const int64_t next =
      clock_.WallMs() +
      std::min(kFirstBackoffMs << std::min(n.attempts, kDoublings), kLongestBackoffMs);
  if (posted == Posted::kNotReached && TakeBack(due, next)) return false;
  bool marked = false;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto did = taken ? store::MarkDelivered(tx, n, clock_.WallMs())
                     : store::MarkFailedAttempt(tx, n, next);
    if (did.ok()) marked = *did;
    return did.status();
  });
  // Delivered but not marked: it will be sent again, with the same id.
  if (!s.ok()) LogWarning(absl::StrCat(n.notification_id, " was not marked: ", s.message()));
  if (s.ok() && taken && !marked) TakenAfterAll(due);
  return taken;
}

Notifier::Post PostTo(const std::string& url, milliseconds limit) {
  return [url, limit](const std::string& id, const std::string& body) {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
    if (curl == nullptr) return Notifier::Posted::kNotReached;
    curl_slist* list = curl_slist_append(nullptr, "content-type: application/json");
    list = curl_slist_append(list, ("idempotency-key: " + id).c_str());
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(limit.count()));
    curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Discard);
    const CURLcode code = curl_easy_perform(curl.get());
    if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT) {
      return Notifier::Posted::kNotReached;
    }
    long status = 0;
    if (code == CURLE_OK) curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300 ? Notifier::Posted::kTaken : Notifier::Posted::kUnknown;
  };
}

}  // namespace jetmon::monitor
