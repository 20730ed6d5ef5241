/* partial.pml - release of a part: one range of two buckets under one lease, two instances of its
 * host, a control plane. Time, lease_seq and revision as in handoff.pml. A part that drains has its
 * bucket rows `draining` or `revoked` under the same epoch; the range stays `active`, names the part
 * and changes its revision with each step of it. Here a part may also be the last of a range.
 */
#ifndef L
#define L 1
#endif
#ifndef C
#define C 1 /* the longest check or confirmation that has begun */
#endif
#ifndef G
#define G 3
#endif
#ifndef R_RENEW_REVISION
#define R_RENEW_REVISION 1 /* who has not read the part can't renew the lease of the range */
#endif
#ifndef R_PART_STOP_FIRST
#define R_PART_STOP_FIRST 1 /* a Monitor stops what it read as revoked or gone, then renews */
#endif
#ifndef R_PART_WAIT
#define R_PART_WAIT 1 /* a revoked part is freed a grace after that */
#endif
#ifndef R_PART_DEAD_WAIT
#define R_PART_DEAD_WAIT 1 /* of a dead owner: the range's lease was unchanged for a grace */
#endif
#ifndef R_PART_SEQ
#define R_PART_SEQ 1 /* ... and is what was seen */
#endif
#ifndef R_PART_IDLE
#define R_PART_IDLE 1 /* drained: nothing of the part is in flight */
#endif
#ifndef R_REPORT_NAMES_PART
#define R_REPORT_NAMES_PART 1 /* the word that a part is drained names it */
#endif
#ifndef R_REPORT_INSTANCE
#define R_REPORT_INSTANCE 1 /* ... and comes from the owner */
#endif
#ifndef R_TAKE_DRAINS_PART
#define R_TAKE_DRAINS_PART 1 /* a take-over marks a draining part drained */
#endif

/* the range; a part is DRAINING or REVOKED */
#define V1S 0
#define ACTIVE 3
#define DRAINING 4
#define REVOKED 5
#define NO_PART 2
#define DEAD 0
#define RUNS 1
#define PAUSED 2
/* a bucket in a watch */
#define NOTHING 0
#define WATCHES 2
#define DRAINS 3
#define NO_UPDATE 0
#define RENEWAL_SENT 1
#define RENEWAL_MATCHED 2
#define NOBODY 7

byte state = ACTIVE, owner = 0, age = 0;
bit drained = 0;
bit held[2] = 1;            /* the bucket row is the range's, else v1's */
byte part = NO_PART, part_state = 0, part_age = 0;
bit part_drained = 0;
bit dead_seen = 0;          /* a worker is about to free a dead owner's part */
byte seen_part = NO_PART;   /* ... this one */
bit v1[2];                  /* v1 runs on the bucket */
typedef Instance {
  byte proc;
  byte know[2];
  byte lease;
  byte update;
  byte sent_age;
  byte in_flight[2];        /* C + 1 .. 0: what was begun may send for so long */
  byte report;              /* on the way: "this part is drained", part + 1 */
  bit goodbye;
};
Instance m[2];
byte y;

#define MAY_SEND(i, b) (owner == i && held[b] && !v1[b])
#define CHECK_FLIGHT \
  assert((m[0].in_flight[0] == 0 || MAY_SEND(0, 0)) && (m[0].in_flight[1] == 0 || MAY_SEND(0, 1)) && \
         (m[1].in_flight[0] == 0 || MAY_SEND(1, 0)) && (m[1].in_flight[1] == 0 || MAY_SEND(1, 1)))
#define DEAD_OWNER (m[owner].goodbye || age >= G)

inline bump_revision() {
  if :: R_RENEW_REVISION && m[0].update == RENEWAL_SENT -> m[0].update = NO_UPDATE; m[0].sent_age = 0 :: else fi;
  if :: R_RENEW_REVISION && m[1].update == RENEWAL_SENT -> m[1].update = NO_UPDATE; m[1].sent_age = 0 :: else fi
}
inline bump_seq() {
  age = 0; if :: R_PART_SEQ -> dead_seen = 0; seen_part = NO_PART :: else fi
}
inline drop_watch(i) {
  m[i].know[0] = NOTHING; m[i].know[1] = NOTHING; m[i].lease = 0; m[i].update = NO_UPDATE; m[i].sent_age = 0
}
inline free_all() {
  state = V1S; owner = NOBODY; held[0] = 0; held[1] = 0; drained = 0; age = 0; bump_revision()
}
inline free_part() {
  held[part] = 0; part = NO_PART; part_state = 0; part_age = 0; part_drained = 0;
  dead_seen = 0; seen_part = NO_PART; bump_revision();
  if :: !held[0] && !held[1] -> free_all() :: else fi
}
/* What it read of a bucket becomes what it does. */
#define IS_GONE(b) (!held[b] || (part == b && part_state == REVOKED))
inline follow(i, b) {
  if
  :: IS_GONE(b) -> m[i].know[b] = NOTHING
  :: else ->
       if
       :: part == b || state == DRAINING ->
            if :: m[i].know[b] == WATCHES -> m[i].know[b] = DRAINS :: else fi
       :: else -> m[i].know[b] = WATCHES
       fi
  fi
}
inline load(i, b) { /* as above, but what it has as gone it goes on with */
  if :: IS_GONE(b) -> skip :: else -> follow(i, b) fi
}
#define IS_IDLE(i, b) \
  (m[i].know[b] != WATCHES && (m[i].in_flight[b] == 0 || !R_PART_IDLE))

proctype Monitor(byte i) {
  do
  :: d_step { m[i].proc == DEAD && owner != i && m[i].in_flight[0] == 0 && m[i].in_flight[1] == 0 &&
       m[i].report == 0 -> printf("M%d starts, a new instance\n", i); m[i].proc = RUNS; m[i].goodbye = 0 }
  :: d_step { m[i].proc != DEAD -> printf("M%d dies\n", i); m[i].proc = DEAD; drop_watch(i) }
  :: d_step { m[i].proc == RUNS -> printf("M%d is paused\n", i); m[i].proc = PAUSED }
  :: d_step { m[i].proc == PAUSED -> printf("M%d goes on\n", i); m[i].proc = RUNS }
  :: d_step { m[i].proc == RUNS && m[i].in_flight[0] == 0 && m[i].in_flight[1] == 0 && owner == i ->
       printf("M%d SayGoodbye\n", i); m[i].proc = DEAD; drop_watch(i); m[i].goodbye = 1 }

  :: d_step { m[i].proc == RUNS && owner == i && (state == ACTIVE || state == DRAINING) && !drained &&
       m[i].update == NO_UPDATE ->
       printf("M%d Poll: reads the range, sends RenewLease\n", i);
       if
       :: R_PART_STOP_FIRST -> follow(i, 0); follow(i, 1)
       :: else -> load(i, 0); load(i, 1)
       fi;
       m[i].update = RENEWAL_SENT; m[i].sent_age = 0 }
  :: d_step { m[i].proc == RUNS && !R_PART_STOP_FIRST && owner == i &&
       ((IS_GONE(0) && m[i].know[0] != NOTHING) || (IS_GONE(1) && m[i].know[1] != NOTHING)) ->
       printf("M%d stops what is gone\n", i); follow(i, 0); follow(i, 1) }
  :: d_step { m[i].proc == RUNS && owner != i && (m[i].know[0] != NOTHING || m[i].know[1] != NOTHING) ->
       printf("M%d DropWatch\n", i); drop_watch(i) }
  :: d_step { m[i].proc == RUNS && owner == i && state == REVOKED &&
       (m[i].know[0] != NOTHING || m[i].know[1] != NOTHING) -> printf("M%d DropWatch: revoked\n", i);
       drop_watch(i) }
  :: d_step { m[i].update == RENEWAL_SENT -> printf("M%d RenewLease at the database\n", i);
       if
       :: owner == i && (state == ACTIVE || state == DRAINING) -> m[i].update = RENEWAL_MATCHED; bump_seq()
       :: else -> m[i].update = NO_UPDATE; m[i].sent_age = 0
       fi }
  :: d_step { m[i].proc == RUNS && m[i].update == RENEWAL_MATCHED ->
       printf("M%d has the answer: its lease is renewed\n", i);
       if :: L + 1 - m[i].sent_age > m[i].lease -> m[i].lease = L + 1 - m[i].sent_age :: else fi;
       m[i].update = NO_UPDATE; m[i].sent_age = 0 }
  :: d_step { m[i].update != NO_UPDATE -> printf("M%d: no answer\n", i);
       m[i].update = NO_UPDATE; m[i].sent_age = 0 }

  :: d_step { m[i].proc == RUNS && m[i].know[0] == WATCHES && m[i].lease > 0 && m[i].in_flight[0] == 0 ->
       printf("M%d SENDS for bucket 0\n", i); m[i].in_flight[0] = C + 1; CHECK_FLIGHT }
  :: d_step { m[i].proc == RUNS && m[i].know[1] == WATCHES && m[i].lease > 0 && m[i].in_flight[1] == 0 ->
       printf("M%d SENDS for bucket 1\n", i); m[i].in_flight[1] = C + 1; CHECK_FLIGHT }

  :: d_step { m[i].proc == RUNS && owner == i && part != NO_PART && part_state == DRAINING &&
       !part_drained && m[i].report == 0 && IS_IDLE(i, part) ->
       printf("M%d sends ReportPartDrained of bucket %d\n", i, part); m[i].report = part + 1 }
  :: d_step { m[i].report != 0 -> printf("M%d ReportPartDrained at the database\n", i);
       if
       :: (owner == i || (!R_REPORT_INSTANCE && owner != NOBODY)) && part_state == DRAINING && !part_drained &&
          (m[i].report == part + 1 || !R_REPORT_NAMES_PART) ->
            part_drained = 1; bump_seq(); bump_revision()
       :: else
       fi; m[i].report = 0 }
  :: d_step { m[i].report != 0 && owner == i && part == m[i].report - 1 && part_state == DRAINING &&
       !part_drained -> printf("M%d ReportPartDrained again, though the first is still on its way\n", i);
       part_drained = 1; bump_seq(); bump_revision() }
  :: d_step { m[i].proc == RUNS && owner == i && state == DRAINING && !drained && IS_IDLE(i, 0) &&
       IS_IDLE(i, 1) -> printf("M%d ReportDrained\n", i);
       drained = 1; bump_seq(); bump_revision(); drop_watch(i) }

  :: d_step { m[i].proc == RUNS && owner == 1 - i && (state == ACTIVE || state == DRAINING) && DEAD_OWNER &&
       m[i].know[0] == NOTHING && m[i].know[1] == NOTHING ->
       printf("M%d TakeOverRange\n", i); m[owner].goodbye = 0; owner = i; bump_seq(); bump_revision();
       if :: state == DRAINING -> drained = 1 :: else fi;
       if :: R_TAKE_DRAINS_PART && part_state == DRAINING -> part_drained = 1 :: else fi; CHECK_FLIGHT }
  od
}

inline pass(i) {
  if :: m[i].lease > 0 -> m[i].lease-- :: else fi;
  if :: m[i].in_flight[0] > 0 -> m[i].in_flight[0]-- :: else fi;
  if :: m[i].in_flight[1] > 0 -> m[i].in_flight[1]-- :: else fi;
  if
  :: m[i].update != NO_UPDATE && m[i].sent_age > L -> m[i].update = NO_UPDATE; m[i].sent_age = 0
  :: m[i].update != NO_UPDATE && m[i].sent_age <= L -> m[i].sent_age++
  :: else
  fi
}
proctype Clock() {
  do
  :: d_step { printf("time passes\n"); pass(0); pass(1);
       if :: age < G && owner != NOBODY -> age++ :: else fi;
       if :: part_state == REVOKED && part_age < G -> part_age++ :: else fi; CHECK_FLIGHT }
  od
}

#define CAN_FREE_DEAD \
  (part != NO_PART && owner != NOBODY && (DEAD_OWNER || !R_PART_DEAD_WAIT))
#define CAN_PART(b) (state == ACTIVE && part == NO_PART && held[b])
inline begin_part(b) { part = b; part_state = DRAINING; part_drained = 0; bump_revision() }

proctype ControlPlane() {
  do
  :: d_step { CAN_PART(0) -> printf("CP BeginPartRelease: bucket 0\n"); begin_part(0) }
  :: d_step { CAN_PART(1) -> printf("CP BeginPartRelease: bucket 1\n"); begin_part(1) }
  :: d_step { part_state == DRAINING && !part_drained -> printf("CP RevokePart\n");
       part_state = REVOKED; part_age = 0; bump_revision() }
  :: d_step { part_state == DRAINING && part_drained -> printf("CP FreePartDrained: v1's\n");
       free_part(); CHECK_FLIGHT }
  :: d_step { part_state == REVOKED && (part_age >= G || !R_PART_WAIT) ->
       printf("CP FreePartRevoked: v1's\n"); free_part(); CHECK_FLIGHT }
  :: d_step { CAN_FREE_DEAD && !dead_seen -> printf("CP sees that the owner is dead\n");
       dead_seen = 1; seen_part = part }
  :: d_step { dead_seen -> printf("CP FreePartDead: v1's\n");
       if :: part == seen_part && part != NO_PART -> free_part() :: else -> dead_seen = 0; seen_part = NO_PART fi;
       CHECK_FLIGHT }
  :: d_step { state == ACTIVE && part == NO_PART -> printf("CP BeginRelease\n");
       state = DRAINING; bump_revision() }
  :: d_step { state == DRAINING && !drained -> printf("CP RevokeRange\n"); state = REVOKED; bump_revision() }
  :: d_step { state == DRAINING && drained -> printf("CP FreeDrained: v1's\n"); free_all(); CHECK_FLIGHT }
  :: d_step { (state == DRAINING || state == REVOKED) && DEAD_OWNER -> printf("CP FreeDead: v1's\n");
       free_all(); CHECK_FLIGHT }
  :: d_step { !held[0] && !v1[0] -> printf("v1 starts on bucket 0\n"); v1[0] = 1 }
  :: d_step { !held[1] && !v1[1] -> printf("v1 starts on bucket 1\n"); v1[1] = 1 }
  od
}

init { atomic { m[0].proc = RUNS;
  run Monitor(0); run Monitor(1); run Clock(); run ControlPlane() } }
