// What operators say of notifications whose end nobody knows (mute.h).
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "daemon/log.h"
#include "store/bounded.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/notifications.h"
#include "store/tell_decisions.h"

namespace jetmon::rollout {
namespace {

using store::DecisionOutcome;
using store::TellDecision;

// In one transaction.
constexpr uint32_t kAtOnce = 200;
constexpr size_t kLongestNote = 1000, kLongestRecord = 8000;

absl::Status CheckForm(const v1::DecideNotificationsRequest& r) {
  if (r.decision() != "told" && r.decision() != "untold") {
    return InvalidField("decision", "takes told or untold");
  }
  if (r.all() == (r.notification_ids_size() > 0)) {
    return InvalidField("notification_ids", "is required, or all: exactly one of the two");
  }
  if (r.notification_ids_size() > static_cast<int>(kAtOnce)) {
    return InvalidField("notification_ids", "takes up to 200; use all, or ask in parts");
  }
  absl::flat_hash_set<std::string_view> seen;
  for (const std::string& id : r.notification_ids()) {
    if (!seen.insert(id).second) return InvalidField("notification_ids", "names one twice");
  }
  if (r.note().size() > kLongestNote) return InvalidField("note", "takes up to 1,000 characters");
  return absl::OkStatus();
}

// A release that waits for the end of notifications: its range, and the job that shows it.
struct Waiting {
  store::RangeLock lock;
  store::Job job;
};

absl::StatusOr<store::Job> JobThatWaits(sql::Transaction& tx, const store::RangeLock& lock) {
  auto first = store::GetJob(tx, lock.mute->job_id);
  if (!first.ok()) return first.status();
  if (first->has_value() && AwaitsDecision(**first)) return std::move(**first);
  // Its worker may be gone, and another job drive the release.
  auto jobs = store::ListUnfinishedJobs(tx);
  if (!jobs.ok()) return jobs.status();
  for (store::Job& j : *jobs) {
    if (j.epoch == lock.epoch && AwaitsDecision(j)) return std::move(j);
  }
  return Error(v1::NOT_UNDECIDED,
               absl::StrCat("the release of buckets ", lock.mute->range.ToString(),
                            " does not wait for a decision: what is being sent has 60 s to be "
                            "delivered first"));
}

absl::StatusOr<Waiting> FindWaiting(sql::Transaction& tx, const std::string& run_id,
                                    store::Range range) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  for (store::RangeLock& l : *locks) {
    const bool muted =
        l.state == store::range_state::kActive && l.mute.has_value() && l.mute->range.Covers(range);
    if (!muted) continue;
    if (l.run_id != run_id) {
      return Error(v1::NOT_UNDECIDED, absl::StrCat("the buckets ", range.ToString(),
                                                   " are released by another run, ", l.run_id));
    }
    auto job = JobThatWaits(tx, l);
    if (!job.ok()) return job.status();
    return Waiting{std::move(l), std::move(*job)};
  }
  return Error(v1::NOT_UNDECIDED,
               absl::StrCat("no release waits for notifications of all of the buckets ",
                            range.ToString(), "; see the status for what is on its way"));
}

// One transaction of a decision.
class Batch {
 public:
  Batch(const v1::DecideNotificationsRequest* request, store::Range range)
      : request_(request),
        range_(range),
        decision_(request->decision() == "told" ? TellDecision::kTold : TellDecision::kUntold) {}

  absl::Status Run(sql::Transaction& tx, const Options& options, int64_t now_ms) {
    *this = Batch(request_, range_);
    auto rows = Rows(tx);
    if (!rows.ok()) return rows.status();
    // What was said before may be said again, whatever the release has come to since.
    if (rows->empty() && !request_->all()) return absl::OkStatus();
    auto waiting = FindWaiting(tx, request_->run_id(), range_);
    if (!waiting.ok()) return waiting.status();
    owner_ = waiting->lock.owner_host;
    const store::Actor actor = ReleasingActor(options, waiting->lock, now_ms);
    for (const store::Notification& n : *rows) {
      auto outcome = store::DecideTell(tx, n, decision_, actor);
      if (!outcome.ok()) return outcome.status();
      if (*outcome == DecisionOutcome::kNotSending) {
        return absl::AbortedError("a notification was delivered between two statements");
      }
      (*outcome == DecisionOutcome::kToldSince ? told_since_ : decided_).push_back(n);
    }
    // The job shows no more what it does not wait for any more.
    auto all = store::CountSending(tx, waiting->lock.mute->range);
    if (!all.ok()) return all.status();
    if (*all == 0) {
      if (auto s = store::ClearJobProgress(tx, waiting->job.job_id); !s.ok()) return s;
    }
    auto left = store::CountSending(tx, range_);
    if (left.ok()) left_ = *left;
    return left.status();
  }

  // What stands in the run about it.
  store::Checkpoint Record(const Caller& caller, int64_t now_ms) const {
    store::Checkpoint c;
    c.run_id = request_->run_id();
    c.kind = decision_ == TellDecision::kTold ? store::checkpoint::kNotificationsTold
                                              : store::checkpoint::kNotificationsUntold;
    c.range = range_;
    c.owner_host = owner_;
    c.note = store::Bounded(
        absl::StrCat(request_->note(), request_->note().empty() ? "" : "; ", ToString()),
        kLongestRecord);
    c.key_id = caller.key_id;
    c.consumer = caller.consumer;
    c.created_at_ms = now_ms;
    return c;
  }
  // "told: ntf_1_down ntf_2_up"
  std::string ToString() const {
    std::string text;
    for (const auto* rows : {&decided_, &told_since_}) {
      if (rows->empty()) continue;
      absl::StrAppend(
          &text, text.empty() ? "" : "; ",
          rows == &told_since_ ? "written by their receiver since" : request_->decision(), ":");
      for (const auto& n : *rows) absl::StrAppend(&text, " ", n.notification_id);
    }
    return text;
  }
  bool changed() const { return !decided_.empty() || !told_since_.empty(); }

  void AddTo(v1::DecideNotificationsResponse* response) const {
    response->set_decided(response->decided() + decided_.size() + already_.size());
    response->set_told_since(response->told_since() + told_since_.size() + since_.size());
    response->set_left(left_);
    for (const auto* rows : {&decided_, &already_, &told_since_, &since_}) {
      for (const auto& n : *rows) {
        if (response->notification_ids_size() == static_cast<int>(kAtOnce)) return;
        response->add_notification_ids(n.notification_id);
      }
    }
  }

 private:
  // Those that are to be decided; what was decided so before is left out, and anything else
  // refused.
  absl::StatusOr<std::vector<store::Notification>> Rows(sql::Transaction& tx) {
    if (request_->all()) {
      auto page = store::ListNotifications(tx, range_, "sending", {kAtOnce, ""});
      if (!page.ok()) return page.status();
      return std::move(page->rows);
    }
    std::vector<store::Notification> rows;
    for (const std::string& id : request_->notification_ids()) {
      auto n = store::GetNotification(tx, id);
      if (!n.ok()) return n.status();
      if (!n->has_value() || !range_.Contains((*n)->bucket)) {
        return Error(v1::NOT_UNDECIDED,
                     absl::StrCat("\"", store::Bounded(id, 64),
                                  "\" is no notification of the buckets ", range_.ToString()));
      }
      const std::string& state = (*n)->state;
      // Of what was never sent nothing was ever decided.
      const bool sent = (*n)->sent_at_ms != 0;
      if (state == "sending") {
        rows.push_back(std::move(**n));
      } else if (state == (decision_ == TellDecision::kTold ? "delivered" : "cancelled") && sent) {
        already_.push_back(std::move(**n));
      } else if (state == "superseded" && sent) {
        since_.push_back(std::move(**n));
      } else {
        return Error(v1::NOT_UNDECIDED, absl::StrCat(id, " is not being sent: it is ", state));
      }
    }
    return rows;
  }

  const v1::DecideNotificationsRequest* request_;
  store::Range range_;
  TellDecision decision_;
  std::string owner_;
  std::vector<store::Notification> decided_, told_since_;  // by this one
  std::vector<store::Notification> already_, since_;       // the same, before it
  uint64_t left_ = 0;
};

}  // namespace

absl::Status Service::ListNotifications(const v1::ListNotificationsRequest& request,
                                        v1::ListNotificationsResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  const std::string state = request.state().empty() ? "sending" : request.state();
  if (!store::IsNotificationState(state)) {
    return InvalidField("state",
                        "takes queued, sending, delivered, recorded, cancelled or superseded");
  }
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListNotifications(tx, *range, state, *page);
    if (!rows.ok()) return rows.status();
    for (const auto& n : rows->rows) *response->add_notifications() = NotificationMessage(n);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Service::DecideNotifications(const Caller& caller,
                                          const v1::DecideNotificationsRequest& request,
                                          v1::DecideNotificationsResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckForm(request); !s.ok()) return s;
  response->Clear();
  response->set_decision(request.decision());
  Batch batch(&request, *range);
  do {
    const int64_t now = parts_.clock->WallMs();
    const absl::Status s = parts_.Commit(commits::kDecide, [&](sql::Transaction& tx) {
      if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
      // A rollback may be another's, and its run closed.
      auto session = CheckRun(tx, request.run_id(), *range, /*closed_too=*/true);
      if (!session.ok()) return session.status();
      if (auto done = batch.Run(tx, options_, now); !done.ok()) return done;
      if (!batch.changed()) return absl::OkStatus();
      return store::InsertCheckpoint(tx, batch.Record(caller, now)).status();
    });
    if (!s.ok()) return s;
    batch.AddTo(response);
    if (batch.changed()) LogInfo(absl::StrCat("run ", request.run_id(), ": ", batch.ToString()));
  } while (request.all() && batch.changed() && response->left() > 0);
  response->set_next_action(response->left() > 0
                                ? "decide the rest, then the release goes on"
                                : "the release goes on by itself; wait for its job");
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
