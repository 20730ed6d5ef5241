#ifndef JETMON_MONITOR_WATCH_H_
#define JETMON_MONITOR_WATCH_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "clock/clock.h"
#include "monitor/check_policy.h"
#include "monitor/config.h"
#include "monitor/confirmer.h"
#include "monitor/incidents.h"
#include "monitor/lease.h"
#include "monitor/site_table.h"
#include "monitor/suspicion.h"
#include "probe/engine.h"
#include "store/locks.h"
#include "store/sql/database.h"

namespace jetmon::monitor {

// What a watch runs on. All outlive it.
struct WatchParts {
  const Config* config = nullptr;
  const Clock* clock = nullptr;
  sql::Database* db = nullptr;
  probe::Engine* engine = nullptr;
  Confirmer* confirmer = nullptr;
};

// Watches the sites of one range under one epoch, from loading them to the end of the drain. A
// scheduler thread sends what is due; a decider thread takes the results, decides, and asks
// Verifliers; a recorder thread writes incidents in fenced transactions, writes summaries, and
// reads the owned buckets again. A database that does not answer holds up the recorder alone: while
// the lease lasts, sites are checked on time, and what was decided waits to be written.
//
//   Load (nothing is sent) -> Start (after the acknowledgement matched) -> BeginDrain -> drained()
//   or, at any time, Abandon.
//
// A part of the range may leave it meanwhile, from either end: BeginPartDrain -> part_drained() ->
// Keep(the rest); or Keep at once, when it was taken away. The rest is watched all the while.
//
// Whether something may be sent is the lease's word; the owner of the watch renews it. Thread-safe
// but for Load and Start, which come first and once. The destructor abandons.
class Watch {
 public:
  Watch(const WatchParts& parts, const store::RangeLock& lock);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Reads the range's sites, without those of a part that is on its way out: whoever had loaded
  // them ends their drain.
  absl::Status Load();
  // Begins: takes v1's view over first if this is the epoch's first load (`adopt`), then checks.
  // The lease must be open and renewed by then. `since`: when the range became this instance's;
  // first checks are due, and late, from there on.
  void Start(bool adopt, BootTime since);
  // Schedules nothing new; what is under way ends and is written.
  void BeginDrain();
  // The drain is over: nothing is in flight, everything is written.
  bool drained() const { return drained_; }
  // Schedules nothing new of these buckets, one end of the range; what is under way ends and is
  // written.
  void BeginPartDrain(store::Range part);
  // Of the part that drains: nothing of it is in flight, everything is written.
  bool part_drained() const { return part_drained_; }
  // Dialect v1: nothing new is told of these buckets from now on; nullopt: of all it is.
  void SetMute(std::optional<store::Range> muted);
  // Drops at once what is outside of `kept`: nothing more of it is sent, results are thrown away,
  // its sites are forgotten. Nothing to do if all is within.
  void Keep(store::Range kept);
  // Stops at once: nothing more is sent, results are thrown away.
  void Abandon();

  Lease& lease() { return lease_; }
  uint64_t epoch() const { return writer_.epoch; }
  // What is watched, a part that drains included.
  store::Range range() const;
  bool started() const { return started_; }
  // The fence of this bucket did not match: the owner must look at the lock again. Nothing is
  // written until then.
  std::optional<uint32_t> fenced_out() const;
  // The bucket is none of ours any more and was dropped: writing goes on.
  void PardonFence();

  struct Figures {
    size_t targets = 0, due = 0, running = 0;
    milliseconds oldest_due{0};
    uint64_t checks = 0;  // verdicts so far
    bool suspect = false;
    bool local_only = false;    // confirmed without a vantage
    size_t refused = 0;         // sites that target safety refuses
    uint64_t refused_site = 0;  // one of them
    size_t faulty = 0;          // sites whose check configuration can't all be used
    std::string fault;          // of one of them
    uint64_t foreign = 0;       // times that somebody else wrote the legacy columns
  };
  Figures figures() const;

 private:
  struct Result {
    size_t index;
    probe::CheckResult check;
  };
  struct Round {
    size_t index;
    RoundResult result;
  };
  enum class Fresh { kDue, kLeaving, kAll };
  using SitePolicies = std::unordered_map<uint64_t, std::shared_ptr<const CheckPolicy>>;

  void ScheduleLoop();
  void DecideLoop();
  void RecordLoop();
  bool MaySend() const { return lease_.MaySend(parts_.clock->Boot()); }
  void Submit(const std::vector<size_t>& due);

  // The decider's steps, each taking the lock as it needs; none waits for the database.
  void TakeResult(const Result& result);
  void OnFailure(size_t index, const probe::CheckResult& check);
  // True if the site is to be checked a second time soon, before it counts as up.
  bool OnSuccess(size_t index, const probe::CheckResult& check);
  void TakeRound(const Round& round);
  void AskVantages();
  // The recorder's, the same, and never holding the lock while they wait.
  bool AdoptAll();
  absl::Status AdoptBuckets(const std::vector<uint32_t>& buckets);
  absl::Status LoadBucket(uint32_t bucket);
  // All active sites of a bucket, page after page, and the policies of those that have one.
  absl::Status ReadBucket(sql::Transaction& tx, uint32_t bucket, std::vector<store::Site>* sites,
                          SitePolicies* policies);
  void WritePending();
  void Settle(const std::vector<IncidentOp>& ops);
  void WriteHistory(std::vector<store::CheckHistoryRow> rows);
  void WriteSummaries();
  void WriteFreshness(Fresh which);
  void RefreshNextBucket();
  void ApplyRefresh(uint32_t bucket, const std::vector<store::Site>& sites,
                    const SitePolicies& policies);
  bool Idle();
  // The part that drains, when nothing of it is under way any more and that was not said yet.
  std::optional<store::Range> PartAtRest();
  // What is watched and stays; called with the lock, as Remove.
  store::Range Staying() const;
  // Of a site that is not active in its bucket any more.
  void Remove(size_t index);
  // Dialect v1: decides what is to be done about the columns of a site, as they were just read.
  // Called with the lock.
  void LookAtColumns(size_t index, const store::Site& read, bool is_new);
  // Who writes now. WriterNow takes the lock, Current is called with it.
  Writer WriterNow() const;
  Writer Current() const;
  void LogWord(const IncidentOp& op);
  void FencedOut(const absl::Status& refusal);
  // Runs one fenced transaction; what to do about its failure is decided here: fenced out ends the
  // watch, anything else is logged.
  absl::Status Fenced(const std::set<uint32_t>& buckets,
                      const std::function<absl::Status(sql::Transaction&)>& body);

  const WatchParts parts_;
  const Writer writer_;
  const store::Range loaded_;  // what range_ was at first
  Lease lease_;
  std::deque<BucketLease> bucket_leases_;  // by bucket, from loaded_.min on
  std::atomic<bool> started_{false}, draining_{false}, drained_{false}, part_drained_{false},
      abandoned_{false}, fenced_out_{false}, checking_{false}, local_only_{false};
  // All columns were read since v1's last word can have been written.
  std::atomic<bool> v1_has_spoken_{false};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  SiteTable table_;  // guarded by mutex_, as all up to the threads
  store::Range range_;
  std::optional<store::Range> leaving_;  // the part of it that drains
  std::vector<size_t> leaving_sites_;    // its sites; those before leaving_at_ are at rest
  size_t leaving_at_ = 0;
  uint32_t fenced_bucket_ = 0;       // if fenced_out_
  std::deque<Result> results_;       // at most one a site
  std::deque<Round> rounds_;         // at most one a site
  std::vector<IncidentOp> pending_;  // at most one a site
  std::vector<size_t> to_confirm_;   // at most one a site
  // Failures that wait to be written; bounded, what is beyond is left out.
  std::vector<store::CheckHistoryRow> history_;
  bool deciding_ = false;  // the decider has results that it took out
  bool to_write_ = false;  // something new waits for the recorder
  size_t running_ = 0, rounds_under_way_ = 0;
  uint64_t checks_ = 0;
  mutable Suspicion suspicion_;
  std::optional<store::Range> muted_;
  uint64_t foreign_ = 0;  // writes of others to the columns, so far
  BootTime began_;        // Start's `since`
  std::map<uint32_t, int64_t> bucket_first_check_ms_;

  // The recorder's own, and Load's before.
  CheckPolicies policies_;
  BootTime next_summary_, next_refresh_;
  size_t at_once_;       // ops that are written together
  BootTime turn_began_;  // of the rolling read
  uint32_t refresh_bucket_ = 0;
  bool adopt_ = false;
  std::thread scheduler_, decider_, recorder_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_WATCH_H_
