/* Several workers do at random what workers do, and what broken workers do: leases lapse while their owners
 * go on, horizons pass, answers are lost and asked again, records come twice; and Redis is emptied, or comes
 * back with an old snapshot, and they assert what they hold, or believe to, or nothing. After every single
 * operation the ledger's invariants are read from Redis. */
#include "contract/desk.h"
#include "contract/real_world.h"
#include "test.h"

#include <stdio.h>

enum { WORKERS = 4, JOBS = 40, TENANTS = 3, SESSIONS = 3, MOST_RUNS = 400, OPERATIONS = 20000 };
enum { LOSS_EVERY = 400, SAVE_EVERY = 150, REBUILD_STEPS = 60 };

#define WORLD_MAXIMA "HSET maxima g 6 n:t0 3 n:t1 3 n:t2 3 t:0 4 t:1 4 c:live 4 c:batch 4 s:0 1 s:1 1 s:2 1"

struct run {
    int worker;
    char job[32], permit[48], limits[64];
    int64_t attempt;
};

struct chaos {
    struct world *world;
    struct random random;
    struct desk desks[WORKERS];
    struct run runs[MOST_RUNS];
    int run_count, permits, verdicts[16], seals, answers[16], losses;
    int rebuild_steps; /* since the ledger was lost; 0: it is not */
    bool is_saved;
    char granted[48]; /* by the last operation; "": nothing was */
    char *invariants;
};

static int pick(struct chaos *chaos, int below)
{
    return (int)random_below(&chaos->random, (uint64_t)below);
}

static char *read_text(const char *path)
{
    char *text = base_alloc(16384);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, 16383, file);
    assert_true(length > 0 && length < 16383);
    fclose(file);
    return text;
}

static void remember(struct chaos *chaos, int worker, const struct ledger_acquire *wish,
                     const struct ledger_acquired *answer)
{
    if (chaos->run_count == MOST_RUNS)
        chaos->runs[pick(chaos, MOST_RUNS)] = chaos->runs[--chaos->run_count];
    struct run *run = &chaos->runs[chaos->run_count++];
    run->worker = worker;
    snprintf(run->job, sizeof run->job, "%s", wish->job);
    snprintf(run->permit, sizeof run->permit, "%s", answer->permit);
    run->attempt = answer->attempt;
    size_t length = 0;
    for (size_t i = 0; i < wish->limit_count; i++)
        if (strncmp(wish->limits[i].name, "r:", 2) != 0)
            length += (size_t)snprintf(run->limits + length, sizeof run->limits - length, "%s ",
                                       wish->limits[i].name);
}

static void forget(struct chaos *chaos, struct run *run)
{
    *run = chaos->runs[--chaos->run_count];
}

static void acquire(struct chaos *chaos)
{
    int worker = pick(chaos, WORKERS);
    char job[32], permit[48], tenant[8], template[16], session[8], limit[16];
    snprintf(tenant, sizeof tenant, "t%d", pick(chaos, TENANTS));
    snprintf(job, sizeof job, "%s/%d", tenant, pick(chaos, JOBS));
    snprintf(permit, sizeof permit, "permit-%d", ++chaos->permits);
    snprintf(template, sizeof template, "t:%d", pick(chaos, 2));
    snprintf(session, sizeof session, "s:%d", pick(chaos, SESSIONS));
    snprintf(limit, sizeof limit, "n:%s", tenant);
    const char *class = pick(chaos, 2) ? "c:live" : "c:batch";
    struct ledger_limit limits[] = {{limit, 3}, {template, 4}, {class, 4},
                                    {"g", 6},   {"r:live", 1}, {session, 1}};
    struct ledger_acquire wish = desk_wish(job, permit);
    wish.tenant = tenant;
    wish.weight = 1 + (tenant[1] - '0');
    wish.limits = limits;
    wish.limit_count = pick(chaos, 4) == 0 ? 6 : 5;
    wish.hop = pick(chaos, 3);
    if (pick(chaos, 300) == 0)
        wish.payload = "ffffffffffffffffffffffffffffffff";
    int times = pick(chaos, 8) == 0 ? 2 : 1; /* the answer was lost */
    const struct ledger_acquired *answer = NULL;
    for (int i = 0; i < times; i++) {
        answer = desk_acquire(&chaos->desks[worker], &wish);
        chaos->verdicts[answer->verdict]++;
    }
    if (answer->verdict == LEDGER_GRANTED)
        snprintf(chaos->granted, sizeof chaos->granted, "%s", answer->permit);
    if (answer->verdict == LEDGER_GRANTED || answer->verdict == LEDGER_ADOPT)
        remember(chaos, worker, &wish, answer);
    else if (answer->verdict == LEDGER_SEALED && pick(chaos, 4) > 0)
        ledger_done(chaos->desks[worker].ledger, job, "succeeded", 0, 1, 1 + pick(chaos, 50));
}

static void seal(struct chaos *chaos, struct run *run)
{
    struct desk *desk = &chaos->desks[run->worker];
    char record[64];
    snprintf(record, sizeof record, "by %d under %s", run->worker, run->permit);
    enum ledger_answer answer = desk_seal(desk, run->job, run->permit, record);
    if (answer == LEDGER_OK) {
        chaos->seals++;
        if (pick(chaos, 10) > 0)
            ledger_done(desk->ledger, run->job, "succeeded", 0, 1, 1 + pick(chaos, 50));
    }
    if (answer != LEDGER_SUPERSEDED_PERMIT)
        ledger_release(desk->ledger, run->permit, NULL, LEDGER_RELEASE_PERMIT);
    forget(chaos, run);
}

static void release(struct chaos *chaos, struct run *run)
{
    static const int whats[] = {LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM, LEDGER_RELEASE_CLAIM,
                                LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM | LEDGER_UNCOUNT,
                                LEDGER_RELEASE_PERMIT};
    int what = whats[pick(chaos, 4)];
    ledger_release(chaos->desks[run->worker].ledger, run->permit, run->job, what);
    if (pick(chaos, 4) > 0) /* else it forgets that it gave it back, and goes on */
        forget(chaos, run);
}

/* Somebody's horizon passes, held or forgotten; and waiters that went away are no longer fresh. */
static void let_time_pass(struct chaos *chaos)
{
    static const char script[] = "local id = redis.call('ZRANDMEMBER', KEYS[1] .. 'p') "
                                 "if id then redis.call('ZADD', KEYS[1] .. 'p', 1, id) end "
                                 "for _, key in ipairs(redis.call('KEYS', KEYS[1] .. 'q:*')) do "
                                 "redis.call('DEL', key) end";
    redis_server_tell(world_server(chaos->world), "EVAL %s 1 " WORLD_PREFIX, script);
}

static void end_claim(struct chaos *chaos, const char *job)
{
    redis_server_tell(world_server(chaos->world), "EVAL %s 1 " WORLD_PREFIX "j:%s",
                      "if redis.call('HEXISTS', KEYS[1], 'until') == 1 then "
                      "redis.call('HSET', KEYS[1], 'until', 1) end",
                      job);
}

static void count(struct chaos *chaos, enum ledger_answer answer)
{
    chaos->answers[answer]++;
}

/* What may be done to a run, or to a job, in any state of the ledger. */
static void meddle(struct chaos *chaos, struct run *run)
{
    struct desk *desk = &chaos->desks[run->worker], *other = &chaos->desks[pick(chaos, WORKERS)];
    int what = pick(chaos, 100);
    if (what < 24)
        (void)desk_bind(desk, run->job, run->permit);
    else if (what < 30)
        (void)desk_adopt(desk, run->job, run->permit);
    else if (what < 58)
        seal(chaos, run);
    else if (what < 74)
        release(chaos, run);
    else if (what < 78)
        count(chaos, desk_yield(desk, run->job, run->permit));
    else if (what < 82)
        count(chaos, desk_condemn(other, run->permit));
    else if (what < 85)
        ledger_park(desk->ledger, pick(chaos, 2) ? run->permit : "", run->job, 1 + pick(chaos, 2), 1000);
    else if (what < 87)
        (void)desk_cancel(other, run->job);
    else if (what < 94)
        (void)desk_extend(desk, run->permit, 1000 * pick(chaos, 600));
    else if (what < 96)
        (void)desk_seal(other, run->job, "", "never ran");
    else if (what < 98)
        (void)desk_look(other, run->job);
    else if (what < 99)
        desk_census(other);
    else
        desk_snapshot(other);
}

/* ---- the ledger is lost ---- */

static void lose(struct chaos *chaos)
{
    if (chaos->is_saved && pick(chaos, 2)) {
        world_restore(chaos->world);
    } else {
        world_empty(chaos->world);
        redis_server_tell(world_server(chaos->world), WORLD_MAXIMA);
    }
    for (int i = 0; i < WORKERS; i++)
        desk_pulse(&chaos->desks[i]);
    chaos->rebuild_steps = 1;
    chaos->losses++;
}

static void assert_run(struct chaos *chaos, const struct run *run)
{
    struct desk *desk = &chaos->desks[run->worker];
    struct ledger_assertion assertion = desk_claim(run->job, run->permit);
    char record[64];
    assertion.limits = run->limits;
    assertion.attempt = run->attempt;
    assertion.hop = pick(chaos, 3);
    int what = pick(chaos, 10);
    if (what < 2) {
        snprintf(record, sizeof record, "by %d under %s", run->worker, run->permit);
        assertion.status = "succeeded";
        assertion.record = (struct bytes){.data = record, .length = strlen(record)};
        assertion.permit = pick(chaos, 3) == 0 ? "" : run->permit;
    } else if (what < 3) {
        assertion.job = "";
    } else if (what < 4) {
        assertion.sandbox = "";
    } else if (what < 6) {
        assertion.holder = LEDGER_NOBODYS;
        assertion.payload = assertion.origin = assertion.mode = assertion.plan = "";
        desk = &chaos->desks[pick(chaos, WORKERS)];
    }
    count(chaos, desk_assert(desk, &assertion));
}

static void rebuild(struct chaos *chaos)
{
    int what = pick(chaos, 100);
    struct run *run = chaos->run_count > 0 ? &chaos->runs[pick(chaos, chaos->run_count)] : NULL;
    struct desk *desk = &chaos->desks[pick(chaos, WORKERS)];
    if (++chaos->rebuild_steps > REBUILD_STEPS) {
        for (int i = 0; i < WORKERS; i++)
            (void)desk_asserted(&chaos->desks[i]);
        world_age_rebuild(chaos->world, 121000);
        assert_int_equal(desk_ready(&chaos->desks[0], pick(chaos, 3)), LEDGER_OK);
        if (pick(chaos, 2))
            world_end_hold(chaos->world);
        for (int i = 0; i < WORKERS; i++)
            desk_pulse(&chaos->desks[i]);
        chaos->rebuild_steps = 0;
    } else if (what < 60 && run) {
        assert_run(chaos, run);
    } else if (what < 80 && run) {
        meddle(chaos, run);
    } else if (what < 90 && run) {
        ledger_done(desk->ledger, run->job, "succeeded", 0, 1, 1 + pick(chaos, 50));
    } else if (what < 95) {
        (void)desk_lead(&chaos->desks[0]);
        assert_int_equal(desk_ready(&chaos->desks[0], 0), LEDGER_NOT_NOW);
    } else {
        acquire(chaos);
        assert_text(chaos->granted, "");
    }
}

static void operate(struct chaos *chaos, int step)
{
    int what = pick(chaos, 100);
    chaos->granted[0] = '\0';
    if (chaos->rebuild_steps > 0) {
        rebuild(chaos);
    } else if (step % LOSS_EVERY == LOSS_EVERY - 1) {
        lose(chaos);
    } else if (step % SAVE_EVERY == SAVE_EVERY - 1) {
        world_save(chaos->world);
        chaos->is_saved = true;
    } else if (what < 45 || chaos->run_count == 0) {
        acquire(chaos);
    } else if (what < 90) {
        meddle(chaos, &chaos->runs[pick(chaos, chaos->run_count)]);
    } else if (what < 92) {
        world_lapse(chaos->world, ledger_worker(chaos->desks[pick(chaos, WORKERS)].ledger));
    } else if (what < 98) {
        let_time_pass(chaos);
    } else {
        end_claim(chaos, chaos->runs[pick(chaos, chaos->run_count)].job);
    }
}

static void check(struct chaos *chaos, int step)
{
    for (int i = 0; i < WORKERS; i++)
        desk_flush(&chaos->desks[i]);
    redisReply *reply = redis_server_ask(world_server(chaos->world), "EVAL %s 1 " WORLD_PREFIX " %s",
                                         chaos->invariants, chaos->granted);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    if (reply->len > 0)
        fail_msg("after operation %d: %s", step, reply->str);
    freeReplyObject(reply);
}

static void the_invariants_hold_after_every_random_operation(void **state)
{
    (void)state;
    struct chaos *chaos = base_alloc(sizeof *chaos);
    const char *seed_text = getenv("TEST_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 20261121;
    random_init_seed(&chaos->random, seed);
    chaos->world = world_new();
    chaos->invariants = read_text(INVARIANTS);
    redis_server_tell(world_server(chaos->world), WORLD_MAXIMA);
    for (int i = 0; i < WORKERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        desk_open(&chaos->desks[i], chaos->world, name);
        if (i == 0)
            desk_make_ready(&chaos->desks[0]);
        desk_wait_ready(&chaos->desks[i]);
        chaos->desks[i].is_silent = true;
    }
    for (int step = 0; step < OPERATIONS; step++) {
        operate(chaos, step);
        check(chaos, step);
    }
    print_message("seed %llu:", (unsigned long long)seed);
    for (int i = LEDGER_GRANTED; i <= LEDGER_CONFLICT; i++)
        print_message(" %d", chaos->verdicts[i]);
    print_message(" verdicts;");
    for (int i = LEDGER_OK; i <= LEDGER_NOT_NOW; i++)
        print_message(" %d", chaos->answers[i]);
    print_message(" answers; %d seals, %d losses\n", chaos->seals, chaos->losses);
    /* A random walk that never came by here would prove nothing. */
    assert_true(chaos->verdicts[LEDGER_ADOPT] > 100 && chaos->verdicts[LEDGER_SEALED] > 20 &&
                chaos->verdicts[LEDGER_DONE] > 20 && chaos->verdicts[LEDGER_DENIED] > 100 &&
                chaos->verdicts[LEDGER_STALE] > 20 && chaos->verdicts[LEDGER_CANCELLED] > 20 &&
                chaos->seals > 300 && chaos->losses > 20);
    for (int i = LEDGER_OK; i <= LEDGER_NOT_NOW; i++)
        assert_true(i == LEDGER_SEAL_CONFLICT || i == LEDGER_SEAL_ELSEWHERE || chaos->answers[i] > 5);
    for (int i = 0; i < WORKERS; i++)
        desk_close(&chaos->desks[i]);
    world_free(chaos->world);
    free(chaos->invariants);
    free(chaos);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_invariants_hold_after_every_random_operation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
