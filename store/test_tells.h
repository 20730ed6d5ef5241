#ifndef JETMON_STORE_TEST_TELLS_H_
#define JETMON_STORE_TEST_TELLS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "store/notifications.h"
#include "store/tells.h"
#include "store/test_incident.h"

namespace jetmon::store {

inline constexpr int64_t kSecond = 1000, kMinute = 60 * kSecond;

// Dialect v1: one site, step by step. v1's receiver writes its columns as the test says.
class TellsTest : public IncidentTest {
 protected:
  TellsTest() {
    actor_.dialect = LegacyDialect::kV1;
    actor_.notify_sends = true;
    actor_.echo_ms = kMinute;
    SetColumns(1, kBefore);
  }
  void Pass(int64_t ms) { actor_.now_ms += ms; }
  // As v1's receiver does.
  void SetColumns(int status, const std::string& changed) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ?",
                   {status, changed.empty() ? sql::Value() : sql::Value(changed)})
          .status();
    });
  }
  std::string Columns() {
    std::string text;
    Write([&](sql::Transaction& tx) -> absl::Status {
      const auto site = *GetSite(tx, 1);
      text = absl::StrCat(site->site_status, " ", site->last_status_change);
      return absl::OkStatus();
    });
    return text;
  }
  std::string At(int status, int64_t ms) { return absl::StrCat(status, " ", LegacyTime(ms)); }
  std::string Before() { return absl::StrCat("1 ", kBefore); }

  std::optional<Event> Open() {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      e = *OpenEventOfSite(tx, 1);
      return absl::OkStatus();
    });
    return e;
  }
  ChangeOutcome Fail() {
    return Did<ChangeOutcome>([&](sql::Transaction& tx) {
      return OpenEvent(tx, site_, {1, 0, "intermittent", ""}, actor_, nullptr);
    });
  }
  ChangeOutcome Confirm() {
    const Event seen = *Open();
    return Did<ChangeOutcome>([&](sql::Transaction& tx) {
      return ConfirmDown(tx, seen, transition::kVerifierConfirmed, site_.url, "[]", actor_);
    });
  }
  ChangeOutcome Close(const Event& seen, const char* reason = transition::kRecovered) {
    return Did<ChangeOutcome>([&](sql::Transaction& tx) {
      return CloseEvent(tx, seen, reason, site_.url, "[]", actor_);
    });
  }
  // The first that is due.
  std::optional<Notification> Due() {
    std::vector<Notification> due;
    Write([&](sql::Transaction& tx) -> absl::Status {
      due = *DueNotifications(tx, {0, 9}, actor_.now_ms, 10);
      return absl::OkStatus();
    });
    if (due.empty()) return std::nullopt;
    return due[0];
  }
  TellOutcome Commit() { return Commit(*Due()); }
  TellOutcome Commit(const Notification& n) {
    return Did<TellOutcome>([&](sql::Transaction& tx) { return CommitTell(tx, n, actor_); });
  }
  // What a commit of it that must not be made answers. It is rolled back.
  absl::Status Refusal(const Notification& n) {
    absl::Status said;
    const absl::Status s = db_->Write([&](sql::Transaction& tx) -> absl::Status {
      said = CommitTell(tx, n, actor_).status();
      return absl::CancelledError("rolled back");
    });
    EXPECT_TRUE(absl::IsCancelled(s)) << s;
    return said;
  }
  bool TakeBack() {
    const Notification n = *Due();
    return Did<bool>(
        [&](sql::Transaction& tx) { return TakeBackTell(tx, n, actor_, actor_.now_ms); });
  }
  void Deliver() {
    const Notification n = *Due();
    EXPECT_TRUE(
        Did<bool>([&](sql::Transaction& tx) { return MarkDelivered(tx, n, actor_.now_ms); }));
  }
  // "down:sending up:queued", of all incidents in order.
  std::string Outbox() {
    std::string text;
    Write([&](sql::Transaction& tx) {
      text.clear();
      return tx.Query("SELECT kind, state FROM jetmon_notifications ORDER BY event_id, kind", {},
                      [&](const sql::Row& row) {
                        absl::StrAppend(&text, text.empty() ? "" : " ", row.Text(0), ":",
                                        row.Text(1));
                        return absl::OkStatus();
                      });
    });
    return text;
  }
  uint64_t Drift() {
    uint64_t count = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      count = FindDrift(tx, {3, 3}, 10)->count;
      return absl::OkStatus();
    });
    return count;
  }
  // What `body` answers in a transaction of its own.
  template <class T>
  T Did(const std::function<absl::StatusOr<T>(sql::Transaction&)>& body) {
    T did{};
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto result = body(tx);
      if (result.ok()) did = *result;
      return result.status();
    });
    return did;
  }
  // An incident that people were told of at actor_.now_ms.
  void TellDown() {
    EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
    EXPECT_EQ(Confirm(), ChangeOutcome::kChanged);
    EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  }
  // An outage that people were told of, and a second later of its end.
  void TellOutage() {
    TellDown();
    Deliver();
    Pass(kSecond);
    Close(*Open());
    EXPECT_EQ(Commit(), TellOutcome::kCommitted);
    Deliver();
  }

  static constexpr char kBefore[] = "2023-11-01 00:00:00";
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_TELLS_H_
