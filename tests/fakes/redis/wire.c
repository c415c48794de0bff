/* The way to Redis and back: what is asked in a turn leaves with its end, is done in order at Redis, and
 * answered in order. A connection that breaks loses answers; what was sent may have been done. */
#include "fakes/redis/ledger_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 100, DEADLINE_MS = 5000 };

struct hint {
    struct link link;
    int64_t due_ms;
    char *kind, *text;
};

static struct loop *loop_of(const struct ledger *ledger)
{
    return ledger->options.loop;
}

static int64_t world_ms(const struct ledger *ledger)
{
    return loop_boot_ms(fake_redis_loop(ledger->redis));
}

static struct ledger_request *first_of(const struct link *list)
{
    return list_is_empty(list) ? NULL : LIST_OBJECT(list->next, struct ledger_request, link);
}

static struct ledger_request *last_of(const struct link *list)
{
    return list_is_empty(list) ? NULL : LIST_OBJECT(list->previous, struct ledger_request, link);
}

static void move(struct ledger_request *request, struct link *list)
{
    link_remove(&request->link);
    list_push_back(list, &request->link);
}

/* ---- requests ---- */

static void flush(void *arg);

struct ledger_request *fake_wire_new(struct ledger *ledger, struct ledger_call *call, perform_fn perform)
{
    assert(!call || !call->request);
    struct ledger_request *request = base_alloc(sizeof *request);
    request->ledger = ledger;
    request->call = call;
    request->perform = perform;
    arena_init(&request->arena, 512);
    if (call)
        call->request = request;
    return request;
}

struct ledger_call *fake_wire_leave(struct ledger_request *request)
{
    struct ledger_call *call = TAKE(request->call);
    if (call)
        call->request = NULL;
    return call;
}

void fake_wire_free(struct ledger_request *request)
{
    request->ledger->background_count -= request->is_background;
    loop_defer_cancel(loop_of(request->ledger), &request->failing);
    link_remove(&request->link);
    if (request->on_usage)
        free(request->is.usage.items);
    if (request->on_census)
        free(request->is.census.items);
    arena_release(&request->arena);
    free(request);
}

static void fail(struct ledger_request *request)
{
    request->is_failed = true;
    link_remove(&request->link);
    if (fake_pulse_is(request))
        fake_pulse_fail(request);
    else
        fake_ledger_fail(request);
    fake_wire_free(request);
}

static void on_failing(void *arg)
{
    fail(arg);
}

void fake_wire_send(struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    bool can_go = fake_pulse_is(request) ? ledger->is_connected : ledger->is_serving;
    virtual_place(loop_of(ledger));
    if (can_go) {
        list_push_back(&ledger->unsent, &request->link);
        loop_defer(loop_of(ledger), &ledger->flush, flush, ledger);
    } else if (request->is_background) {
        list_push_back(&ledger->backlog, &request->link);
    } else {
        loop_defer(loop_of(ledger), &request->failing, on_failing, request);
    }
}

/* ---- there ---- */

static void serve(void *arg);

static void on_deadline(void *arg);

static void watch_deadline(struct ledger *ledger)
{
    const struct ledger_request *oldest = first_of(&ledger->answered);
    if (!oldest)
        oldest = first_of(&ledger->sent);
    if (!oldest || timer_is_active(&ledger->deadline))
        return;
    loop_timer_start(loop_of(ledger), &ledger->deadline,
                     oldest->sent_ms + DEADLINE_MS - loop_now_ms(loop_of(ledger)), on_deadline, ledger);
}

/* One write(2). */
static void flush(void *arg)
{
    struct ledger *ledger = arg;
    const struct ledger_request *before = last_of(&ledger->sent);
    int64_t due_ms = world_ms(ledger) + fake_redis_delay_there(ledger->redis);
    if (before)
        due_ms = MAX(due_ms, before->due_ms);
    struct ledger_request *request;
    while ((request = first_of(&ledger->unsent))) {
        request->due_ms = due_ms;
        request->sent_ms = loop_now_ms(loop_of(ledger));
        move(request, &ledger->sent);
    }
    fake_wire_resume(ledger);
    watch_deadline(ledger);
    virtual_place(loop_of(ledger));
}

void fake_wire_resume(struct ledger *ledger)
{
    const struct ledger_request *request = first_of(&ledger->sent);
    if (request && !fake_redis_is_frozen(ledger->redis) && !timer_is_active(&ledger->wire))
        virtual_arrive(fake_redis_loop(ledger->redis), &ledger->wire, request->due_ms - world_ms(ledger),
                       serve, ledger);
}

/* ---- back ---- */

static void on_answered(void *arg);

static void expect_answer(struct ledger *ledger)
{
    const struct ledger_request *request = first_of(&ledger->answered);
    if (request && !timer_is_active(&ledger->arrival))
        virtual_arrive(loop_of(ledger), &ledger->arrival, request->due_ms - world_ms(ledger), on_answered,
                       ledger);
}

static void perform(struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    bool is_awaited = request->is_operation && !request->is_background;
    if (is_awaited && fake_redis_take_failure(ledger->redis)) {
        request->is_failed = true;
        return;
    }
    bool is_lost = is_awaited && fake_redis_take_lost_answer(ledger->redis);
    if (request->is_operation)
        fake_redis_count_one(ledger->redis);
    request->perform(ledger, request);
    request->is_failed = is_lost;
}

static void serve(void *arg)
{
    struct ledger *ledger = arg;
    int64_t now_ms = world_ms(ledger), back_ms = fake_redis_delay_back(ledger->redis);
    struct ledger_request *request;
    while ((request = first_of(&ledger->sent)) && request->due_ms <= now_ms) {
        if (fake_redis_is_frozen(ledger->redis))
            return;
        perform(request);
        const struct ledger_request *before = last_of(&ledger->answered);
        request->due_ms = MAX(now_ms + back_ms, before ? before->due_ms : 0);
        move(request, &ledger->answered);
        if (fake_redis_breaks_now(ledger->redis, ledger)) {
            fake_wire_drop(ledger);
            return;
        }
    }
    fake_wire_resume(ledger);
    expect_answer(ledger);
}

/* All that lies in the socket is read at once. */
static void on_answered(void *arg)
{
    struct ledger *ledger = arg;
    int64_t now_ms = world_ms(ledger);
    struct ledger_request *request;
    ledger->is_late = false;
    while (!ledger->is_gone && (request = first_of(&ledger->answered)) && request->due_ms <= now_ms) {
        link_remove(&request->link);
        if (request->is_failed && fake_pulse_is(request))
            fake_pulse_fail(request);
        else
            fake_ledger_deliver(request);
        bool was_background = request->is_background;
        fake_wire_free(request);
        if (was_background && ledger->background_count == 0 && ledger->is_closing)
            fake_ledger_on_quiet(ledger);
    }
    if (!ledger->is_gone)
        expect_answer(ledger);
}

/* ---- the connection ---- */

static void connect_now(void *arg)
{
    struct ledger *ledger = arg;
    if (!fake_redis_is_reachable(ledger->redis) || ledger->is_cut) {
        loop_timer_start(loop_of(ledger), &ledger->connecting, RETRY_MS, connect_now, ledger);
        fake_ledger_set_state(ledger, LEDGER_CONNECTING, "Redis is not there: the test says so");
        return;
    }
    ledger->is_connected = true;
    if (ledger->options.is_onlooker) {
        fake_wire_serve(ledger);
        fake_ledger_set_state(ledger, LEDGER_READY, "");
    } else {
        fake_pulse_start(ledger);
    }
}

void fake_wire_open(struct ledger *ledger)
{
    struct link *heads[] = {&ledger->unsent, &ledger->sent, &ledger->answered, &ledger->backlog,
                            &ledger->hints};
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++)
        list_init(heads[i]);
    loop_timer_start(loop_of(ledger), &ledger->connecting, 0, connect_now, ledger);
}

void fake_wire_serve(struct ledger *ledger)
{
    struct link *link;
    if (ledger->is_serving)
        return;
    ledger->is_serving = true;
    while ((link = list_pop_front(&ledger->backlog)))
        list_push_back(&ledger->unsent, link);
    if (!list_is_empty(&ledger->unsent))
        loop_defer(loop_of(ledger), &ledger->flush, flush, ledger);
}

/* Of what was sent, some may yet be done by a server that was frozen, whoever still listens. */
static void leave_behind(struct ledger *ledger, struct ledger_request *request)
{
    bool is_looking = request->on_usage || request->on_census || request->on_claim || request->on_lead ||
                      request->on_condition;
    if (fake_redis_is_frozen(ledger->redis) && fake_redis_keeps_orphans(ledger->redis) && !is_looking)
        fake_redis_adopt(ledger->redis, request);
}

void fake_wire_perform_late(struct ledger_request *orphan)
{
    if (fake_pulse_is(orphan))
        fake_pulse_clear(orphan);
    orphan->perform(orphan->ledger, orphan);
    if (fake_pulse_is(orphan))
        fake_pulse_clear(orphan);
}

static void give_up(struct ledger *ledger, struct link *list, bool was_sent)
{
    struct link mine, background;
    list_init(&mine);
    list_init(&background);
    struct link *link;
    while ((link = list_pop_front(list)))
        list_push_back(LIST_OBJECT(link, struct ledger_request, link)->is_background ? &background : &mine,
                       link);
    while ((link = background.previous) != &background) {
        link_remove(link);
        LIST_OBJECT(link, struct ledger_request, link)->is_failed = false;
        list_push_front(&ledger->backlog, link);
    }
    while ((link = list_pop_front(&mine))) {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        if (was_sent)
            leave_behind(ledger, request);
        fail(request);
    }
}

static void on_down(struct ledger *ledger, const char *why)
{
    struct loop *loop = loop_of(ledger);
    ledger->is_connected = ledger->is_serving = ledger->is_late = false;
    ledger->told_epoch = 0; /* what was said on this connection may not have arrived */
    loop_defer_cancel(loop, &ledger->flush);
    loop_timer_stop(loop, &ledger->deadline);
    virtual_arrive_cancel(loop, &ledger->arrival);
    virtual_arrive_cancel(loop, &ledger->broken);
    virtual_arrive_cancel(fake_redis_loop(ledger->redis), &ledger->wire);
    loop_timer_start(loop, &ledger->connecting, RETRY_MS, connect_now, ledger);
    fake_ledger_set_state(ledger, LEDGER_CONNECTING, why);
    fake_pulse_stop(ledger);
    give_up(ledger, &ledger->unsent, /* was_sent= */ false);
    give_up(ledger, &ledger->sent, /* was_sent= */ true);
    give_up(ledger, &ledger->answered, /* was_sent= */ false);
}

static void on_broken(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->is_connected)
        on_down(ledger, "the connection to Redis broke: the test says so");
}

/* One more turn for answers that wait in the socket, as the real one. */
static void on_deadline(void *arg)
{
    struct ledger *ledger = arg;
    const struct ledger_request *oldest = first_of(&ledger->answered);
    if (!oldest)
        oldest = first_of(&ledger->sent);
    if (!oldest)
        return;
    if (loop_now_ms(loop_of(ledger)) < oldest->sent_ms + DEADLINE_MS) {
        ledger->is_late = false;
        watch_deadline(ledger);
    } else if (!ledger->is_late) {
        ledger->is_late = true;
        loop_timer_start(loop_of(ledger), &ledger->deadline, 1, on_deadline, ledger);
    } else {
        on_down(ledger, "Redis did not answer within 5 s");
    }
}

/* The answers that are on their way are lost, too. */
void fake_wire_drop(struct ledger *ledger)
{
    if (ledger->is_dead)
        return;
    virtual_arrive_cancel(fake_redis_loop(ledger->redis), &ledger->wire);
    virtual_arrive_cancel(loop_of(ledger), &ledger->arrival);
    virtual_arrive(loop_of(ledger), &ledger->broken, 0, on_broken, ledger);
}

static void free_all(struct link *list)
{
    LIST_EACH(list, link)
    {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        if (fake_pulse_is(request))
            fake_pulse_fail(request);
        fake_wire_free(request);
    }
}

static void free_hints(struct ledger *ledger)
{
    LIST_EACH(&ledger->hints, link)
    {
        struct hint *hint = LIST_OBJECT(link, struct hint, link);
        link_remove(link);
        free(hint->kind);
        free(hint->text);
        free(hint);
    }
}

void fake_wire_close(struct ledger *ledger)
{
    struct loop *loop = loop_of(ledger);
    LIST_EACH(&ledger->sent, link)
    if (ledger->is_connected && fake_redis_is_reachable(ledger->redis))
        perform(LIST_OBJECT(link, struct ledger_request, link));
    loop_defer_cancel(loop, &ledger->flush);
    loop_timer_stop(loop, &ledger->connecting);
    loop_timer_stop(loop, &ledger->deadline);
    virtual_arrive_cancel(loop, &ledger->arrival);
    virtual_arrive_cancel(loop, &ledger->hinting);
    virtual_arrive_cancel(loop, &ledger->broken);
    virtual_arrive_cancel(fake_redis_loop(ledger->redis), &ledger->wire);
    free_all(&ledger->unsent);
    free_all(&ledger->sent);
    free_all(&ledger->answered);
    free_all(&ledger->backlog);
    free_hints(ledger);
    fake_redis_disown(ledger->redis, ledger);
    ledger->is_connected = ledger->is_serving = false;
}

/* ---- hints ---- */

static void tell_turn(const struct ledger_events *events, char *limit)
{
    char *tenant = strchr(limit, ' ');
    if (!events->on_turn)
        return;
    *tenant++ = '\0';
    events->on_turn(events->arg, limit, tenant);
}

static void on_hint(void *arg)
{
    struct ledger *ledger = arg;
    const struct ledger_events *events = &ledger->options.events;
    while (!list_is_empty(&ledger->hints)) {
        struct hint *hint = LIST_OBJECT(ledger->hints.next, struct hint, link);
        if (hint->due_ms > world_ms(ledger)) {
            virtual_arrive(loop_of(ledger), &ledger->hinting, hint->due_ms - world_ms(ledger), on_hint,
                           ledger);
            return;
        }
        link_remove(&hint->link);
        if (strcmp(hint->kind, "free") == 0 && events->on_free)
            events->on_free(events->arg, hint->text);
        else if (strcmp(hint->kind, "turn") == 0)
            tell_turn(events, hint->text);
        else if (strcmp(hint->kind, "done") == 0 && events->on_done)
            events->on_done(events->arg, hint->text);
        else if (strcmp(hint->kind, "cancel") == 0 && events->on_cancelled)
            events->on_cancelled(events->arg, hint->text);
        free(hint->kind);
        free(hint->text);
        free(hint);
    }
}

void fake_wire_hint(struct ledger *ledger, const char *kind, const char *text)
{
    if (ledger->options.is_onlooker || !ledger->is_connected || ledger->is_closing || ledger->is_dead)
        return;
    struct hint *hint = base_alloc(sizeof *hint);
    hint->kind = base_strdup(kind);
    hint->text = base_strdup(text);
    hint->due_ms = world_ms(ledger) + fake_redis_delay_back(ledger->redis);
    if (!list_is_empty(&ledger->hints))
        hint->due_ms = MAX(hint->due_ms, LIST_OBJECT(ledger->hints.previous, struct hint, link)->due_ms);
    list_push_back(&ledger->hints, &hint->link);
    if (!timer_is_active(&ledger->hinting))
        virtual_arrive(loop_of(ledger), &ledger->hinting, hint->due_ms - world_ms(ledger), on_hint, ledger);
}
