/* Ledger calls that wait. */
#include "contract/desk.h"

#include "test.h"

#include <stdio.h>

/* ---- events ---- */

static void on_state(void *arg, enum ledger_state state, const char *why)
{
    struct desk *desk = arg;
    assert_int_equal(why[0] == '\0', state == LEDGER_READY);
    desk->state = state;
    desk->is_ready = state == LEDGER_READY;
}

static void on_asserted(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    (void)call, (void)error, (void)answer;
}

static void on_rebuild(void *arg)
{
    struct desk *desk = arg;
    desk->rebuild_count++;
    desk->has_rebuild = true;
    if (!desk->is_silent && !desk->asserted_call.request)
        ledger_asserted(desk->ledger, &desk->asserted_call, on_asserted);
}

static void on_lost(void *arg, const char *permit, enum ledger_loss loss)
{
    struct desk *desk = arg;
    desk->loss = loss;
    snprintf(desk->lost, sizeof desk->lost, "%s", permit);
    desk->lost_count++;
    desk->has_lost = true;
}

static void on_cancelled(void *arg, const char *job)
{
    struct desk *desk = arg;
    snprintf(desk->cancelled, sizeof desk->cancelled, "%s", job);
    desk->cancelled_count++;
    desk->has_cancelled = true;
}

static void on_free(void *arg, const char *limits)
{
    struct desk *desk = arg;
    snprintf(desk->freed, sizeof desk->freed, "%s", limits);
    desk->free_count++;
    desk->has_free = true;
}

static void on_turn(void *arg, const char *limit, const char *tenant)
{
    struct desk *desk = arg;
    size_t length = strlen(desk->turns);
    snprintf(desk->turns + length, sizeof desk->turns - length, "%s>%s ", limit, tenant);
    desk->has_turn = true;
}

static void on_done(void *arg, const char *job)
{
    struct desk *desk = arg;
    snprintf(desk->done, sizeof desk->done, "%s", job);
    desk->done_count++;
    desk->has_done = true;
}

/* ---- answers ---- */

static void on_acquired(struct ledger_call *call, const struct error *error,
                        const struct ledger_acquired *answer)
{
    struct desk *desk = call->arg;
    struct heard *heard = &desk->heard;
    desk->is_answered = true;
    desk->is_error = heard->is_error = error != NULL;
    *heard = (struct heard){.is_error = error != NULL};
    if (error) {
        desk->error = *error;
        return;
    }
    heard->answer = *answer;
    const char **texts[] = {&heard->answer.permit, &heard->answer.owner,  &heard->answer.limit,
                            &heard->answer.why,    &heard->answer.mode,   &heard->answer.sandbox,
                            &heard->answer.plan,   &heard->answer.status, &heard->answer.origin,
                            &heard->answer.place};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        assert_non_null(*texts[i]);
        snprintf(heard->texts[i], DESK_TEXT, "%s", *texts[i]);
        *texts[i] = heard->texts[i];
    }
    if (answer->record.length > 0)
        memcpy(heard->record, answer->record.data, MIN(answer->record.length, sizeof heard->record));
    heard->answer.record.data = heard->record;
}

static void on_answer(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    if (error)
        desk->error = *error;
    desk->answer = error ? 0 : answer;
}

static void on_usage(struct ledger_call *call, const struct error *error, const struct ledger_usage *usage,
                     size_t count)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    desk->usage_count = MIN(count, ARRAY_LENGTH(desk->usage));
    for (size_t i = 0; i < desk->usage_count; i++) {
        desk->usage[i] = usage[i];
        snprintf(desk->usage_names[i], DESK_TEXT, "%s", usage[i].limit);
        desk->usage[i].limit = desk->usage_names[i];
    }
}

static void copy_texts(const char ***texts, char (*copies)[DESK_TEXT], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_non_null(*texts[i]);
        snprintf(copies[i], DESK_TEXT, "%s", *texts[i]);
        *texts[i] = copies[i];
    }
}

static void on_census(struct ledger_call *call, const struct error *error,
                      const struct ledger_permit *permits, size_t count)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    desk->permit_count = MIN(count, ARRAY_LENGTH(desk->permits));
    for (size_t i = 0; i < desk->permit_count; i++) {
        struct ledger_permit *permit = &desk->permits[i];
        *permit = permits[i];
        const char **texts[] = {&permit->permit, &permit->worker, &permit->job, &permit->sandbox};
        copy_texts(texts, desk->permit_texts[i], ARRAY_LENGTH(texts));
    }
}

static void on_claim(struct ledger_call *call, const struct error *error, const struct ledger_claim *claim)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    if (error)
        return;
    desk->claim = *claim;
    const char **texts[] = {&desk->claim.state,   &desk->claim.owner,   &desk->claim.permit,
                            &desk->claim.sandbox, &desk->claim.mode,    &desk->claim.status,
                            &desk->claim.origin,  &desk->claim.waits_at};
    copy_texts(texts, desk->claim_texts, ARRAY_LENGTH(texts));
}

static void on_lead(struct ledger_call *call, const struct error *error, const struct ledger_lead *lead)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    if (!error)
        desk->lead = *lead;
}

static void prepare(struct desk *desk)
{
    desk->is_answered = desk->is_error = false;
    desk->call.arg = desk;
}

static enum ledger_answer answer_of(struct desk *desk)
{
    assert_false(desk->is_answered); /* never from inside the start */
    world_wait(desk->world, &desk->is_answered);
    assert_null(desk->call.request);
    return desk->answer;
}

/* ---- life cycle ---- */

static void open_ledger(struct desk *desk, struct world *world, const char *name, bool is_onlooker)
{
    static const struct log silent = {.level = LOG_LEVEL_NONE};
    *desk = (struct desk){.world = world};
    random_init(&desk->random);
    struct error error;
    desk->ledger = ledger_new(&(struct ledger_options){.loop = world_loop(world),
                                                       .random = &desk->random,
                                                       .log = &silent,
                                                       .url = world_url(world),
                                                       .name = "default",
                                                       .worker = name,
                                                       .is_onlooker = is_onlooker,
                                                       .events = {.arg = desk,
                                                                  .on_state = on_state,
                                                                  .on_rebuild = on_rebuild,
                                                                  .on_lost = on_lost,
                                                                  .on_cancelled = on_cancelled,
                                                                  .on_free = on_free,
                                                                  .on_turn = on_turn,
                                                                  .on_done = on_done}},
                              &error);
    assert_non_null(desk->ledger);
}

void desk_open(struct desk *desk, struct world *world, const char *name)
{
    open_ledger(desk, world, name, /* is_onlooker= */ false);
}

void desk_open_onlooker(struct desk *desk, struct world *world)
{
    open_ledger(desk, world, "onlooker", /* is_onlooker= */ true);
    desk_wait_ready(desk);
}

static void on_closed(void *arg)
{
    struct desk *desk = arg;
    desk->is_closed = true;
}

void desk_close(struct desk *desk)
{
    ledger_close(desk->ledger, 1000, on_closed, desk);
    assert_false(desk->is_closed);
    world_wait(desk->world, &desk->is_closed);
    desk->ledger = NULL;
}

void desk_make_ready(struct desk *desk)
{
    while (ledger_state(desk->ledger) == LEDGER_CONNECTING)
        world_sleep(desk->world, 5);
    world_age_rebuild(desk->world, 121000);
    for (int i = 0; i < 500 && desk_ready(desk, 0) != LEDGER_OK; i++)
        world_sleep(desk->world, 10); /* somebody has not asserted yet */
    desk_wait_ready(desk);
    world_end_hold(desk->world);
}

void desk_wait_gone(struct desk *desk)
{
    for (int i = 0; i < 4000 && ledger_state(desk->ledger) != LEDGER_CONNECTING; i++)
        world_sleep(desk->world, 5);
    assert_int_equal(ledger_state(desk->ledger), LEDGER_CONNECTING);
}

void desk_wait_serving(struct desk *desk)
{
    for (int i = 0; i < 4000 && ledger_state(desk->ledger) == LEDGER_CONNECTING; i++)
        world_sleep(desk->world, 5);
    assert_int_not_equal(ledger_state(desk->ledger), LEDGER_CONNECTING);
}

void desk_pulse(struct desk *desk)
{
    (void)desk_extend(desk, "nothing", 0);
}

void desk_wait_ready(struct desk *desk)
{
    world_wait(desk->world, &desk->is_ready);
    assert_text(ledger_why(desk->ledger), "");
}

/* ---- calls ---- */

static const struct ledger_limit usual_limits[] = {{"n:acme", 1000}, {"t:default", 1000}, {"g", 1000}};

struct ledger_acquire desk_wish(const char *job, const char *permit)
{
    return (struct ledger_acquire){.job = job,
                                   .payload = "00112233445566778899aabbccddeeff",
                                   .origin = "0a0b0c0d",
                                   .place = "",
                                   .tenant = "acme",
                                   .weight = 1,
                                   .permit = permit,
                                   .horizon_ms = 535000,
                                   .until_ms = LEDGER_UNBOUND_MS,
                                   .limits = usual_limits,
                                   .limit_count = ARRAY_LENGTH(usual_limits)};
}

const struct ledger_acquired *desk_acquire(struct desk *desk, const struct ledger_acquire *acquire)
{
    prepare(desk);
    ledger_acquire(desk->ledger, &desk->call, acquire, on_acquired);
    (void)answer_of(desk);
    assert_false(desk->is_error);
    return &desk->heard.answer;
}

const struct ledger_acquired *desk_ask(struct desk *desk, const char *job, const char *permit)
{
    struct ledger_acquire wish = desk_wish(job, permit);
    return desk_acquire(desk, &wish);
}

static enum ledger_answer bind_it(struct desk *desk, const char *job, const char *permit, bool is_adoption)
{
    prepare(desk);
    ledger_bind(desk->ledger, &desk->call,
                &(struct ledger_bind){.job = job,
                                      .permit = permit,
                                      .sandbox = "sandbox-1",
                                      .mode = "process",
                                      .plan = "abcd",
                                      .horizon_ms = 420000,
                                      .until_ms = 400000,
                                      .run_until_ms = 300000,
                                      .is_adoption = is_adoption},
                on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_bind(struct desk *desk, const char *job, const char *permit)
{
    return bind_it(desk, job, permit, false);
}

enum ledger_answer desk_adopt(struct desk *desk, const char *job, const char *permit)
{
    return bind_it(desk, job, permit, true);
}

enum ledger_answer desk_seal(struct desk *desk, const char *job, const char *permit, const char *record)
{
    return desk_seal_at(desk, job, permit, record, "");
}

enum ledger_answer desk_seal_at(struct desk *desk, const char *job, const char *permit, const char *record,
                                const char *place)
{
    struct ledger_acquire wish = desk_wish(job, permit);
    prepare(desk);
    ledger_seal(desk->ledger, &desk->call,
                &(struct ledger_seal){.job = job,
                                      .permit = permit,
                                      .payload = wish.payload,
                                      .origin = wish.origin,
                                      .status = "succeeded",
                                      .record = {.data = record, .length = strlen(record)},
                                      .place = place,
                                      .until_ms = 60000},
                on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_extend(struct desk *desk, const char *permit, int64_t horizon_ms)
{
    prepare(desk);
    ledger_extend(desk->ledger, &desk->call, permit, horizon_ms, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_yield(struct desk *desk, const char *job, const char *permit)
{
    prepare(desk);
    ledger_yield(desk->ledger, &desk->call, job, permit, 400000, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_moved(struct desk *desk, const char *job, const char *place)
{
    prepare(desk);
    ledger_moved(desk->ledger, &desk->call, job, place, on_answer);
    return answer_of(desk);
}

const struct ledger_acquired *desk_ask_at(struct desk *desk, const char *job, const char *permit,
                                          const char *place)
{
    struct ledger_acquire wish = desk_wish(job, permit);
    wish.place = place;
    return desk_acquire(desk, &wish);
}

enum ledger_answer desk_cancel(struct desk *desk, const char *job)
{
    prepare(desk);
    ledger_cancel(desk->ledger, &desk->call, job, 3600000, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_condemn(struct desk *desk, const char *permit)
{
    prepare(desk);
    ledger_condemn(desk->ledger, &desk->call, permit, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_lock(struct desk *desk, const char *what, int64_t ttl_ms)
{
    prepare(desk);
    ledger_lock(desk->ledger, &desk->call, what, ttl_ms, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_limit_set(struct desk *desk, const char *limit, int64_t max)
{
    prepare(desk);
    ledger_limit_set(desk->ledger, &desk->call, limit, max, on_answer);
    return answer_of(desk);
}

struct ledger_assertion desk_claim(const char *job, const char *permit)
{
    const struct ledger_acquire wish = desk_wish(job, permit);
    return (struct ledger_assertion){.holder = LEDGER_MINE,
                                     .permit = permit,
                                     .sandbox = "sandbox-1",
                                     .limits = "n:acme t:default g",
                                     .horizon_ms = 420000,
                                     .job = job,
                                     .mode = "process",
                                     .plan = "abcd",
                                     .payload = wish.payload,
                                     .origin = wish.origin,
                                     .attempt = 1,
                                     .until_ms = 400000,
                                     .run_until_ms = 300000,
                                     .status = "",
                                     .record = {.data = ""},
                                     .place = ""};
}

enum ledger_answer desk_assert(struct desk *desk, const struct ledger_assertion *assertion)
{
    prepare(desk);
    ledger_assert(desk->ledger, &desk->call, assertion, on_answer);
    return answer_of(desk);
}

enum ledger_answer desk_asserted(struct desk *desk)
{
    prepare(desk);
    ledger_asserted(desk->ledger, &desk->call, on_answer);
    return answer_of(desk);
}

const struct ledger_lead *desk_lead(struct desk *desk)
{
    prepare(desk);
    ledger_lead(desk->ledger, &desk->call, on_lead);
    (void)answer_of(desk);
    assert_false(desk->is_error);
    return &desk->lead;
}

enum ledger_answer desk_ready(struct desk *desk, int64_t listed)
{
    prepare(desk);
    ledger_ready(desk->ledger, &desk->call, listed, on_answer);
    return answer_of(desk);
}

void desk_census(struct desk *desk)
{
    prepare(desk);
    ledger_census(desk->ledger, &desk->call, on_census);
    (void)answer_of(desk);
    assert_false(desk->is_error);
}

const struct ledger_claim *desk_look(struct desk *desk, const char *job)
{
    prepare(desk);
    ledger_look(desk->ledger, &desk->call, job, on_claim);
    (void)answer_of(desk);
    assert_false(desk->is_error);
    return &desk->claim;
}

const struct ledger_claim *desk_peek(struct desk *desk, const char *job)
{
    prepare(desk);
    ledger_peek(desk->ledger, &desk->call, job, on_claim);
    (void)answer_of(desk);
    assert_false(desk->is_error);
    return &desk->claim;
}

static void on_condition(struct ledger_call *call, const struct error *error,
                         const struct ledger_condition *condition)
{
    struct desk *desk = call->arg;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    if (error)
        return;
    desk->condition = *condition;
    snprintf(desk->condition_why, DESK_TEXT, "%s", condition->why);
    desk->condition.why = desk->condition_why;
}

const struct ledger_condition *desk_condition(struct desk *desk)
{
    prepare(desk);
    ledger_condition(desk->ledger, &desk->call, on_condition);
    (void)answer_of(desk);
    assert_false(desk->is_error);
    return &desk->condition;
}

void desk_snapshot(struct desk *desk)
{
    prepare(desk);
    ledger_snapshot(desk->ledger, &desk->call, on_usage);
    (void)answer_of(desk);
    assert_false(desk->is_error);
}

const struct ledger_usage *desk_usage(struct desk *desk, const char *limit)
{
    for (size_t i = 0; i < desk->usage_count; i++)
        if (strcmp(desk->usage[i].limit, limit) == 0)
            return &desk->usage[i];
    return NULL;
}

void desk_flush(struct desk *desk)
{
    while (ledger_background_count(desk->ledger) > 0)
        world_sleep(desk->world, 1);
}

void desk_release(struct desk *desk, const char *permit, const char *job, int what)
{
    ledger_release(desk->ledger, permit, job, what);
    assert_true(ledger_background_count(desk->ledger) > 0);
    desk_flush(desk);
}

void desk_done(struct desk *desk, const char *job)
{
    ledger_done(desk->ledger, job, "succeeded", 3, 42, 3600000);
    desk_flush(desk);
}

void desk_leave_sealed(struct desk *desk, const char *job)
{
    ledger_leave_sealed(desk->ledger, job, 60000);
    desk_flush(desk);
}

void desk_park(struct desk *desk, const char *permit, const char *job, int64_t hop)
{
    ledger_park(desk->ledger, permit, job, hop, 60000);
    desk_flush(desk);
}
