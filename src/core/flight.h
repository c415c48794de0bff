#ifndef CORE_FLIGHT_H
#define CORE_FLIGHT_H
#include "core/code.h"

/* A job's way through this worker, from its message to its finished offset: the third of the three machines,
 * and the keeper of the first promise: one terminal result, never none. Pure: time is in the event. It sees
 * neither the sandbox (custody) nor the run (execution), only that an attempt was granted and how it ended.
 *
 *   QUEUED ──▶ ACQUIRING ──▶ EXECUTING ──▶ SEALING ◀──▶ PUBLISHING ──▶ FINISHED
 *    │ ▲ ▲        │  ▲           │            ▲ │           ▲   ▲          ▲
 *    │ │ └────────┤  │ (poll)    │ (again)    │ ▼           │   │          │
 *    │ └───────── WAITING ◀──────┴─────── (try again) ──────┘   │          │
 *    │            │  rejected, expired, cancelled ──▶ SEALING   │          │
 *    │            └─ what another sealed, or a conflicting record          │
 *    └──▶ PARKING (its copy goes to a retry topic) ────────────────────────┘
 *
 * FINISHED is reached in two ways only: the offset is finished (a result, a duplicate's note, a DLQ copy or a
 * later copy of the record is in Kafka, or another flight answers for the job), or the flight leaves it
 * unfinished for the next owner of the partition. With transactions only that owner publishes, so a verdict
 * is left to it, sealed, and what was sealed for another copy of the record is for that copy's owner. */

enum flight_state {
    FLIGHT_QUEUED,     /* waits for its turn in the fair queue, or for a limit */
    FLIGHT_ACQUIRING,  /* claim and permit are asked for */
    FLIGHT_WAITING,    /* for a time or a hint: back-off, another worker's run, a ledger or broker that is not
                          ready */
    FLIGHT_EXECUTING,  /* granted: an attempt is under way */
    FLIGHT_SEALING,    /* the ledger fixes verdict and bytes */
    FLIGHT_PUBLISHING, /* until the delivery report */
    FLIGHT_PARKING,    /* until the delivery report of the copy that goes on in its place */
    FLIGHT_FINISHED,
    FLIGHT_STATE_COUNT
};

enum flight_event_kind {
    FLIGHT_EVENT_BEGIN, /* code: NONE, or why the job is rejected; park_ms: it shall come back so much
                           later */
    FLIGHT_EVENT_TURN,  /* its turn in the queue; code: NONE, or why it must not run (expired, queue
                           timeout); park_ms: of one that never ran here: not yet, in a while */
    FLIGHT_EVENT_WAKE,  /* delay_ms of the last order is over, or a hint came */
    /* what acquire answered; DONE, STALE and CANCELLED also a look at the claim of a job that only waits */
    FLIGHT_EVENT_GRANTED,      /* attempt, crashes, is_busy, is_early, is_final */
    FLIGHT_EVENT_DENIED,       /* a limit is full */
    FLIGHT_EVENT_ELSEWHERE,    /* somebody runs or publishes it */
    FLIGHT_EVENT_ADOPT,        /* the claim is ours, with what its owner left; attempt, crashes, is_busy,
                                  can_attach, is_final */
    FLIGHT_EVENT_FOUND_SEALED, /* the claim is ours, sealed: its bytes are to be published; is_copy */
    FLIGHT_EVENT_FOUND_DONE,
    FLIGHT_EVENT_STALE,
    FLIGHT_EVENT_FOUND_CANCELLED,
    FLIGHT_EVENT_CONFLICT, /* of acquire or seal: the job exists with another payload */
    FLIGHT_EVENT_NOT_NOW,  /* the ledger is not ready or did not answer; retry_ms, may_go_unsealed */
    /* the attempt */
    FLIGHT_EVENT_ENDED, /* code: the attempt's verdict; retry_ms: asked for by whoever refused, or 0 */
    FLIGHT_EVENT_LEFT,  /* it was given up after LEAVE, nothing came out; can_attach: its run goes on, for
                           whoever  has the record next */
    /* what seal answered */
    FLIGHT_EVENT_SEALED,
    FLIGHT_EVENT_SUPERSEDED, /* the claim is another's */
    /* Kafka */
    FLIGHT_EVENT_DELIVERED,
    FLIGHT_EVENT_TOO_LARGE, /* for the broker */
    FLIGHT_EVENT_DISOWNED,  /* not sent: the offset is another worker's, and so is the publishing */
    FLIGHT_EVENT_FORGOTTEN, /* the ledger lost its memory after it sealed this, before it was produced */
    /* from outside */
    FLIGHT_EVENT_CANCEL, /* nobody wants the result any more; while it executes the attempt is told instead */
    FLIGHT_EVENT_LEAVE,  /* this worker goes */
    FLIGHT_EVENT_COUNT
};

struct flight_event {
    enum flight_event_kind kind;
    enum code code;
    int64_t attempt, crashes;
    int64_t retry_ms, park_ms;
    bool is_final;   /* ENDED, ADOPT, GRANTED: the program may have begun, and the job forbids a second
                        beginning */
    bool is_busy;    /* GRANTED, ADOPT: a job that may have killed its worker runs here already */
    bool is_early;   /* GRANTED: asked for out of its turn, and there is no room for it to begin */
    bool can_attach; /* ADOPT, LEFT: the run survives its worker, and can be followed from anywhere */
    bool is_copy; /* FOUND_SEALED: for another record of the job, in whose transaction the result is or will
                     be */
    bool may_go_unsealed; /* NOT_NOW: the ledger is away for long, and nobody else can have this job */
};

enum flight_order {
    FLIGHT_ORDER_WAIT,      /* for the call or attempt that is under way */
    FLIGHT_ORDER_ENQUEUE,   /* into the fair queue */
    FLIGHT_ORDER_SET_ASIDE, /* into the fair queue, until the limit that denied it is freed; polled after
                               delay_ms */
    FLIGHT_ORDER_SLEEP,     /* WAKE after delay_ms, or by a hint */
    FLIGHT_ORDER_ASK_PLACE, /* is the other record finished? FOUND_DONE (and the ledger hears of it); else the
                               claim goes back, sealed and nobody's: ELSEWHERE */
    FLIGHT_ORDER_ACQUIRE,   /* with a refusal (the job may have no plan): under no limit */
    FLIGHT_ORDER_EXECUTE,
    FLIGHT_ORDER_ATTACH,     /* to the run that a predecessor left */
    FLIGHT_ORDER_RETURN,     /* release the claim, uncounted; then as SET_ASIDE, behind the suspect that runs
                                here, or as ENQUEUE */
    FLIGHT_ORDER_RETURN_RUN, /* ... and claim, permit and run are nobody's meanwhile */
    FLIGHT_ORDER_CLEAR,     /* kill what the predecessor left, give the claim back unless holds_claim; then as
                               ENQUEUE, or as SLEEP when WAITING, or as DROP when FINISHED */
    FLIGHT_ORDER_GIVE_BACK, /* release claim (and count, unless is_uncounted), then as SLEEP */
    FLIGHT_ORDER_SEAL,      /* encode the outcome under verdict `code`, seal the bytes */
    FLIGHT_ORDER_PUBLISH,   /* the sealed bytes, to the results topic */
    FLIGHT_ORDER_PUBLISH_FOUND, /* the bytes that somebody else sealed */
    FLIGHT_ORDER_PUBLISH_SMALL, /* either of them once more, with all bodies left out */
    FLIGHT_ORDER_DIVERT, /* the record goes to the DLQ, with a duplicate event: no terminal event of ours */
    FLIGHT_ORDER_DIVERT_SMALL,   /* ... once more, without the record's value */
    FLIGHT_ORDER_PARK,           /* a copy with the next hop to a retry topic, for delay_ms */
    FLIGHT_ORDER_FINISH,         /* the offset is finished; end. After PARK: a claim that is held is parked */
    FLIGHT_ORDER_NOTE_DUPLICATE, /* a duplicate event (best effort), then as FINISH */
    FLIGHT_ORDER_DROP, /* the offset stays unfinished; a claim that is or may be held goes back (and counts,
                          unless is_uncounted); end */
    FLIGHT_ORDER_HAND_OVER,    /* ... but claim, permit and run stay: whoever has the record next goes on with
                                  them */
    FLIGHT_ORDER_LEAVE_SEALED, /* ... the claim, sealed, becomes nobody's: the owner of the offset publishes
                                  it; end */
};

struct flight {
    enum flight_state state;
    enum flight_state next; /* WAITING: what WAKE leads to: QUEUED, ACQUIRING, SEALING or PUBLISHING */
    enum code code;         /* the verdict, once it stands */
    enum code refusal; /* why it must not run, NONE: it may. Whatever the ledger grants is sealed with it */
    int64_t max_attempts, max_crashes;
    int64_t attempt;     /* of the grant */
    int64_t delay_ms;    /* of the last order */
    unsigned waits;      /* attempts in a row that ended in a code that waits */
    unsigned failures;   /* in a row, of whatever is being waited for */
    bool holds_claim;    /* granted, not given back: seal goes with the permit. One that was sealed
                            without an EXECUTE has no custody: its permit goes back with SEALED */
    bool may_hold_claim; /* ... or asked for without an answer: it may have been granted */
    bool is_uncounted;   /* GIVE_BACK, DROP: the attempt does not count */
    bool is_leaving;
    bool is_diverted, is_small; /* what is being published */
    bool is_found;              /* ... was sealed by another */
    bool is_unsealed;           /* ... without the ledger's word: it may be a repeat */
};

void flight_init(struct flight *flight, int64_t max_attempts, int64_t max_crashes);
enum flight_order flight_advance(struct flight *flight, const struct flight_event *event);

/* Whether the end of an attempt may be to PARK: a job that has so many attempts needs its record for long. */
bool flight_may_park(const struct flight *flight);

/* Whether the event may come in this state; advance asserts it. */
bool flight_accepts(const struct flight *flight, enum flight_event_kind kind);
const char *flight_state_name(enum flight_state state);

#endif
