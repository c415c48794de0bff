#ifndef CORE_CUSTODY_H
#define CORE_CUSTODY_H
#include "base/base.h"

/* The keeping of one sandbox under one permit, from before its create to its confirmed death: the second of
 * the three machines. Pure: time is in the event. It does not know what runs inside, and it outlives whoever
 * asked for the sandbox.
 *
 *   CREATING ──▶ LIVE ──▶ HANDING ──▶ KILLING ──▶ GONE
 *      │  │        ▲  └────────┼──────▶ ▲  ▲         ▲
 *      │  │        │           └───────────┼─────────┤   yielded: the next owner of the job goes on with it
 *      │  └─▶ DOUBTFUL ────────┴────────┘  │         │   no clear answer: look for it by its metadata
 *      │         └─────────────────────────┼─────────┤   not seen for long enough: it never was
 *      ├── adopted ──▶ LIVE or KILLING ────┘         │
 *      └── refused ──────────────────────────────────┘
 *
 * Its promise: the permit is released only when the sandbox is surely dead or surely never was; in every
 * other end it is left to its horizon, which lies behind the sandbox's own end. A create is sent once. The
 * sandbox is never given more time than the horizon covers that the ledger acknowledged: Redis is extended
 * before E2B, and while Redis is away E2B is, as far as the last horizon reaches. */

enum custody_state {                   /* in the order of life; never backwards */
                     CUSTODY_CREATING, /* the create is under way, or about to be sent */
                     CUSTODY_DOUBTFUL, /* it was sent and not answered clearly: the sandbox may live, or be
                                          made yet */
                     CUSTODY_LIVE,
                     CUSTODY_HANDING, /* its run goes on without this worker: extended once more, then
                                         yielded */
                     CUSTODY_KILLING, /* nobody needs it; DELETE until E2B says it is gone */
                     CUSTODY_GONE,
                     CUSTODY_STATE_COUNT
};

enum custody_event_kind {
    CUSTODY_EVENT_CREATED,    /* 201 */
    CUSTODY_EVENT_REFUSED,    /* surely nothing was made: not sent, or an answer that says so */
    CUSTODY_EVENT_UNANSWERED, /* sent, and no clear answer */
    CUSTODY_EVENT_FOUND,      /* the look: it lives; nobody waits for it any more */
    CUSTODY_EVENT_ABSENT,     /* the look: it is not listed */
    CUSTODY_EVENT_LOOK_FAILED,
    CUSTODY_EVENT_DEADLINE, /* deadline_ms has passed */
    CUSTODY_EVENT_BOUND,    /* the claim's bind extended the permit by a whole horizon, from asked_ms */
    CUSTODY_EVENT_PERMIT_EXTENDED,
    CUSTODY_EVENT_PERMIT_NOT_EXTENDED, /* no answer; the permit stands as before */
    CUSTODY_EVENT_SANDBOX_EXTENDED,
    CUSTODY_EVENT_SANDBOX_NOT_EXTENDED, /* no clear answer */
    CUSTODY_EVENT_HAND_OVER,            /* this worker goes, the run stays */
    CUSTODY_EVENT_YIELDED,
    CUSTODY_EVENT_NOT_YIELDED, /* no answer: whoever takes over from a dead worker has it then */
    CUSTODY_EVENT_UNWANTED,    /* nobody needs it any more, or it seems gone; may come more than once */
    CUSTODY_EVENT_KILLED,      /* 204, 404 */
    CUSTODY_EVENT_KILL_FAILED,
    CUSTODY_EVENT_SUPERSEDED, /* the permit names another worker: the sandbox is its business */
    CUSTODY_EVENT_COUNT
};

struct custody_event {
    enum custody_event_kind kind;
    int64_t now_ms;
    int64_t asked_ms; /* BOUND */
};

/* The runner's whole duty. Before every order but WAIT it drops the call that is still under way: its answer
 * must not come any more, though what was sent may be carried out. */
enum custody_order {
    CUSTODY_ORDER_WAIT,
    CUSTODY_ORDER_LOOK,           /* list by the permit's metadata */
    CUSTODY_ORDER_EXTEND_PERMIT,  /* in the ledger, first */
    CUSTODY_ORDER_EXTEND_SANDBOX, /* at E2B, second */
    CUSTODY_ORDER_YIELD,          /* claim and permit, in the ledger */
    CUSTODY_ORDER_KILL,
    CUSTODY_ORDER_RELEASE, /* the permit goes back; the custody is over */
    CUSTODY_ORDER_FORGET,  /* the permit stays as it is; the custody is over */
};

struct custody_times {
    int64_t live_ms;  /* what the sandbox is given at once */
    bool is_rolling;  /* it is needed for longer than that: extended every third of it */
    int64_t slack_ms; /* the permit's horizon lies behind the sandbox's end by this at least */
    int64_t
        lead_ms; /* ... and by this more where it is rolling: so long an outage of the ledger ends no run */
    int64_t
        doubt_ends_ms; /* after custody_init: a sandbox that no list begun then or later shows never was */
};

struct custody {
    enum custody_state state;
    struct custody_times times;
    bool is_unwanted;    /* UNWANTED came before it could be obeyed */
    unsigned tries;      /* of the look or the kill under way */
    int64_t deadline_ms; /* the runner's one timer; INT64_MAX: none */
    int64_t ends_ms;     /* the sandbox's own end, at the latest, as far as we set it or asked for it */
    int64_t asked_ms;    /* when the extension of the permit that is under way was */
    int64_t covered_ms;  /* the permit's horizon, at the least, as far as the ledger acknowledged it */
    int64_t init_ms;     /* its create is not sent before */
    int64_t look_ms;     /* when the look under way was begun: what came later is not in its answer */
};

/* For a create that is about to be sent. */
void custody_init(struct custody *custody, const struct custody_times *times, int64_t now_ms);
/* For what a predecessor left: to be killed. is_known: its id is known, else it is looked for. Returns: the
 * first order. */
enum custody_order custody_init_left(struct custody *custody, const struct custody_times *times,
                                     bool is_known, int64_t now_ms);
/* For a run that a predecessor left: to be extended, then followed. Returns: the first order. */
enum custody_order custody_init_adopted(struct custody *custody, const struct custody_times *times,
                                        int64_t now_ms);
/* What each extension asks of the ledger, from its asking. */
int64_t custody_horizon_ms(const struct custody_times *times);
enum custody_order custody_advance(struct custody *custody, const struct custody_event *event);

bool custody_accepts(enum custody_state state, enum custody_event_kind kind);
const char *custody_state_name(enum custody_state state);

#endif
