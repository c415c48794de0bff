/* The ledger over one connection: its state, and the way in and out. */
#include "redis/ledger_inside.h"

#include "redis/setup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- state ---- */

static void set_state(struct ledger *ledger, enum ledger_state state, const char *why)
{
    if (ledger->is_closing || (ledger->state == state && strcmp(ledger->why, why) == 0))
        return;
    ledger->state = state;
    base_copy_text(ledger->why, sizeof ledger->why, why);
    if (state == LEDGER_READY)
        log_debug(ledger->options.log, "ledger.epoch", LOG_TEXT("epoch", pulse_epoch(ledger->pulse)));
    if (ledger->options.events.on_state)
        ledger->options.events.on_state(ledger->options.events.arg, state, ledger->why);
}

static void begin_serving(struct ledger *ledger)
{
    if (ledger->is_serving)
        return;
    ledger->is_serving = true;
    connection_settle(ledger->connection);
    background_open(ledger->background);
}

static void on_pulse_answer(void *arg, const struct pulse_answer *answer)
{
    struct ledger *ledger = arg;
    const struct ledger_events *events = &ledger->options.events;
    if (answer->is_in_doubt || ledger->is_closing)
        return;
    if (answer->has_lapsed)
        log_warn(ledger->options.log, "ledger.lease_lapsed", LOG_INT("permits", ledger->permits.count));
    begin_serving(ledger);
    if (answer->is_ready)
        set_state(ledger, LEDGER_READY, "");
    else
        set_state(ledger, LEDGER_REBUILDING,
                  "the ledger in Redis is new or was lost: nothing is granted until it has been rebuilt");
    if (!answer->is_ready)
        ledger_rebuild_act(ledger);
    const char *job;
    for (size_t i = 0; !ledger->is_closing && (job = replies_text(answer->cancelled, i)); i++)
        if (events->on_cancelled)
            events->on_cancelled(events->arg, job);
}

static void on_pulse_lost(void *arg, const char *permit, enum ledger_loss loss)
{
    struct ledger *ledger = arg;
    if (!permits_remove(&ledger->permits, permit) || ledger->is_closing)
        return;
    log_warn(ledger->options.log, "ledger.permit_lost", LOG_TEXT("permit", permit),
             LOG_TEXT("to", loss == LEDGER_LOST_TO_OTHER ? "another" : "nobody"));
    if (ledger->options.events.on_lost)
        ledger->options.events.on_lost(ledger->options.events.arg, permit, loss);
}

static bool will_assert(void *arg, const char *permit)
{
    struct ledger *ledger = arg;
    return ledger->options.events.on_rebuild && permits_has(&ledger->permits, permit);
}

static void check_permit(void *arg, const char *permit)
{
    pulse_check(arg, permit);
}

static void name_permits(void *arg)
{
    struct ledger *ledger = arg;
    permits_each(&ledger->permits, check_permit, ledger->pulse);
}

static void on_setup(void *arg, const char *why, bool is_broken)
{
    struct ledger *ledger = arg;
    if (ledger->is_closing || is_broken)
        return;
    if (why) {
        connection_fail(ledger->connection, why);
    } else if (ledger->options.is_onlooker) {
        begin_serving(ledger);
        set_state(ledger, LEDGER_READY, "");
    } else {
        pulse_start(ledger->pulse);
    }
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
    ledger->told_epoch = 0; /* what was said on this connection may not have arrived */
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

static void on_hint_turn(void *arg, const char *limit, const char *tenant)
{
    struct ledger *ledger = arg;
    if (ledger->options.events.on_turn)
        ledger->options.events.on_turn(ledger->options.events.arg, limit, tenant);
}

static void on_hint_done(void *arg, const char *job)
{
    struct ledger *ledger = arg;
    if (ledger->options.events.on_done)
        ledger->options.events.on_done(ledger->options.events.arg, job);
}

/* Whose job it is the hint does not say. Its owner is told by the next pulse, too. */
static void on_hint_cancel(void *arg, const char *job)
{
    struct ledger *ledger = arg;
    if (ledger->options.events.on_cancelled)
        ledger->options.events.on_cancelled(ledger->options.events.arg, job);
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

/* A pulse with a lease of nothing: whoever waits for our claims need not wait for the lease. Of one who
 * leaves permits behind it is remembered for a while that it was there: see lua/ready.lua. */
static void give_back(struct ledger *ledger)
{
    if (ledger->is_giving_back)
        return;
    ledger->is_giving_back = true;
    pulse_stop(ledger->pulse);
    struct command command = {0};
    command_script(&command, SCRIPT_PULSE, ledger->prefix);
    command_text(&command, ledger->worker);
    command_int(&command, ledger->permits.count > 0 ? -1 : 0); /* lease */
    command_int(&command, -1);                                 /* since */
    command_text(&command, "");                                /* crew */
    struct bytes wire = command_format(&command);
    if (ledger->options.is_onlooker || !ledger->is_serving ||
        !connection_send(ledger->connection, wire, on_given_back, ledger))
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
    ledger_flush(ledger);
    ledger->is_closing = true;
    ledger->closed = closed;
    ledger->closed_arg = arg;
    ledger->options.events = (struct ledger_events){0};
    ledger_requests_silence(ledger);
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
    if (!options->is_onlooker)
        ledger->hints = hints_new(&(struct hints_options){.loop = options->loop,
                                                          .random = options->random,
                                                          .url = &ledger->url,
                                                          .prefix = ledger->prefix,
                                                          .arg = ledger,
                                                          .worker = ledger->worker,
                                                          .on_free = on_hint_free,
                                                          .on_turn = on_hint_turn,
                                                          .on_done = on_hint_done,
                                                          .on_cancel = on_hint_cancel});
    ledger->pulse = pulse_new(&(struct pulse_options){.loop = options->loop,
                                                      .connection = ledger->connection,
                                                      .prefix = ledger->prefix,
                                                      .worker = ledger->worker,
                                                      .arg = ledger,
                                                      .on_answer = on_pulse_answer,
                                                      .on_lost = on_pulse_lost,
                                                      .name_permits = name_permits,
                                                      .will_assert = will_assert});
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

unsigned ledger_epoch(const struct ledger *ledger)
{
    return pulse_epoch_number(ledger->pulse);
}

bool ledger_lease_is_valid(const struct ledger *ledger)
{
    return pulse_lease_is_valid(ledger->pulse);
}
