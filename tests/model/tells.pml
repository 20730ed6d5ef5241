/* tells.pml - the dialect v1: one site, v1 as it really is, the receiver of its tells and of ours,
 * who writes the column later, and v2, over hand-offs forward and back for ever. Ownership is taken
 * as given (handoff.pml): a step of v2's is a fenced transaction, so that an old instance makes it or
 * none. The site fails and recovers at any time, any number of times.
 *
 * There is no clock. That a delay has passed is a step, possible from when nothing that the delay is
 * for is on its way any more.
 *
 * The ghosts at the end of the variables are the people, who see each tell and drop an id that they
 * know. A check of v2's that finds the site up stands for the two that are needed.
 */
/* --- what surrounds us: not rules of ours, but what they rest on */
#ifndef IN_ORDER
#define IN_ORDER 1 /* the receiver writes v1's words of a site in the order of the tells */
#endif
#ifndef LOSES
#define LOSES 0 /* the receiver may never write a word of v1's */
#endif
#ifndef LAG
#define LAG 1 /* 2: a replica shows also what came between, late */
#endif
#ifndef STILL_DOWN
#define STILL_DOWN 1 /* v1 and v2 also write 2 */
#endif
#ifndef SELF
#define SELF 0 /* 1: v1 in test mode writes the column itself, then tells; 2: and is not stopped between */
#endif
#ifndef SIGHUP
#define SIGHUP 0 /* 1: v1_stopped is recorded, and v1 goes on for a round */
#endif
#ifndef STRICT
#define STRICT 1 /* 0: what v1 told before v2 had the range excuses its repeats after that */
#endif
/* --- two ways to build v2 */
#ifndef KEEPS
#define KEEPS 0 /* a queued down whose event has ended: 0: is cancelled; 1: is told, then its up */
#endif
#ifndef LOOK_FIRST
#define LOOK_FIRST 0 /* 1: no tell before the last look for v1's words, and those once */
#endif
/* --- adoption */
#ifndef R_ADOPT_TOLD
#define R_ADOPT_TOLD 1 /* 0 and 2 have been told */
#endif
#ifndef R_ADOPT_FINAL
#define R_ADOPT_FINAL 1 /* adoption after v1 has stopped */
#endif
#ifndef R_END_TOLD
#define R_END_TOLD 1 /* an adopted event's end is told */
#endif
#ifndef R_LATE
#define R_LATE 1 /* v1's last word is adopted also when it comes after the activation */
#endif
#ifndef R_LATE_UP
#define R_LATE_UP 1 /* also if it is a 1 */
#endif
#ifndef R_LATE_LOOK
#define R_LATE_LOOK 1 /* until a look that began after the delay has passed */
#endif
/* --- the column */
#ifndef R_SUSPECT_UP
#define R_SUSPECT_UP 1 /* a suspicion stands in the column as 1 */
#endif
#ifndef R_STAYS
#define R_STAYS 1 /* a recovery does not stand there before its end is sending */
#endif
#ifndef R_REWRITE
#define R_REWRITE 1 /* a stale echo is rewritten */
#endif
#ifndef R_BACK
#define R_BACK 1 /* a refused tell puts the column back */
#endif
#ifndef R_UNTOLD_BACK
#define R_UNTOLD_BACK 1 /* and so does a person's `untold` */
#endif
/* --- a tell */
#ifndef R_SEND_WAIT
#define R_SEND_WAIT 1 /* none before the receiver's delay after v1_stopped */
#endif
#ifndef R_COLUMN_COND
#define R_COLUMN_COND 1 /* the commit point asks whether the column is as we know it */
#endif
#ifndef R_FAIL_ADOPTS
#define R_FAIL_ADOPTS 1 /* if it is not, the site is adopted */
#endif
#ifndef R_FAIL_UP
#define R_FAIL_UP 1 /* where it says 1, the down is due as before */
#endif
#ifndef R_FAIL_ECHO
#define R_FAIL_ECHO 1 /* but not where that is an echo */
#endif
#ifndef R_ONE_STEP
#define R_ONE_STEP 1 /* the commit point also writes the column */
#endif
#ifndef R_IN_ORDER
#define R_IN_ORDER 1 /* a site's tell waits until the one before is delivered */
#endif
#ifndef R_SAME_ID
#define R_SAME_ID 1 /* a repeat bears the id of the first */
#endif
#ifndef R_REFUSED_FIRST
#define R_REFUSED_FIRST 1 /* only the first request of who committed it may count as no send */
#endif
#ifndef R_REFUSED_END
#define R_REFUSED_END 1 /* a down that was no send takes the queued up of its event with it */
#endif
/* --- echoes */
#ifndef R_ECHO
#define R_ECHO 1 /* never adopted */
#endif
#ifndef R_ECHO_LAST
#define R_ECHO_LAST 1 /* expected until a delay after the row is sending no more */
#endif
#ifndef R_ECHO_WRITTEN
#define R_ECHO_WRITTEN 1 /* judged by when it was written, not by when we see it */
#endif
/* --- release */
#ifndef R_MUTE
#define R_MUTE 1 /* the owner tells nothing more */
#endif
#ifndef R_CANCEL
#define R_CANCEL 1 /* what is queued is cancelled */
#endif
#ifndef R_WAIT_SENDING
#define R_WAIT_SENDING 1 /* what is sending is waited for */
#endif
#ifndef R_DECIDE_LATE
#define R_DECIDE_LATE 1 /* a person decides once no request of the row is on its way */
#endif
#ifndef R_WAIT_ECHO
#define R_WAIT_ECHO 1 /* the receiver's delay after the last of ours */
#endif
#ifndef R_WAIT_V1
#define R_WAIT_V1 1 /* and the one after v1_stopped, also where nothing of ours was sent */
#endif
#ifndef R_LAST_LOOK
#define R_LAST_LOOK 1 /* stale echoes are looked for after that */
#endif
#ifndef R_WAIT_REPLICA
#define R_WAIT_REPLICA 1 /* the replicas show the marker */
#endif
#ifndef R_LEASE
#define R_LEASE 1 /* an instance that lost its lease repeats nothing */
#endif

/* site_status; what is told */
#define DOWN 0
#define UP 1
#define STILL 2
#define NO 3
/* whose the range is */
#define V1S 0
#define OURS 1
#define MUTED 2
#define MARKED 3 /* drains; the marker is written */
/* our event */
#define NONE 0
#define SUSPECTED 1
#define CONFIRMED 2 /* its down is queued or, muted, cancelled */
#define TOLD 3      /* its down is sending or delivered, or v1 told it */

byte col = UP, mid = UP, rep = UP; /* the column: primary, on its way, replica */
bit foreign = 0;     /* written by another since we wrote or read it last: value or time differ */
byte stands = UP;    /* what we wrote or read last (projected) */
bit was_still = 0;   /* before the up that is sending: 2, not 0 */
byte word0 = NO, word1 = NO; /* v1's words that the receiver has yet to write */
bit v1_runs = 1;
byte reads = NO;     /* what v1 read in this round */
bit failed = 0;      /* memory of v1: three failed checks and enough verifliers, still to be told */
bit strays = 0;      /* SIGHUP */
byte saying = NO;    /* SELF: written and still to be told */
byte range = V1S, event = NONE;
bit quiet = 0;       /* the receiver's delay after v1_stopped has passed */
bit late = 0;        /* v1's last words may come */
bit adopted = 0;     /* R_END_TOLD = 0 */
bit down_queued = 0, up_queued = 0;
bit sending[2], heard[2], flying[2]; /* by DOWN and UP: the row; people know its id; a request */
bit untried = 0;     /* memory: this process has committed the row and begun no request */
bit owed = 0;        /* memory, R_ONE_STEP = 0: the column is still to be written */
bit echo[2];         /* the receiver may still write the value of a row of ours */
bit recent[2];       /* we take such a write for an echo */
bit ever[2];         /* R_LEASE = 0: there was such a row */
bit site_up = 1;
bit calm = 0;        /* nothing fails any more, no site changes, no new hand-off begins */
/* ghosts: the people */
bit know_down = 0;   /* what they were told last */
bit v1_own = 0;      /* by v1, and nobody else had the range since: it may repeat itself */
bit v1_since = 0;    /* v1 told something since our newest tell was queued */

#define V1_CHECKS (v1_runs || strays)
#define HELD (range != V1S)
#define MAY_COMMIT (range == OURS || (HELD && !R_MUTE))
#define IS_ECHO (col != STILL && recent[col])
#define GONE(k) (!sending[k] && !flying[k] && !echo[k])

inline write(v) { col = v; stands = v; foreign = 0 }
inline adopt() {
  if
  :: col == UP -> if :: event == TOLD -> event = NONE :: else fi
  :: else ->
       if
       :: R_ADOPT_TOLD -> event = TOLD; if :: !R_END_TOLD -> adopted = 1 :: else fi
       :: else -> if :: event == NONE -> event = SUSPECTED :: else fi
       fi
  fi; up_queued = 0; if :: event != CONFIRMED -> down_queued = 0 :: else fi;
  stands = col; foreign = 0
}
/* The rolling read, or a commit point that failed. */
inline look(fails) {
  if
  :: R_ECHO && IS_ECHO && (!fails || R_FAIL_ECHO) ->
       if :: R_REWRITE -> col = stands :: else fi; foreign = 0
  :: !(R_ECHO && IS_ECHO && (!fails || R_FAIL_ECHO)) &&
     (fails -> R_FAIL_ADOPTS : late && R_LATE && (col != UP || R_LATE_UP)) ->
       adopt(); if :: fails && !R_FAIL_UP && event == CONFIRMED -> event = TOLD; down_queued = 0 :: else fi
  :: else -> write(stands)
  fi
}
inline commit(k) {
  assert(!sending[k]); sending[k] = 1; heard[k] = 0; untried = 1; recent[k] = 1;
  if :: !R_LEASE -> ever[k] = 1 :: else fi;
  was_still = (k == UP && stands == STILL); stands = k;
  if :: R_ONE_STEP -> write(k) :: else -> owed = 1 fi
}
/* Row k was no send after all. */
inline take_back(k, back) {
  sending[k] = 0; untried = 0; heard[k] = 0;
  if
  :: k == DOWN ->
       if
       :: event == TOLD -> event = (MAY_COMMIT -> CONFIRMED : SUSPECTED); down_queued = MAY_COMMIT
       :: else
       fi;
       if :: R_REFUSED_END -> up_queued = 0 :: else fi;
       if :: back -> write(UP) :: else fi
  :: else ->
       if :: MAY_COMMIT -> up_queued = 1 :: else fi;
       if :: back && was_still -> write(STILL) :: back && !was_still -> write(DOWN) :: else fi
  fi
}
inline delivered(k) { sending[k] = 0; heard[k] = 0; untried = 0 }

/* --- the people */
inline v1_tells(v) {
  if
  :: v == UP -> assert(know_down || v1_own); know_down = 0  /* no second up, none without a down */
  :: v == DOWN -> assert(!know_down || v1_own); know_down = 1  /* no second down */
  :: v == STILL -> assert(know_down || v1_own); know_down = 1  /* still down, of what they know */
  fi; v1_own = 1; v1_since = 1;
  if
  :: SELF
  :: word0 == NO -> word0 = v
  :: word0 != NO && word1 == NO && word0 != v -> word1 = v
  :: else
  fi
}
#define CAN_TELL(v) (saying == NO && (word1 == NO || word1 == v))
inline v1_turns(v) {
  if
  :: SELF -> printf("v1 writes %d\n", v); col = v; foreign = 1; saying = v
  :: else -> printf("v1 TELLS %d\n", v); v1_tells(v)
  fi
}
inline hear(k) {
  if
  :: heard[k] && R_SAME_ID
  :: else -> assert(!v1_since); assert(know_down == k); know_down = 1 - k; v1_own = 0
  fi; heard[k] = 1
}

proctype Site() {
  end: do
  :: d_step { !calm && site_up -> printf("the site fails\n"); site_up = 0 }
  :: d_step { !calm && !site_up -> printf("the site is up again\n"); site_up = 1 }
  :: d_step { !calm -> printf("--- from here on nothing changes or fails\n"); calm = 1 }
  od
}

inline v1_forgets() { reads = NO; failed = 0; saying = NO }
proctype Rounds() { /* of v1: what it tells by */
  end: do
  :: d_step { V1_CHECKS && reads != rep -> printf("v1 reads %d\n", rep); reads = rep }
  od
}
proctype V1() {
  end: do
  :: d_step { V1_CHECKS && !site_up && reads == UP && !failed -> printf("v1 confirms\n"); failed = 1 }
  :: d_step { failed && site_up -> printf("v1: a good check\n"); failed = 0 }
  :: d_step { failed && CAN_TELL(DOWN) -> failed = 0; v1_turns(DOWN) }
  :: d_step { failed && CAN_TELL(DOWN) && !calm -> v1_turns(DOWN); printf("and will once more\n") }
  :: d_step { V1_CHECKS && !site_up && reads == DOWN && CAN_TELL(STILL) && STILL_DOWN -> v1_turns(STILL) }
  :: d_step { V1_CHECKS && site_up && (reads == DOWN || reads == STILL) && CAN_TELL(UP) -> v1_turns(UP) }
  :: d_step { saying != NO -> printf("v1 TELLS %d\n", saying); v1_tells(saying); saying = NO }
  od
}

proctype Replica() {
  end: do
  :: d_step { LAG == 1 && rep != col -> printf("the replica catches up\n"); rep = col; mid = col }
  :: d_step { LAG == 2 && mid != col -> printf("a change goes to the replica\n"); mid = col }
  :: d_step { LAG == 2 && rep != mid -> printf("the replica shows it\n"); rep = mid }
  od
}
#define IN_SYNC (rep == col && mid == col)

inline next_word() { word0 = word1; word1 = NO }
inline write_word(v) { printf("receiver writes v1's %d\n", v); col = v; foreign = 1 }
inline take(k) {
  printf("receiver takes v2's tell %d\n", k); hear(k); flying[k] = 0; echo[k] = 1
}
inline write_echo(k) { printf("receiver writes v2's %d\n", k); col = k; foreign = 1 }
proctype Receiver() {
  end: do
  :: d_step { word0 != NO -> write_word(word0); next_word() }
  :: d_step { word0 != NO && !calm -> write_word(word0); printf("and will once more\n") }
  :: d_step { !IN_ORDER && word1 != NO -> write_word(word1); word1 = NO }
  :: d_step { LOSES && word0 != NO -> printf("receiver loses v1's %d\n", word0); next_word() }
  :: d_step { flying[DOWN] -> take(DOWN) }
  :: d_step { flying[UP] -> take(UP) }
  :: d_step { flying[DOWN] && !calm -> printf("v2's request is lost\n"); flying[DOWN] = 0 }
  :: d_step { flying[UP] && !calm -> printf("v2's request is lost\n"); flying[UP] = 0 }
  :: d_step { echo[DOWN] -> write_echo(DOWN); echo[DOWN] = 0 }
  :: d_step { echo[UP] -> write_echo(UP); echo[UP] = 0 }
  :: d_step { echo[DOWN] && !calm -> write_echo(DOWN); printf("and will once more\n") }
  :: d_step { echo[UP] && !calm -> write_echo(UP); printf("and will once more\n") }
  :: d_step { echo[DOWN] -> printf("receiver won't write v2's 0\n"); echo[DOWN] = 0 }
  :: d_step { echo[UP] -> printf("receiver won't write v2's 1\n"); echo[UP] = 0 }
  :: d_step { !R_LEASE && !calm && ever[DOWN] && !HELD && !echo[DOWN] ->
       printf("an old instance repeats a 0\n"); echo[DOWN] = 1 }
  :: d_step { !R_LEASE && !calm && ever[UP] && !HELD && !echo[UP] ->
       printf("an old instance repeats a 1\n"); echo[UP] = 1 }
  od
}

#define MAY_TELL (MAY_COMMIT && (quiet || !R_SEND_WAIT) && (!late || !LOOK_FIRST))
/* With an up in the queue, a down is of the event before if the one of now is not confirmed. */
#define DUE_DOWN (MAY_TELL && down_queued && (!up_queued || event != CONFIRMED) && \
                  !sending[DOWN] && !sending[UP])
#define DUE_UP (MAY_TELL && up_queued && !sending[UP] && (!sending[DOWN] || !R_IN_ORDER) && \
                (!down_queued || event == CONFIRMED))
#define AS_KNOWN (!foreign || !R_COLUMN_COND)
#define EXPIRES(k) (recent[k] && (!R_ECHO_LAST || GONE(k)) && (!R_ECHO_WRITTEN || !foreign || col != k))
#define MAY_REQUEST(k) (sending[k] && !flying[k] && (!calm || !heard[k]))
#define IS_DELIVERED(k) (sending[k] && heard[k] && !flying[k])
#define REFUSABLE(k) (!calm && sending[k] && !flying[k] && (untried || !R_REFUSED_FIRST))

proctype Monitor() {
  end: do
  :: d_step { HELD && !calm && (untried || owed || quiet || !late) -> printf("v2 dies and starts again\n");
       untried = 0; owed = 0; if :: !LOOK_FIRST -> quiet = 0; late = 1 :: else fi }
  :: d_step { owed -> printf("v2 writes the column\n"); owed = 0; write(stands) }
  /* checks */
  :: d_step { HELD && !site_up && event == NONE -> printf("v2 suspects\n"); event = SUSPECTED;
       if :: !R_SUSPECT_UP && stands == UP -> write(DOWN) :: else fi }
  :: d_step { MAY_COMMIT && !site_up && event == SUSPECTED && !down_queued ->
       printf("v2 confirms, a down is queued\n"); event = CONFIRMED; down_queued = 1; v1_since = 0 }
  :: d_step { MAY_COMMIT && site_up && event == CONFIRMED && KEEPS && !up_queued && !sending[UP] ->
       printf("v2: up, an up is queued behind the down\n"); event = NONE; up_queued = 1 }
  :: d_step { HELD && site_up && (event == SUSPECTED || event == CONFIRMED) &&
       (event == SUSPECTED || !KEEPS || up_queued || sending[UP]) ->
       printf("v2: up, nobody was told\n"); if :: event == CONFIRMED -> down_queued = 0 :: else fi;
       event = NONE;
       if :: (!R_SUSPECT_UP || !R_ADOPT_TOLD) && !up_queued && !sending[UP] -> write(UP) :: else fi }
  :: d_step { HELD && site_up && event == TOLD -> event = NONE;
       if
       :: adopted -> printf("v2: up, silently\n"); write(UP)
       :: !adopted && MAY_COMMIT -> printf("v2: up, an up is queued\n"); up_queued = 1; v1_since = 0
       :: else -> printf("v2, muted: up\n")
       fi; adopted = 0;
       if :: !R_STAYS -> write(UP) :: else fi }
  :: d_step { HELD && event == TOLD && stands == DOWN && !foreign && !owed && STILL_DOWN ->
       printf("v2 writes 2\n"); write(STILL) }
  /* the commit point, and what comes of it */
  :: d_step { DUE_DOWN && AS_KNOWN -> printf("v2 commits the down\n"); down_queued = 0;
       if :: event == CONFIRMED -> event = TOLD :: else fi; commit(DOWN) }
  :: d_step { DUE_UP && AS_KNOWN -> printf("v2 commits the up\n"); up_queued = 0; commit(UP) }
  :: d_step { (DUE_DOWN || DUE_UP) && !AS_KNOWN -> printf("v2's commit fails: %d\n", col); look(1) }
  :: d_step { MAY_REQUEST(DOWN) -> printf("v2 requests: 0\n"); flying[DOWN] = 1; untried = 0 }
  :: d_step { MAY_REQUEST(UP) -> printf("v2 requests: 1\n"); flying[UP] = 1; untried = 0 }
  :: d_step { REFUSABLE(DOWN) -> printf("v2's 0 is refused\n"); take_back(DOWN, R_BACK) }
  :: d_step { REFUSABLE(UP) -> printf("v2's 1 is refused\n"); take_back(UP, R_BACK) }
  :: d_step { IS_DELIVERED(DOWN) -> printf("v2's 0 is delivered\n"); delivered(DOWN) }
  :: d_step { IS_DELIVERED(UP) -> printf("v2's 1 is delivered\n"); delivered(UP) }
  /* the rolling read */
  :: d_step { HELD && foreign -> printf("v2 sees another's %d\n", col); look(0) }
  :: d_step { HELD && !quiet && word0 == NO -> printf("the delay after v1_stopped has passed\n"); quiet = 1 }
  :: d_step { late && quiet && (!foreign || !R_LATE_LOOK) ->
       printf("v1's last words have come\n"); late = 0 }
  :: d_step { EXPIRES(DOWN) -> printf("no more echoes of 0\n"); recent[DOWN] = 0 }
  :: d_step { EXPIRES(UP) -> printf("no more echoes of 1\n"); recent[UP] = 0 }
  od
}

#define DECIDES(k) (range == MUTED && sending[k] && (!flying[k] || !R_DECIDE_LATE))
inline decide(k) {
  if
  :: heard[k] -> printf("a person: %d was told\n", k); sending[k] = 0; untried = 0
  :: else -> printf("a person: %d was not told\n", k); take_back(k, R_UNTOLD_BACK)
  fi
}
#define ALL_SENT (!R_WAIT_SENDING || (!sending[DOWN] && !sending[UP]))
#define NO_ECHO (!R_WAIT_ECHO || (!flying[DOWN] && !flying[UP] && !echo[DOWN] && !echo[UP]))
proctype Rollout() {
  end: do
  :: d_step { v1_runs && !calm && (SELF != 2 || saying == NO) ->
       printf("v1 is stopped\n"); v1_runs = 0; v1_forgets() }
  :: d_step { v1_runs && !calm && SIGHUP ->
       printf("v1 is told to stop, and goes on\n"); v1_runs = 0; strays = 1 }
  :: d_step { strays -> printf("v1 has stopped\n"); strays = 0; v1_forgets() }
  :: d_step { !HELD && !v1_runs && !strays -> printf("v1 starts\n"); v1_runs = 1 }
  :: d_step { !HELD && foreign -> printf("seed\n"); adopt() }
  :: d_step { !HELD && !v1_runs -> printf("final reconcile, activation\n"); range = OURS;
       if :: R_ADOPT_FINAL -> adopt() :: else fi;
       quiet = 0; late = 1; if :: STRICT -> v1_own = 0 :: else fi }
  :: d_step { range == OURS && !calm -> printf("a release begins: muted\n"); range = MUTED;
       if
       :: R_CANCEL -> down_queued = 0; up_queued = 0;
            if :: event == CONFIRMED -> event = SUSPECTED :: else fi
       :: else
       fi }
  :: d_step { DECIDES(DOWN) -> decide(DOWN) }
  :: d_step { DECIDES(UP) -> decide(UP) }
  :: d_step { range == MUTED && ALL_SENT && NO_ECHO && (quiet || !R_WAIT_V1) &&
       (!foreign || !R_LAST_LOOK) -> printf("the delay has passed, the marker is written\n");
       range = MARKED }
  :: d_step { range == MARKED && (IN_SYNC || !R_WAIT_REPLICA) -> printf("drained and free: v1's\n");
       range = V1S; quiet = 0; late = 0; recent[DOWN] = 0; recent[UP] = 0; owed = 0;
       if :: R_CANCEL -> down_queued = 0; up_queued = 0; event = (stands == UP -> NONE : TOLD) :: else fi }
  od
}

/* Nothing is left to do: people know what the site is. */
proctype End() { timeout -> assert(calm && know_down != site_up) }

#ifdef LIVE
ltl told { [] (calm -> <> [] (know_down != site_up)) }
#endif

init { atomic {
  run Site(); run Rounds(); run V1(); run Replica(); run Receiver(); run Monitor(); run Rollout();
  run End() } }
