/* redis/ledger.h in memory: state, pulse, and life. */
#include "fakes/redis/ledger_inside.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 1, RETRY_MS = 100 };

struct held {
    struct link link;
    char *permit;
};

/* ---- permits held ---- */

void fake_ledger_hold(struct ledger *ledger, const char *permit)
{
    LIST_EACH(&ledger->held, link)
    if (strcmp(LIST_OBJECT(link, struct held, link)->permit, permit) == 0)
        return;
    struct held *held = base_alloc(sizeof *held);
    held->permit = base_strdup(permit);
    list_push_back(&ledger->held, &held->link);
}

bool fake_ledger_let_go(struct ledger *ledger, const char *permit)
{
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        if (strcmp(held->permit, permit) != 0)
            continue;
        link_remove(link);
        free(held->permit);
        free(held);
        return true;
    }
    return false;
}

void fake_ledger_lose(struct ledger *ledger, const char *permit, enum ledger_loss loss)
{
    CLEANUP(base_freep) char *text = base_strdup(permit);
    if (fake_ledger_let_go(ledger, text) && ledger->options.events.on_lost)
        ledger->options.events.on_lost(ledger->options.events.arg, text, loss);
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

/* ---- state and pulse ---- */

static void set_state(struct ledger *ledger, enum ledger_state state, const char *why)
{
    if (ledger->state == state && strcmp(ledger->why, why) == 0)
        return;
    ledger->state = state;
    snprintf(ledger->why, sizeof ledger->why, "%s", why);
    if (ledger->options.events.on_state)
        ledger->options.events.on_state(ledger->options.events.arg, state, ledger->why);
}

static void check_held(struct ledger *ledger, bool is_ready)
{
    ledger->is_open = false;
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        enum ledger_answer answer = store_extend(fake_redis_store(ledger->redis), ledger->worker,
                                                 held->permit, 0, fake_redis_now_ms(ledger->redis));
        if (answer == LEDGER_SUPERSEDED_PERMIT)
            fake_ledger_lose(ledger, held->permit, LEDGER_LOST_TO_OTHER);
        else if (answer == LEDGER_SUPERSEDED && is_ready)
            fake_ledger_lose(ledger, held->permit, LEDGER_LOST_FOR_GOOD);
        else if (answer == LEDGER_SUPERSEDED && ledger->options.events.on_rebuild)
            ledger->is_open = true;
    }
}

static void take_cancels(struct ledger *ledger)
{
    char *job;
    while ((job = store_take_cancel(fake_redis_store(ledger->redis), ledger->worker))) {
        if (ledger->options.events.on_cancelled)
            ledger->options.events.on_cancelled(ledger->options.events.arg, job);
        free(job);
    }
}

static void on_nothing(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    (void)call, (void)error, (void)answer;
}

static void rebuild(struct ledger *ledger)
{
    const struct ledger_events *events = &ledger->options.events;
    if (ledger->is_closing || ledger->asserted_epoch == ledger->epoch_number)
        return;
    if (!events->on_rebuild) {
        if (list_is_empty(&ledger->held) && !ledger->nothing.request)
            ledger_asserted(ledger, &ledger->nothing, on_nothing);
    } else if (ledger->told_epoch != ledger->epoch_number) {
        ledger->told_epoch = ledger->epoch_number;
        events->on_rebuild(events->arg);
    }
}

static void take_pulse(struct ledger *ledger, const struct store_pulse *answer, int64_t boot_ms)
{
    bool is_new = answer->epoch != ledger->epoch;
    ledger->accepted_boot_ms = boot_ms;
    ledger->epoch = answer->epoch;
    ledger->epoch_number += is_new;
    if (answer->is_ready && answer->crew != ledger->crew_version) {
        CLEANUP(base_freep)
        char *workers = store_workers(fake_redis_store(ledger->redis), fake_redis_now_ms(ledger->redis));
        free(ledger->crew);
        ledger->crew = fake_ledger_move_ends(workers, boot_ms);
        ledger->crew_version = answer->crew;
    }
    if (is_new || answer->has_lapsed) {
        ledger->lease_boot_ms = -1;
        ledger->is_open = true;
    }
    if (ledger->is_open)
        check_held(ledger, answer->is_ready);
    if (!ledger->is_open)
        ledger->lease_boot_ms = boot_ms;
    if (answer->is_ready) {
        set_state(ledger, LEDGER_READY, "");
    } else {
        set_state(ledger, LEDGER_REBUILDING, "the ledger is new or was lost");
        rebuild(ledger);
    }
    take_cancels(ledger);
}

static void on_pulse_timer(void *arg)
{
    fake_ledger_pulse(arg);
}

void fake_ledger_pulse(struct ledger *ledger)
{
    if (ledger->is_closing)
        return;
    bool is_there = fake_redis_is_reachable(ledger->redis);
    loop_timer_start(ledger->options.loop, &ledger->pulse_timer, is_there ? LEDGER_PULSE_MS : RETRY_MS,
                     on_pulse_timer, ledger);
    if (!is_there) {
        ledger->is_serving = false;
        ledger->told_epoch = 0;
        set_state(ledger, LEDGER_CONNECTING, "Redis is not there: the test says so");
        return;
    }
    ledger->is_serving = true;
    if (ledger->options.is_onlooker) {
        set_state(ledger, LEDGER_READY, "");
        return;
    }
    int64_t boot_ms = loop_boot_ms(ledger->options.loop);
    struct store_pulse answer =
        store_pulse(fake_redis_store(ledger->redis), ledger->worker, LEDGER_LEASE_MS,
                    ledger->accepted_boot_ms < 0 ? -1 : boot_ms - ledger->accepted_boot_ms,
                    ledger->crew[0] != '\0', fake_redis_now_ms(ledger->redis));
    take_pulse(ledger, &answer, boot_ms);
}

static void on_hint(void *arg, const char *kind, const char *text)
{
    struct ledger *ledger = arg;
    const struct ledger_events *events = &ledger->options.events;
    if (strcmp(kind, "free") == 0 && events->on_free)
        events->on_free(events->arg, text);
    else if (strcmp(kind, "done") == 0 && events->on_done)
        events->on_done(events->arg, text);
    else if (strcmp(kind, "cancel") == 0 && events->on_cancelled)
        events->on_cancelled(events->arg, text);
}

/* ---- life cycle ---- */

static void destroy(void *object)
{
    struct ledger *ledger = object;
    LIST_EACH(&ledger->queue, link)
    fake_ledger_request_free(ledger, LIST_OBJECT(link, struct ledger_request, link));
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        free(held->permit);
        free(held);
    }
    free(ledger->worker);
    free(ledger->crew);
    free(ledger);
}

void fake_ledger_finish_close(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_gone)
        return;
    ledger->is_gone = true;
    struct loop *loop = ledger->options.loop;
    loop_timer_stop(loop, &ledger->answer_timer);
    loop_timer_stop(loop, &ledger->pulse_timer);
    loop_timer_stop(loop, &ledger->close_timer);
    link_remove(&ledger->listener.link);
    if (fake_redis_is_reachable(ledger->redis) && !ledger->options.is_onlooker)
        store_leave(fake_redis_store(ledger->redis), ledger->worker, !list_is_empty(&ledger->held),
                    fake_redis_now_ms(ledger->redis));
    void (*closed)(void *) = ledger->closed;
    void *closed_arg = ledger->closed_arg;
    loop_reap(loop, ledger, destroy);
    if (closed)
        closed(closed_arg);
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
    LIST_EACH(&ledger->queue, link)
    (void)fake_ledger_leave(LIST_OBJECT(link, struct ledger_request, link));
    loop_timer_start(ledger->options.loop, &ledger->close_timer, ledger->background_count > 0 ? grace_ms : 0,
                     fake_ledger_finish_close, ledger);
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
    ledger->accepted_boot_ms = ledger->lease_boot_ms = -1;
    ledger->crew = base_strdup("");
    snprintf(ledger->why, sizeof ledger->why, "not yet connected to Redis");
    list_init(&ledger->queue);
    list_init(&ledger->held);
    ledger->listener = (struct fake_listener){.arg = ledger, .on_hint = on_hint};
    fake_redis_listen(redis, &ledger->listener);
    loop_timer_start(options->loop, &ledger->pulse_timer, ANSWER_MS, on_pulse_timer, ledger);
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
