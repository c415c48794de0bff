/* The heartbeat and what rides on it. */
#include "redis/pulse.h"

#include "base/list.h"
#include "redis/crew.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 500, DOUBT_MS = 50 };

struct pulse {
    struct pulse_options options;
    struct timer timer;
    struct task task;
    struct link waiting, sent; /* of struct extension */
    struct link open;          /* checks that the last pulse could not answer: they go with the next */
    size_t check_count;        /* extensions that only ask, in all lists */
    char *epoch;               /* of the last accepted pulse */
    unsigned epoch_number;
    struct crew crew;
    int64_t sending_boot_ms;  /* of the pulse under way */
    int64_t accepted_boot_ms; /* sending of the last one that Redis accepted; -1: none */
    int64_t lease_boot_ms;    /* ... and that left nothing open; -1: none */
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

static void forget_checks(struct pulse *pulse, struct link *list)
{
    LIST_EACH(list, link)
    {
        struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (!extension->fn)
            extension_end(pulse, extension, NULL, 0);
    }
}

static bool is_next(const struct redisReply *list, size_t *i, const char *permit)
{
    const char *next = replies_text(list, *i);
    bool is_it = next && strcmp(next, permit) == 0;
    *i += is_it;
    return is_it;
}

static void settle_lost(struct pulse *pulse, struct extension *extension, enum ledger_loss loss)
{
    CLEANUP(base_freep) char *permit = base_strdup(extension->permit);
    extension_end(pulse, extension, NULL,
                  loss == LEDGER_LOST_TO_OTHER ? LEDGER_SUPERSEDED_PERMIT : LEDGER_SUPERSEDED);
    if (!pulse->is_freed)
        pulse->options.on_lost(pulse->options.arg, permit, loss);
}

/* It is not there, in a ledger that forgot. */
static void settle_missing(struct pulse *pulse, struct extension *extension)
{
    if (extension->fn || pulse->is_freed ||
        !pulse->options.will_assert(pulse->options.arg, extension->permit)) {
        extension_end(pulse, extension, NULL, LEDGER_NOT_NOW);
    } else {
        link_remove(&extension->link);
        list_push_back(&pulse->open, &extension->link);
    }
}

/* The script answers in the order of the pairs, so one walk finds all. */
static void settle_extensions(struct pulse *pulse, const struct pulse_answer *answer)
{
    struct link settled;
    list_init(&settled);
    struct link *link;
    while ((link = list_pop_front(&pulse->sent)))
        list_push_back(&settled, link);
    size_t other = 0, gone = 0;
    while ((link = list_pop_front(&settled))) {
        struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (is_next(answer->others, &other, extension->permit))
            settle_lost(pulse, extension, LEDGER_LOST_TO_OTHER);
        else if (!is_next(answer->gone, &gone, extension->permit))
            extension_end(pulse, extension, NULL, LEDGER_OK);
        else if (answer->is_ready)
            settle_lost(pulse, extension, LEDGER_LOST_FOR_GOOD);
        else
            settle_missing(pulse, extension);
    }
}

/* ---- the heartbeat ---- */

static void plan(struct pulse *pulse, int64_t delay_ms)
{
    if (pulse->is_running)
        loop_timer_start(pulse->options.loop, &pulse->timer, delay_ms, send_pulse, pulse);
}

/* Returns: whether it is open now what is ours. */
static bool take_epoch(struct pulse *pulse, const struct pulse_answer *answer)
{
    bool is_new = strcmp(answer->epoch, pulse->epoch) != 0;
    if (is_new) {
        free(pulse->epoch);
        pulse->epoch = base_strdup(answer->epoch);
        pulse->epoch_number++;
    }
    return is_new || answer->has_lapsed;
}

static void accept(struct pulse *pulse, const struct pulse_answer *answer)
{
    pulse->accepted_boot_ms = pulse->sending_boot_ms;
    crew_take(&pulse->crew, answer, loop_boot_ms(pulse->options.loop));
    if (take_epoch(pulse, answer)) {
        pulse->lease_boot_ms = -1;
        forget_checks(pulse, &pulse->open);
        forget_checks(pulse, &pulse->waiting);
        pulse->options.name_permits(pulse->options.arg);
    }
    if (pulse->check_count == 0)
        pulse->lease_boot_ms = pulse->sending_boot_ms;
}

static void take_answer(struct pulse *pulse, const struct pulse_answer *answer)
{
    settle_extensions(pulse, answer);
    if (pulse->is_freed)
        return;
    if (!answer->is_in_doubt) /* in doubt nothing was renewed: it says so again */
        accept(pulse, answer);
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
    command_text(&command, crew_version(&pulse->crew));
    struct link *check;
    while ((check = list_pop_front(&pulse->open)))
        list_push_back(&pulse->waiting, check);
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
    list_init(&pulse->open);
    pulse->epoch = base_strdup("");
    return pulse;
}

static void destroy(void *object)
{
    struct pulse *pulse = object;
    struct error error;
    (void)error_set(&error, ERROR_CANCELED, "redis", 0, "the ledger was closed");
    fail_extensions(pulse, &pulse->sent, &error);
    fail_extensions(pulse, &pulse->waiting, &error);
    fail_extensions(pulse, &pulse->open, &error);
    free(pulse->epoch);
    crew_release(&pulse->crew);
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

const char *pulse_epoch(const struct pulse *pulse)
{
    return pulse->epoch;
}

unsigned pulse_epoch_number(const struct pulse *pulse)
{
    return pulse->epoch_number;
}

void pulse_write_crew(const struct pulse *pulse, struct command *command)
{
    crew_write(&pulse->crew, loop_boot_ms(pulse->options.loop), command);
}

bool pulse_lease_is_valid(const struct pulse *pulse)
{
    return pulse->lease_boot_ms >= 0 &&
           loop_boot_ms(pulse->options.loop) - pulse->lease_boot_ms < LEDGER_OWN_LEASE_MS;
}
