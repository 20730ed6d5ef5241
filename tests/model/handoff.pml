/* handoff.pml - who may send: one range, as one bucket, between v1, the control plane and the
 * Monitors of one or two hosts, in time. README.md says which function of the code each step is.
 *
 * Time: whole units and closed bounds (what may be done until a bound may be done at the bound),
 * which is exact for rules of this kind. All clocks run together; who is paused does nothing, but
 * its deadlines run on. Ages are kept, not times, so that the state space is finite, and the
 * numbers of epochs and instances that nobody refers to are used again.
 *
 * lease_seq and revision are not counted. What was sent or decided under an older one could only
 * match nothing: it is forgotten at the moment of the change. With its rule removed it stands.
 *
 * A rule is a macro: 1, present; 0, removed. cases.txt says what then happens.
 */
#ifndef L
#define L 1 /* monitor/lease.h kLease, from the clock reading before the renewal is sent */
#endif
#ifndef C
#define C 1 /* the longest confirmation: Verifliers send on their own for so long */
#endif
#ifndef G
#define G 3 /* grace; L + C + 1 at least */
#endif
#ifndef NI
#define NI 2 /* instances: 0 and 1 of one host, 2 and 3 of another */
#endif
#ifndef NE /* epochs in circulation; an assertion says when they do not suffice */
#if NI > 3
#define NE 10
#else
#define NE 5
#endif
#endif
#ifndef SLOW
#define SLOW 0 /* 1: a second replica of the control plane, which acts on an old reading */
#endif
#ifndef FAULTS
#define FAULTS 0 /* crashes, pauses, lost answers, fences that fail, slow decisions: 0 = any number */
#endif
/* --- a Monitor's lease */
#ifndef R_LEASE_CHECK
#define R_LEASE_CHECK 1 /* the deadline is compared before every send */
#endif
#ifndef R_GAP
#define R_GAP 0 /* longest pause between that comparison and the send: 0, 1 unit, 9 = any */
#endif
#ifndef R_LEASE_FROM_READ
#define R_LEASE_FROM_READ 1 /* a lease counts from before it was asked for, not from the answer */
#endif
/* --- conditions of the updates, store/locks.cc */
#ifndef R_FENCE_INSTANCE
#define R_FENCE_INSTANCE 1
#endif
#ifndef R_FENCE_EPOCH
#define R_FENCE_EPOCH 1
#endif
#ifndef R_FENCE_STATE
#define R_FENCE_STATE 1
#endif
#ifndef R_RENEW_INSTANCE
#define R_RENEW_INSTANCE 1
#endif
#ifndef R_RENEW_REVISION
#define R_RENEW_REVISION 1
#endif
#ifndef R_RENEW_STATE
#define R_RENEW_STATE 1 /* not while revoked */
#endif
#ifndef R_ACK_COND
#define R_ACK_COND 1
#endif
#ifndef R_TAKE_SEQ
#define R_TAKE_SEQ 1 /* of a range that does not drain */
#endif
#ifndef R_DRAIN_SEQ
#define R_DRAIN_SEQ 1 /* of one that drains */
#endif
#ifndef R_DRAIN_TAKES
#define R_DRAIN_TAKES 1 /* who reports another's drain becomes the owner */
#endif
#ifndef R_CP_COND
#define R_CP_COND 1 /* the control plane's changes name epoch and state */
#endif
#ifndef R_FREE_SEQ
#define R_FREE_SEQ 1 /* FreeDead names the lease_seq that was seen */
#endif
#ifndef R_DECISION
#define R_DECISION 1 /* BeginDecision: what a transaction read holds until it commits */
#endif
/* --- what is waited for */
#ifndef R_OBSERVE
#define R_OBSERVE 1 /* a Monitor takes over after a grace, or a goodbye */
#endif
#ifndef R_OBSERVE_CP
#define R_OBSERVE_CP 1 /* the control plane frees a draining range of a dead owner likewise */
#endif
#ifndef R_DRAIN_WAIT
#define R_DRAIN_WAIT G /* what is waited before another's drain is reported */
#endif
#ifndef R_REVOKE_WAIT
#define R_REVOKE_WAIT 1 /* a revoked range is freed a grace after its last renewal */
#endif
#ifndef R_GOODBYE_IDLE
#define R_GOODBYE_IDLE 1 /* no goodbye while a check or confirmation may still send */
#endif
#ifndef R_DRAIN_IDLE
#define R_DRAIN_IDLE 1 /* nor the word that a drain is over */
#endif
#ifndef R_ACK_REREAD
#define R_ACK_REREAD 1 /* an acknowledgement without an answer is looked up, not given up */
#endif
/* --- evidence */
#ifndef R_VOID_STARTED
#define R_VOID_STARTED 1 /* v1_started voids it */
#endif
#ifndef R_STARTED_FIRST
#define R_STARTED_FIRST 1 /* v1_started is recorded before v1 is started, and refused if held */
#endif

/* the range row: store/locks.h range_state; a released one is nobody's any more, so v1's */
#define V1S 0
#define PREPARING 1
#define ACTIVATING 2
#define ACTIVE 3
#define DRAINING 4
#define REVOKED 5
/* a process */
#define DEAD 0
#define RUNS 1
#define PAUSED 2
/* its watch */
#define NOTHING 0
#define LOADED 1 /* not started */
#define WATCHES 2
#define DRAINS 3
/* its update on the way to the database, or the answer on its way back */
#define NO_UPDATE 0
#define RENEWAL_SENT 1
#define RENEWAL_MATCHED 2
#define ACK_SENT 3
#define ACK_MATCHED 4
/* its engine */
#define IDLE 0
#define CHECKS 1
#define ARMED 2 /* the clock was compared, what was allowed is about to be sent */
/* what the slow replica is about to do */
#define NO_PLAN 0
#define TO_ACTIVATE 1
#define TO_GIVE_UP 2
#define TO_REVOKE 3
#define TO_FREE_DRAINED 4
#define TO_FREE_DEAD 5
#define NOBODY 7

#define HOST(i) ((i) / 2)

byte state = V1S, owner = NOBODY, epoch = 0;
bit drained = 0;
byte age = 0;     /* units since lease_seq changed, up to G: nobody observes more than has passed */
bit evidence = 0; /* v1_stopped and final reconcile count */
bit v1_runs = 1;
byte person = 0; /* 1: about to start v1; 2: the checkpoint was allowed, and is not yet written */
byte plan = NO_PLAN, plan_epoch = 0;
byte faults = 0; /* so far, if they are limited */
bit calm = 0; /* from here on nothing bad happens (liveness) */

typedef Instance {
  byte proc;
  byte know;
  byte epoch;
  byte lease;    /* L + 1 - units since the clock reading: it may send while > 0 */
  byte update;
  byte sent_age; /* units since the clock was read for that update */
  byte busy;
  byte gap;      /* units since that comparison */
  byte asked;    /* Verifliers still work for it: C + 1 .. 0 */
  byte asked_epoch;
  bit takes;     /* has decided to take over */
  bit goodbye;   /* said it, and was the owner then */
};
Instance m[NI];

byte x, y; /* scratch, 0 between steps */

#define IS_ARMED(i) (m[i].busy == ARMED && m[i].proc == RUNS)
#if NI == 2
#define ANY_ARMED (IS_ARMED(0) || IS_ARMED(1))
#define ANY_GAP (m[0].gap || m[1].gap)
#elif NI == 3
#define ANY_ARMED (IS_ARMED(0) || IS_ARMED(1) || IS_ARMED(2))
#define ANY_GAP (m[0].gap || m[1].gap || m[2].gap)
#else
#define ANY_ARMED (IS_ARMED(0) || IS_ARMED(1) || IS_ARMED(2) || IS_ARMED(3))
#define ANY_GAP (m[0].gap || m[1].gap || m[2].gap || m[3].gap)
#endif

#define MAY_FAIL (!calm && (FAULTS == 0 || faults < FAULTS))
#define FAULT faults = (FAULTS > 0 -> faults + 1 : 0)
#define MINE(i) (owner == i && epoch == m[i].epoch)
#define HELD_ACTIVE (state == ACTIVE || state == DRAINING || state == REVOKED)
#define MAY_SEND(i) (MINE(i) && HELD_ACTIVE && !v1_runs)
#define MAY_CONFIRM(i) (owner == i && epoch == m[i].asked_epoch && HELD_ACTIVE && !v1_runs)
#define DEAD_OWNER (m[owner].goodbye || age >= G)
/* Invariant 1: v1 runs on what is v1's only; who works is the owner. */
#define CHECK_V1 assert(!v1_runs || state == V1S)
#define CHECK_ASKED                                                   \
  y = 0; do :: y < NI -> assert(m[y].asked == 0 || MAY_CONFIRM(y)); y++ \
         :: else -> break od; y = 0

/* A change of revision: updates under way name the old one. */
inline bump_revision() {
  y = 0;
  do
  :: y < NI ->
       if
       :: (m[y].update == RENEWAL_SENT && R_RENEW_REVISION) || (m[y].update == ACK_SENT && R_ACK_COND) ->
            m[y].update = NO_UPDATE; m[y].sent_age = 0
       :: else
       fi; y++
  :: else -> break
  od; y = 0
}
/* A change of lease_seq: who decided by the old one finds another. */
inline bump_seq() {
  age = 0; y = 0;
  do
  :: y < NI ->
       if
       :: m[y].takes && (state == DRAINING -> R_DRAIN_SEQ : R_TAKE_SEQ) -> m[y].takes = 0
       :: else
       fi; y++
  :: else -> break
  od; y = 0;
  if :: plan == TO_FREE_DEAD && R_FREE_SEQ -> plan = NO_PLAN; plan_epoch = 0 :: else fi
}
inline free_buckets() {
  state = V1S; owner = NOBODY; epoch = 0; drained = 0; age = 0; evidence = 0; bump_revision();
  y = 0; do :: y < NI -> m[y].takes = 0; y++ :: else -> break od; y = 0
}
inline drop_watch(i) {
  m[i].know = NOTHING; m[i].epoch = 0; m[i].lease = 0; m[i].busy = IDLE; m[i].gap = 0;
  m[i].update = NO_UPDATE; m[i].sent_age = 0
}
inline next_epoch() { /* one that nobody refers to */
  x = 1; y = 0;
  do
  :: y < NI -> if :: m[y].epoch == x || m[y].asked_epoch == x -> x++; y = 0 :: else -> y++ fi
  :: y == NI -> if :: plan_epoch == x -> x++; y = 0 :: else -> break fi
  od; y = 0; assert(x <= NE)
}

/* ---------------------------------------------------------------- a Monitor: monitor/ownership.cc */
proctype Monitor(byte i) {
  do
  :: d_step { m[i].proc == DEAD && owner != i && m[i].asked == 0 && !(calm && i > 1) ->
       printf("M%d starts, a new instance\n", i); m[i].proc = RUNS; m[i].goodbye = 0 }
  :: d_step { m[i].proc != DEAD && MAY_FAIL -> printf("M%d dies\n", i); FAULT;
       m[i].proc = DEAD; drop_watch(i); m[i].takes = 0 }
  :: d_step { m[i].proc == RUNS && MAY_FAIL && (m[i].busy != ARMED || R_GAP > 0) ->
       printf("M%d is paused\n", i); FAULT; m[i].proc = PAUSED }
  :: d_step { m[i].proc == PAUSED && !calm -> printf("M%d goes on\n", i); m[i].proc = RUNS }

  /* Poll reads its clock, then the row: what it sends names the revision that it read. */
  :: d_step { m[i].proc == RUNS && owner == i && state == ACTIVATING && m[i].epoch != epoch &&
       m[i].busy == IDLE -> printf("M%d FollowActivating: loads\n", i);
       drop_watch(i); m[i].know = LOADED; m[i].epoch = epoch }
  :: d_step { m[i].proc == RUNS && MINE(i) && state == ACTIVATING && m[i].know == LOADED &&
       m[i].update == NO_UPDATE -> printf("M%d FollowActivating: sends AcknowledgeRange\n", i);
       m[i].update = ACK_SENT; m[i].sent_age = 0 }
  :: d_step { m[i].proc == RUNS && owner == i && state == ACTIVE && m[i].epoch != epoch &&
       m[i].busy == IDLE -> printf("M%d FollowActive: loads\n", i);
       drop_watch(i); m[i].know = LOADED; m[i].epoch = epoch }
  :: d_step { m[i].proc == RUNS && owner == i && m[i].know != NOTHING && m[i].lease < L + 1 &&
       m[i].update == NO_UPDATE &&
       ((MINE(i) && (state == ACTIVE || (state == DRAINING && !drained && m[i].know == DRAINS))) ||
        ((!R_RENEW_STATE || !R_RENEW_REVISION) && HELD_ACTIVE && !calm) ||
        (!R_RENEW_STATE && MINE(i) && state == REVOKED)) ->
       printf("M%d Renew: sends RenewLease\n", i); m[i].update = RENEWAL_SENT; m[i].sent_age = 0 }
  :: d_step { m[i].proc == RUNS && MINE(i) && state == DRAINING && !drained && m[i].know != DRAINS ->
       printf("M%d FollowDraining: BeginDrain\n", i); m[i].know = DRAINS }
  :: d_step { m[i].proc == RUNS && owner == i && state == DRAINING && !drained &&
       (!MINE(i) || (m[i].know == DRAINS && (m[i].busy == IDLE || !R_DRAIN_IDLE))) &&
       (m[i].asked == 0 || !R_DRAIN_IDLE) && m[i].busy != ARMED ->
       printf("M%d FollowDraining: ReportDrained\n", i);
       drained = 1; bump_seq(); bump_revision(); drop_watch(i) }
  :: d_step { m[i].proc == RUNS && m[i].know != NOTHING && m[i].busy != ARMED &&
       (!MINE(i) || (state == REVOKED && R_RENEW_STATE) || (state == DRAINING && drained)) ->
       printf("M%d DropWatch: the range is not its own any more\n", i); drop_watch(i) }
  /* As after a fence at a node that lags behind. */
  :: d_step { m[i].proc == RUNS && (m[i].know == WATCHES || m[i].know == DRAINS) && MAY_FAIL &&
       m[i].busy != ARMED && MINE(i) -> printf("M%d DropWatch: a fence did not match\n", i);
       FAULT; drop_watch(i) }

  /* An update arrives when it likes, also while its sender is paused. */
  :: d_step { m[i].update == RENEWAL_SENT -> printf("M%d RenewLease at the database\n", i);
       if
       :: (owner == i || !R_RENEW_INSTANCE) && owner != NOBODY && epoch == m[i].epoch &&
          (state == ACTIVATING || state == ACTIVE || state == DRAINING ||
           (state == REVOKED && !R_RENEW_STATE)) ->
            m[i].update = RENEWAL_MATCHED; bump_seq()
       :: else -> m[i].update = NO_UPDATE; m[i].sent_age = 0
       fi }
  :: d_step { m[i].update == ACK_SENT -> printf("M%d AcknowledgeRange at the database\n", i);
       if
       :: MINE(i) && state == ACTIVATING ->
            state = ACTIVE; bump_seq(); bump_revision(); m[i].update = ACK_MATCHED
       :: !R_ACK_COND && !(MINE(i) && state == ACTIVATING) -> m[i].update = ACK_MATCHED;
            if
            :: state == DRAINING || state == V1S -> state = ACTIVE; owner = i; epoch = m[i].epoch
            :: else
            fi
       :: else -> m[i].update = NO_UPDATE; m[i].sent_age = 0
       fi; CHECK_V1 }
  :: d_step { m[i].proc == RUNS && (m[i].update == RENEWAL_MATCHED || m[i].update == ACK_MATCHED) ->
       printf("M%d has the answer: its lease is renewed\n", i);
       x = (R_LEASE_FROM_READ -> L + 1 - m[i].sent_age : L + 1);
       if :: x > m[i].lease -> m[i].lease = x :: else fi; x = 0;
       if :: m[i].know == LOADED -> m[i].know = WATCHES :: else fi;
       m[i].update = NO_UPDATE; m[i].sent_age = 0 }
  :: d_step { m[i].update != NO_UPDATE && MAY_FAIL -> printf("M%d: no answer\n", i); FAULT;
       if :: m[i].update == ACK_MATCHED && !R_ACK_REREAD -> m[i].know = DRAINS :: else fi;
       m[i].update = NO_UPDATE; m[i].sent_age = 0 }

  /* The engine: every send compares clock and lease first. */
  :: d_step { m[i].proc == RUNS && !calm && m[i].busy != ARMED &&
       (m[i].know == WATCHES || (m[i].know == DRAINS && m[i].busy == CHECKS)) &&
       (m[i].lease > 0 || !R_LEASE_CHECK) -> printf("M%d compares clock and lease\n", i);
       m[i].busy = ARMED; m[i].gap = 0 }
  :: d_step { m[i].proc == RUNS && m[i].busy == ARMED -> printf("M%d SENDS\n", i);
       assert(MAY_SEND(i)); m[i].busy = CHECKS; m[i].gap = 0 }
  :: d_step { m[i].proc == RUNS && m[i].busy == CHECKS -> printf("M%d: the check ends\n", i);
       m[i].busy = IDLE }
  :: d_step { m[i].proc == RUNS && !calm && m[i].busy == ARMED && m[i].asked == 0 &&
       m[i].know == WATCHES -> printf("M%d AskVantages: Verifliers SEND\n", i);
       m[i].asked = C + 1; m[i].asked_epoch = m[i].epoch; m[i].busy = CHECKS; m[i].gap = 0;
       CHECK_ASKED }
  /* The recorder. */
  :: d_step { m[i].proc == RUNS && !calm && (m[i].know == WATCHES || m[i].know == DRAINS) &&
       (owner == i || !R_FENCE_INSTANCE) && (epoch == m[i].epoch || !R_FENCE_EPOCH) &&
       (state == ACTIVE || state == DRAINING || !R_FENCE_STATE) ->
       printf("M%d FenceBucket matched: it WRITES\n", i); assert(MAY_SEND(i)) }

  :: d_step { m[i].proc == RUNS && !calm && m[i].busy == IDLE && (m[i].asked == 0 || !R_GOODBYE_IDLE) ->
       printf("M%d SayGoodbye\n", i); m[i].proc = DEAD; drop_watch(i); m[i].takes = 0;
       m[i].goodbye = (owner == i -> 1 : 0) }
  :: d_step { m[i].proc == RUNS && !m[i].takes && owner != NOBODY && owner != i &&
       HOST(owner) == HOST(i) && m[i].know == NOTHING &&
       (state == ACTIVATING || state == ACTIVE || state == DRAINING) && !(calm && drained) &&
       (m[owner].goodbye || age >= (state == DRAINING -> R_DRAIN_WAIT : G) || !R_OBSERVE) ->
       printf("M%d FollowOther: M%d is dead or left\n", i, owner); m[i].takes = 1 }
  :: d_step { m[i].proc == RUNS && m[i].takes -> printf("M%d TakeOverRange\n", i);
       m[i].takes = 0;
       if
       :: owner != NOBODY && owner != i && HOST(owner) == HOST(i) &&
          (state == ACTIVATING || state == ACTIVE || state == DRAINING) ->
            if :: state == DRAINING -> drained = 1 :: else fi;
            if :: state != DRAINING || R_DRAIN_TAKES -> m[owner].goodbye = 0; owner = i :: else fi;
            bump_seq(); bump_revision()
       :: else
       fi; CHECK_ASKED }
  od
}

/* While all is calm, whoever runs polls in time. */
#define LATE (calm && state == ACTIVE && m[owner].proc == RUNS && age + 1 >= G)

proctype Clock() {
  do
  :: d_step { (R_GAP != 0 || !ANY_ARMED) && (R_GAP != 1 || !ANY_GAP) && !LATE ->
       printf("time passes\n");
       x = 0;
       do
       :: x < NI ->
            if :: m[x].lease > 0 -> m[x].lease-- :: else fi;
            if
            :: m[x].asked > 1 -> m[x].asked--
            :: m[x].asked == 1 -> m[x].asked = 0; m[x].asked_epoch = 0
            :: else
            fi;
            if
            :: m[x].update != NO_UPDATE && m[x].sent_age > L ->
                 if :: m[x].update == ACK_MATCHED && !R_ACK_REREAD -> m[x].know = DRAINS :: else fi;
                 m[x].update = NO_UPDATE; m[x].sent_age = 0
            :: m[x].update != NO_UPDATE && m[x].sent_age <= L -> m[x].sent_age++
            :: else
            fi;
            if :: R_GAP == 1 && m[x].busy == ARMED -> m[x].gap++ :: else fi;
            x++
       :: else -> break
       od; x = 0;
       if :: age < G && owner != NOBODY -> age++ :: else fi;
       CHECK_ASKED }
  od
}

/* ------------------------- the control plane: controlplane/rollout, a transaction is a step. The
 * first replica decides and acts at once; between a decision of the slow one and its conditional
 * update anything may happen. */
#define CAN_ACTIVATE (state == PREPARING)
#define CAN_GIVE_UP (state == PREPARING || state == ACTIVATING)
#define CAN_REVOKE (state == DRAINING && !drained)
#define CAN_FREE_DRAINED (state == DRAINING && drained)
#define IS_FREEABLE (state == DRAINING || state == REVOKED)
#define SEES_DEAD                                       \
  ((state == DRAINING && (DEAD_OWNER || !R_OBSERVE_CP)) || \
   (state == REVOKED && (DEAD_OWNER || !R_REVOKE_WAIT)))

inline begin_draining() { /* what no Monitor has seen is drained */
  drained = (state == PREPARING -> 1 : 0); state = DRAINING; bump_revision()
}
inline revoke() { state = REVOKED; bump_revision() }
inline grant(i) {
  next_epoch(); state = PREPARING; owner = i; epoch = x; x = 0; age = 0; drained = 0; evidence = 0;
  CHECK_V1; CHECK_ASKED
}
#define CAN_GRANT(i) (state == V1S && evidence && !calm && m[i].proc == RUNS)

proctype ControlPlane() {
  do
  :: d_step { CAN_GRANT(0) -> printf("CP GrantRange: M0, preparing\n"); grant(0) }
  :: d_step { CAN_GRANT(1) -> printf("CP GrantRange: M1, preparing\n"); grant(1) }
#if NI > 2
  :: d_step { CAN_GRANT(2) -> printf("CP GrantRange: M2, preparing\n"); grant(2) }
#endif
#if NI > 3
  :: d_step { CAN_GRANT(3) -> printf("CP GrantRange: M3, preparing\n"); grant(3) }
#endif
  :: d_step { CAN_ACTIVATE -> printf("CP BeginActivating\n"); state = ACTIVATING; bump_revision() }
  :: d_step { CAN_GIVE_UP -> printf("CP GiveUpActivation\n"); begin_draining(); CHECK_ASKED }
  :: d_step { (state == PREPARING || state == ACTIVATING || state == ACTIVE) &&
       (!calm || (state == ACTIVE && age >= G)) -> printf("CP BeginRelease\n"); begin_draining() }
  :: d_step { CAN_REVOKE -> printf("CP RevokeRange\n"); revoke() }
  :: d_step { CAN_FREE_DRAINED -> printf("CP FreeDrained: v1's\n"); free_buckets(); CHECK_ASKED }
  :: d_step { IS_FREEABLE && SEES_DEAD -> printf("CP FreeDead: v1's\n");
       free_buckets(); CHECK_ASKED }
#if SLOW
  :: d_step { plan == NO_PLAN && CAN_ACTIVATE && MAY_FAIL ->
       printf("slow CP decides on BeginActivating\n"); FAULT; plan = TO_ACTIVATE; plan_epoch = epoch }
  :: d_step { plan == NO_PLAN && CAN_GIVE_UP && MAY_FAIL ->
       printf("slow CP decides on GiveUpActivation\n"); FAULT; plan = TO_GIVE_UP; plan_epoch = epoch }
  :: d_step { plan == NO_PLAN && CAN_REVOKE && MAY_FAIL ->
       printf("slow CP decides on RevokeRange\n"); FAULT; plan = TO_REVOKE; plan_epoch = epoch }
  :: d_step { plan == NO_PLAN && CAN_FREE_DRAINED && MAY_FAIL ->
       printf("slow CP decides on FreeDrained\n"); FAULT; plan = TO_FREE_DRAINED; plan_epoch = epoch }
  :: d_step { plan == NO_PLAN && IS_FREEABLE && SEES_DEAD && MAY_FAIL ->
       printf("slow CP decides on FreeDead\n"); FAULT; plan = TO_FREE_DEAD; plan_epoch = epoch }
  :: d_step { plan != NO_PLAN -> printf("slow CP acts\n"); x = plan; y = plan_epoch;
       plan = NO_PLAN; plan_epoch = 0;
       if
       :: R_CP_COND && epoch != y -> y = 0
       :: else -> y = 0;
            if
            :: x == TO_ACTIVATE && (!R_CP_COND || CAN_ACTIVATE) -> state = ACTIVATING; bump_revision()
            :: x == TO_GIVE_UP && (!R_CP_COND || CAN_GIVE_UP) -> begin_draining()
            :: x == TO_REVOKE && (!R_CP_COND || CAN_REVOKE) -> revoke()
            :: x == TO_FREE_DRAINED && (!R_CP_COND || CAN_FREE_DRAINED) -> free_buckets()
            :: x == TO_FREE_DEAD && (!R_CP_COND || IS_FREEABLE) -> free_buckets()
            :: else
            fi
       fi; x = 0; CHECK_V1; CHECK_ASKED }
#endif
  od
}

/* ------------------------------------------ the person at v1's switch, one at a time */
proctype Person() {
  do
  :: d_step { v1_runs && person == 0 && !calm -> printf("person: v1 is stopped\n"); v1_runs = 0 }
  :: d_step { !v1_runs && person == 0 && state == V1S && !evidence && !calm ->
       printf("person: records v1_stopped, final reconcile\n"); evidence = 1 }
  :: d_step { !v1_runs && person == 0 && state == V1S && !calm && R_DECISION ->
       printf("person: records v1_started\n"); person = 1;
       if :: R_STARTED_FIRST && R_VOID_STARTED -> evidence = 0 :: else fi }
  :: d_step { !v1_runs && person == 0 && state == V1S && !calm && !R_DECISION ->
       printf("person: v1_started is allowed\n"); person = 2 }
  :: d_step { person == 2 -> printf("person: v1_started is recorded\n"); person = 1;
       if :: R_STARTED_FIRST && R_VOID_STARTED -> evidence = 0 :: else fi }
  :: d_step { person == 1 -> printf("person: starts v1\n"); v1_runs = 1; person = 0;
       if :: R_VOID_STARTED -> evidence = 0 :: else fi; CHECK_V1 }
  od
}

#ifdef LIVE
/* A range that is on its way gets there: to v1, or to a Monitor that watches it. */
proctype Calm() { calm = 1 }
#define SETTLED (state == V1S || (state == ACTIVE && m[owner].proc == RUNS && m[owner].know == WATCHES))
ltl settles { [] (calm -> <> SETTLED) }
#endif

init { atomic {
  m[0].proc = RUNS; run Monitor(0); run Monitor(1);
#if NI > 2
  m[2].proc = RUNS; run Monitor(2);
#endif
#if NI > 3
  run Monitor(3);
#endif
  run Clock(); run ControlPlane(); run Person();
#ifdef LIVE
  run Calm();
#endif
} }
