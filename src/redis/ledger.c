/* The ledger's port over one connection: state, calls, and the way in and out. */
#include "redis/ledger.h"

#include "base/list.h"
#include "redis/background.h"
#include "redis/command.h"
#include "redis/connection.h"
#include "redis/hints.h"
#include "redis/permits.h"
#include "redis/pulse.h"
#include "redis/replies.h"
#include "redis/setup.h"
#include "redis/url.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_TTL_MS = 24 * 3600 * 1000, MOST_LIMITS = 64, LARGEST_RECORD_BYTES = 16 * 1024 * 1024 };

struct ledger {
    struct ledger_options options;
    struct url url;
    char *prefix, *worker;
    struct connection *connection;
    struct hints *hints;
    struct pulse *pulse;
    struct background *background;
    struct permits permits;
    struct link requests;
    enum ledger_state state;
    char why[200];
    char *epoch;
    bool is_serving; /* a pulse was answered on this connection */

    bool is_closing;
    bool is_giving_back, is_closed;
    struct timer close_timer;
    struct task close_task;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* Ends exactly once, by Redis's answer or by the end of the connection; a call that was cancelled has left
 * it. */
struct ledger_request {
    struct link link;
    struct ledger *ledger;
    struct ledger_call *call; /* NULL: nobody waits */
    struct task task;         /* fails it in this turn when it cannot be sent */
    struct error error;
    char *permit; /* what an answer SUPERSEDED_PERMIT is about */
    bool (*decode)(const struct redisReply *reply, enum ledger_answer *ret, struct error *reterr);
    ledger_answer_fn on_answer;
    ledger_acquired_fn on_acquired;
    ledger_usage_fn on_usage;
};

/* ---- state ---- */

static void set_state(struct ledger *ledger, enum ledger_state state, const char *why)
{
    if (ledger->is_closing || (ledger->state == state && strcmp(ledger->why, why) == 0))
        return;
    ledger->state = state;
    snprintf(ledger->why, sizeof ledger->why, "%s", why);
    if (state == LEDGER_READY)
        log_debug(ledger->options.log, "ledger.epoch", LOG_TEXT("epoch", ledger->epoch));
    if (ledger->options.events.on_state)
        ledger->options.events.on_state(ledger->options.events.arg, state, ledger->why);
}

static void on_pulse_answer(void *arg, const struct pulse_answer *answer)
{
    struct ledger *ledger = arg;
    const struct ledger_events *events = &ledger->options.events;
    if (answer->is_in_doubt || ledger->is_closing)
        return;
    if (strcmp(ledger->epoch, answer->epoch) != 0) {
        free(ledger->epoch);
        ledger->epoch = base_strdup(answer->epoch);
    }
    if (!ledger->is_serving) {
        ledger->is_serving = true;
        connection_settle(ledger->connection);
        background_open(ledger->background);
    }
    if (answer->is_ready)
        set_state(ledger, LEDGER_READY, "");
    else
        set_state(ledger, LEDGER_REBUILDING,
                  "the ledger in Redis is new or was lost: nothing is granted until it has been rebuilt");
    const char *job;
    for (size_t i = 0; !ledger->is_closing && (job = replies_text(answer->cancelled, i)); i++)
        if (events->on_cancelled)
            events->on_cancelled(events->arg, job);
}

static void on_pulse_lost(void *arg, const char *permit)
{
    struct ledger *ledger = arg;
    if (!permits_remove(&ledger->permits, permit) || ledger->is_closing)
        return;
    log_warn(ledger->options.log, "ledger.permit_lost", LOG_TEXT("permit", permit));
    if (ledger->options.events.on_lost)
        ledger->options.events.on_lost(ledger->options.events.arg, permit);
}

static void check_permit(void *arg, const char *permit)
{
    pulse_check(arg, permit);
}

static void on_pulse_lapsed(void *arg)
{
    struct ledger *ledger = arg;
    log_warn(ledger->options.log, "ledger.lease_lapsed", LOG_INT("permits", ledger->permits.count));
    permits_each(&ledger->permits, check_permit, ledger->pulse);
}

static void on_setup(void *arg, const char *why, bool is_broken)
{
    struct ledger *ledger = arg;
    if (ledger->is_closing || is_broken)
        return;
    if (why)
        connection_fail(ledger->connection, why);
    else
        pulse_start(ledger->pulse);
}

static void on_open(void *arg)
{
    struct ledger *ledger = arg;
    setup_start(ledger->connection, on_setup, ledger);
}

static void on_down(void *arg, const char *why)
{
    struct ledger *ledger = arg;
    ledger->is_serving = false;
    pulse_stop(ledger->pulse);
    background_shut(ledger->background);
    set_state(ledger, LEDGER_CONNECTING, why);
}

/* ---- hints ---- */

static void on_hint_free(void *arg, const char *limits)
{
    struct ledger *ledger = arg;
    if (ledger->options.events.on_free)
        ledger->options.events.on_free(ledger->options.events.arg, limits);
}

static void on_hint_done(void *arg, const char *job)
{
    struct ledger *ledger = arg;
    if (ledger->options.events.on_done)
        ledger->options.events.on_done(ledger->options.events.arg, job);
}

/* The hint does not say whose job it is; the pulse does. */
static void on_hint_cancel(void *arg, const char *job)
{
    struct ledger *ledger = arg;
    (void)job;
    pulse_now(ledger->pulse);
}

/* ---- requests ---- */

static struct ledger_request *request_new(struct ledger *ledger, struct ledger_call *call)
{
    assert(!call->request && !ledger->is_closing);
    struct ledger_request *request = base_alloc(sizeof *request);
    request->ledger = ledger;
    request->call = call;
    call->request = request;
    list_push_back(&ledger->requests, &request->link);
    return request;
}

/* The slot is idle again before its owner hears of it, and may be used for the next call at once. */
static struct ledger_call *request_leave(struct ledger_request *request)
{
    struct ledger_call *call = TAKE(request->call);
    if (call)
        call->request = NULL;
    link_remove(&request->link);
    return call;
}

static void request_free(struct ledger_request *request)
{
    free(request->permit);
    free(request);
}

static void request_fail(struct ledger_request *request, const struct error *error)
{
    struct ledger_call *call = request_leave(request);
    if (call && request->on_answer)
        request->on_answer(call, error, 0);
    else if (call && request->on_acquired)
        request->on_acquired(call, error, NULL);
    else if (call && request->on_usage)
        request->on_usage(call, error, NULL, 0);
    request_free(request);
}

static void on_fail_task(void *arg)
{
    struct ledger_request *request = arg;
    request_fail(request, &request->error);
}

static void fail_later(struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    (void)error_set(&request->error, ERROR_TRANSIENT, "redis", 0, "%s",
                    ledger->why[0] != '\0' ? ledger->why : "the connection to Redis broke");
    loop_defer(ledger->options.loop, &request->task, on_fail_task, request);
}

static void request_answered(struct ledger_request *request, enum ledger_answer answer)
{
    if (answer == LEDGER_SUPERSEDED_PERMIT && request->permit)
        (void)permits_remove(&request->ledger->permits, request->permit);
    struct ledger_call *call = request_leave(request);
    if (call)
        request->on_answer(call, NULL, answer);
    request_free(request);
}

static void on_answer_reply(void *arg, const struct error *error, const struct redisReply *reply)
{
    struct ledger_request *request = arg;
    enum ledger_answer answer;
    struct error malformed;
    if (!error && request->decode(reply, &answer, &malformed))
        request_answered(request, answer);
    else
        request_fail(request, error ? error : &malformed);
}

static void on_acquire_reply(void *arg, const struct error *error, const struct redisReply *reply)
{
    struct ledger_request *request = arg;
    struct ledger_acquired acquired;
    struct error malformed;
    if (error || !replies_acquire(reply, &acquired, &malformed)) {
        request_fail(request, error ? error : &malformed);
        return;
    }
    struct ledger_call *call = request_leave(request);
    if (call) {
        if (acquired.verdict == LEDGER_GRANTED || acquired.verdict == LEDGER_ADOPT)
            permits_add(&request->ledger->permits, acquired.permit);
        request->on_acquired(call, NULL, &acquired);
    }
    request_free(request);
}

static void on_usage_reply(void *arg, const struct error *error, const struct redisReply *reply)
{
    struct ledger_request *request = arg;
    struct ledger_usage *usage;
    size_t count;
    struct error malformed;
    if (error || !replies_snapshot(reply, &usage, &count, &malformed)) {
        request_fail(request, error ? error : &malformed);
        return;
    }
    struct ledger_call *call = request_leave(request);
    if (call)
        request->on_usage(call, NULL, usage, count);
    free(usage);
    request_free(request);
}

static void on_extended(void *arg, const struct error *error, enum ledger_answer answer)
{
    struct ledger_request *request = arg;
    if (error) {
        request_fail(request, error);
        return;
    }
    /* on_lost comes after this and takes the permit out of the set. */
    struct ledger_call *call = request_leave(request);
    if (call)
        request->on_answer(call, NULL, answer);
    request_free(request);
}

static void send(struct ledger_request *request, struct command *command, connection_reply_fn fn)
{
    struct ledger *ledger = request->ledger;
    struct bytes wire = command_format(command);
    if (!ledger->is_serving || !connection_send(ledger->connection, wire, fn, request))
        fail_later(request);
    free((void *)wire.data);
}

/* ---- awaited operations ---- */

void ledger_call_cancel(struct ledger *ledger, struct ledger_call *call)
{
    (void)ledger;
    if (!call->request)
        return;
    call->request->call = NULL;
    call->request = NULL;
}

void ledger_acquire(struct ledger *ledger, struct ledger_call *call, const struct ledger_acquire *acquire,
                    ledger_acquired_fn done)
{
    assert(acquire->limit_count <= MOST_LIMITS && acquire->weight > 0);
    struct ledger_request *request = request_new(ledger, call);
    request->on_acquired = done;
    struct command command = {0};
    command_script(&command, SCRIPT_ACQUIRE, ledger->prefix);
    command_text(&command, ledger->worker);
    command_text(&command, acquire->job);
    command_text(&command, acquire->payload);
    command_text(&command, acquire->origin);
    command_int(&command, acquire->hop);
    command_text(&command, acquire->tenant);
    command_int(&command, acquire->weight);
    command_text(&command, acquire->permit);
    command_int(&command, acquire->horizon_ms);
    command_int(&command, acquire->until_ms);
    command_int(&command, acquire->create_milli_per_s);
    command_int(&command, acquire->create_burst);
    command_text(&command, ""); /* not a warm permit */
    for (size_t i = 0; i < acquire->limit_count; i++) {
        command_text(&command, acquire->limits[i].name);
        command_int(&command, acquire->limits[i].max);
    }
    send(request, &command, on_acquire_reply);
}

void ledger_bind(struct ledger *ledger, struct ledger_call *call, const struct ledger_bind *bind,
                 ledger_answer_fn done)
{
    struct ledger_request *request = request_new(ledger, call);
    request->on_answer = done;
    request->decode = replies_bind;
    request->permit = base_strdup(bind->permit);
    struct command command = {0};
    command_script(&command, SCRIPT_BIND, ledger->prefix);
    command_text(&command, ledger->worker);
    command_text(&command, bind->job);
    command_text(&command, bind->permit);
    command_text(&command, bind->sandbox);
    command_text(&command, bind->mode);
    command_text(&command, bind->plan);
    command_int(&command, bind->horizon_ms);
    command_int(&command, bind->until_ms);
    command_int(&command, bind->run_until_ms);
    send(request, &command, on_answer_reply);
}

void ledger_seal(struct ledger *ledger, struct ledger_call *call, const struct ledger_seal *seal,
                 ledger_answer_fn done)
{
    assert(seal->record.length <= LARGEST_RECORD_BYTES);
    struct ledger_request *request = request_new(ledger, call);
    request->on_answer = done;
    request->decode = replies_seal;
    request->permit = base_strdup(seal->permit);
    struct command command = {0};
    command_script(&command, SCRIPT_SEAL, ledger->prefix);
    command_text(&command, ledger->worker);
    command_text(&command, seal->job);
    command_text(&command, seal->permit);
    command_text(&command, seal->payload);
    command_text(&command, seal->origin);
    command_text(&command, seal->status);
    command_bytes(&command, seal->record);
    command_int(&command, seal->until_ms);
    send(request, &command, on_answer_reply);
}

void ledger_extend(struct ledger *ledger, struct ledger_call *call, const char *permit, int64_t horizon_ms,
                   ledger_answer_fn done)
{
    struct ledger_request *request = request_new(ledger, call);
    request->on_answer = done;
    if (!ledger->is_serving || !pulse_extend(ledger->pulse, permit, horizon_ms, on_extended, request))
        fail_later(request);
}

void ledger_ready(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done)
{
    struct ledger_request *request = request_new(ledger, call);
    request->on_answer = done;
    request->decode = replies_ready;
    struct command command = {0};
    command_script(&command, SCRIPT_READY, ledger->prefix);
    command_text(&command, ledger->worker);
    send(request, &command, on_answer_reply);
    pulse_now(ledger->pulse); /* behind it in the pipeline: our own state follows at once */
}

void ledger_snapshot(struct ledger *ledger, struct ledger_call *call, ledger_usage_fn done)
{
    struct ledger_request *request = request_new(ledger, call);
    request->on_usage = done;
    struct command command = {0};
    command_script(&command, SCRIPT_SNAPSHOT, ledger->prefix);
    send(request, &command, on_usage_reply);
}

/* ---- in the background ---- */

void ledger_done(struct ledger *ledger, const char *job, const char *status, int64_t partition,
                 int64_t offset, int64_t ttl_ms)
{
    assert(!ledger->is_closing);
    struct command command = {0};
    command_script(&command, SCRIPT_DONE, ledger->prefix);
    command_text(&command, job);
    command_text(&command, status);
    command_int(&command, partition);
    command_int(&command, offset);
    command_int(&command, ttl_ms);
    background_add(ledger->background, "done", command_format(&command));
}

void ledger_release(struct ledger *ledger, const char *permit, const char *job, int what)
{
    assert(!ledger->is_closing && (job || !(what & LEDGER_RELEASE_CLAIM)));
    if (what & LEDGER_RELEASE_PERMIT)
        (void)permits_remove(&ledger->permits, permit);
    struct command command = {0};
    command_script(&command, SCRIPT_RELEASE, ledger->prefix);
    command_text(&command, ledger->worker);
    command_text(&command, permit);
    command_text(&command, what & LEDGER_RELEASE_CLAIM ? job : "");
    command_text(&command, "idle");
    command_text(&command, ""); /* the hop stays */
    command_int(&command, IDLE_TTL_MS);
    command_int(&command, what & LEDGER_RELEASE_PERMIT ? 0 : 1);
    command_int(&command, what & LEDGER_UNCOUNT ? 1 : 0);
    background_add(ledger->background, "release", command_format(&command));
}

size_t ledger_background_count(const struct ledger *ledger)
{
    return background_count(ledger->background);
}

/* ---- life cycle ---- */

static void destroy(void *object)
{
    struct ledger *ledger = object;
    background_free(ledger->background);
    permits_release(&ledger->permits);
    url_release(&ledger->url);
    free(ledger->prefix);
    free(ledger->worker);
    free(ledger->epoch);
    free(ledger);
}

static void on_close_task(void *arg)
{
    struct ledger *ledger = arg;
    struct loop *loop = ledger->options.loop;
    void (*closed)(void *) = ledger->closed;
    void *closed_arg = ledger->closed_arg;
    loop_timer_stop(loop, &ledger->close_timer);
    loop_reap(loop, ledger, destroy);
    pulse_free(ledger->pulse);
    connection_free(ledger->connection);
    hints_free(ledger->hints);
    if (closed)
        closed(closed_arg);
}

static void finish_close(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_closed)
        return;
    ledger->is_closed = true;
    loop_defer(ledger->options.loop, &ledger->close_task, on_close_task, ledger);
}

static void on_given_back(void *arg, const struct error *error, const struct redisReply *reply)
{
    (void)error;
    (void)reply;
    finish_close(arg);
}

/* A pulse with a lease of nothing: whoever waits for our claims need not wait for the lease. */
static void give_back(struct ledger *ledger)
{
    if (ledger->is_giving_back)
        return;
    ledger->is_giving_back = true;
    pulse_stop(ledger->pulse);
    struct command command = {0};
    command_script(&command, SCRIPT_PULSE, ledger->prefix);
    command_text(&command, ledger->worker);
    command_int(&command, 0);  /* lease */
    command_int(&command, -1); /* since */
    struct bytes wire = command_format(&command);
    if (!ledger->is_serving || !connection_send(ledger->connection, wire, on_given_back, ledger))
        finish_close(ledger);
    free((void *)wire.data);
}

static void on_background_empty(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_closing)
        give_back(ledger);
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
    LIST_EACH(&ledger->requests, link)
    {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        (void)request_leave(request);
    }
    loop_timer_start(ledger->options.loop, &ledger->close_timer, grace_ms, finish_close, ledger);
    if (background_count(ledger->background) == 0)
        give_back(ledger);
}

/* Part of key names, and of lists within values. */
static bool is_plain_name(const char *name)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    return name[0] != '\0' && strlen(name) <= 200 && name[strspn(name, alphabet)] == '\0';
}

static bool check_names(const struct ledger_options *options, struct error *reterr)
{
    if (!is_plain_name(options->name))
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "the ledger's name may have 1 to 200 letters, digits and . _ : -");
    if (!is_plain_name(options->worker))
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "the worker's name may have 1 to 200 letters, digits and . _ : -");
    return true;
}

static void open_parts(struct ledger *ledger)
{
    const struct ledger_options *options = &ledger->options;
    ledger->connection = connection_new(&(struct connection_options){.loop = options->loop,
                                                                     .random = options->random,
                                                                     .url = &ledger->url,
                                                                     .arg = ledger,
                                                                     .on_open = on_open,
                                                                     .on_down = on_down});
    ledger->hints = hints_new(&(struct hints_options){.loop = options->loop,
                                                      .random = options->random,
                                                      .url = &ledger->url,
                                                      .prefix = ledger->prefix,
                                                      .arg = ledger,
                                                      .on_free = on_hint_free,
                                                      .on_done = on_hint_done,
                                                      .on_cancel = on_hint_cancel});
    ledger->pulse = pulse_new(&(struct pulse_options){.loop = options->loop,
                                                      .connection = ledger->connection,
                                                      .prefix = ledger->prefix,
                                                      .worker = ledger->worker,
                                                      .arg = ledger,
                                                      .on_answer = on_pulse_answer,
                                                      .on_lost = on_pulse_lost,
                                                      .on_lapsed = on_pulse_lapsed});
    ledger->background = background_new(ledger->connection, options->log, on_background_empty, ledger);
}

struct ledger *ledger_new(const struct ledger_options *options, struct error *reterr)
{
    struct url url;
    if (!check_names(options, reterr) || !url_parse(options->url, &url, reterr))
        return NULL;
    struct ledger *ledger = base_alloc(sizeof *ledger);
    ledger->options = *options;
    ledger->url = url;
    ledger->prefix = base_printf("{e2b:%s}:", options->name);
    /* A restarted worker under its old name must not keep its former life's claims alive. */
    ledger->worker = base_printf("%s.%08" PRIx64, options->worker, random_next(options->random) >> 32);
    ledger->epoch = base_strdup("");
    snprintf(ledger->why, sizeof ledger->why, "not yet connected to Redis");
    list_init(&ledger->requests);
    open_parts(ledger);
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
    return pulse_lease_is_valid(ledger->pulse);
}
