#ifndef LOOP_TIMERS_H
#define LOOP_TIMERS_H
#include "base/heap.h"

/* A queue of deadlines: a heap of intrusive timers, 40 bytes each. It knows no clock: whoever owns the queue
 * says what time it is. The loop keeps one over a single uv_timer_t; the virtual clock of the tests keeps one
 * too. */

struct timers {
    struct heap heap;
    uint64_t order; /* ties are served in the order of starting */
};

typedef void (*timer_fn)(void *arg);

/* Embed it in your own struct, zeroed; it belongs to you and must be stopped before its memory goes. */
struct timer {
    timer_fn fn;
    void *arg;
    struct heap_node node; /* key: when it is due, ms */
};

void timers_release(struct timers *timers); /* none may be active */

/* Starts or restarts. `at_ms` is not negative. */
void timers_start(struct timers *timers, struct timer *timer, int64_t at_ms, timer_fn fn, void *arg);
void timers_stop(struct timers *timers, struct timer *timer); /* idle: nothing */

static inline bool timer_is_active(const struct timer *timer)
{
    return timer->node.place > 0;
}

/* Returns: when the earliest is due; INT64_MAX when there is none. */
int64_t timers_next_ms(const struct timers *timers);
/* Returns: the earliest one that is due at `now_ms`, taken out of the queue; NULL when none is. */
struct timer *timers_pop_due(struct timers *timers, int64_t now_ms) MUST_USE;

#endif
