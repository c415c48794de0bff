/* redis/ledger.h in memory: operations are queued, and done in their order a millisecond later. */
#include "redis/ledger.h"

#include "fakes/redis/fake.h"

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

struct ledger {
    struct ledger_options options;
    struct fake_redis *redis;
    struct fake_listener listener;
    char *worker;
    enum ledger_state state;
    char why[160];
    struct link queue; /* of struct ledger_request: what has been asked, in its order */
    struct link held;
    size_t background_count;
    struct timer answer_timer, pulse_timer, close_timer;
    int64_t accepted_boot_ms;
    bool is_serving, is_closing, is_gone;
    void (*closed)(void *arg);
    void *closed_arg;
};

enum request_kind {
    REQUEST_ACQUIRE,
    REQUEST_BIND,
    REQUEST_SEAL,
    REQUEST_EXTEND,
    REQUEST_READY,
    REQUEST_SNAPSHOT,
    REQUEST_DONE,
    REQUEST_RELEASE,
};

/* What was asked, copied: a real body has written it into a socket by now. */
struct ledger_request {
    struct link link;
    enum request_kind kind;
    struct ledger_call *call; /* NULL: nobody waits */
    struct arena arena;
    struct ledger_acquire acquire;
    struct ledger_bind bind;
    struct ledger_seal seal;
    const char *job, *permit, *status;
    int64_t horizon_ms, partition, offset, ttl_ms;
    int what;
    bool is_refused; /* there was no connection when it was asked */
    ledger_acquired_fn on_acquired;
    ledger_answer_fn on_answer;
    ledger_usage_fn on_usage;
};

static void pulse(void *arg);
static void finish_close(void *arg);

/* ---- permits held ---- */

static void hold(struct ledger *ledger, const char *permit)
{
    LIST_EACH(&ledger->held, link)
    if (strcmp(LIST_OBJECT(link, struct held, link)->permit, permit) == 0)
        return;
    struct held *held = base_alloc(sizeof *held);
    held->permit = base_strdup(permit);
    list_push_back(&ledger->held, &held->link);
}

static bool let_go(struct ledger *ledger, const char *permit)
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

static void lose(struct ledger *ledger, const char *permit)
{
    CLEANUP(base_freep) char *text = base_strdup(permit);
    if (let_go(ledger, text) && ledger->options.events.on_lost)
        ledger->options.events.on_lost(ledger->options.events.arg, text);
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

static void check_held(struct ledger *ledger)
{
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        if (!store_extend(fake_redis_store(ledger->redis), ledger->worker, held->permit, 0,
                          fake_redis_now_ms(ledger->redis)))
            lose(ledger, held->permit);
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

static void pulse(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_closing)
        return;
    bool is_there = fake_redis_is_reachable(ledger->redis);
    loop_timer_start(ledger->options.loop, &ledger->pulse_timer, is_there ? LEDGER_PULSE_MS : RETRY_MS, pulse,
                     ledger);
    if (!is_there) {
        ledger->is_serving = false;
        set_state(ledger, LEDGER_CONNECTING, "Redis is not there: the test says so");
        return;
    }
    int64_t boot_ms = loop_boot_ms(ledger->options.loop);
    struct store_pulse answer =
        store_pulse(fake_redis_store(ledger->redis), ledger->worker, LEDGER_LEASE_MS,
                    ledger->accepted_boot_ms < 0 ? -1 : boot_ms - ledger->accepted_boot_ms,
                    fake_redis_now_ms(ledger->redis));
    ledger->is_serving = true;
    if (answer.has_lapsed)
        check_held(ledger);
    ledger->accepted_boot_ms = boot_ms;
    if (answer.is_ready)
        set_state(ledger, LEDGER_READY, "");
    else
        set_state(ledger, LEDGER_REBUILDING, "the ledger is new or was lost");
    take_cancels(ledger);
}

static void on_hint(void *arg, const char *kind, const char *text)
{
    struct ledger *ledger = arg;
    const struct ledger_events *events = &ledger->options.events;
    if (strcmp(kind, "free") == 0 && events->on_free)
        events->on_free(events->arg, text);
    else if (strcmp(kind, "done") == 0 && events->on_done)
        events->on_done(events->arg, text);
}

/* ---- doing what was asked ---- */

static struct ledger_call *leave(struct ledger_request *request)
{
    struct ledger_call *call = TAKE(request->call);
    if (call)
        call->request = NULL;
    return call;
}

static void request_fail(struct ledger *ledger, struct ledger_request *request)
{
    struct error error;
    struct ledger_call *call = leave(request);
    (void)error_set(&error, ERROR_TRANSIENT, "redis", 0, "%s",
                    ledger->why[0] != '\0' ? ledger->why : "the answer was lost");
    if (call && request->on_acquired)
        request->on_acquired(call, &error, NULL);
    else if (call && request->on_answer)
        request->on_answer(call, &error, 0);
    else if (call && request->on_usage)
        request->on_usage(call, &error, NULL, 0);
}

static void do_acquire(struct ledger *ledger, struct ledger_request *request, bool is_lost)
{
    struct ledger_acquired answer;
    store_acquire(fake_redis_store(ledger->redis), ledger->worker, &request->acquire,
                  fake_redis_now_ms(ledger->redis), &request->arena, &answer);
    if (is_lost) {
        request_fail(ledger, request);
        return;
    }
    struct ledger_call *call = leave(request);
    if (!call)
        return;
    if (answer.verdict == LEDGER_GRANTED || answer.verdict == LEDGER_ADOPT)
        hold(ledger, answer.permit);
    request->on_acquired(call, NULL, &answer);
}

static void do_snapshot(struct ledger *ledger, struct ledger_request *request, bool is_lost)
{
    struct ledger_usage *usage = NULL;
    size_t count = store_snapshot(fake_redis_store(ledger->redis), fake_redis_now_ms(ledger->redis),
                                  &request->arena, &usage);
    struct ledger_call *call = is_lost ? NULL : leave(request);
    if (is_lost)
        request_fail(ledger, request);
    else if (call)
        request->on_usage(call, NULL, usage, count);
    free(usage);
}

/* Returns: false for an answer that the port knows as a failure. */
static bool find_answer(struct ledger *ledger, struct ledger_request *request, enum ledger_answer *ret)
{
    struct store *store = fake_redis_store(ledger->redis);
    int64_t now_ms = fake_redis_now_ms(ledger->redis);
    if (request->kind == REQUEST_BIND)
        return store_bind(store, ledger->worker, &request->bind, now_ms, ret);
    if (request->kind == REQUEST_SEAL)
        *ret = store_seal(store, ledger->worker, &request->seal, now_ms);
    else if (request->kind == REQUEST_READY)
        *ret = store_ready(store, ledger->worker, now_ms) ? LEDGER_OK : LEDGER_SUPERSEDED;
    else
        *ret = store_extend(store, ledger->worker, request->permit, request->horizon_ms, now_ms)
                   ? LEDGER_OK
                   : LEDGER_SUPERSEDED_PERMIT;
    return true;
}

static void do_answer(struct ledger *ledger, struct ledger_request *request, bool is_lost)
{
    enum ledger_answer answer;
    /* An extension rides on a pulse, which comes first; so does the news after ready. */
    if (request->kind == REQUEST_EXTEND)
        pulse(ledger);
    bool is_answer = find_answer(ledger, request, &answer);
    if (request->kind == REQUEST_READY)
        pulse(ledger);
    if (!is_answer || is_lost) {
        request_fail(ledger, request);
        return;
    }
    const char *permit = request->kind == REQUEST_BIND   ? request->bind.permit
                         : request->kind == REQUEST_SEAL ? request->seal.permit
                                                         : request->permit;
    struct ledger_call *call = leave(request);
    if (call)
        request->on_answer(call, NULL, answer);
    if (answer == LEDGER_SUPERSEDED_PERMIT && request->kind == REQUEST_EXTEND)
        lose(ledger, permit);
    else if (answer == LEDGER_SUPERSEDED_PERMIT)
        (void)let_go(ledger, permit);
}

static void do_release(struct ledger *ledger, struct ledger_request *request)
{
    CLEANUP(base_freep)
    char *limits = store_release(fake_redis_store(ledger->redis), ledger->worker, request->permit,
                                 request->job, request->what, fake_redis_now_ms(ledger->redis));
    if (limits && limits[0] != '\0')
        fake_redis_announce(ledger->redis, "free", limits);
}

static void perform(struct ledger *ledger, struct ledger_request *request)
{
    if (request->call && fake_redis_take_failure(ledger->redis)) {
        request_fail(ledger, request);
        return;
    }
    bool is_lost = request->call && fake_redis_take_lost_answer(ledger->redis);
    fake_redis_count_one(ledger->redis);
    switch (request->kind) {
    case REQUEST_ACQUIRE:
        do_acquire(ledger, request, is_lost);
        break;
    case REQUEST_SNAPSHOT:
        do_snapshot(ledger, request, is_lost);
        break;
    case REQUEST_BIND:
    case REQUEST_SEAL:
    case REQUEST_EXTEND:
    case REQUEST_READY:
        do_answer(ledger, request, is_lost);
        break;
    case REQUEST_DONE:
        if (store_done(fake_redis_store(ledger->redis), request->job, request->status, request->partition,
                       request->offset, request->ttl_ms, fake_redis_now_ms(ledger->redis)))
            fake_redis_announce(ledger->redis, "done", request->job);
        break;
    case REQUEST_RELEASE:
        do_release(ledger, request);
        break;
    }
}

static bool is_background(const struct ledger_request *request)
{
    return request->kind == REQUEST_DONE || request->kind == REQUEST_RELEASE;
}

static void request_free(struct ledger *ledger, struct ledger_request *request)
{
    ledger->background_count -= is_background(request);
    link_remove(&request->link);
    arena_release(&request->arena);
    free(request);
}

static void answer_all(void *arg)
{
    struct ledger *ledger = arg;
    struct link asked;
    list_init(&asked);
    struct link *link;
    while ((link = list_pop_front(&ledger->queue)))
        list_push_back(&asked, link);
    bool is_there = ledger->is_serving && fake_redis_is_reachable(ledger->redis);
    if (ledger->is_serving && !is_there)
        pulse(ledger);
    while ((link = list_pop_front(&asked))) {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        if (is_there && !request->is_refused) {
            perform(ledger, request);
        } else if (is_background(request)) {
            request->is_refused = false;
            list_push_back(&ledger->queue, link);
            continue;
        } else {
            request_fail(ledger, request);
        }
        request_free(ledger, request);
    }
    if (!list_is_empty(&ledger->queue) && !timer_is_active(&ledger->answer_timer))
        loop_timer_start(ledger->options.loop, &ledger->answer_timer, is_there ? ANSWER_MS : RETRY_MS,
                         answer_all, ledger);
    if (ledger->is_closing && ledger->background_count == 0)
        finish_close(ledger);
}

/* ---- asking ---- */

static struct ledger_request *ask(struct ledger *ledger, struct ledger_call *call, enum request_kind kind)
{
    assert(!ledger->is_closing && (!call || !call->request));
    struct ledger_request *request = base_alloc(sizeof *request);
    request->kind = kind;
    request->call = call;
    request->is_refused = !ledger->is_serving;
    arena_init(&request->arena, 512);
    if (call)
        call->request = request;
    list_push_back(&ledger->queue, &request->link);
    ledger->background_count += is_background(request);
    if (!timer_is_active(&ledger->answer_timer))
        loop_timer_start(ledger->options.loop, &ledger->answer_timer, ANSWER_MS, answer_all, ledger);
    return request;
}

void ledger_call_cancel(struct ledger *ledger, struct ledger_call *call)
{
    (void)ledger;
    if (call->request)
        (void)leave(call->request);
}

void ledger_acquire(struct ledger *ledger, struct ledger_call *call, const struct ledger_acquire *acquire,
                    ledger_acquired_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_ACQUIRE);
    struct arena *arena = &request->arena;
    request->on_acquired = done;
    request->acquire = *acquire;
    request->acquire.job = arena_strdup(arena, acquire->job);
    request->acquire.payload = arena_strdup(arena, acquire->payload);
    request->acquire.origin = arena_strdup(arena, acquire->origin);
    request->acquire.tenant = arena_strdup(arena, acquire->tenant);
    request->acquire.permit = arena_strdup(arena, acquire->permit);
    struct ledger_limit *limits = ARENA_ARRAY(arena, struct ledger_limit, acquire->limit_count + 1);
    for (size_t i = 0; i < acquire->limit_count; i++) {
        limits[i].name = arena_strdup(arena, acquire->limits[i].name);
        limits[i].max = acquire->limits[i].max;
    }
    request->acquire.limits = limits;
}

void ledger_bind(struct ledger *ledger, struct ledger_call *call, const struct ledger_bind *bind,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_BIND);
    request->on_answer = done;
    request->bind = *bind;
    request->bind.job = arena_strdup(&request->arena, bind->job);
    request->bind.permit = arena_strdup(&request->arena, bind->permit);
    request->bind.sandbox = arena_strdup(&request->arena, bind->sandbox);
    request->bind.mode = arena_strdup(&request->arena, bind->mode);
    request->bind.plan = arena_strdup(&request->arena, bind->plan);
}

void ledger_seal(struct ledger *ledger, struct ledger_call *call, const struct ledger_seal *seal,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_SEAL);
    request->on_answer = done;
    request->seal = *seal;
    request->seal.job = arena_strdup(&request->arena, seal->job);
    request->seal.permit = arena_strdup(&request->arena, seal->permit);
    request->seal.payload = arena_strdup(&request->arena, seal->payload);
    request->seal.origin = arena_strdup(&request->arena, seal->origin);
    request->seal.status = arena_strdup(&request->arena, seal->status);
    if (seal->record.length > 0)
        request->seal.record.data = arena_copy(&request->arena, seal->record.data, seal->record.length);
}

void ledger_extend(struct ledger *ledger, struct ledger_call *call, const char *permit, int64_t horizon_ms,
                   ledger_answer_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_EXTEND);
    request->on_answer = done;
    request->permit = arena_strdup(&request->arena, permit);
    request->horizon_ms = horizon_ms;
}

void ledger_ready(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_READY);
    request->on_answer = done;
}

void ledger_snapshot(struct ledger *ledger, struct ledger_call *call, ledger_usage_fn done)
{
    struct ledger_request *request = ask(ledger, call, REQUEST_SNAPSHOT);
    request->on_usage = done;
}

void ledger_done(struct ledger *ledger, const char *job, const char *status, int64_t partition,
                 int64_t offset, int64_t ttl_ms)
{
    struct ledger_request *request = ask(ledger, NULL, REQUEST_DONE);
    request->job = arena_strdup(&request->arena, job);
    request->status = arena_strdup(&request->arena, status);
    request->partition = partition;
    request->offset = offset;
    request->ttl_ms = ttl_ms;
}

void ledger_release(struct ledger *ledger, const char *permit, const char *job, int what)
{
    assert(job || !(what & LEDGER_RELEASE_CLAIM));
    struct ledger_request *request = ask(ledger, NULL, REQUEST_RELEASE);
    if (what & LEDGER_RELEASE_PERMIT)
        (void)let_go(ledger, permit);
    request->permit = arena_strdup(&request->arena, permit);
    request->job = arena_strdup(&request->arena, job);
    request->what = what;
}

size_t ledger_background_count(const struct ledger *ledger)
{
    return ledger->background_count;
}

/* ---- life cycle ---- */

static void destroy(void *object)
{
    struct ledger *ledger = object;
    LIST_EACH(&ledger->queue, link)
    request_free(ledger, LIST_OBJECT(link, struct ledger_request, link));
    LIST_EACH(&ledger->held, link)
    {
        struct held *held = LIST_OBJECT(link, struct held, link);
        free(held->permit);
        free(held);
    }
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
    loop_timer_stop(loop, &ledger->answer_timer);
    loop_timer_stop(loop, &ledger->pulse_timer);
    loop_timer_stop(loop, &ledger->close_timer);
    link_remove(&ledger->listener.link);
    if (fake_redis_is_reachable(ledger->redis))
        store_set_lease(fake_redis_store(ledger->redis), ledger->worker, 0);
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
    (void)leave(LIST_OBJECT(link, struct ledger_request, link));
    loop_timer_start(ledger->options.loop, &ledger->close_timer, ledger->background_count > 0 ? grace_ms : 0,
                     finish_close, ledger);
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
    ledger->accepted_boot_ms = -1;
    snprintf(ledger->why, sizeof ledger->why, "not yet connected to Redis");
    list_init(&ledger->queue);
    list_init(&ledger->held);
    ledger->listener = (struct fake_listener){.arg = ledger, .on_hint = on_hint};
    fake_redis_listen(redis, &ledger->listener);
    loop_timer_start(options->loop, &ledger->pulse_timer, ANSWER_MS, pulse, ledger);
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

bool ledger_lease_is_valid(const struct ledger *ledger)
{
    return ledger->accepted_boot_ms >= 0 &&
           loop_boot_ms(ledger->options.loop) - ledger->accepted_boot_ms < LEDGER_OWN_LEASE_MS;
}
