"""Mutations of the Monitor: lease, ownership, rounds, votes, drain, delivery."""
from weave import Mutation, insert, sql, swap  # noqa: F401

ROOM = "monitor/"
LEASE = ROOM + "lease.h"
LEASE_OBSERVER = ROOM + "lease_observer.h"
OWNERSHIP = ROOM + "ownership.cc"
WATCH = ROOM + "watch.cc"
ROUNDS = ROOM + "watch_rounds.cc"
VOTES = ROOM + "votes.h"
SUSPICION = ROOM + "suspicion.h"
TABLE = ROOM + "site_table.cc"
NOTIFIER = ROOM + "notifier.cc"
CONFIG_TESTS = ["//monitor:config_test"]
OWNERSHIP_TESTS = ["//monitor:watch_test", "//monitor:ownership_test"]
PART_TESTS = ["//monitor:parts_test", "//monitor:watch_test"]
NOTIFIER_TESTS = ["//monitor:notifier_test"]
TABLE_TESTS = ["//monitor:site_table_test"]

MUTATIONS = [
    # The lease.
    Mutation("lease-never-ends", "a Monitor sends without having renewed",
             [swap(LEASE, "now.ns < until_ns_.load()", "true")], CONFIG_TESTS),
    Mutation("lease-is-open-from-the-start", "a Monitor sends before its acknowledgement matched",
             [swap(LEASE, "open_.load()", "true")], CONFIG_TESTS),
    Mutation("lease-outlives-its-bucket", "sites of a bucket that left are checked on",
             [swap(LEASE, "!closed_.load()", "true")], [*CONFIG_TESTS, *PART_TESTS]),
    Mutation("lease-counts-from-the-answer", "a lease lasts longer than others wait",
             [swap(OWNERSHIP, "read", "parts_.clock->Boot()",
                   within="watch_->epoch() == lock.epoch) { watch_->lease().Renewed(read);")],
             OWNERSHIP_TESTS),
    Mutation("lease-without-a-renewal", "a renewal that matched nothing prolongs the lease",
             [swap(OWNERSHIP, "matched && watch_ != nullptr", "watch_ != nullptr")], OWNERSHIP_TESTS),
    # Ownership.
    Mutation("unacknowledged-is-checked", "a Monitor checks a range whose acknowledgement did not match",
             [swap(OWNERSHIP, "!s.ok() || !matched", "!s.ok()")], OWNERSHIP_TESTS),
    Mutation("standby-takes-ranges", "a Monitor in standby checks",
             [swap(OWNERSHIP, "!standby", "true", within="i < view.locks.size() && !standby")],
             OWNERSHIP_TESTS),
    Mutation("lost-range-is-checked-on", "a Monitor goes on with a range that is another's",
             [swap(OWNERSHIP, "watch_ != nullptr && !held", "false"),
              swap(OWNERSHIP, "watch_ != nullptr && watch_->epoch() == lock.epoch", "false",
                   within='if (watch_ != nullptr && watch_->epoch() == lock.epoch) {\n'
                          '    DropWatch("another instance')], OWNERSHIP_TESTS),
    Mutation("revoked-range-is-checked-on", "a Monitor goes on with a range that was revoked",
             [swap(OWNERSHIP, "watch_ != nullptr && watch_->epoch() == lock.epoch", "false",
                   within='if (watch_ != nullptr && watch_->epoch() == lock.epoch) {\n'
                          '    DropWatch(absl::StrCat("the range is "')], OWNERSHIP_TESTS),
    Mutation("take-over-after-half-a-grace", "a Monitor takes over while its predecessor may still send",
             [swap(OWNERSHIP, "observer_.Unchanged(lock.epoch, parts_.clock->Boot())",
                   "2 * observer_.Unchanged(lock.epoch, parts_.clock->Boot())")], OWNERSHIP_TESTS),
    Mutation("take-over-from-the-living", "a Monitor takes over from one that renews",
             [swap(OWNERSHIP, "!dead", "false", within="&& !dead)")], OWNERSHIP_TESTS),
    Mutation("observer-is-never-blind", "time in which nothing was read makes an owner dead",
             [swap(LEASE_OBSERVER, "now - last_read_ > kBlind", "false")], CONFIG_TESTS),
    Mutation("renewals-are-not-seen", "an owner that renews is dead after a grace",
             [swap(LEASE_OBSERVER, "at->second.lease_seq != lease_seq", "false")],
             [*CONFIG_TESTS, *OWNERSHIP_TESTS]),
    Mutation("taken-over-is-adopted", "v1's columns, older than our incidents, are adopted again",
             [swap(OWNERSHIP, "lock.state == rs::kActivating", "true",
                   within="adopts_ = lock.state == rs::kActivating")], OWNERSHIP_TESTS),
    # The fence.
    Mutation("fence-is-not-heeded", "a Monitor writes into a bucket that is not its own",
             [swap(ROOM + "incidents.cc", "!*passed", "false")], [*OWNERSHIP_TESTS, *PART_TESTS]),
    Mutation("fenced-out-goes-on", "a Monitor that was fenced out checks on",
             [swap(OWNERSHIP, "!RefusedForPart(lock)", "false",
                   within="has_value() && !RefusedForPart(lock)")], [*OWNERSHIP_TESTS, *PART_TESTS]),
    # Draining.
    Mutation("drain-schedules-on", "a range that drains is checked on",
             [swap(WATCH, "!draining_", "true", within="while (!abandoned_ && !draining_) {")],
             OWNERSHIP_TESTS),
    Mutation("drained-while-checks-run", "drained is reported while checks are in flight",
             [swap(WATCH, "running_ == 0", "true", within="return running_ == 0 && results_.empty()")],
             OWNERSHIP_TESTS),
    Mutation("drained-while-rounds-run", "drained is reported while Verifliers may still send",
             [swap(WATCH, "rounds_under_way_ == 0", "true",
                   within="history_.empty() && rounds_under_way_ == 0")], OWNERSHIP_TESTS),
    Mutation("drained-before-it-is-written", "drained is reported before what was seen is written",
             [swap(WATCH, "pending_.empty()", "true", within="!deciding_ && pending_.empty() &&")],
             OWNERSHIP_TESTS),
    Mutation("drain-asks-on", "Verifliers are asked about a range that drains",
             [swap(ROUNDS, "!draining_", "true", within="!draining_ && MaySend()")], OWNERSHIP_TESTS,
             argued="the drain is not reported before the round has ended; it only takes longer"),
    Mutation("drained-after-a-dropped-watch", "drained is reported while the Verifliers of a watch before "
                                              "may still send",
             [swap(OWNERSHIP, "parts_.clock->Boot() < silent_from_", "false",
                   within="if (parts_.clock->Boot() < silent_from_) return;")], OWNERSHIP_TESTS),
    Mutation("drain-does-not-deliver", "a range is given back with notifications that nobody tried",
             [swap(OWNERSHIP, "queued > 0 && deliver", "false")], [*OWNERSHIP_TESTS, *PART_TESTS]),
    Mutation("part-drained-while-checks-run", "a part is reported as drained while checks are in flight",
             [swap(WATCH, "w.running", "false", within="if (w.running || w.confirming)")], PART_TESTS),
    Mutation("part-drained-while-rounds-run", "a part is reported as drained while Verifliers may still "
                                              "send",
             [swap(WATCH, "w.confirming", "false", within="if (w.running || w.confirming)")], PART_TESTS),
    Mutation("part-drained-before-it-is-written", "a part is reported as drained before what was seen "
                                                  "there is written",
             [swap(WATCH, "left(op.site.bucket)", "false")], PART_TESTS),
    Mutation("leaving-sites-are-scheduled", "sites of a part that leaves are checked on",
             [swap(TABLE, "w.gone || w.leaving", "w.gone",
                   within="w.running = false; if (w.gone || w.leaving) return;"),
              swap(TABLE, "!w.leaving", "true", within="!w.gone && !w.leaving && !w.running")],
             [*TABLE_TESTS, *PART_TESTS]),
    Mutation("leaving-sites-are-asked-about", "Verifliers are asked about sites of a part that leaves",
             [swap(ROUNDS, "w.leaving", "false", within="!ask || w.gone || w.leaving")], PART_TESTS,
             argued="the part is not reported before the round has ended; it only takes longer"),
    Mutation("running-sites-are-due", "a site is checked twice at a time",
             [swap(TABLE, "!w.running", "true", within="!w.gone && !w.leaving && !w.running")],
             TABLE_TESTS),
    Mutation("first-checks-at-once", "a range's first checks all go out in one moment",
             [swap(TABLE, "now + std::chrono::nanoseconds(w.phase * 1'000'003 % spread)", "now")],
             TABLE_TESTS),
    Mutation("first-checks-count-from-the-adoption", "first checks are late by what adopting took",
             [swap(WATCH, "table_.ScheduleFirst(i, began_, now)",
                   "table_.ScheduleFirst(i, now, now)")],
             ["//monitor:watch_test"]),
    # Judging.
    Mutation("quorum-of-one-less", "one Veriflier too few confirms an outage",
             [swap(VOTES, "v.down >= needed", "v.down + 1 >= needed")], CONFIG_TESTS),
    Mutation("quorum-of-half", "half of the Verifliers are a majority",
             [swap(VOTES, "v.enabled / 2 + 1", "(v.enabled + 1) / 2")], CONFIG_TESTS),
    Mutation("unknown-is-down", "a Veriflier that could not look votes for an outage",
             [swap(VOTES, 'outcome == "down" || outcome == "timeout"', 'outcome != "up"')], CONFIG_TESTS),
    Mutation("false-alarm-too-early", "an outage is denied that could still be confirmed",
             [swap(VOTES, "v.up > v.enabled - needed", "v.up >= v.enabled - needed")], CONFIG_TESTS),
    Mutation("false-alarm-never", "a false alarm is never told from an outage",
             [swap(VOTES, "v.up > v.enabled - needed", "false")], [*CONFIG_TESTS, *OWNERSHIP_TESTS]),
    Mutation("suspicion-never", "an outage of our own opens an incident for every site",
             [swap(SUSPICION, "failures_ * 5 > checks_.size()", "false")], CONFIG_TESTS),
    Mutation("suspicion-of-few", "three failures of ten make us suspect ourselves",
             [swap(SUSPICION, "checks_.size() >= kFewest", "true")], CONFIG_TESTS),
    Mutation("suspect-opens-incidents", "a Monitor that suspects itself opens incidents at once",
             [swap(WATCH, "w.failures < 2 && suspicion_.suspect(parts_.clock->Boot())", "false")],
             OWNERSHIP_TESTS),
    Mutation("confirmed-after-one-failure", "Verifliers are asked before the local retries",
             [swap(WATCH, "w.failures >= parts_.config->num_of_checks", "true")], OWNERSHIP_TESTS),
    Mutation("undecided-is-down", "an outage is confirmed that Verifliers do not agree on",
             [swap(ROUNDS, "verdict == Verdict::kDown", "verdict != Verdict::kFalseAlarm")],
             OWNERSHIP_TESTS),
    # Delivery.
    Mutation("left-behind-is-not-claimed", "two Monitors deliver what nobody holds",
             [swap(NOTIFIER, "Claim(&due->n)", "true")], NOTIFIER_TESTS),
    Mutation("another-instance-delivers", "a Monitor delivers what is another one's",
             [swap(NOTIFIER, "lock.owner_instance == config_.instance", "true")], NOTIFIER_TESTS),
    Mutation("held-counts-as-left", "what an owner is to deliver is delivered by all",
             [swap(NOTIFIER, "next = lock.range.max + 1", "next = lock.range.min")], NOTIFIER_TESTS),
    Mutation("failed-counts-as-delivered", "a notification that its receiver refused is never told",
             [swap(NOTIFIER, "taken", "true", within="auto did = taken ? store::MarkDelivered")], NOTIFIER_TESTS),
]
