#ifndef CORE_EXECUTION_H
#define CORE_EXECUTION_H
#include "core/plan.h"

/* One attempt's walk through a plan in one sandbox: the first of the three machines. Pure: no socket, no
 * clock (time is in the event), no output byte; only the ends of things pass through here.
 *
 *   WAITING ──▶ RUNNING ──▶ COLLECTING ──▶ ENDED          (any state may go straight to ENDED)
 *                  │            ▲
 *                  └▶ STOPPING ─┘                          deadline, cancel
 *
 * Its promise: it ends once; the verdict keeps its first cause; code that cannot be repeated is started once;
 * final steps run only for an attempt whose outcome stands. */

enum execution_state {                       /* in the order of life; never backwards */
                       EXECUTION_WAITING,    /* for its sandbox */
                       EXECUTION_RUNNING,    /* a main step is under way */
                       EXECUTION_STOPPING,   /* that step was told to stop and has a moment to comply */
                       EXECUTION_COLLECTING, /* a final step is under way; the verdict no longer changes */
                       EXECUTION_ENDED,      /* the verdict stands; the owner decides about the sandbox */
                       EXECUTION_STATE_COUNT
};

enum execution_event_kind {
    EXECUTION_EVENT_SANDBOX_READY, /* first_step, code, main_left_ms: where an adopted run stands, from its
                                      records; else 0, NONE, 0 */
    EXECUTION_EVENT_STEP_ENDED,    /* by itself; code says how (NONE: well) */
    EXECUTION_EVENT_STEP_BROKEN,   /* could not be carried out or followed; code says why */
    EXECUTION_EVENT_DEADLINE,      /* deadline_ms has passed; soon after a stop it is moved (WAIT) */
    EXECUTION_EVENT_SANDBOX_GONE,  /* could not be had, or was lost; code says which */
    EXECUTION_EVENT_CANCEL,        /* nobody wants the rest */
    EXECUTION_EVENT_LEAVE,         /* this worker goes, or its claim is lost: touch nothing any more */
    EXECUTION_EVENT_COUNT
};

struct execution_event {
    enum execution_event_kind kind;
    int64_t now_ms;
    int64_t awake_ms; /* for so long this worker has been able to see and to act, without a stop */
    size_t first_step;
    int64_t main_left_ms; /* of the budget of the main steps, which began elsewhere; 0: all of it */
    enum code code;
};

/* The runner's whole duty. Before START and END it drops the call that is still under way. */
enum execution_order {
    EXECUTION_ORDER_WAIT,
    EXECUTION_ORDER_START, /* the step, not before start_at_ms */
    EXECUTION_ORDER_STOP,  /* tell the step to stop; its end, or the deadline, comes as an event */
    EXECUTION_ORDER_END,
};

struct execution {
    const struct plan *plan; /* borrowed */
    enum execution_state state;
    enum code verdict;   /* NONE: so far so good */
    size_t verdict_step; /* the step that brought the verdict */
    size_t step;         /* under way */
    unsigned tries;      /* of this step */
    int64_t start_at_ms;
    int64_t deadline_ms; /* the runner's one timer; retries of a step do not move it */
    int64_t main_ms;     /* the budget of the main steps: the plan's, or what is left of it */
    int64_t section_until_ms;
    unsigned looks; /* at what was waiting after a stop: each moved the deadline */
    bool has_left;  /* ended by LEAVE: no outcome, somebody else will bring one */
};

void execution_init(struct execution *execution, const struct plan *plan);
enum execution_order execution_advance(struct execution *execution, const struct execution_event *event);

/* The step's start was held back for so long: that is not its time. */
void execution_delay(struct execution *execution, int64_t ms);

/* Whether the event may come in this state; advance asserts it. */
bool execution_accepts(enum execution_state state, enum execution_event_kind kind);
const char *execution_state_name(enum execution_state state);

#endif
