/* The heartbeat and what rides on it. */
#include "redis/pulse.h"

#include "base/list.h"
#include "redis/command.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 500, DOUBT_MS = 50 };

struct pulse {
    struct pulse_options options;
    struct timer timer;
    struct task task;
    struct link waiting, sent; /* of struct extension */
    size_t check_count;        /* extensions that only ask, in both lists */
    int64_t sending_boot_ms;   /* of the pulse under way */
    int64_t accepted_boot_ms;  /* sending of the last one that Redis accepted; -1: none */
    int64_t lease_boot_ms;     /* ... and that left nothing open; -1: none */
    bool is_running, is_under_way, is_freed;
};

struct extension {
    struct link link;
    char *permit;
    int64_t horizon_ms;
    pulse_extend_fn fn; /* NULL: a check */
    void *arg;
};

static void send_pulse(void *arg);

/* ---- extensions ---- */

static struct extension *extension_new(struct pulse *pulse, const char *permit, int64_t horizon_ms)
{
    struct extension *extension = base_alloc(sizeof *extension);
    extension->permit = base_strdup(permit);
    extension->horizon_ms = horizon_ms;
    list_push_back(&pulse->waiting, &extension->link);
    return extension;
}

static void extension_end(struct pulse *pulse, struct extension *extension, const struct error *error,
                          enum ledger_answer answer)
{
    link_remove(&extension->link);
    pulse_extend_fn fn = extension->fn;
    void *arg = extension->arg;
    if (!fn)
        pulse->check_count--;
    free(extension->permit);
    free(extension);
    if (fn) /* after pulse_free, too: who waits has fallen silent, but keeps a record that must end */
        fn(arg, error, answer);
}

/* Extensions fail; checks stay, for the next connection. */
static void fail_extensions(struct pulse *pulse, struct link *list, const struct error *error)
{
    LIST_EACH(list, link)
    {
        struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (extension->fn || pulse->is_freed)
            extension_end(pulse, extension, error, 0);
    }
    struct link *check;
    while (list != &pulse->waiting && (check = list_pop_front(list)))
        list_push_front(&pulse->waiting, check);
}

/* The script answers in the order of the pairs, so one walk finds all. */
static void settle_extensions(struct pulse *pulse, const struct redisReply *not_mine)
{
    struct link settled;
    list_init(&settled);
    struct link *link;
    while ((link = list_pop_front(&pulse->sent)))
        list_push_back(&settled, link);
    size_t i = 0;
    while (!list_is_empty(&settled)) {
        struct extension *extension = LIST_OBJECT(settled.next, struct extension, link);
        const char *next = replies_text(not_mine, i);
        bool is_lost = next && strcmp(next, extension->permit) == 0;
        i += is_lost;
        extension_end(pulse, extension, NULL, is_lost ? LEDGER_SUPERSEDED_PERMIT : LEDGER_OK);
        if (is_lost && !pulse->is_freed)
            pulse->options.on_lost(pulse->options.arg, next);
    }
}

/* ---- the heartbeat ---- */

static void plan(struct pulse *pulse, int64_t delay_ms)
{
    if (pulse->is_running)
        loop_timer_start(pulse->options.loop, &pulse->timer, delay_ms, send_pulse, pulse);
}

static void take_answer(struct pulse *pulse, const struct pulse_answer *answer)
{
    if (!answer->is_in_doubt)
        pulse->accepted_boot_ms = pulse->sending_boot_ms;
    settle_extensions(pulse, answer->not_mine);
    if (pulse->is_freed)
        return;
    if (answer->has_lapsed &&
        !answer->is_in_doubt) { /* in doubt the lease was not renewed: it says so again */
        pulse->lease_boot_ms = -1;
        pulse->options.on_lapsed(pulse->options.arg);
    }
    if (!answer->is_in_doubt && pulse->check_count == 0)
        pulse->lease_boot_ms = pulse->sending_boot_ms;
    pulse->options.on_answer(pulse->options.arg, answer);
    if (pulse->is_freed)
        return;
    if (!list_is_empty(&pulse->waiting))
        pulse_now(pulse);
    else
        plan(pulse, answer->is_in_doubt ? DOUBT_MS : LEDGER_PULSE_MS);
}

static void on_answer(void *arg, const struct error *error, const struct redisReply *reply)
{
    struct pulse *pulse = arg;
    struct pulse_answer answer;
    struct error malformed;
    pulse->is_under_way = false;
    if (!error && replies_pulse(reply, &answer, &malformed)) {
        if (!pulse->is_freed)
            take_answer(pulse, &answer);
        return;
    }
    const struct error *cause = error ? error : &malformed;
    fail_extensions(pulse, &pulse->sent, cause);
    /* A lease that cannot be renewed is no state to stay in: the next connection may do better. */
    if (!pulse->is_freed)
        connection_fail(pulse->options.connection, cause->text);
}

static void send_pulse(void *arg)
{
    struct pulse *pulse = arg;
    if (!pulse->is_running || pulse->is_under_way)
        return;
    loop_timer_stop(pulse->options.loop, &pulse->timer);
    loop_defer_cancel(pulse->options.loop, &pulse->task);
    int64_t boot_ms = loop_boot_ms(pulse->options.loop);
    struct command command = {0};
    command_script(&command, SCRIPT_PULSE, pulse->options.prefix);
    command_text(&command, pulse->options.worker);
    command_int(&command, LEDGER_LEASE_MS);
    command_int(&command, pulse->accepted_boot_ms < 0 ? -1 : boot_ms - pulse->accepted_boot_ms);
    for (size_t i = 0; i < MOST_PAIRS && !list_is_empty(&pulse->waiting); i++) {
        struct link *link = list_pop_front(&pulse->waiting);
        struct extension *extension = LIST_OBJECT(link, struct extension, link);
        list_push_back(&pulse->sent, link);
        command_text(&command, extension->permit);
        command_int(&command, extension->horizon_ms);
    }
    struct bytes wire = command_format(&command);
    pulse->sending_boot_ms = boot_ms;
    pulse->is_under_way = connection_send(pulse->options.connection, wire, on_answer, pulse);
    free((void *)wire.data);
    if (!pulse->is_under_way) { /* it is going down, and pulse_stop comes */
        struct error error;
        (void)error_set(&error, ERROR_TRANSIENT, "redis", 0, "the connection to Redis broke");
        fail_extensions(pulse, &pulse->sent, &error);
    }
}

/* ---- public ---- */

struct pulse *pulse_new(const struct pulse_options *options)
{
    struct pulse *pulse = base_alloc(sizeof *pulse);
    *pulse = (struct pulse){.options = *options, .accepted_boot_ms = -1, .lease_boot_ms = -1};
    list_init(&pulse->waiting);
    list_init(&pulse->sent);
    return pulse;
}

static void destroy(void *object)
{
    struct pulse *pulse = object;
    struct error error;
    (void)error_set(&error, ERROR_CANCELED, "redis", 0, "the ledger was closed");
    fail_extensions(pulse, &pulse->sent, &error);
    fail_extensions(pulse, &pulse->waiting, &error);
    free(pulse);
}

void pulse_free(struct pulse *pulse)
{
    if (!pulse || pulse->is_freed)
        return;
    pulse->is_freed = true;
    pulse->is_running = false;
    loop_timer_stop(pulse->options.loop, &pulse->timer);
    loop_defer_cancel(pulse->options.loop, &pulse->task);
    loop_reap(pulse->options.loop, pulse, destroy); /* one of our callbacks may be on the stack */
}

void pulse_start(struct pulse *pulse)
{
    pulse->is_running = true;
    send_pulse(pulse);
}

void pulse_stop(struct pulse *pulse)
{
    struct error error;
    if (!pulse->is_running)
        return;
    pulse->is_running = false;
    loop_timer_stop(pulse->options.loop, &pulse->timer);
    loop_defer_cancel(pulse->options.loop, &pulse->task);
    (void)error_set(&error, ERROR_TRANSIENT, "redis", 0, "the connection to Redis broke");
    fail_extensions(pulse, &pulse->waiting, &error);
}

void pulse_now(struct pulse *pulse)
{
    if (pulse->is_running && !pulse->is_under_way)
        loop_defer(pulse->options.loop, &pulse->task, send_pulse, pulse);
}

bool pulse_extend(struct pulse *pulse, const char *permit, int64_t horizon_ms, pulse_extend_fn fn, void *arg)
{
    if (!pulse->is_running)
        return false;
    struct extension *extension = extension_new(pulse, permit, horizon_ms);
    extension->fn = fn;
    extension->arg = arg;
    pulse_now(pulse);
    return true;
}

void pulse_check(struct pulse *pulse, const char *permit)
{
    (void)extension_new(pulse, permit, 0);
    pulse->check_count++;
    pulse_now(pulse);
}

bool pulse_lease_is_valid(const struct pulse *pulse)
{
    return pulse->lease_boot_ms >= 0 &&
           loop_boot_ms(pulse->options.loop) - pulse->lease_boot_ms < LEDGER_OWN_LEASE_MS;
}
