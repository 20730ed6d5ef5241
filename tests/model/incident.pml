/* incident.pml - the dialect jetmon2 (0: Seems Down, untold; 2: Down, told; v1 alone writes what it
 * says): one site of one range: its event, the outbox, adoption, the projection, and v1's own incidents. Ownership has no time here (handoff.pml proves the timed part): owners change at
 * any moment, and an old instance may come back with what it remembers. A step is a transaction;
 * the answer of one that committed may be lost. README.md says which function each step is.
 *
 * The ghost `told` is what the site's owner was told last, by v1 or by us.
 */
#ifndef PROJECTION
#define PROJECTION 1 /* --legacy_projection */
#endif
#ifndef V1_CHANGE
#define V1_CHANGE 1 /* v1 writes last_status_change also from Seems Down to Down */
#endif
#ifndef R_FENCE
#define R_FENCE 1 /* writes name epoch, instance and state */
#endif
#ifndef R_EVENT_COND
#define R_EVENT_COND 1 /* a change of an event is conditional on what was seen (kStale) */
#endif
#ifndef R_UNIQUE
#define R_UNIQUE 1 /* one outbox row for an event and a kind */
#endif
#ifndef R_SAME_TX
#define R_SAME_TX 1 /* event, outbox and projection in one transaction */
#endif
#ifndef LOST
#define LOST 1 /* answers of commits may be lost */
#endif
/* --- adoption, store/adoption.cc */
#ifndef R_ADOPT_TOLD
#define R_ADOPT_TOLD 1 /* an adopted Down counts as told */
#endif
#ifndef R_ADOPT_CLOSE
#define R_ADOPT_CLOSE 1 /* what v1 saw recover is closed */
#endif
#ifndef R_ADOPT_PROMOTE
#define R_ADOPT_PROMOTE 1 /* what v1 saw get worse is promoted */
#endif
#ifndef R_ADOPT_NEWER
#define R_ADOPT_NEWER 1 /* what v1 began anew is closed and opened anew */
#endif
#ifndef R_ADOPT_BY_V1
#define R_ADOPT_BY_V1 1 /* "by v1": differs from what we projected last */
#endif
#ifndef R_ADOPT_FINAL
#define R_ADOPT_FINAL 1 /* adoption after v1 has stopped: final reconcile, preparing, first load */
#endif
#ifndef R_ADOPT_ON_LOAD
#define R_ADOPT_ON_LOAD 1 /* 1: at an epoch's first load alone; 2: at every load; 0: never */
#endif
/* --- release, store/events.cc ProjectBucket */
#ifndef R_PROJECT_OPEN
#define R_PROJECT_OPEN 1 /* a release projects open events, also with PROJECTION=0 */
#endif
#ifndef R_PROJECT_ENDED
#define R_PROJECT_ENDED 1 /* and where the event has ended that the columns still tell of */
#endif
#ifndef R_PROJECT_LAST
#define R_PROJECT_LAST 1 /* when nobody can write any more */
#endif

/* the range's state, store/locks.h */
#define V1S 0
#define PREPARING 1
#define ACTIVATING 2
#define ACTIVE 3
#define DRAINING 4
/* site_status; of an event: its severity, in v1's numbers */
#define SEEMS_DOWN 0
#define UP 1
#define DOWN 2
#define NO_EVENT 3
/* last_status_change */
#define OURS 0       /* as our event has it in projected_change */
#define V1_WROTE 1
#define OURS_LATER 2 /* ours too, and later than the event's start */
/* a Monitor's watch */
#define NOTHING 0
#define LOADED 1
#define WATCHES 2
#define GONE 3 /* the process is dead */
#define NOBODY 9

byte site_status = UP, change = OURS;
bit v1_runs = 1;
byte state = V1S, owner = NOBODY, epoch = 0;
bit projected = 0;            /* this release has projected (R_PROJECT_LAST = 0) */
bit evidence = 0;             /* v1_stopped and final reconcile */
byte event = NO_EVENT;        /* the open event */
bit event_id = 0;             /* its identity: parity suffices */
bit down_id = 0, up_id = 0;   /* its rows in the outbox */
bit adopted = 0;              /* notified = 2: v1 told */
bit ended = 0;                /* the columns tell of an event that we have ended since */
bit site_up = 1;
bit told = 0;                 /* 1: the owner of the site believes it down */
bit owed = 0;                 /* R_SAME_TX = 0: an outbox row is still to be written */
typedef Instance { byte know; byte epoch; byte event; bit id; bit adopts };
Instance m[2];

inline tell(down) { assert(told != down); told = down } /* never the same twice */
inline queue_down() {
  if :: !down_id || !R_UNIQUE -> assert(!down_id && !adopted); down_id = 1; tell(1) :: else fi
}
inline queue_up() {
  assert(down_id || adopted); if :: !up_id || !R_UNIQUE -> assert(!up_id); up_id = 1; tell(0) :: else fi
}
inline end_event() { event = NO_EVENT; down_id = 0; up_id = 0; adopted = 0; event_id = 1 - event_id }
inline begin_event(s) { event = s; down_id = 0; up_id = 0; adopted = 0 }
inline project(s, c) { site_status = s; change = c; ended = 0 }

/* AdoptSlice: v1's word becomes ours, silently. What it ends or begins anew, v1 must have written. */
inline adopt() {
  if
  :: R_ADOPT_CLOSE && site_status == UP && event != NO_EVENT -> assert(change == V1_WROTE); end_event()
  :: R_ADOPT_PROMOTE && site_status == DOWN && event == SEEMS_DOWN ->
       event = DOWN; adopted = R_ADOPT_TOLD
  :: else ->
       if
       :: R_ADOPT_NEWER && site_status != UP && event != NO_EVENT &&
          (change == V1_WROTE || (change == OURS_LATER && !R_ADOPT_BY_V1)) ->
            assert(change == V1_WROTE);
            end_event(); begin_event(site_status); adopted = (site_status == DOWN && R_ADOPT_TOLD)
       :: site_status != UP && event == NO_EVENT ->
            begin_event(site_status); adopted = (site_status == DOWN && R_ADOPT_TOLD)
       :: else
       fi
  fi; change = OURS; ended = 0
}
/* ProjectBucket. */
inline project_bucket() {
  if
  :: R_PROJECT_OPEN && event != NO_EVENT && site_status != event ->
       project(event, (event == DOWN -> OURS_LATER : OURS))
  :: R_PROJECT_ENDED && event == NO_EVENT && ended -> project(UP, OURS)
  :: else
  fi
}

#define FENCE(i) (!R_FENCE || (owner == i && m[i].epoch == epoch && (state == ACTIVE || state == DRAINING)))
#define AS_SEEN(i) (!R_EVENT_COND || (m[i].event == event && (event == NO_EVENT || m[i].id == event_id)))
#define CAN_WRITE(i) (m[i].know == WATCHES && !m[i].adopts && FENCE(i) && AS_SEEN(i))
#define MAY_WRITE(i) (owner == i && !v1_runs && (state == ACTIVE || state == DRAINING))

inline remember(i) { m[i].event = event; m[i].id = event_id }
/* The answer of a commit is lost: memory keeps the old view. */
inline settle(i, lost) { if :: !lost -> remember(i) :: else fi }
inline drop_watch(i) { m[i].know = NOTHING; m[i].event = NO_EVENT; m[i].id = 0; m[i].adopts = 0; m[i].epoch = 0 }
inline load(i) { m[i].know = LOADED; m[i].epoch = epoch; remember(i) }
inline next_epoch() { /* one that nobody remembers */
  if
  :: m[0].epoch != 1 && m[1].epoch != 1 -> epoch = 1
  :: else -> if :: m[0].epoch != 2 && m[1].epoch != 2 -> epoch = 2 :: else -> epoch = 3 fi
  fi
}

#define CAN_OPEN(i) (CAN_WRITE(i) && !site_up && m[i].event == NO_EVENT)
#define CAN_CONFIRM(i) (CAN_WRITE(i) && !site_up && m[i].event == SEEMS_DOWN)
#define CAN_CLEAR(i) (CAN_WRITE(i) && site_up && m[i].event == SEEMS_DOWN)
#define CAN_RECOVER(i) (CAN_WRITE(i) && site_up && m[i].event == DOWN)
inline open_event(i, lost) {
  assert(MAY_WRITE(i) && event == NO_EVENT); begin_event(SEEMS_DOWN);
  if :: PROJECTION -> project(SEEMS_DOWN, OURS) :: else fi; settle(i, lost)
}
inline confirm_down(i, lost) {
  assert(MAY_WRITE(i)); event = DOWN; if :: R_SAME_TX -> queue_down() :: else -> owed = 1 fi;
  if :: PROJECTION -> project(DOWN, OURS_LATER) :: else fi; settle(i, lost)
}
inline close_event(i, lost) {
  assert(MAY_WRITE(i)); end_event(); ended = (site_status != UP);
  if :: PROJECTION -> project(UP, OURS) :: else fi; settle(i, lost)
}

proctype Site() { do :: site_up = 1 - site_up od }

proctype V1() {
  do
  :: d_step { v1_runs && !site_up && site_status == UP -> printf("v1: Seems Down\n");
       site_status = SEEMS_DOWN; change = V1_WROTE; ended = 0 }
  :: d_step { v1_runs && !site_up && site_status == SEEMS_DOWN -> printf("v1: Down, TELLS\n");
       site_status = DOWN; if :: V1_CHANGE -> change = V1_WROTE :: else fi; ended = 0;
       if :: !told -> tell(1) :: else fi }
  :: d_step { v1_runs && site_up && site_status == SEEMS_DOWN -> printf("v1: up\n");
       site_status = UP; change = V1_WROTE; ended = 0 }
  :: d_step { v1_runs && site_up && site_status == DOWN -> printf("v1: up, TELLS\n");
       site_status = UP; change = V1_WROTE; ended = 0; tell(0) }
  od
}

proctype Monitor(byte i) {
  do
  :: d_step { m[i].know == GONE -> printf("M%d starts, a new instance\n", i); drop_watch(i) }
  :: d_step { m[i].know != GONE -> printf("M%d dies\n", i); drop_watch(i); m[i].know = GONE }
  :: d_step { m[i].know == NOTHING && owner == i && state == ACTIVATING ->
       printf("M%d FollowActivating: loads\n", i); load(i); m[i].adopts = (R_ADOPT_ON_LOAD != 0) }
  :: d_step { m[i].know == NOTHING && owner == i && state == ACTIVE ->
       printf("M%d FollowActive: loads\n", i); load(i); m[i].adopts = (R_ADOPT_ON_LOAD == 2) }
  :: d_step { m[i].know == LOADED && owner == i && m[i].epoch == epoch && state == ACTIVATING ->
       printf("M%d AcknowledgeRange\n", i); state = ACTIVE } /* the answer, or a look at the row: */
  :: d_step { m[i].know == LOADED && owner == i && m[i].epoch == epoch && state == ACTIVE ->
       printf("M%d starts\n", i); m[i].know = WATCHES }
  :: d_step { m[i].know == WATCHES && m[i].adopts && FENCE(i) -> printf("M%d AdoptAll\n", i);
       if :: R_ADOPT_FINAL -> adopt() :: else fi; m[i].adopts = 0; remember(i) }
  :: d_step { m[i].know == WATCHES && FENCE(i) && !AS_SEEN(i) ->
       printf("M%d finds another event, kStale\n", i); remember(i) }
  :: d_step { (m[i].know == LOADED || m[i].know == WATCHES) -> printf("M%d DropWatch\n", i);
       drop_watch(i) }
  /* WriteIncidents: memory says what the event is, the transaction changes it. */
  :: d_step { CAN_OPEN(i) -> printf("M%d OpenEvent\n", i); open_event(i, 0) }
  :: d_step { CAN_OPEN(i) && LOST -> printf("M%d OpenEvent, answer lost\n", i); open_event(i, 1) }
  :: d_step { CAN_CONFIRM(i) -> printf("M%d ConfirmDown: a down id\n", i); confirm_down(i, 0) }
  :: d_step { CAN_CONFIRM(i) && LOST -> printf("M%d ConfirmDown: a down id, answer lost\n", i);
       confirm_down(i, 1) }
  :: d_step { owed && m[i].know == WATCHES && owner == i -> printf("M%d queues the down id\n", i);
       owed = 0; if :: event == DOWN && !down_id -> queue_down() :: else fi }
  :: d_step { CAN_CLEAR(i) -> printf("M%d CloseEvent: probe_cleared\n", i); close_event(i, 0) }
  :: d_step { CAN_CLEAR(i) && LOST -> printf("M%d CloseEvent: probe_cleared, answer lost\n", i);
       close_event(i, 1) }
  :: d_step { CAN_RECOVER(i) -> printf("M%d CloseEvent: recovered, an up id\n", i);
       queue_up(); close_event(i, 0) }
  :: d_step { CAN_RECOVER(i) && LOST -> printf("M%d CloseEvent: recovered, an up id, answer lost\n", i);
       queue_up(); close_event(i, 1) }
  od
}

inline grant(i) { next_epoch(); state = PREPARING; owner = i; evidence = 0 }
inline take_over(i) { owner = i }

proctype Rollout() {
  do
  :: d_step { v1_runs -> printf("v1 is stopped\n"); v1_runs = 0 }
  :: d_step { state == V1S -> printf("CP seed\n"); adopt() }
  :: d_step { state == V1S && !v1_runs && !evidence -> printf("CP final reconcile\n");
       if :: R_ADOPT_FINAL -> adopt() :: else fi; evidence = 1 }
  :: d_step { state == V1S && !v1_runs && evidence -> printf("CP GrantRange: M0\n"); grant(0) }
  :: d_step { state == V1S && !v1_runs && evidence -> printf("CP GrantRange: M1\n"); grant(1) }
  :: d_step { state == PREPARING -> printf("CP Prepare: adopts; BeginActivating\n");
       if :: R_ADOPT_FINAL -> adopt() :: else fi; state = ACTIVATING }
  :: d_step { owner == 0 && state >= ACTIVATING && m[1].know == NOTHING -> printf("M1 TakeOverRange\n"); take_over(1) }
  :: d_step { owner == 1 && state >= ACTIVATING && m[0].know == NOTHING -> printf("M0 TakeOverRange\n"); take_over(0) }
  :: d_step { state >= PREPARING && state != DRAINING -> printf("CP BeginRelease\n"); state = DRAINING }
  :: d_step { state == DRAINING && !R_PROJECT_LAST && !projected -> printf("CP ProjectBucket\n");
       project_bucket(); projected = 1 }
  :: d_step { state == DRAINING && (R_PROJECT_LAST || projected) ->
       printf("CP ProjectBucket, FreeDrained or FreeDead: v1's\n");
       if :: R_PROJECT_LAST -> project_bucket() :: else fi;
       state = V1S; owner = NOBODY; evidence = 0; epoch = 0; projected = 0 }
  :: d_step { state == V1S && !v1_runs -> printf("v1_started is recorded, v1 starts\n");
       v1_runs = 1; evidence = 0 }
  od
}

init { atomic { drop_watch(0); drop_watch(1);
  run Site(); run V1(); run Monitor(0); run Monitor(1); run Rollout() } }
