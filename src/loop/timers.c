/* Timers on a heap, by when they are due. */
#include "loop/timers.h"

#include <assert.h>

void timers_release(struct timers *timers)
{
    heap_release(&timers->heap);
}

void timers_start(struct timers *timers, struct timer *timer, int64_t at_ms, timer_fn fn, void *arg)
{
    assert(at_ms >= 0);
    timers_stop(timers, timer);
    *timer = (struct timer){.fn = fn, .arg = arg, .node = {.key = (uint64_t)at_ms, .tie = ++timers->order}};
    heap_push(&timers->heap, &timer->node);
}

void timers_stop(struct timers *timers, struct timer *timer)
{
    if (timer_is_active(timer))
        heap_remove(&timers->heap, &timer->node);
}

int64_t timers_next_ms(const struct timers *timers)
{
    const struct heap_node *first = heap_first(&timers->heap);
    return first ? (int64_t)first->key : INT64_MAX;
}

struct timer *timers_pop_due(struct timers *timers, int64_t now_ms)
{
    if (timers_next_ms(timers) > now_ms)
        return NULL;
    struct heap_node *node = heap_pop(&timers->heap);
    return node ? CONTAINER_OF(node, struct timer, node) : NULL;
}
