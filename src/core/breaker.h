#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H
#include "base/base.h"

/* Whether E2B is worth asking: a circuit breaker over what concerns all jobs alike. It knows no job, and
 * decides nothing about one. Pure: time is in the event.
 *
 *   (start) ──▶ OPEN ◀─── too many failures in a row, or the key is refused ─── CLOSED
 *                │ ▲                                                            ▲  ▲
 *                │ └─── a create failed ─── TRYING ─── a create was answered, ──┘  │
 *                │                            ▲        or nobody had one to try    │
 *                └──── a list was answered ───┴────────────────────────────────────┘
 *                                  creates had failed          it was something else
 *
 * Its promise: while it is not CLOSED no create is begun as long as another is under way, and none at all
 * before a list was answered; and it always asks again. */

enum breaker_state {
    BREAKER_CLOSED, /* everything goes */
    BREAKER_OPEN,   /* nothing goes but the list, again and again */
    BREAKER_TRYING, /* it lists, but it made no sandboxes: one create at a time */
    BREAKER_STATE_COUNT
};

enum breaker_event_kind {
    BREAKER_EVENT_LISTED,
    BREAKER_EVENT_LIST_FAILED,   /* not reached, no answer, or a server's failure */
    BREAKER_EVENT_SENT,          /* a create is under way; ends in one of the next three */
    BREAKER_EVENT_CREATED,       /* answered: by a sandbox, or by what concerns its job alone */
    BREAKER_EVENT_CREATE_FAILED, /* not reached, no answer, or a server's failure */
    BREAKER_EVENT_UNSENT,        /* nothing was learnt: it was withdrawn, too late, or stopped by a limit */
    BREAKER_EVENT_REFUSED,       /* the key; of any call, for a create after UNSENT */
    BREAKER_EVENT_DEADLINE,      /* deadline_ms has passed */
    BREAKER_EVENT_COUNT
};

struct breaker_event {
    enum breaker_event_kind kind;
    int64_t now_ms;
    bool is_wanted; /* DEADLINE: somebody waits for a sandbox, and will try */
};

enum breaker_order {
    BREAKER_ORDER_WAIT, /* until deadline_ms, or the next event */
    BREAKER_ORDER_ASK,  /* a list, the cheapest question that needs the key */
};

struct breaker {
    enum breaker_state state;
    unsigned create_failures, list_failures; /* in a row, while CLOSED */
    unsigned under_way;                      /* creates */
    unsigned tries;                          /* questions and trials that failed since it opened */
    bool is_asking;                          /* OPEN: our list is under way */
    bool must_create;                        /* creates had failed: a list alone does not close it */
    bool is_refused;                         /* the key was: a create from before does not close it */
    int64_t since_ms;                        /* when it last left CLOSED, or began */
    int64_t deadline_ms;                     /* the runner's one timer; INT64_MAX: none */
};

/* OPEN, for nothing is known yet. Returns: the first order. */
enum breaker_order breaker_init(struct breaker *breaker, int64_t now_ms);
enum breaker_order breaker_advance(struct breaker *breaker, const struct breaker_event *event);

bool breaker_accepts(const struct breaker *breaker, enum breaker_event_kind kind);
/* Whether a create may be sent now. */
bool breaker_admits(const struct breaker *breaker);
const char *breaker_state_name(enum breaker_state state);

#endif
