/* The circuit breaker. */
#include "core/breaker.h"

#include <assert.h>

enum {
    FAILURES = 5, /* in a row: it opens */
    ASK_FIRST_MS = 1000,
    ASK_MOST_MS = 15000,
    REFUSED_MS = 5000, /* somebody must mend the key: no need to hurry, nor to be late */
    IDLE_MS = 60000,   /* so long nobody had a create to try: the list has to do */
};

/* The one writer of the state. */
static void enter(struct breaker *breaker, enum breaker_state state, int64_t deadline_ms)
{
    breaker->state = state;
    breaker->deadline_ms = deadline_ms;
    breaker->is_asking = false;
}

static enum breaker_order shut(struct breaker *breaker)
{
    enter(breaker, BREAKER_CLOSED, INT64_MAX);
    breaker->create_failures = breaker->list_failures = breaker->tries = 0;
    breaker->must_create = breaker->is_refused = false;
    return BREAKER_ORDER_WAIT;
}

static int64_t delay_ms(const struct breaker *breaker)
{
    if (breaker->is_refused)
        return REFUSED_MS;
    return breaker->tries < 8 ? MIN((int64_t)ASK_FIRST_MS << breaker->tries, ASK_MOST_MS) : ASK_MOST_MS;
}

static enum breaker_order open_again(struct breaker *breaker, int64_t now_ms)
{
    enter(breaker, BREAKER_OPEN, now_ms + delay_ms(breaker));
    breaker->tries++;
    return BREAKER_ORDER_WAIT;
}

static enum breaker_order open_first(struct breaker *breaker, int64_t now_ms)
{
    breaker->since_ms = now_ms;
    return open_again(breaker, now_ms);
}

static enum breaker_order ask(struct breaker *breaker)
{
    enter(breaker, BREAKER_OPEN, INT64_MAX);
    breaker->is_asking = true;
    return BREAKER_ORDER_ASK;
}

static enum breaker_order try(struct breaker *breaker, int64_t now_ms)
{
    enter(breaker, BREAKER_TRYING, now_ms + IDLE_MS);
    return BREAKER_ORDER_WAIT;
}

enum breaker_order breaker_init(struct breaker *breaker, int64_t now_ms)
{
    *breaker = (struct breaker){.since_ms = now_ms};
    return ask(breaker);
}

static enum breaker_order on_listed(struct breaker *breaker, int64_t now_ms)
{
    breaker->list_failures = 0;
    if (breaker->state != BREAKER_OPEN)
        return BREAKER_ORDER_WAIT;
    if (!breaker->must_create)
        return shut(breaker);
    return breaker->is_asking ? try(breaker, now_ms) : BREAKER_ORDER_WAIT; /* another's: it is not time yet */
}

/* While it is OPEN others fail, too, with what they sent before: only the question that was asked since moves
 * the time of the next. */
static enum breaker_order on_list_failed(struct breaker *breaker, int64_t now_ms)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return ++breaker->list_failures < FAILURES ? BREAKER_ORDER_WAIT : open_first(breaker, now_ms);
    case BREAKER_OPEN:
        return breaker->is_asking ? open_again(breaker, now_ms) : BREAKER_ORDER_WAIT;
    case BREAKER_TRYING:
        return open_again(breaker, now_ms);
    case BREAKER_STATE_COUNT:
        break;
    }
    return BREAKER_ORDER_WAIT;
}

static enum breaker_order on_created(struct breaker *breaker)
{
    breaker->create_failures = breaker->list_failures = 0;
    bool is_old = breaker->state == BREAKER_OPEN && breaker->is_refused;
    return breaker->state == BREAKER_CLOSED || is_old ? BREAKER_ORDER_WAIT : shut(breaker);
}

static enum breaker_order on_create_failed(struct breaker *breaker, int64_t now_ms)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        breaker->must_create = ++breaker->create_failures >= FAILURES;
        return breaker->must_create ? open_first(breaker, now_ms) : BREAKER_ORDER_WAIT;
    case BREAKER_OPEN:
        return BREAKER_ORDER_WAIT;
    case BREAKER_TRYING:
        return open_again(breaker, now_ms);
    case BREAKER_STATE_COUNT:
        break;
    }
    return BREAKER_ORDER_WAIT;
}

static enum breaker_order on_refused(struct breaker *breaker, int64_t now_ms)
{
    breaker->is_refused = true;
    if (breaker->state == BREAKER_CLOSED)
        return open_first(breaker, now_ms);
    bool is_news = breaker->state == BREAKER_TRYING || breaker->is_asking;
    return is_news ? open_again(breaker, now_ms) : BREAKER_ORDER_WAIT;
}

static enum breaker_order on_deadline(struct breaker *breaker, const struct breaker_event *event)
{
    if (breaker->state == BREAKER_OPEN)
        return ask(breaker);
    return breaker->under_way > 0 || event->is_wanted ? try(breaker, event->now_ms) : shut(breaker);
}

static bool ends_create(enum breaker_event_kind kind)
{
    return kind == BREAKER_EVENT_CREATED || kind == BREAKER_EVENT_CREATE_FAILED ||
           kind == BREAKER_EVENT_UNSENT;
}

bool breaker_accepts(const struct breaker *breaker, enum breaker_event_kind kind)
{
    if (kind == BREAKER_EVENT_SENT)
        return breaker_admits(breaker);
    if (kind == BREAKER_EVENT_DEADLINE)
        return breaker->deadline_ms != INT64_MAX;
    return !ends_create(kind) || breaker->under_way > 0;
}

enum breaker_order breaker_advance(struct breaker *breaker, const struct breaker_event *event)
{
    int64_t now_ms = event->now_ms;
    assert(breaker_accepts(breaker, event->kind));
    breaker->under_way -= ends_create(event->kind);
    switch (event->kind) {
    case BREAKER_EVENT_LISTED:
        return on_listed(breaker, now_ms);
    case BREAKER_EVENT_LIST_FAILED:
        return on_list_failed(breaker, now_ms);
    case BREAKER_EVENT_SENT:
        breaker->under_way++;
        return BREAKER_ORDER_WAIT;
    case BREAKER_EVENT_CREATED:
        return on_created(breaker);
    case BREAKER_EVENT_CREATE_FAILED:
        return on_create_failed(breaker, now_ms);
    case BREAKER_EVENT_UNSENT:
        return BREAKER_ORDER_WAIT;
    case BREAKER_EVENT_REFUSED:
        return on_refused(breaker, now_ms);
    case BREAKER_EVENT_DEADLINE:
        return on_deadline(breaker, event);
    case BREAKER_EVENT_COUNT:
        break;
    }
    assert(!"every event is handled above");
    return BREAKER_ORDER_WAIT;
}

bool breaker_admits(const struct breaker *breaker)
{
    return breaker->state == BREAKER_CLOSED || (breaker->state == BREAKER_TRYING && breaker->under_way == 0);
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[BREAKER_STATE_COUNT] = {"closed", "open", "trying"};
    assert(state < BREAKER_STATE_COUNT);
    return names[state];
}
