#include "monitor/notifier.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/locks.h"

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

Notifier::Notifier(const Config& config, const Clock& clock, sql::Database& db, Post post)
    : config_(config), clock_(clock), db_(db), post_(std::move(post)) {}

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
  std::vector<store::Notification> own, left;
  if (!Read(look, &own, &left).ok()) return 0;  // at the next turn
  if (look) next_look_ = clock_.Boot() + kLookPeriod;
  const int delivered = DeliverAll(std::move(own), /*claim=*/false);
  return delivered + DeliverAll(std::move(left), /*claim=*/true);
}

absl::Status Notifier::Read(bool look_for_left, std::vector<store::Notification>* own,
                            std::vector<store::Notification>* left) {
  return db_.Read([&](sql::Transaction& tx) -> absl::Status {
    own->clear();
    left->clear();
    const auto add = [&](store::Range range, std::vector<store::Notification>* to) -> absl::Status {
      auto rows = store::DueNotifications(tx, range, clock_.WallMs(), kAtOnce);
      if (!rows.ok()) return rows.status();
      to->insert(to->end(), rows->begin(), rows->end());
      return absl::OkStatus();
    };
    auto locks =
        look_for_left ? store::ListHeldRanges(tx) : store::ListHeldRangesOfHost(tx, config_.host);
    if (!locks.ok()) return locks.status();
    uint32_t next = 0;  // the first bucket behind the ranges so far
    for (const store::RangeLock& lock : *locks) {
      if (lock.owner_host == config_.host && lock.owner_instance == config_.instance) {
        if (auto s = add(lock.range, own); !s.ok()) return s;
      }
      if (look_for_left && lock.range.min > next) {
        if (auto s = add({next, lock.range.min - 1}, left); !s.ok()) return s;
      }
      next = lock.range.max + 1;
    }
    return look_for_left ? add({next, kLastBucket}, left) : absl::OkStatus();
  });
}

int Notifier::DeliverAll(std::vector<store::Notification> due, bool claim) {
  int delivered = 0;
  for (store::Notification& n : due) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    if (clock_.Boot() < closed_until_) break;
    if (claim && !Claim(&n)) continue;
    if (Deliver(n)) ++delivered;
  }
  return delivered;
}

bool Notifier::Claim(store::Notification* n) {
  bool ours = false;
  const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto marked =
        store::MarkFailedAttempt(tx, n->notification_id, n->attempts, clock_.WallMs() + kClaimMs);
    if (!marked.ok()) return marked.status();
    ours = *marked;
    return absl::OkStatus();
  });
  if (!s.ok() || !ours) return false;
  ++n->attempts;
  return true;
}

bool Notifier::Deliver(const store::Notification& n) {
  const bool ok = post_(n.notification_id, NotificationBody(n, clock_.WallMs()));
  failures_ = ok ? 0 : failures_ + 1;
  if (failures_ >= kBreakAfter) {
    closed_until_ = clock_.Boot() + kBreak;
    failures_ = 0;
    LogWarning("the notification receiver failed 5 times in a row; trying again in 60 s");
  }
  const int64_t backoff =
      std::min(kFirstBackoffMs << std::min(n.attempts, kDoublings), kLongestBackoffMs);
  const absl::Status s = db_.Write([&](sql::Transaction& tx) {
    return ok ? store::MarkDelivered(tx, n.notification_id, n.attempts, clock_.WallMs()).status()
              : store::MarkFailedAttempt(tx, n.notification_id, n.attempts,
                                         clock_.WallMs() + backoff)
                    .status();
  });
  // Delivered but not marked: it will be sent again, with the same id.
  if (!s.ok()) LogWarning(absl::StrCat(n.notification_id, " was not marked: ", s.message()));
  return ok;
}

Notifier::Post PostTo(const std::string& url, milliseconds limit) {
  return [url, limit](const std::string& id, const std::string& body) {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
    if (curl == nullptr) return false;
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
    long status = 0;
    if (curl_easy_perform(curl.get()) != CURLE_OK) return false;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
  };
}

}  // namespace jetmon::monitor
