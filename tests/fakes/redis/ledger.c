/* redis/ledger.h in memory: state, permits held, life. */
#include "fakes/redis/ledger_inside.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held {
    struct link link;
    char *permit;
};

/* ---- permits held ---- */

static struct held *find_held(const struct ledger *ledger, const char *permit)
{
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        if (strcmp(held->permit, permit) == 0)
            return held;
    }
    return NULL;
}

static void held_free(struct held *held)
{
    link_remove(&held->link);
    free(held->permit);
    free(held);
}

void fake_ledger_hold(struct ledger *ledger, const char *permit)
{
    if (find_held(ledger, permit))
        return;
    struct held *held = base_alloc(sizeof *held);
    held->permit = base_strdup(permit);
    list_push_back(&ledger->held, &held->link);
}

bool fake_ledger_let_go(struct ledger *ledger, const char *permit)
{
    struct held *held = find_held(ledger, permit);
    if (held)
        held_free(held);
    return held != NULL;
}

bool fake_ledger_holds(const struct ledger *ledger, const char *permit)
{
    return find_held(ledger, permit) != NULL;
}

void fake_ledger_each_held(struct ledger *ledger, void (*fn)(struct ledger *ledger, const char *permit))
{
    LIST_EACH(&ledger->held, link)
    fn(ledger, LIST_OBJECT(link, struct held, link)->permit);
}

void fake_ledger_lose(struct ledger *ledger, const char *permit, enum ledger_loss loss)
{
    if (fake_ledger_let_go(ledger, permit) && ledger->options.events.on_lost)
        ledger->options.events.on_lost(ledger->options.events.arg, permit, loss);
}

/* ---- who is there ---- */

char *fake_ledger_move_ends(const char *crew, int64_t by_ms)
{
    struct buffer moved = {0};
    CLEANUP(base_freep) char *names = base_strdup(crew);
    char *rest = NULL;
    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(name, '=');
        int64_t end_ms = strtoll(value + 1, NULL, 10);
        *value = '\0';
        if (end_ms < 0 || end_ms + by_ms > 0)
            buffer_append_format(&moved, "%s=%" PRId64 " ", name, end_ms < 0 ? -1 : end_ms + by_ms);
    }
    return buffer_take(&moved);
}

/* ---- state ---- */

void fake_ledger_set_state(struct ledger *ledger, enum ledger_state state, const char *why)
{
    if (ledger->is_closing || (ledger->state == state && strcmp(ledger->why, why) == 0))
        return;
    ledger->state = state;
    snprintf(ledger->why, sizeof ledger->why, "%s", why);
    if (ledger->options.events.on_state)
        ledger->options.events.on_state(ledger->options.events.arg, state, ledger->why);
}

/* ---- life cycle ---- */

static void destroy(void *object)
{
    struct ledger *ledger = object;
    fake_pulse_release(ledger);
    LIST_EACH(&ledger->held, link)
    held_free(LIST_OBJECT(link, struct held, link));
    free(ledger->worker);
    free(ledger);
}

static void finish_close(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_gone)
        return;
    ledger->is_gone = true;
    struct loop *loop = ledger->options.loop;
    loop_timer_stop(loop, &ledger->close_timer);
    fake_pulse_stop(ledger);
    fake_wire_close(ledger);
    link_remove(&ledger->link);
    void (*closed)(void *) = ledger->closed;
    void *closed_arg = ledger->closed_arg;
    loop_reap(loop, ledger, destroy);
    if (closed)
        closed(closed_arg);
}

void fake_ledger_on_left(struct ledger *ledger)
{
    loop_timer_start(ledger->options.loop, &ledger->close_timer, 0, finish_close, ledger);
}

void fake_ledger_on_quiet(struct ledger *ledger)
{
    if (ledger->is_leaving)
        return;
    ledger->is_leaving = true;
    fake_pulse_leave(ledger);
}

static void silence(struct link *list)
{
    LIST_EACH(list, link)
    {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        (void)fake_wire_leave(request);
        if (fake_pulse_is(request))
            fake_pulse_silence(request);
    }
}

void ledger_close(struct ledger *ledger, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!ledger)
        return;
    assert(!ledger->is_closing);
    ledger->is_closing = true;
    ledger->closed = closed;
    ledger->closed_arg = arg;
    ledger->options.events = (struct ledger_events){0};
    silence(&ledger->unsent);
    silence(&ledger->sent);
    silence(&ledger->answered);
    LIST_EACH(&ledger->waiting, link)
    {
        const struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (extension->request)
            (void)fake_wire_leave(extension->request);
    }
    loop_timer_start(ledger->options.loop, &ledger->close_timer, grace_ms, finish_close, ledger);
    if (ledger->background_count == 0)
        fake_ledger_on_quiet(ledger);
}

struct ledger *ledger_new(const struct ledger_options *options, struct error *reterr)
{
    struct fake_redis *redis = fake_redis_find(options->url);
    if (!redis) {
        (void)error_set(reterr, ERROR_REJECTED, "redis", 0, "the fake ledger wants a fake's url");
        return NULL;
    }
    struct ledger *ledger = base_alloc(sizeof *ledger);
    ledger->options = *options;
    ledger->redis = redis;
    ledger->worker = base_printf("%s.%08" PRIx64, options->worker, random_next(options->random) >> 32);
    snprintf(ledger->why, sizeof ledger->why, "not yet connected to Redis");
    list_init(&ledger->held);
    fake_pulse_init(ledger);
    fake_redis_join(redis, ledger);
    fake_wire_open(ledger);
    return ledger;
}

enum ledger_state ledger_state(const struct ledger *ledger)
{
    return ledger->state;
}

const char *ledger_why(const struct ledger *ledger)
{
    return ledger->why;
}

const char *ledger_worker(const struct ledger *ledger)
{
    return ledger->worker;
}

unsigned ledger_epoch(const struct ledger *ledger)
{
    return ledger->epoch_number;
}

bool ledger_lease_is_valid(const struct ledger *ledger)
{
    return ledger->lease_boot_ms >= 0 &&
           loop_boot_ms(ledger->options.loop) - ledger->lease_boot_ms < LEDGER_OWN_LEASE_MS;
}
