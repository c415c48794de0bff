/* A binary heap of intrusive timers. */
#include "loop/timers.h"

#include <assert.h>
#include <stdlib.h>

void timers_release(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

/* heap[] is 0-based, `place` 1-based: the parent of place p is p / 2. */
static void put(struct timers *timers, struct timer *timer, size_t place)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, struct timer *timer, size_t place)
{
    for (; place > 1 && is_before(timer, timers->heap[place / 2 - 1]); place /= 2)
        put(timers, timers->heap[place / 2 - 1], place);
    put(timers, timer, place);
}

static void sift_down(struct timers *timers, struct timer *timer, size_t place)
{
    for (;;) {
        size_t child = place * 2;
        if (child > timers->count)
            break;
        if (child < timers->count && is_before(timers->heap[child], timers->heap[child - 1]))
            child++;
        if (!is_before(timers->heap[child - 1], timer))
            break;
        put(timers, timers->heap[child - 1], place);
        place = child;
    }
    put(timers, timer, place);
}

void timers_start(struct timers *timers, struct timer *timer, int64_t at_ms, timer_fn fn, void *arg)
{
    timers_stop(timers, timer);
    if (timers->count == timers->capacity) {
        timers->capacity = MAX(timers->capacity * 2, 32);
        timers->heap = base_realloc(timers->heap, timers->capacity * sizeof(struct timer *));
    }
    *timer = (struct timer){.fn = fn, .arg = arg, .at_ms = at_ms, .order = ++timers->order};
    sift_up(timers, timer, ++timers->count);
}

void timers_stop(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    assert(place <= timers->count && timers->heap[place - 1] == timer);
    timer->place = 0;
    struct timer *last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (place > 1 && is_before(last, timers->heap[place / 2 - 1]))
        sift_up(timers, last, place);
    else
        sift_down(timers, last, place);
}

int64_t timers_next_ms(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0]->at_ms : INT64_MAX;
}

struct timer *timers_pop_due(struct timers *timers, int64_t now_ms)
{
    if (timers_next_ms(timers) > now_ms)
        return NULL;
    struct timer *timer = timers->heap[0];
    timers_stop(timers, timer);
    return timer;
}
