/* Several workers do at random what workers do, and what broken workers do: leases lapse while their owners
 * go on, horizons pass, answers are lost and asked again, records come twice. After every single operation
 * the ledger's invariants are read from Redis. */
#include "contract/desk.h"
#include "contract/real_world.h"
#include "test.h"

#include <stdio.h>

enum { WORKERS = 4, JOBS = 40, TENANTS = 3, SESSIONS = 3, MOST_RUNS = 400, OPERATIONS = 20000 };

struct run {
    int worker;
    char job[32], permit[48];
};

struct chaos {
    struct world *world;
    struct random random;
    struct desk desks[WORKERS];
    struct run runs[MOST_RUNS];
    int run_count, permits, verdicts[16], seals;
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

static void remember(struct chaos *chaos, int worker, const char *job, const char *permit)
{
    if (chaos->run_count == MOST_RUNS)
        chaos->runs[pick(chaos, MOST_RUNS)] = chaos->runs[--chaos->run_count];
    struct run *run = &chaos->runs[chaos->run_count++];
    run->worker = worker;
    snprintf(run->job, sizeof run->job, "%s", job);
    snprintf(run->permit, sizeof run->permit, "%s", permit);
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
    if (pick(chaos, 300) == 0)
        wish.payload = "ffffffffffffffffffffffffffffffff";
    int times = pick(chaos, 8) == 0 ? 2 : 1; /* the answer was lost */
    const struct ledger_acquired *answer = NULL;
    for (int i = 0; i < times; i++) {
        answer = desk_acquire(&chaos->desks[worker], &wish);
        chaos->verdicts[answer->verdict]++;
    }
    if (answer->verdict == LEDGER_GRANTED || answer->verdict == LEDGER_ADOPT)
        remember(chaos, worker, job, answer->permit);
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

static void operate(struct chaos *chaos)
{
    int what = pick(chaos, 100);
    if (what < 45 || chaos->run_count == 0) {
        acquire(chaos);
        return;
    }
    struct run *run = &chaos->runs[pick(chaos, chaos->run_count)];
    struct desk *desk = &chaos->desks[run->worker];
    if (what < 58)
        (void)desk_bind(desk, run->job, run->permit);
    else if (what < 74)
        seal(chaos, run);
    else if (what < 84)
        release(chaos, run);
    else if (what < 86)
        world_lapse(chaos->world, ledger_worker(chaos->desks[pick(chaos, WORKERS)].ledger));
    else if (what < 90)
        (void)desk_extend(desk, run->permit, 1000 * pick(chaos, 600));
    else if (what < 97)
        let_time_pass(chaos);
    else if (what < 98)
        (void)desk_seal(desk, run->job, "", "never ran");
    else if (what < 99)
        redis_server_tell(world_server(chaos->world), "EVAL %s 1 " WORLD_PREFIX "j:%s",
                          "if redis.call('HEXISTS', KEYS[1], 'until') == 1 then "
                          "redis.call('HSET', KEYS[1], 'until', 1) end",
                          run->job);
    else
        desk_snapshot(desk);
}

static void check(struct chaos *chaos, int step)
{
    for (int i = 0; i < WORKERS; i++)
        desk_flush(&chaos->desks[i]);
    redisReply *reply =
        redis_server_ask(world_server(chaos->world), "EVAL %s 1 " WORLD_PREFIX, chaos->invariants);
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
    redis_server_tell(
        world_server(chaos->world),
        "HSET maxima g 6 n:t0 3 n:t1 3 n:t2 3 t:0 4 t:1 4 c:live 4 c:batch 4 s:0 1 s:1 1 s:2 1");
    for (int i = 0; i < WORKERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        desk_open(&chaos->desks[i], chaos->world, name);
        if (i == 0)
            desk_make_ready(&chaos->desks[0]);
        desk_wait_ready(&chaos->desks[i]);
    }
    for (int step = 0; step < OPERATIONS; step++) {
        operate(chaos);
        check(chaos, step);
    }
    print_message(
        "seed %llu: granted %d denied %d elsewhere %d adopt %d sealed %d done %d conflict %d; seals %d\n",
        (unsigned long long)seed, chaos->verdicts[LEDGER_GRANTED], chaos->verdicts[LEDGER_DENIED],
        chaos->verdicts[LEDGER_ELSEWHERE], chaos->verdicts[LEDGER_ADOPT], chaos->verdicts[LEDGER_SEALED],
        chaos->verdicts[LEDGER_DONE], chaos->verdicts[LEDGER_CONFLICT], chaos->seals);
    /* A random walk that never came by here would prove nothing. */
    assert_true(chaos->verdicts[LEDGER_ADOPT] > 100 && chaos->verdicts[LEDGER_SEALED] > 20 &&
                chaos->verdicts[LEDGER_DONE] > 20 && chaos->verdicts[LEDGER_DENIED] > 100 &&
                chaos->seals > 500);
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
