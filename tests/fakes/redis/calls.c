/* redis/ledger.h in memory: what is asked, what Redis does, what its answer means here. */
#include "fakes/redis/ledger_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct store *store_of(struct ledger *ledger)
{
    return fake_redis_store(ledger->redis);
}

static int64_t now_of(struct ledger *ledger)
{
    return fake_redis_now_ms(ledger->redis);
}

/* ---- answers ---- */

void fake_ledger_fail(struct ledger_request *request)
{
    const struct ledger *ledger = request->ledger;
    struct error error;
    struct ledger_call *call = fake_wire_leave(request);
    (void)error_set(&error, ERROR_TRANSIENT, "redis", 0, "%s",
                    ledger->why[0] != '\0' ? ledger->why : "the answer was lost");
    if (!call)
        return;
    if (request->on_acquired)
        request->on_acquired(call, &error, NULL);
    else if (request->on_answer)
        request->on_answer(call, &error, 0);
    else if (request->on_usage)
        request->on_usage(call, &error, NULL, 0);
    else if (request->on_census)
        request->on_census(call, &error, NULL, 0);
    else if (request->on_claim)
        request->on_claim(call, &error, NULL);
    else if (request->on_lead)
        request->on_lead(call, &error, NULL);
    else if (request->on_condition)
        request->on_condition(call, &error, NULL);
}

static void hear(struct ledger_request *request, struct ledger_call *call)
{
    if (request->on_acquired)
        request->on_acquired(call, NULL, &request->is.acquired);
    else if (request->on_answer)
        request->on_answer(call, NULL, request->is.word);
    else if (request->on_usage)
        request->on_usage(call, NULL, request->is.usage.items, request->is.usage.count);
    else if (request->on_census)
        request->on_census(call, NULL, request->is.census.items, request->is.census.count);
    else if (request->on_claim)
        request->on_claim(call, NULL, &request->is.claim);
    else if (request->on_lead)
        request->on_lead(call, NULL, &request->is.lead);
    else if (request->on_condition)
        request->on_condition(call, NULL, &request->is.condition);
}

void fake_ledger_deliver(struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    if (request->is_failed) {
        fake_ledger_fail(request);
    } else {
        if (request->settle)
            request->settle(ledger, request);
        struct ledger_call *call = fake_wire_leave(request);
        if (call)
            hear(request, call);
    }
}

/* ---- asking ---- */

static struct ledger_request *ask(struct ledger *ledger, struct ledger_call *call, perform_fn perform)
{
    assert(!ledger->is_closing);
    struct ledger_request *request = fake_wire_new(ledger, call, perform);
    request->is_operation = true;
    request->is_background = call == NULL;
    ledger->background_count += request->is_background;
    fake_wire_send(request); /* it leaves with the end of the turn: its contents follow */
    return request;
}

static void do_word(struct ledger *ledger, struct ledger_request *request)
{
    request->is.word = request->word(ledger, request);
}

static void settle_word(struct ledger *ledger, struct ledger_request *request)
{
    if (request->is.word == LEDGER_SUPERSEDED_PERMIT && request->permit)
        (void)fake_ledger_let_go(ledger, request->permit);
}

static struct ledger_request *ask_word(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done,
                                       enum ledger_answer (*word)(struct ledger *, struct ledger_request *))
{
    struct ledger_request *request = ask(ledger, call, do_word);
    request->on_answer = done;
    request->word = word;
    request->settle = settle_word;
    return request;
}

void ledger_call_cancel(struct ledger *ledger, struct ledger_call *call)
{
    (void)ledger;
    if (call->request)
        (void)fake_wire_leave(call->request);
}

/* ---- a job's way ---- */

static void do_acquire(struct ledger *ledger, struct ledger_request *request)
{
    store_acquire(store_of(ledger), ledger->worker, &request->ask.acquire, now_of(ledger), &request->arena,
                  &request->is.acquired);
}

static void settle_acquired(struct ledger *ledger, struct ledger_request *request)
{
    const struct ledger_acquired *answer = &request->is.acquired;
    if (request->call && (answer->verdict == LEDGER_GRANTED || answer->verdict == LEDGER_ADOPT))
        fake_ledger_hold(ledger, answer->permit);
}

void ledger_acquire(struct ledger *ledger, struct ledger_call *call, const struct ledger_acquire *acquire,
                    ledger_acquired_fn done)
{
    struct ledger_request *request = ask(ledger, call, do_acquire);
    struct arena *arena = &request->arena;
    struct ledger_acquire *copy = &request->ask.acquire;
    request->on_acquired = done;
    request->settle = settle_acquired;
    *copy = *acquire;
    copy->job = arena_strdup(arena, acquire->job);
    copy->payload = arena_strdup(arena, acquire->payload);
    copy->origin = arena_strdup(arena, acquire->origin);
    copy->tenant = arena_strdup(arena, acquire->tenant);
    copy->permit = arena_strdup(arena, acquire->permit);
    copy->place = arena_strdup(arena, acquire->place);
    struct ledger_limit *limits = ARENA_ARRAY(arena, struct ledger_limit, acquire->limit_count + 1);
    for (size_t i = 0; i < acquire->limit_count; i++) {
        limits[i].name = arena_strdup(arena, acquire->limits[i].name);
        limits[i].max = acquire->limits[i].max;
    }
    copy->limits = limits;
}

static enum ledger_answer do_bind(struct ledger *ledger, struct ledger_request *request)
{
    return store_bind(store_of(ledger), ledger->worker, &request->ask.bind, now_of(ledger));
}

void ledger_bind(struct ledger *ledger, struct ledger_call *call, const struct ledger_bind *bind,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_bind);
    struct ledger_bind *copy = &request->ask.bind;
    *copy = *bind;
    copy->job = arena_strdup(&request->arena, bind->job);
    copy->permit = request->permit = arena_strdup(&request->arena, bind->permit);
    copy->sandbox = arena_strdup(&request->arena, bind->sandbox);
    copy->mode = arena_strdup(&request->arena, bind->mode);
    copy->plan = arena_strdup(&request->arena, bind->plan);
}

static enum ledger_answer do_seal(struct ledger *ledger, struct ledger_request *request)
{
    return store_seal(store_of(ledger), ledger->worker, &request->ask.seal, now_of(ledger));
}

static struct bytes keep(struct ledger_request *request, struct bytes record)
{
    if (record.length > 0)
        record.data = arena_copy(&request->arena, record.data, record.length);
    return record;
}

void ledger_seal(struct ledger *ledger, struct ledger_call *call, const struct ledger_seal *seal,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_seal);
    struct ledger_seal *copy = &request->ask.seal;
    *copy = *seal;
    copy->job = arena_strdup(&request->arena, seal->job);
    copy->permit = request->permit = arena_strdup(&request->arena, seal->permit);
    copy->payload = arena_strdup(&request->arena, seal->payload);
    copy->origin = arena_strdup(&request->arena, seal->origin);
    copy->status = arena_strdup(&request->arena, seal->status);
    copy->place = arena_strdup(&request->arena, seal->place);
    copy->record = keep(request, seal->record);
}

static enum ledger_answer do_yield(struct ledger *ledger, struct ledger_request *request)
{
    bool is_watched;
    enum ledger_answer answer = store_yield(store_of(ledger), ledger->worker, request->job, request->permit,
                                            request->ms, now_of(ledger), &is_watched);
    if (is_watched)
        fake_redis_announce(ledger->redis, "done", request->job);
    return answer;
}

static void settle_yielded(struct ledger *ledger, struct ledger_request *request)
{
    if (request->is.word == LEDGER_OK || request->is.word == LEDGER_SUPERSEDED_PERMIT)
        (void)fake_ledger_let_go(ledger, request->permit);
}

void ledger_yield(struct ledger *ledger, struct ledger_call *call, const char *job, const char *permit,
                  int64_t until_ms, ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_yield);
    request->settle = settle_yielded;
    request->job = arena_strdup(&request->arena, job);
    request->permit = arena_strdup(&request->arena, permit);
    request->ms = until_ms;
}

static enum ledger_answer do_moved(struct ledger *ledger, struct ledger_request *request)
{
    store_moved(store_of(ledger), request->job, request->status, now_of(ledger));
    return LEDGER_OK;
}

void ledger_moved(struct ledger *ledger, struct ledger_call *call, const char *job, const char *place,
                  ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_moved);
    request->job = arena_strdup(&request->arena, job);
    request->status = arena_strdup(&request->arena, place);
}

static enum ledger_answer do_cancel(struct ledger *ledger, struct ledger_request *request)
{
    enum ledger_answer answer = store_cancel(store_of(ledger), request->job, request->ms, now_of(ledger));
    if (answer == LEDGER_OK)
        fake_redis_announce(ledger->redis, "cancel", request->job);
    return answer;
}

void ledger_cancel(struct ledger *ledger, struct ledger_call *call, const char *job, int64_t ttl_ms,
                   ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_cancel);
    request->job = arena_strdup(&request->arena, job);
    request->ms = ttl_ms;
}

static enum ledger_answer do_condemn(struct ledger *ledger, struct ledger_request *request)
{
    return store_condemn(store_of(ledger), ledger->worker, request->limit, now_of(ledger));
}

static void settle_condemned(struct ledger *ledger, struct ledger_request *request)
{
    if (request->is.word != LEDGER_OK)
        return;
    (void)fake_ledger_let_go(ledger, request->limit);
    fake_ledger_hold(ledger, request->limit);
}

void ledger_condemn(struct ledger *ledger, struct ledger_call *call, const char *permit,
                    ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_condemn);
    request->settle = settle_condemned;
    request->limit = arena_strdup(&request->arena, permit); /* not request->permit: it may not be ours */
}

static enum ledger_answer do_lock(struct ledger *ledger, struct ledger_request *request)
{
    return store_lock(store_of(ledger), ledger->worker, request->limit, request->ms, now_of(ledger));
}

void ledger_lock(struct ledger *ledger, struct ledger_call *call, const char *what, int64_t ttl_ms,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_lock);
    request->limit = arena_strdup(&request->arena, what);
    request->ms = ttl_ms;
}

/* ---- the rebuild ---- */

static enum ledger_answer do_assert(struct ledger *ledger, struct ledger_request *request)
{
    return store_assert(store_of(ledger), ledger->worker, &request->ask.assertion, now_of(ledger));
}

static void settle_assertion(struct ledger *ledger, struct ledger_request *request)
{
    if (request->is.word == LEDGER_SUPERSEDED_PERMIT)
        settle_word(ledger, request);
    else if (request->is.word != LEDGER_NOT_NOW && request->permit)
        fake_ledger_hold(ledger, request->permit);
}

void ledger_assert(struct ledger *ledger, struct ledger_call *call, const struct ledger_assertion *assertion,
                   ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_assert);
    request->settle = settle_assertion;
    struct ledger_assertion *copy = &request->ask.assertion;
    *copy = *assertion;
    const char **const texts[] = {&copy->permit, &copy->sandbox, &copy->limits, &copy->job,    &copy->mode,
                                  &copy->plan,   &copy->payload, &copy->origin, &copy->status, &copy->place};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = arena_strdup(&request->arena, *texts[i]);
    copy->record = keep(request, assertion->record);
    if (copy->holder == LEDGER_MINE && copy->permit[0] != '\0')
        request->permit = copy->permit;
}

static enum ledger_answer do_asserted(struct ledger *ledger, struct ledger_request *request)
{
    return store_asserted(store_of(ledger), ledger->worker, request->epoch, request->status, now_of(ledger));
}

static void settle_asserted(struct ledger *ledger, struct ledger_request *request)
{
    if (request->is.word == LEDGER_OK)
        ledger->asserted_epoch = request->epoch_number;
    fake_pulse_now(ledger);
}

void ledger_asserted(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_asserted);
    request->settle = settle_asserted;
    request->epoch = ledger->epoch;
    request->epoch_number = ledger->epoch_number;
    CLEANUP(base_freep)
    char *crew = fake_ledger_move_ends(ledger->crew, -loop_boot_ms(ledger->options.loop));
    request->status = arena_strdup(&request->arena, crew);
}

static void do_lead(struct ledger *ledger, struct ledger_request *request)
{
    store_lead(store_of(ledger), ledger->worker, now_of(ledger), &request->is.lead);
}

void ledger_lead(struct ledger *ledger, struct ledger_call *call, ledger_lead_fn done)
{
    ask(ledger, call, do_lead)->on_lead = done;
}

static enum ledger_answer do_ready(struct ledger *ledger, struct ledger_request *request)
{
    if (request->what > 0) /* something waited in the background when it was asked */
        return LEDGER_NOT_NOW;
    return store_ready(store_of(ledger), ledger->worker, request->epoch, request->amount, now_of(ledger));
}

void ledger_ready(struct ledger *ledger, struct ledger_call *call, int64_t listed, ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_ready);
    request->amount = listed;
    request->epoch = ledger->epoch;
    request->what = ledger->background_count > 0;
    fake_pulse_now(ledger); /* behind it in the pipeline: our own state follows at once */
}

/* ---- looking ---- */

static void do_snapshot(struct ledger *ledger, struct ledger_request *request)
{
    request->is.usage.count =
        store_snapshot(store_of(ledger), now_of(ledger), &request->arena, &request->is.usage.items);
}

void ledger_snapshot(struct ledger *ledger, struct ledger_call *call, ledger_usage_fn done)
{
    ask(ledger, call, do_snapshot)->on_usage = done;
}

static void do_census(struct ledger *ledger, struct ledger_request *request)
{
    request->is.census.count =
        store_census(store_of(ledger), now_of(ledger), &request->arena, &request->is.census.items);
}

void ledger_census(struct ledger *ledger, struct ledger_call *call, ledger_census_fn done)
{
    ask(ledger, call, do_census)->on_census = done;
}

static void do_look(struct ledger *ledger, struct ledger_request *request)
{
    store_look(store_of(ledger), request->job, now_of(ledger), &request->arena, &request->is.claim);
}

static void do_peek(struct ledger *ledger, struct ledger_request *request)
{
    do_look(ledger, request);
    request->is.claim.waits_at = "";
    request->is.claim.waits_ms = 0;
}

void ledger_peek(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done)
{
    struct ledger_request *request = ask(ledger, call, do_peek);
    request->on_claim = done;
    request->job = arena_strdup(&request->arena, job);
}

void ledger_look(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done)
{
    struct ledger_request *request = ask(ledger, call, do_look);
    request->on_claim = done;
    request->job = arena_strdup(&request->arena, job);
}

static void do_condition(struct ledger *ledger, struct ledger_request *request)
{
    store_condition(store_of(ledger), now_of(ledger), &request->is.condition);
}

void ledger_condition(struct ledger *ledger, struct ledger_call *call, ledger_condition_fn done)
{
    ask(ledger, call, do_condition)->on_condition = done;
}

static enum ledger_answer do_limit_set(struct ledger *ledger, struct ledger_request *request)
{
    store_set_limit(store_of(ledger), request->limit, request->amount);
    fake_redis_announce(ledger->redis, "free", request->limit);
    return LEDGER_OK;
}

void ledger_limit_set(struct ledger *ledger, struct ledger_call *call, const char *limit, int64_t max,
                      ledger_answer_fn done)
{
    struct ledger_request *request = ask_word(ledger, call, done, do_limit_set);
    request->limit = arena_strdup(&request->arena, limit);
    request->amount = max;
}

/* ---- in the background ---- */

static void do_done(struct ledger *ledger, struct ledger_request *request)
{
    if (store_done(store_of(ledger), request->job, request->status, request->partition, request->offset,
                   request->ms, now_of(ledger)))
        fake_redis_announce(ledger->redis, "done", request->job);
}

void ledger_done(struct ledger *ledger, const char *job, const char *status, int64_t partition,
                 int64_t offset, int64_t ttl_ms)
{
    struct ledger_request *request = ask(ledger, NULL, do_done);
    request->job = arena_strdup(&request->arena, job);
    request->status = arena_strdup(&request->arena, status);
    request->partition = partition;
    request->offset = offset;
    request->ms = ttl_ms;
}

static void do_release(struct ledger *ledger, struct ledger_request *request)
{
    store_release(store_of(ledger), ledger->worker, request->permit, request->job, request->what,
                  now_of(ledger));
}

void ledger_release(struct ledger *ledger, const char *permit, const char *job, int what)
{
    assert(job || !(what & LEDGER_RELEASE_CLAIM));
    struct ledger_request *request = ask(ledger, NULL, do_release);
    if (what & LEDGER_RELEASE_PERMIT)
        (void)fake_ledger_let_go(ledger, permit);
    request->permit = arena_strdup(&request->arena, permit);
    request->job = arena_strdup(&request->arena, job);
    request->what = what;
}

void ledger_let_go(struct ledger *ledger, const char *permit)
{
    (void)fake_ledger_let_go(ledger, permit);
}

static void do_park(struct ledger *ledger, struct ledger_request *request)
{
    store_park(store_of(ledger), ledger->worker, request->permit, request->job, request->amount, request->ms,
               now_of(ledger));
}

void ledger_park(struct ledger *ledger, const char *permit, const char *job, int64_t hop, int64_t delay_ms)
{
    struct ledger_request *request = ask(ledger, NULL, do_park);
    request->permit = arena_strdup(&request->arena, permit);
    request->job = arena_strdup(&request->arena, job);
    request->amount = hop;
    request->ms = delay_ms;
}

static void do_leave_sealed(struct ledger *ledger, struct ledger_request *request)
{
    if (store_leave_sealed(store_of(ledger), ledger->worker, request->job, request->ms, now_of(ledger)))
        fake_redis_announce(ledger->redis, "done", request->job);
}

void ledger_leave_sealed(struct ledger *ledger, const char *job, int64_t until_ms)
{
    struct ledger_request *request = ask(ledger, NULL, do_leave_sealed);
    request->job = arena_strdup(&request->arena, job);
    request->ms = until_ms;
}

static void do_slower(struct ledger *ledger, struct ledger_request *request)
{
    store_slower(store_of(ledger), request->ms, request->amount, now_of(ledger));
}

void ledger_slower(struct ledger *ledger, int64_t retry_after_ms, int64_t create_milli_per_s)
{
    struct ledger_request *request = ask(ledger, NULL, do_slower);
    request->ms = retry_after_ms;
    request->amount = create_milli_per_s;
}

static void do_cut(struct ledger *ledger, struct ledger_request *request)
{
    store_set_cut(store_of(ledger), request->limit, request->amount, now_of(ledger) + request->ms);
}

void ledger_cut(struct ledger *ledger, const char *limit, int64_t max, int64_t ttl_ms)
{
    struct ledger_request *request = ask(ledger, NULL, do_cut);
    request->limit = arena_strdup(&request->arena, limit);
    request->amount = max;
    request->ms = ttl_ms;
}

size_t ledger_background_count(const struct ledger *ledger)
{
    return ledger->background_count;
}
