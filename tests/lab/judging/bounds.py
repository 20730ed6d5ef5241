"""The figures that the judge measures by, each with where it comes from. Milliseconds, if not said."""
from __future__ import annotations

from judging.story import Span

# The database keeps whole milliseconds.
ROUNDING = 1.0

# --- the product's own terms
# A Monitor may send for so long after the last moment at which it renewed its lease.
LEASE = 15_000.0
# How often a Monitor polls, and how long one poll may take before it is given up.
POLL = 2_000.0
POLL_LIMIT = 5_000.0
# A process may stop for so long, between looking at its lease and sending, without harm.
PAUSE = 5_000.0
# A question's way to a Veriflier, and its answer's way back: a round is as much longer than a check.
MARGIN = 2_000.0
# An observer takes somebody for dead after a grace: lease, round and pause of a check of 10 s. A
# shorter one, of shorter checks, only makes take-overs come sooner.
GRACE = LEASE + 10_000.0 + MARGIN + PAUSE
# How long a write may wait for the database. An incident carries the time at which its transaction
# was begun, and a Monitor goes by it when that has been committed.
WRITE = 5_000.0
# An activation that is not acknowledged in 60 s is given up, a range that does not drain in 60 s is
# revoked; each may be noticed one poll and one write later.
ACKNOWLEDGE = 60_000.0
DRAIN = 60_000.0
# First checks of a load come within the interval, and within a minute where that is longer.
FIRST_CHECK_S = 60.0
LOCAL_FAILURES = 3  # --num_of_checks: so many checks fail before Verifliers are asked
PEER_LIMIT = 3  # --peer_offline_limit: so many confirmations are wanted at most, or a majority

# --- what the judge allows on top
# The chronicle tells of a fault just before it is done; a packet leaves just after a clock was read.
LEASE_SLACK = 1_000.0
# A take-over's time is read before its transaction is committed; the fixture may see a request of
# the one before so much later than it was sent.
COMMIT = 1_000.0
# A confirmation leaves while its event is open, and may be seen by the fixture so much later.
CONFIRMATION_LAG = 1_000.0
# Two checks that follow one another by the schedule: how much earlier than its interval the second
# may come is how late the first may have been (see allowed_s). A retry's delay counts from the end
# of a failed check, which the fixture saw before: nothing to add but the clocks' reading.
RETRY_SLACK = 50.0
# A site edited in the legacy table is seen by its owner within 60 s.
EDIT = 60_000.0
# A paused process, or a database, has come back: a poll fails at its limit, the next one renews, and
# what is overdue is sent at once. After a fault that was shorter than this, the recovery is no
# longer than the fault, and the time in which a thread wakes up or the next poll comes.
RESUME = POLL + POLL_LIMIT + 3_000.0
WAKE = 1_000.0
# How long Monitors go on checking without a database: the lease, less the poll that may have
# been under way when it went away, and the time since the one before.
WITHOUT_DATABASE = LEASE - POLL - POLL_LIMIT
# A successor that runs sees the lease unrenewed for a grace; then polls, and writes.
TAKE_OVER = GRACE + 2 * POLL + WRITE + 3_000.0
# It has taken the range over: at its next poll it reads the sites, and renews.
LOAD = POLL + 2_000.0
# From v1's stop to the grant (the final reconcile, and the operator between the steps), and from a
# release to v1's start (a checkpoint, and the operator).
OPERATOR = 60_000.0
# What an owner without a fault may be late with: three checks fail, the Verifliers are asked, and
# each step is written; on a busy machine a thread waits for its turn now and then.
CONFIRMING = 10_000.0
# How long a notification may be on its way at the end of a run: two turns of the notifier, one
# attempt that fails, and its first back-off.
DELIVERY = 15_000.0
# A call may wait 60 s for its job; its audit row comes after that, and waits for the database.
AUDITED = 60_000.0 + WRITE
# Rows of one change carry one time; a job's rows lie within it.
SAME = 1_000.0


def recovery(fault: Span) -> float:
    """How long after the end of a pause, or of the database's absence, somebody may need."""
    least = WAKE + (POLL if fault.what == "database" else 0.0)
    return min(RESUME, least + fault.until_ms - fault.from_ms)


def allowed_s(interval_s: float) -> float:
    """Invariant 2: a check's interval and what it may be late."""
    return interval_s + late_s(interval_s)


def late_s(interval_s: float) -> float:
    return max(0.1 * interval_s, 1.0)


def check_timeout(unit_s: float) -> float:
    """Of one check: 10 s, scaled as the intervals are, and 2 s at least."""
    return min(max(10_000.0 * unit_s / 60, 2_000.0), 10_000.0)


def round_ms(unit_s: float) -> float:
    """A Veriflier that was asked may send for so long."""
    return check_timeout(unit_s) + MARGIN


def silence(unit_s: float) -> float:
    """The grace is the lease, a round and a pause: so between the last request of who lost a range
    undrained and what follows it lie a round and a pause at least. One second of it is for the
    fixture, which may see a request late."""
    return round_ms(unit_s) + PAUSE - WAKE


def first_window_s(interval_s: float) -> float:
    return min(interval_s, FIRST_CHECK_S)


# --- invariant 9: what people are told, and when
# v1 at a unit of 60 s, from its first failing check to its tell of 0: three local checks 30 s apart
# and its Verifliers; as measured on v1 itself.
V1_TOLD, V1_TOLD_SILENT, V1_RETRY = 77_000.0, 143_000.0, 30_000.0
# v2's promise for a site whose first check after an activation fails; the two retries come 15 s
# after the check before.
V2_TOLD, V2_TOLD_SILENT, V2_RETRY = 80_000.0, 140_000.0, 15_000.0
# An orphaned worker of v1 checks on for so long after its master has died: v2 waits for it.
ORPHANS = 20_000.0
# A Down that was adopted ends with two good checks, the second at most so long after the first.
SECOND_LOOK = 15_000.0
# A range that is muted repeats what is on its way for so long, waits for the receiver's delay, and
# for replicas, before it drains. Longer, and the release is blocked.
UNDECIDED, REPLICA = 60_000.0, 60_000.0
# v1 sends an identical second request when it had no answer for 20 s, which may then come late too.
V1_AGAIN = 45_000.0
# The longest wait of v2's between two attempts of a tell; each is twice the one before.
BACK_OFF = 300_000.0
# v1 tells "still down", and v2 writes 2, at the first failing check so many minutes after the tell.
STILL_DOWN_MIN = 59.0


def mute(receiver_delay_ms: float) -> float:
    """How long before its last check an owner that releases may have told nothing any more."""
    return UNDECIDED + receiver_delay_ms + REPLICA


def limit(unit_s: float) -> float:
    """Of one check by v1's rules, which `legacy` follows: twice what other checks have."""
    return 2 * check_timeout(unit_s)


def confirmed(unit_s: float, silent: bool, retry_ms: float, promised_ms: float) -> float:
    """From the first failing check to the tell: what is promised at a unit of 60 s, scaled; or,
    where limits do not shrink as far as the unit does, what the checks take."""
    checks = 2 * retry_ms * unit_s / 60 + round_ms(unit_s)
    checks += LOCAL_FAILURES * limit(unit_s) if silent else 0
    return max(promised_ms * unit_s / 60, checks) + CONFIRMING


def v1_told(unit_s: float, silent: bool) -> float:
    return confirmed(unit_s, silent, V1_RETRY, V1_TOLD_SILENT if silent else V1_TOLD)


def v2_told(unit_s: float, silent: bool, first: bool) -> float:
    """`first`: of the first check after an activation, or after another take-over; later on a failed
    check is repeated after a unit."""
    return confirmed(unit_s, silent, V2_RETRY if first else 60_000.0,
                     V2_TOLD_SILENT if silent else V2_TOLD)


def v1_up(unit_s: float) -> float:
    """From the good check to the tell: v1 asks nobody about it."""
    return limit(unit_s) + CONFIRMING


def v2_up(unit_s: float, adopted: bool) -> float:
    """From the first good check, which is written and told; of what was adopted a second one is
    wanted."""
    return limit(unit_s) + WRITE + CONFIRMING + (
        SECOND_LOOK + limit(unit_s) if adopted else 0.0)


def tell_lag(unit_s: float) -> float:
    """How long after the truth has changed, and after the next check could have noticed, a tell of
    before may come: its last check and a round were under way, and the tell itself."""
    return limit(unit_s) + round_ms(unit_s) + CONFIRMING


def first_check_by(interval_s: float) -> float:
    """From v1's stop to the first check of v2: operator, activation, load, and the first window."""
    return OPERATOR + ACKNOWLEDGE + POLL + WRITE + LOAD + 1000 * allowed_s(
        first_window_s(interval_s))

# --- dialect v1: what v1 said of a site ends with two good checks, so many minutes apart (10 s)
SECOND_GOOD_MIN = 1 / 6
# In the first round after a load the second and third checks of a site that fails follow a quarter of
# a minute after the one before.
FIRST_ROUND_RETRY_MIN = 1 / 4
