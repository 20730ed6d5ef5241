"""Mutations of dialect v1: what its columns say, who was told, late words, mutes."""
from weave import Mutation, insert, sql, swap  # noqa: F401

ANY = "? IS NOT NULL"
WORDS = "store/legacy_words.cc"
TELLS = "store/tells.cc"
SAID = "store/tell_decisions.cc"
LATE = "store/late_words.cc"
ADOPTION = "store/adoption.cc"
EVENTS = "store/events.cc"
OUTBOX = "store/notifications.cc"
PROJECTION = "store/projection.cc"
MUTES = "store/mutes.cc"
LOCKS = "store/locks.cc"
PARTS = "store/parts.cc"
GATE = "monitor/tell_gate.h"
NOTIFIER = "monitor/notifier.cc"
OWNERSHIP = "monitor/ownership.cc"
WATCH = "monitor/watch.cc"
RECORDS = "monitor/watch_records.cc"
INCIDENTS = "monitor/incidents.cc"
MUTE = "controlplane/rollout/mute.cc"
RELEASE = "controlplane/rollout/release.cc"
DECISIONS = "controlplane/rollout/decisions.cc"
PLANNED = "controlplane/rollout/planned.cc"

TELLS_TESTS = ["//store:tells_test"]
SAID_TESTS = ["//store:tell_decisions_test"]
LATE_TESTS = ["//store:late_words_test"]
ADOPTION_TESTS = ["//store:adoption_v1_test"]
STORE_TESTS = [*TELLS_TESTS, *LATE_TESTS, *ADOPTION_TESTS]
MUTES_TESTS = ["//store:mutes_test"]
MONITOR_TESTS = ["//monitor:v1_words_test"]
RELEASE_TESTS = ["//controlplane/rollout:mute_test"]

COMMIT = "prior_change = ? WHERE notification_id = ? AND attempts = ? AND state = 'queued'"
ECHO = ("s.monitor_url = ? AND n.kind = ? AND (n.state = 'sending' OR (n.state = 'delivered' AND "
        "n.delivered_at_ms >= ?))")
MUTE_RANGE = ("part_job_id = '' AND muted_job_id = '' AND ((bucket_min = ? AND bucket_max >= ?) OR "
              "(bucket_max = ? AND bucket_min <= ?))")
MUTE_BUCKETS = ("SET muted = 1, touched = touched + 1 WHERE bucket_no BETWEEN ? AND ? AND epoch = ? AND "
                "muted = 0")
FREE = "state = ?, muted = 0, touched = touched + 1, changed_ordinal = ?, changed_at_ms = ? WHERE "
NO_END = "word != transition::kRecovered || !told || actor.muted"
AS_V1_ADOPTS = "if (actor.dialect == LegacyDialect::kV1) "
IS_V1 = "actor.dialect == LegacyDialect::kV1"


def filtered(*cases: str) -> list[str]:
    return ["//monitor:v1_words_test " + ":".join("V1WordsTest." + case for case in cases)]


def of_release(*cases: str) -> list[str]:
    return ["//controlplane/rollout:mute_test " + ":".join("MuteTest." + case for case in cases)]


def of_decisions(*cases: str) -> list[str]:
    return ["//controlplane/rollout:decisions_test " +
            ":".join("DecisionsTest." + case for case in cases)]


MUTATIONS = [
    # What a value says, and what is written.
    Mutation("v1s-0-is-untold", "an outage that v1 told is told again, or its end is not",
             [swap(WORDS, "dialect == LegacyDialect::kV1 ? LegacyMeaning::kToldDown : "
                          "LegacyMeaning::kSuspected", "LegacyMeaning::kSuspected")], STORE_TESTS),
    Mutation("suspicion-is-0", "v1 counts a suspicion of ours as told, and tells nobody",
             [swap(WORDS, "!standing.told", "!standing.told && standing.severity != "
                                            "Severity::kSeemsDown")],
             [*TELLS_TESTS, "//store:telling_test"]),
    Mutation("confirmed-and-untold-is-0", "v1 counts as told what still waits to be sent",
             [swap(WORDS, "!standing.told", "!standing.told && standing.severity != Severity::kDown")],
             TELLS_TESTS),
    Mutation("suspicion-touches-the-columns", "v1's time is gone when an incident ends untold",
             [swap(EVENTS, IS_V1, "false", within=IS_V1 + " ? BeginUntold")], TELLS_TESTS),
    Mutation("confirmation-touches-the-columns", "v1's columns change though nobody was told",
             [swap(EVENTS, IS_V1, "false", within="if (actor.dialect == LegacyDialect::kV1) { "
                                                  "// Nothing is written here")], TELLS_TESTS),
    Mutation("told-is-2-at-once", "v1 counts an outage as told for the second time",
             [swap(WORDS, "standing.still_down", "true", within="standing.still_down ? kStatus")],
             TELLS_TESTS),
    Mutation("still-down-too-early", "2 is written before people were told 59 minutes ago",
             [swap(TELLS, "actor.now_ms - e.told_at_ms < after_ms", "false")], TELLS_TESTS),
    Mutation("still-down-again-and-again", "2 is written whatever stands there",
             [swap(TELLS, "seen.status != kStatusDown", "false")], TELLS_TESTS),
    Mutation("still-down-is-never-written", "v1 tells an outage again that it took over as 0",
             [swap(RECORDS, "as_seen && !long_ago", "as_seen")],
             filtered("StillDown*")),
    # The commit point.
    Mutation("tell-over-any-columns", "people are told what somebody else has just told them",
             [swap(TELLS, "*seen", "std::optional<LegacyColumns>()",
                   within="e.bucket, now, *seen); if (!written.ok() || *written != "
                          "ColumnWrite::kChangedMeanwhile) return written;")], TELLS_TESTS),
    Mutation("tell-though-it-is-not-queued", "a tell is sent that a release has cancelled",
             [sql(TELLS, COMMIT, " AND state = 'queued'", "")], TELLS_TESTS),
    Mutation("tell-of-any-attempt", "a tell is committed by who saw it as it was before",
             [sql(TELLS, COMMIT, "attempts = ?", ANY)], TELLS_TESTS),
    Mutation("tell-without-a-commit", "people are told, and the columns do not say so",
             [swap(NOTIFIER, "!v1 || Commit(due)", "true")],
             filtered("AnOutageIsToldOnce*")),
    Mutation("superseded-is-not-adopted", "nobody tells the end of what somebody else told",
             [swap(TELLS, "AdoptInstead(tx, e, actor)", "absl::OkStatus()")], TELLS_TESTS),
    Mutation("our-0-is-v1s", "the end of an outage is not told because the next one began",
             [swap(EVENTS, "!*ours", "true", within="!*ours && !(*echo")],
             TELLS_TESTS),
    Mutation("queued-down-outlives-its-incident", "an outage is told that ended before",
             [swap(EVENTS, "CancelQueuedDown(tx, seen.event_id)", "absl::OkStatus()")], TELLS_TESTS),
    # Taking back.
    Mutation("taken-back-by-who-did-not-commit", "an outage counts as untold that a predecessor told",
             [swap(NOTIFIER, "!due.committed_now", "false")], filtered("ASuccessor*")),
    Mutation("taken-back-though-sent", "an outage counts as untold that the receiver may have taken",
             [swap(NOTIFIER, "posted == Posted::kNotReached", "!taken")],
             filtered("WhatMayHaveBeenTaken*")),
    Mutation("taken-back-over-any-columns", "a tell counts as unsent of which the columns say otherwise",
             [swap(TELLS, "*written != ColumnWrite::kWritten", "false",
                   within="WriteColumns(tx, e.site_id, e.bucket, *prior, Expected(e)); if "
                          "(!written.ok()) return written.status(); if (*written != "
                          "ColumnWrite::kWritten) return false;")], TELLS_TESTS),
    Mutation("taken-back-down-leaves-its-up", "the end of an outage is told of which nobody heard",
             [swap(TELLS, "over", "false", within="if (over) { auto end = CancelRow")], TELLS_TESTS),
    Mutation("taken-back-is-told-though-over", "an outage is told after its end",
             [swap(TELLS, "over", "false", within='over ? "cancelled" : "queued"')], TELLS_TESTS),
    # Echoes.
    Mutation("echo-never", "what the receiver writes of our own tells is taken for v1's word",
             [insert(TELLS, "absl::StatusOr<bool> IsEcho(sql::Transaction& tx, const Site& site, const "
                            "Actor& actor) {", "  if (MUTANT) return false;")],
             [*TELLS_TESTS, *LATE_TESTS]),
    Mutation("echo-always", "v1's last word is taken for what we told",
             [insert(TELLS, "absl::StatusOr<bool> IsEcho(sql::Transaction& tx, const Site& site, const "
                            "Actor& actor) {", "  if (MUTANT) return true;")],
             [*TELLS_TESTS, *LATE_TESTS]),
    Mutation("echo-from-the-commit", "the echo of a tell that was delivered late is taken for v1's word",
             [sql(TELLS, ECHO, "n.delivered_at_ms >= ?", "n.sent_at_ms >= ?")], TELLS_TESTS),
    Mutation("echo-after-the-delivery-only", "the echo of a tell that is still being sent is v1's word",
             [sql(TELLS, ECHO, "n.state = 'sending' OR ", "")], TELLS_TESTS),
    Mutation("echo-of-anything", "v1's down is taken for the echo of an up of ours",
             [sql(TELLS, ECHO, "n.kind = ?", ANY)], [*TELLS_TESTS, *LATE_TESTS]),
    Mutation("stale-echo-stays", "v1 starts with an outage that has ended",
             [insert(PROJECTION, "absl::StatusOr<uint64_t> RewriteEchoes(sql::Transaction& tx, uint32_t "
                                 "bucket, const Actor& actor) {", "  if (MUTANT) return uint64_t{0};")],
             TELLS_TESTS),
    Mutation("release-ends-what-was-not-told", "nobody tells the end of an outage that ended while muted",
             [swap(PROJECTION, "!*told", "false", within="!*told || !last->front()")], TELLS_TESTS),
    # Adoption.
    Mutation("v1s-down-has-no-time", "an outage that v1 told counts as untold",
             [swap(ADOPTION, IS_V1, "false", within=AS_V1_ADOPTS + "e.told_at_ms")], ADOPTION_TESTS),
    Mutation("v1-told-first-is-not-heard", "an outage is told that v1 told while we confirmed it",
             [swap(ADOPTION, "!told", "false", within="if (!told) return {Adopted::kPromoted")],
             ADOPTION_TESTS),
    Mutation("promoted-leaves-its-queued-down", "an outage that v1 told is told again",
             [swap(ADOPTION, "CancelQueuedDown(tx, e.event_id)", "absl::OkStatus()")], ADOPTION_TESTS),
    Mutation("no-word-begins-an-incident", "a value that v1 never writes counts as an outage",
             [swap(ADOPTION, "actor.dialect != LegacyDialect::kV1", "true",
                   within="said != LegacyMeaning::kUp && actor.dialect != LegacyDialect::kV1")],
             ADOPTION_TESTS),
    Mutation("older-builds-event-goes-on", "an incident goes on that does not say when it was told",
             [swap(ADOPTION, "open.dialect != LegacyDialect::kV1", "false")], ADOPTION_TESTS),
    Mutation("one-good-check-ends-v1s", "one good check ends an outage that v1 told",
             [swap(WATCH, "v1s && ++w.good < kGoodChecks", "false")], filtered("WhatV1ToldEndsWith*")),
    Mutation("failure-between-counts-on", "two good checks that a failure parts end what v1 told",
             [swap(WATCH, "w.good = 0", "w.good += 0", within="++w.failures; w.good = 0;")],
             filtered("WhatV1ToldEndsWith*")),
    Mutation("second-good-check-waits-a-round", "the end of what v1 told is told minutes late",
             [swap(WATCH, "second", "false", within=": second ? SiteTable::Next::kSecond")],
             filtered("WhatV1ToldEndsWith*")),
    # Late words.
    Mutation("late-word-is-never-looked-at", "nobody tells the end of what v1 told last",
             [insert(RECORDS, "void Watch::LookAtColumns(size_t index, const store::Site& read, bool "
                              "is_new) {", "  if (MUTANT) return;")], filtered("WhatV1SaysLate*")),
    Mutation("late-word-for-ever", "what anybody writes into the columns is taken for v1's word",
             [swap(WATCH, "since < parts_.config->LastWordsWithin()", "true")],
             filtered("WhatIsSaidLater*")),
    Mutation("late-word-is-never-v1s", "v1's last word is written over, and its end told by nobody",
             [swap(WATCH, "since < parts_.config->LastWordsWithin()", "false")],
             filtered("WhatV1SaysLate*")),
    Mutation("foreign-word-stays", "what somebody else wrote is what v1 starts with",
             [insert(LATE, "absl::StatusOr<LateWord> Correct(sql::Transaction& tx, const Site& site, const "
                           "LegacyColumns& ours, bool echo) {", "  if (MUTANT) return LateWord::kNone;")],
             LATE_TESTS),
    Mutation("late-word-over-an-untold-end", "an outage of ours whose end waits is taken for v1's",
             [swap(LATE, "*waits", "false", within="if (*waits) return LateWord::kNone;")], LATE_TESTS),
    Mutation("new-sites-word-is-foreign", "an outage that v1 told of a site that came in has no end",
             [swap(INCIDENTS, "op->is_new", "false", within="writer.v1_may_speak || op->is_new")],
             filtered("ASiteThatComesIn*")),
    Mutation("late-word-though-muted", "the end that v1 is to tell is written as told",
             [swap(RECORDS, "muted_.has_value() && muted_->Contains(w.site.bucket)", "false")],
             filtered("TheEndOfWhatWasTold*")),
    # Who may tell, and when.
    Mutation("hold-is-not-waited-for", "people are told while v1's last tell is on its way",
             [swap(GATE, "now >= from_", "true")], filtered("NothingIsToldWhile*")),
    Mutation("lease-ends-while-it-tells", "a request is under way when others may tell",
             [swap(GATE, "now + limit < until_", "now < until_")], filtered("NothingIsToldOnceTheLease*")),
    Mutation("gate-of-any-range", "a range is told of by the lease of another one",
             [swap(GATE, "epoch == epoch_", "true", within="epoch != 0 && epoch == epoch_")],
             ["//monitor:config_test TellGateTest.*"]),
    Mutation("gate-opens-renewed", "a range is told of by the lease of the one before",
             [swap(GATE, "until_ = {}", "until_ = until_", within="from_ = from; until_ = {};")],
             ["//monitor:config_test TellGateTest.*"]),
    Mutation("gate-is-never-closed", "who lost its range tells on",
             [swap(OWNERSHIP, "tell_gate_.Close()", "(void)0")], filtered("AMonitorThatHasStopped*")),
    Mutation("left-behind-untold-is-sent", "an outage is told that v1 tells itself",
             [swap(NOTIFIER, "!v1s || !untold", "true")], ["//monitor:notifier_test LeftBehind*"]),
    Mutation("grant-says-no-dialect", "a range is held by the rules of another dialect",
             [swap(LOCKS, "NameOf(g.dialect)", 'std::string_view("jetmon2")')],
             of_release("AGrant*")),
    Mutation("grant-holds-no-tells", "people are told while v1's last tell is on its way",
             [swap(LOCKS, "g.hold_tells_ms", "int64_t{0}", within="NameOf(g.dialect), g.hold_tells_ms")],
             of_release("AGrant*")),
    Mutation("hold-is-not-planned", "a grant does not say how long v1's last tells take",
             [insert(PLANNED, "int64_t Service::HoldOfTells(const Plan& plan) {",
                     "  if (MUTANT) return 0;")], of_release("AGrant*")),
    Mutation("stop-is-not-timed", "people are told late though v1 has been silent for long",
             [swap("controlplane/rollout/runs.cc", "s.ok() && kind == store::checkpoint::kV1Stopped",
                   "false")], of_release("AGrant*")),
    Mutation("unknown-stop-is-long-ago", "after a restart v1 counts as stopped for long",
             [swap("controlplane/rollout/stop_times.h", "std::chrono::nanoseconds(0)",
                   "std::chrono::nanoseconds(std::chrono::hours(1))")], of_release("AGrant*")),
    Mutation("v1s-orphans-are-forgotten", "what an orphan of v1's tells last is not waited for",
             [swap("controlplane/rollout/options.h", "legacy.receiver_delay + unit / 3",
                   "legacy.receiver_delay")], of_release("*HasItsDelay", "*WaitedFor", "AGrant*")),
    Mutation("dialects-may-differ", "a Monitor gets a range that reads v1's columns otherwise",
             [swap("controlplane/rollout/owners.cc", "p.dialect != dialect", "false")],
             of_release("AMonitorOfAnotherDialect*")),
    # Mutes.
    Mutation("down-is-told-though-muted", "an outage is told that v1 tells itself",
             [swap(EVENTS, "!actor.muted", "true", within="seen.notified == 0 && !actor.muted")],
             TELLS_TESTS),
    Mutation("up-is-told-though-muted", "the end of an outage is told that v1 tells itself",
             [swap(EVENTS, "actor.muted", "false", within=NO_END)], TELLS_TESTS),
    Mutation("mute-is-not-fenced", "an owner tells that has not read yet that it is muted",
             [sql(MUTES, "AND state = 'active' AND muted = 0", " AND muted = 0", "")],
             [*MUTES_TESTS, *filtered("AMuteThat*")]),
    Mutation("tells-while-it-drains", "an owner tells about a range that leaves it",
             [sql(MUTES, "AND state = 'active' AND muted = 0", "state = 'active' AND ", "")],
             MUTES_TESTS),
    Mutation("mute-leaves-the-buckets", "a mute stops nobody who has not read of it",
             [sql(MUTES, MUTE_BUCKETS, "muted = 1", "muted = muted")], MUTES_TESTS),
    Mutation("mute-of-the-whole-range", "of what stays nothing is told any more",
             [sql(MUTES, MUTE_BUCKETS, "bucket_no BETWEEN ? AND ?", "bucket_no + 0 * ? + 0 * ? >= 0"),
              swap(MUTES, "*muted != range.size()", "false")], MUTES_TESTS),
    Mutation("mute-loses-a-bucket", "a bucket that can't be muted is not noticed",
             [swap(MUTES, "*muted != range.size()", "false")], MUTES_TESTS),
    Mutation("mute-of-any-shape", "the middle of a range is muted, which can't leave",
             [sql(MUTES, MUTE_RANGE, " AND ((bucket_min = ? AND bucket_max >= ?) OR (bucket_max = ? AND "
                                     "bucket_min <= ?))", " AND ? + ? + ? + ? >= 0")], MUTES_TESTS),
    Mutation("mute-beside-another", "a second part is muted while the first is on its way",
             [sql(MUTES, MUTE_RANGE, "muted_job_id = '' AND ", "")], MUTES_TESTS),
    Mutation("mute-beside-a-part", "a part is muted while another one drains",
             [sql(MUTES, MUTE_RANGE, "part_job_id = '' AND ", "")], MUTES_TESTS),
    Mutation("release-beside-a-mute", "all of a range is released of which a part is muted",
             [sql(LOCKS, "(muted_job_id = '' OR (muted_min = bucket_min AND muted_max = bucket_max))",
                  "muted_job_id = ''", "1 = 1")], MUTES_TESTS),
    Mutation("part-beside-a-mute", "a part leaves while another one is muted",
             [sql(PARTS, "(muted_job_id = '' OR (muted_min = ? AND muted_max = ?))", "muted_min = ?",
                  "1 = 1 OR muted_min = ?")], MUTES_TESTS),
    Mutation("freed-buckets-stay-muted", "of a range that is given again nothing is ever told",
             [sql(LOCKS, FREE + "epoch = ?", "muted = 0", "muted = muted")], MUTES_TESTS),
    Mutation("freed-part-stays-muted", "of a part that is given again nothing is ever told",
             [sql(PARTS, FREE + "bucket_no", "muted = 0", "muted = muted")], MUTES_TESTS),
    Mutation("rest-stays-muted", "after a part has left the rest counts as muted",
             [sql(PARTS, "part_job_id = '', muted_job_id = '', revision", "muted_job_id = ''",
                  "muted_job_id = muted_job_id")], MUTES_TESTS),
    Mutation("mute-is-not-read", "what v1 is to tell is queued, cancelled and written as told",
             [swap(OWNERSHIP, "lock.mute.has_value()", "false",
                   within="watch_->SetMute(lock.mute.has_value()")], filtered("*Mute*")),
    Mutation("monitor-mutes-the-rest", "of what stays nothing is told while a part leaves",
             [swap(INCIDENTS, "writer.muted->Contains(op->site.bucket)", "true")],
             filtered("AMutedPart*")),
    Mutation("drain-waits-for-what-is-v1s", "a drain waits for tells that nobody may send",
             [swap(OWNERSHIP, "lock.dialect == store::LegacyDialect::kV1", "false")],
             filtered("ADrain*")),
    # The release.
    Mutation("release-mutes-nobody", "the owner tells on until it drains, and v1 once more",
             [swap(PLANNED, "held.dialect == store::LegacyDialect::kV1", "false")],
             of_release("NothingIsTold*")),
    Mutation("release-cancels-late", "what v1 is to tell stays queued while the range is muted",
             [swap(MUTE, "Cancel()", "absl::OkStatus()",
                   within="since_ = written_ = run_.parts.clock->Boot(); if (auto s = Cancel(); !s.ok())")],
             of_release("WhatIsQueuedIsCancelled*")),
    Mutation("release-cancels-once", "the answer leaves out outages that the owner confirmed last",
             [swap(MUTE, "Cancel()", "absl::OkStatus()",
                   within="if (auto s = Cancel(); !s.ok()) return s; const absl::Status s")],
             of_release("WhatIsQueuedAfter*")),
    Mutation("free-cancels-nothing", "what a dead owner queued is sent by nobody, for ever",
             [swap(RELEASE, "store::CancelQueued(tx, seen.leaving.range)", "absl::StatusOr<uint64_t>(0)")],
             of_release("WhatIsQueuedWhileItDrains*")),
    Mutation("release-does-not-wait-for-sending", "v1 starts while a tell of ours is under way",
             [swap(MUTE, "*sending > 0", "false", within="if (*sending > 0) { if (now")],
             of_release("WhatIsQueuedIsCancelled*")),
    Mutation("muted-forgets-still-down", "v1 tells an outage again that was told an hour before",
             [swap(RECORDS, "muted && read.site_status != store::kStatusDown", "muted")],
             filtered("StillDownIsWrittenWhile*")),
    Mutation("undecided-is-not-shown", "a release hangs, and nobody learns what it waits for",
             [swap(MUTE, "ShowUndecided(lock, *sending)", "absl::OkStatus()")],
             of_decisions("AReleaseIsBlocked*")),
    Mutation("decided-stays-shown", "a release looks blocked although it goes on",
             [swap(MUTE, "ShowUndecided(lock, 0)", "absl::OkStatus()")],
             of_decisions("AReleaseIsBlocked*")),
    Mutation("decides-where-nothing-is-released", "what a Monitor goes on with is called told or untold",
             [swap(DECISIONS, "l.mute->range.Covers(range)", "true"),
              swap(DECISIONS, "l.mute.has_value()", "true"),
              swap(DECISIONS, "JobThatWaits(tx, l)", "absl::StatusOr<store::Job>(store::Job())")],
             of_decisions("OneThatIsNot*")),
    Mutation("decides-before-it-is-blocked", "a word that would arrive is called untold",
             [swap(DECISIONS, "JobThatWaits(tx, l)", "absl::StatusOr<store::Job>(store::Job())")],
             of_decisions("NothingIsDecidedBefore*")),
    Mutation("decides-for-another-run", "what was found out about one release is said of another",
             [swap(DECISIONS, "l.run_id != run_id", "false")], of_decisions("WhatIsNamed*")),
    Mutation("decides-what-is-delivered", "a word that arrived is called untold",
             [swap(DECISIONS, '(decision_ == TellDecision::kTold ? "delivered" : "cancelled")',
                   '"delivered"')], of_decisions("OneThatIsNot*")),
    Mutation("decided-has-no-delay", "v1 starts before what was put back is in its replicas",
             [swap(MUTE, "*lately || sent_", "*lately")], of_decisions("WhatWasNotTold*")),
    Mutation("untold-puts-nothing-back", "v1 takes what nobody was told of for told",
             [swap(SAID, "WriteColumns(tx, e.site_id, e.bucket, *prior, there)",
                   "absl::StatusOr<ColumnWrite>(ColumnWrite::kWritten)")], SAID_TESTS),
    Mutation("untold-puts-an-echo-back", "v1 takes an outage for told that nobody heard of",
             [swap(SAID, 'n.kind != "up" && told_down', "false")], SAID_TESTS),
    Mutation("untold-forgets-the-receiver", "what the receiver wrote is told again by v1",
             [swap(SAID, "same && !AsWeLeftThem(there, n, e)", "false")], SAID_TESTS),
    Mutation("untold-writes-over-the-opposite", "what v1 or its receiver wrote since is lost",
             [swap(SAID, "!same && MeaningIn(there) != LegacyMeaning::kUnknown", "false")],
             SAID_TESTS),
    Mutation("untold-leaves-the-next", "an outage that rests on what was untold counts as told",
             [swap(SAID, "UntellSuccessor(tx, e, now, actor)", "absl::OkStatus()")], SAID_TESTS),
    Mutation("untold-leaves-the-twins", "people hear of an end without a beginning",
             [swap(SAID, "UntellTwins(tx, n, actor)", "absl::OkStatus()")], SAID_TESTS),
    Mutation("taken-stays-untold", "what the receiver took while it was called untold is told again",
             [swap(NOTIFIER, "s.ok() && taken && !marked", "false")], ["//monitor:notifier_test"]),
    Mutation("taken-leaves-the-columns", "v1 tells again what was taken after all",
             [swap(SAID, "WriteColumns(tx, e.site_id, e.bucket, now, there)",
                   "absl::StatusOr<ColumnWrite>(ColumnWrite::kWritten)")], SAID_TESTS),
    Mutation("echo-ends-a-word", "a late echo of an end keeps the next outage from being told",
             [swap(TELLS, "!echo.ok() || *echo", "!echo.ok()", within="if (!echo.ok() || *echo) return echo; if (auto ended")],
             TELLS_TESTS),
    Mutation("release-does-not-wait-for-the-receiver", "v1 starts before our last tell is written",
             [swap(MUTE, "!passed(told_, run_.options.LastWordsWithin())", "false")],
             of_release("*HasItsDelay", "WhatIsQueuedIsCancelled*")),
    Mutation("release-forgets-what-was-delivered", "v1 starts before a tell that was just delivered is "
                                                   "written",
             [swap(MUTE, "lately = *any", "lately = false")], of_release("*HasItsDelay")),
    Mutation("release-forgets-the-grant", "v1 starts before its own last tell is written",
             [swap(MUTE, "lock.granted_at_ms >= since_ms", "false")], of_release("*HasItsDelay")),
    Mutation("release-does-not-wait-for-replicas", "v1 reads what was in the columns before",
             [swap(MUTE, "!passed(written_, run_.options.legacy.replica_lag)", "false")],
             of_release("AStaleEcho*")),
    Mutation("rewritten-needs-no-replica", "v1 reads an echo that was just written over",
             [swap(MUTE, "rewritten_ > before", "false")], of_release("AStaleEcho*")),
    Mutation("mute-rewrites-nothing", "an echo is written over when the replicas are waited for no more",
             [swap(MUTE, "Rewrite(lock)", "absl::OkStatus()",
                   within="if (auto s = Rewrite(lock); !s.ok()) return s;")], of_release("AStaleEcho*")),
    Mutation("hand-to-v1-is-ignored", "a range of an older build goes back with suspicions that count "
                                      "as told",
             [swap(PROJECTION, "actor.hand_to_v1", "false")], ["//store:telling_test"]),
    Mutation("hand-to-v1-is-not-asked-for", "a range of an older build goes back in that build's words",
             [swap(RELEASE, "options.legacy.dialect == store::LegacyDialect::kV1", "false")],
             of_release("AnOlderBuild*")),
]
