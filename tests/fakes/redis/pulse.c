/* The fake ledger's heartbeat and what rides on it: as src/redis/pulse.c does it, over the fake's wire. */
#include "fakes/redis/ledger_inside.h"

#include <stdlib.h>
#include <string.h>

enum { DOUBT_MS = 50 };

static struct loop *loop_of(const struct ledger *ledger)
{
    return ledger->options.loop;
}

/* ---- extensions ---- */

static void add_extension(struct ledger *ledger, const char *permit, int64_t horizon_ms,
                          struct ledger_request *request)
{
    struct extension *extension = base_alloc(sizeof *extension);
    extension->permit = base_strdup(permit);
    extension->horizon_ms = horizon_ms;
    extension->request = request;
    ledger->check_count += request == NULL;
    list_push_back(&ledger->waiting, &extension->link);
}

static void end_extension(struct ledger *ledger, struct extension *extension, bool is_failed,
                          enum ledger_answer answer)
{
    struct ledger_request *request = extension->request;
    link_remove(&extension->link);
    ledger->check_count -= request == NULL;
    free(extension->permit);
    free(extension);
    if (!request)
        return;
    request->is_failed = is_failed;
    request->is.word = answer;
    if (is_failed)
        fake_ledger_fail(request);
    else
        fake_ledger_deliver(request);
    fake_wire_free(request);
}

/* Extensions fail; checks stay, for the next connection. */
static void fail_extensions(struct ledger *ledger, struct link *list)
{
    struct link mine;
    list_init(&mine);
    while (!list_is_empty(list)) {
        struct extension *extension = LIST_OBJECT(list->next, struct extension, link);
        bool is_kept = !extension->request && !ledger->is_gone;
        link_remove(&extension->link);
        list_push_back(is_kept ? &ledger->open : &mine, &extension->link);
    }
    while (!list_is_empty(&mine))
        end_extension(ledger, LIST_OBJECT(mine.next, struct extension, link), /* is_failed= */ true, 0);
}

static void forget_checks(struct ledger *ledger, struct link *list)
{
    LIST_EACH(list, link)
    {
        struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (!extension->request)
            end_extension(ledger, extension, false, 0);
    }
}

static void settle_lost(struct ledger *ledger, struct extension *extension, enum ledger_loss loss)
{
    CLEANUP(base_freep) char *permit = base_strdup(extension->permit);
    end_extension(ledger, extension, false,
                  loss == LEDGER_LOST_TO_OTHER ? LEDGER_SUPERSEDED_PERMIT : LEDGER_SUPERSEDED);
    if (!ledger->is_gone)
        fake_ledger_lose(ledger, permit, loss);
}

/* It is not there, in a ledger that forgot. */
static void settle_missing(struct ledger *ledger, struct extension *extension)
{
    bool will_assert = ledger->options.events.on_rebuild && fake_ledger_holds(ledger, extension->permit);
    if (extension->request || ledger->is_gone || !will_assert) {
        end_extension(ledger, extension, false, LEDGER_NOT_NOW);
    } else {
        link_remove(&extension->link);
        list_push_back(&ledger->open, &extension->link);
    }
}

static void settle(struct ledger *ledger, struct ledger_request *request)
{
    struct link *extensions = &request->ask.pulse.extensions;
    while (!list_is_empty(extensions)) {
        struct extension *extension = LIST_OBJECT(extensions->next, struct extension, link);
        if (extension->is_failed)
            end_extension(ledger, extension, /* is_failed= */ true, 0);
        else if (extension->answer == LEDGER_SUPERSEDED_PERMIT)
            settle_lost(ledger, extension, LEDGER_LOST_TO_OTHER);
        else if (extension->answer == LEDGER_OK)
            end_extension(ledger, extension, false, LEDGER_OK);
        else if (request->is.pulse.answer.is_ready)
            settle_lost(ledger, extension, LEDGER_LOST_FOR_GOOD);
        else
            settle_missing(ledger, extension);
    }
}

/* ---- at Redis ---- */

static void extend(struct ledger *ledger, struct extension *extension)
{
    struct store *store = fake_redis_store(ledger->redis);
    if (extension->request && fake_redis_take_failure(ledger->redis)) {
        extension->is_failed = true;
        return;
    }
    extension->is_failed = extension->request && fake_redis_take_lost_answer(ledger->redis);
    if (extension->request)
        fake_redis_count_one(ledger->redis);
    extension->answer = store_extend(store, ledger->worker, extension->permit, extension->horizon_ms,
                                     fake_redis_now_ms(ledger->redis));
}

static void do_pulse(struct ledger *ledger, struct ledger_request *request)
{
    struct store *store = fake_redis_store(ledger->redis);
    struct store_pulse *answer = &request->is.pulse.answer;
    *answer = store_pulse(store, ledger->worker, LEDGER_LEASE_MS, request->ask.pulse.since_ms,
                          request->ask.pulse.has_crew, fake_redis_now_ms(ledger->redis));
    LIST_EACH(&request->ask.pulse.extensions, link)
    extend(ledger, LIST_OBJECT(link, struct extension, link));
    if (!answer->is_in_doubt)
        request->is.pulse.cancelled_count = store_cancelled(
            store, ledger->worker, fake_redis_now_ms(ledger->redis), &request->is.pulse.cancelled);
    if (answer->is_ready && answer->crew != request->ask.pulse.crew_version)
        request->is.pulse.crew = store_workers(store, fake_redis_now_ms(ledger->redis));
}

/* ---- here ---- */

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

static void check(struct ledger *ledger, const char *permit)
{
    add_extension(ledger, permit, 0, NULL);
}

static void accept(struct ledger *ledger, struct ledger_request *request)
{
    const struct store_pulse *answer = &request->is.pulse.answer;
    bool is_new = answer->epoch != ledger->epoch;
    ledger->accepted_boot_ms = request->ask.pulse.boot_ms;
    ledger->epoch = answer->epoch;
    ledger->epoch_number += is_new;
    if (request->is.pulse.crew) {
        free(ledger->crew);
        ledger->crew = fake_ledger_move_ends(request->is.pulse.crew, request->ask.pulse.boot_ms);
        ledger->crew_version = answer->crew;
    }
    if (is_new || answer->has_lapsed) {
        ledger->lease_boot_ms = -1;
        forget_checks(ledger, &ledger->open);
        forget_checks(ledger, &ledger->waiting);
        fake_ledger_each_held(ledger, check);
    }
    if (ledger->check_count == 0)
        ledger->lease_boot_ms = request->ask.pulse.boot_ms;
}

static void tell(struct ledger *ledger, struct ledger_request *request)
{
    const struct ledger_events *events = &ledger->options.events;
    fake_wire_serve(ledger);
    if (request->is.pulse.answer.is_ready) {
        fake_ledger_set_state(ledger, LEDGER_READY, "");
    } else {
        fake_ledger_set_state(ledger, LEDGER_REBUILDING, "the ledger is new or was lost");
        rebuild(ledger);
    }
    for (size_t i = 0; i < request->is.pulse.cancelled_count; i++)
        if (events->on_cancelled)
            events->on_cancelled(events->arg, request->is.pulse.cancelled[i]);
}

static void on_timer(void *arg);

static void plan(struct ledger *ledger, int64_t delay_ms)
{
    if (ledger->is_connected)
        loop_timer_start(loop_of(ledger), &ledger->pulse_timer, delay_ms, on_timer, ledger);
}

static void free_answer(struct ledger_request *request)
{
    for (size_t i = 0; i < request->is.pulse.cancelled_count; i++)
        free(request->is.pulse.cancelled[i]);
    free(TAKE(request->is.pulse.cancelled));
    free(TAKE(request->is.pulse.crew));
    request->is.pulse.cancelled_count = 0;
}

/* In doubt nothing was renewed: it says so again. */
static void on_pulse(struct ledger *ledger, struct ledger_request *request)
{
    bool is_in_doubt = request->is.pulse.answer.is_in_doubt;
    ledger->is_pulsing = false;
    settle(ledger, request);
    if (!ledger->is_gone && !is_in_doubt)
        accept(ledger, request);
    if (!ledger->is_closing && !is_in_doubt)
        tell(ledger, request);
    free_answer(request);
    if (ledger->is_gone)
        return;
    if (!list_is_empty(&ledger->waiting))
        fake_pulse_now(ledger);
    else
        plan(ledger, is_in_doubt ? DOUBT_MS : LEDGER_PULSE_MS);
}

static void send_pulse(void *arg)
{
    struct ledger *ledger = arg;
    struct loop *loop = loop_of(ledger);
    if (!ledger->is_connected || ledger->is_pulsing || ledger->is_leaving)
        return;
    loop_timer_stop(loop, &ledger->pulse_timer);
    loop_defer_cancel(loop, &ledger->pulse_task);
    struct ledger_request *request = fake_wire_new(ledger, NULL, do_pulse);
    int64_t boot_ms = loop_boot_ms(loop);
    request->settle = on_pulse;
    request->ask.pulse.boot_ms = boot_ms;
    request->ask.pulse.since_ms = ledger->accepted_boot_ms < 0 ? -1 : boot_ms - ledger->accepted_boot_ms;
    request->ask.pulse.has_crew = ledger->crew[0] != '\0';
    request->ask.pulse.crew_version = ledger->crew_version;
    list_init(&request->ask.pulse.extensions);
    struct link *link;
    while ((link = list_pop_front(&ledger->open)))
        list_push_back(&request->ask.pulse.extensions, link);
    while ((link = list_pop_front(&ledger->waiting)))
        list_push_back(&request->ask.pulse.extensions, link);
    ledger->is_pulsing = true;
    fake_wire_send(request);
}

static void on_timer(void *arg)
{
    send_pulse(arg);
}

/* ---- life ---- */

void fake_pulse_init(struct ledger *ledger)
{
    list_init(&ledger->waiting);
    list_init(&ledger->open);
    ledger->accepted_boot_ms = ledger->lease_boot_ms = -1;
    ledger->crew = base_strdup("");
}

void fake_pulse_start(struct ledger *ledger)
{
    send_pulse(ledger);
}

void fake_pulse_now(struct ledger *ledger)
{
    if (ledger->is_connected && !ledger->is_pulsing && !ledger->is_leaving)
        loop_defer(loop_of(ledger), &ledger->pulse_task, send_pulse, ledger);
}

void fake_pulse_stop(struct ledger *ledger)
{
    loop_timer_stop(loop_of(ledger), &ledger->pulse_timer);
    loop_defer_cancel(loop_of(ledger), &ledger->pulse_task);
    fail_extensions(ledger, &ledger->waiting);
}

void fake_pulse_release(struct ledger *ledger)
{
    fail_extensions(ledger, &ledger->waiting);
    fail_extensions(ledger, &ledger->open);
    free(ledger->crew);
}

void fake_pulse_fail(struct ledger_request *request)
{
    if (request->settle != on_pulse)
        return;
    request->ledger->is_pulsing = false;
    fail_extensions(request->ledger, &request->ask.pulse.extensions);
    free_answer(request);
}

void fake_pulse_clear(struct ledger_request *request)
{
    list_init(&request->ask.pulse.extensions);
    free_answer(request);
}

void fake_pulse_silence(struct ledger_request *request)
{
    if (request->settle != on_pulse)
        return;
    LIST_EACH(&request->ask.pulse.extensions, link)
    {
        const struct extension *extension = LIST_OBJECT(link, struct extension, link);
        if (extension->request)
            (void)fake_wire_leave(extension->request);
    }
}

bool fake_pulse_is(const struct ledger_request *request)
{
    return !request->is_operation;
}

/* ---- extend, leave ---- */

void ledger_extend(struct ledger *ledger, struct ledger_call *call, const char *permit, int64_t horizon_ms,
                   ledger_answer_fn done)
{
    struct ledger_request *request = fake_wire_new(ledger, call, NULL);
    request->is_operation = true;
    request->on_answer = done;
    if (!ledger->is_serving) {
        fake_wire_send(request); /* and fails */
        return;
    }
    add_extension(ledger, permit, horizon_ms, request);
    fake_pulse_now(ledger);
}

static void do_leave(struct ledger *ledger, struct ledger_request *request)
{
    (void)request;
    store_leave(fake_redis_store(ledger->redis), ledger->worker, !list_is_empty(&ledger->held),
                fake_redis_now_ms(ledger->redis));
}

static void on_left(struct ledger *ledger, struct ledger_request *request)
{
    (void)request;
    fake_ledger_on_left(ledger);
}

void fake_pulse_leave(struct ledger *ledger)
{
    fake_pulse_stop(ledger);
    if (ledger->options.is_onlooker || !ledger->is_serving) {
        fake_ledger_on_left(ledger);
        return;
    }
    struct ledger_request *request = fake_wire_new(ledger, NULL, do_leave);
    request->settle = on_left;
    fake_wire_send(request);
}
