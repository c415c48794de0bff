/* A small simulation: two workers, some hundred jobs, and faults of all kinds at random moments of virtual
 * time; in the end each job has its one verdict and nothing is left. A seed repeats exactly; WORLD_SEED=n
 * runs that one alone. */
#include "unit/worker/world.h"

#include "base/clock.h"
#include "codec/control.h"
#include "test.h"

#include <stdio.h>

enum { JOBS = 200, WORKERS = 2, SEEDS = 15, HOUR_MS = 3600 * 1000 };

struct simulation {
    struct world world;
    struct random random;
    int submitted;
    int64_t began_unix_ms;
    int64_t redis_back_ms, kafka_back_ms, told_ms[WORKERS], back_ms[WORKERS]; /* INT64_MAX: nothing is due */
};

static int64_t below(struct simulation *simulation, int64_t bound)
{
    return (int64_t)random_below(&simulation->random, (uint64_t)bound);
}

static int64_t in(struct simulation *simulation, int64_t most_ms)
{
    return loop_now_ms(simulation->world.loop) + 1 + below(simulation, most_ms);
}

/* ---- what comes ---- */

/* The fields of one that starts later: soon enough to wait in memory, or by hops. */
static char *later(struct simulation *simulation, int number)
{
    char time[32];
    clock_format(simulation->began_unix_ms + (int64_t)number * 1500 + number % 5 * 20000, time);
    return base_printf("'not_before':'%s'", time);
}

static void submit_one(struct simulation *simulation, int number)
{
    static const char *const codes[] = {"print x", "sleep 800;print x", "sleep 9000;print x;write a.txt y",
                                        "print x;cut;print y", "raise ValueError no"};
    static const char *const fields[] = {NULL,
                                         "'run_mode':'process'",
                                         "'run_mode':'process','artifacts':['*.txt']",
                                         "'priority':'interactive'",
                                         "'timeout_ms':2000",
                                         "'tenant_id':'slow'",
                                         "'template':'none'"};
    CLEANUP(base_freep) char *id = base_printf("j%d", number);
    CLEANUP(base_freep) char *starts = number % 6 == 0 ? later(simulation, number) : NULL;
    /* By its number, so that a second record of a job says the same. */
    world_submit_to(&simulation->world, (int32_t)below(simulation, WORLD_PARTITIONS), id,
                    codes[(size_t)number % ARRAY_LENGTH(codes)],
                    starts ? starts : fields[(size_t)number / 7 % ARRAY_LENGTH(fields)]);
}

static void come(struct simulation *simulation)
{
    for (int64_t n = below(simulation, 4); n > 0 && simulation->submitted < JOBS; n--)
        submit_one(simulation, simulation->submitted++);
    if (simulation->submitted > 0 && below(simulation, 20) == 0)
        submit_one(simulation, (int)below(simulation, simulation->submitted));
}

static const char *some_job(struct simulation *simulation)
{
    const struct world *world = &simulation->world;
    return world->job_count > 0 ? world->jobs[below(simulation, (int64_t)world->job_count)] : "none";
}

static void cancel(struct world *world, const char *job_id)
{
    CLEANUP(buffer_release) struct buffer value = {0};
    control_encode(&(struct control){.action = CONTROL_CANCEL, .job_id = job_id}, &value);
    world_push(world, "e2b.control", 0, buffer_bytes(&value));
}

/* ---- what goes wrong ---- */

static void disturb_e2b(struct simulation *simulation)
{
    static const enum e2b_error_kind kinds[] = {
        E2B_ERROR_BROKEN, E2B_ERROR_BROKEN,   E2B_ERROR_BROKEN,   E2B_ERROR_RATE_LIMITED,
        E2B_ERROR_QUOTA,  E2B_ERROR_CAPACITY, E2B_ERROR_GONE,     E2B_ERROR_CONFLICT,
        E2B_ERROR_AUTH,   E2B_ERROR_TIMEOUT,  E2B_ERROR_TOO_LARGE};
    struct e2b_world_fault fault = {.call = (enum e2b_world_call)below(simulation, E2B_WORLD_CALL_COUNT),
                                    .skip = (int)below(simulation, 4),
                                    .count = 1 + (int)below(simulation, 3),
                                    .is_done = below(simulation, 2) == 0};
    if (below(simulation, 6) == 0)
        fault.cut_after = 1 + (int)below(simulation, 3);
    else if (below(simulation, 5) == 0)
        fault.is_silent = true;
    else
        fault.error.kind = kinds[below(simulation, ARRAY_LENGTH(kinds))];
    fault.error.undecided = fault.is_done || fault.error.kind == E2B_ERROR_TIMEOUT ||
                            (fault.error.kind == E2B_ERROR_BROKEN && below(simulation, 2));
    /* What says clearly that nothing was made has made nothing. */
    if (fault.error.kind != 0 && fault.error.kind != E2B_ERROR_BROKEN &&
        fault.error.kind != E2B_ERROR_TIMEOUT)
        fault.is_done = fault.error.undecided = false;
    if (fault.call == E2B_WORLD_CREATE && (fault.error.undecided || fault.is_silent) && below(simulation, 2))
        fault.late_ms = 1 + below(simulation, 70000);
    e2b_world_fail(simulation->world.e2b, &fault);
}

static void disturb_redis(struct simulation *simulation)
{
    struct world *world = &simulation->world;
    if (below(simulation, 3) == 0) {
        fake_redis_set_reachable(world->redis, false);
        simulation->redis_back_ms = in(simulation, 40000);
    } else {
        fake_redis_fail_later(world->redis, (int)below(simulation, 5), below(simulation, 2) == 0);
    }
}

static void disturb_kafka(struct simulation *simulation)
{
    struct world *world = &simulation->world;
    int i = (int)below(simulation, WORKERS);
    struct kafka_source *source = world_source(world, i);
    int64_t what = below(simulation, 4);
    if (what == 0) {
        kafka_world_set_up(world->kafka, false, "down");
        simulation->kafka_back_ms = in(simulation, 20000);
    } else if (what == 1) {
        kafka_world_fail_reports(world->kafka, 1 + (int)below(simulation, 3), below(simulation, 2) == 0);
    } else if (what == 2) {
        kafka_world_delay_reports(world->kafka, 1 + below(simulation, 3000));
    } else if (source && simulation->told_ms[i] == INT64_MAX && simulation->back_ms[i] == INT64_MAX) {
        kafka_world_expel(source);
        simulation->told_ms[i] = in(simulation, 20000);
    }
}

static void disturb_worker(struct simulation *simulation)
{
    struct world *world = &simulation->world;
    int i = (int)below(simulation, WORKERS);
    if (below(simulation, 3) == 0) {
        virtual_loop_stop_process(world->loop, 1 + below(simulation, 45000));
    } else if (world->workers[i].worker && simulation->told_ms[i] == INT64_MAX) {
        worker_stop(world->workers[i].worker); /* a second time, perhaps */
        if (simulation->back_ms[i] == INT64_MAX)
            simulation->back_ms[i] = in(simulation, 30000);
    }
}

static void disturb(struct simulation *simulation)
{
    switch (below(simulation, 24)) {
    case 0:
    case 1:
    case 2:
        disturb_e2b(simulation);
        return;
    case 3:
        disturb_redis(simulation);
        return;
    case 4:
        disturb_kafka(simulation);
        return;
    case 5:
        disturb_worker(simulation);
        return;
    case 6: {
        CLEANUP(base_freep) char *key = base_printf("default/%s", some_job(simulation));
        (void)e2b_world_vanish(simulation->world.e2b, key);
        return;
    }
    case 7:
        cancel(&simulation->world, some_job(simulation));
        return;
    default:
        return;
    }
}

/* ---- what comes back ---- */

static bool is_due(struct simulation *simulation, int64_t *at_ms)
{
    if (loop_now_ms(simulation->world.loop) < *at_ms)
        return false;
    *at_ms = INT64_MAX;
    return true;
}

static void mend(struct simulation *simulation)
{
    struct world *world = &simulation->world;
    if (is_due(simulation, &simulation->redis_back_ms))
        fake_redis_set_reachable(world->redis, true);
    if (is_due(simulation, &simulation->kafka_back_ms))
        kafka_world_set_up(world->kafka, true, "");
    for (int i = 0; i < WORKERS; i++) {
        if (is_due(simulation, &simulation->told_ms[i]))
            kafka_world_tell(world_source(world, i));
        world_free_stopped(world);
        if (!world->workers[i].worker && is_due(simulation, &simulation->back_ms[i]))
            world_launch(world, i);
    }
}

static void mend_all(struct simulation *simulation)
{
    struct world *world = &simulation->world;
    simulation->redis_back_ms = simulation->kafka_back_ms = 0;
    for (int i = 0; i < WORKERS; i++) {
        if (simulation->told_ms[i] != INT64_MAX)
            simulation->told_ms[i] = 0;
        if (simulation->back_ms[i] != INT64_MAX)
            simulation->back_ms[i] = 0;
    }
    mend(simulation);
    e2b_world_forgive(world->e2b);
    kafka_world_fail_reports(world->kafka, 0, false);
    kafka_world_delay_reports(world->kafka, 1);
    fake_redis_fail_later(world->redis, -1, false);
    for (int n = 0; n < 3600 && MIN(simulation->back_ms[0], simulation->back_ms[1]) < INT64_MAX; n++) {
        world_run(world, 1000);
        mend(simulation);
    }
}

/* ---- one seed ---- */

static void run_seed(uint64_t seed, const char *delivery)
{
    struct plan_limit slow[] = {{"slow", 1}};
    struct simulation simulation = {.redis_back_ms = INT64_MAX,
                                    .kafka_back_ms = INT64_MAX,
                                    .told_ms = {INT64_MAX, INT64_MAX},
                                    .back_ms = {INT64_MAX, INT64_MAX}};
    struct world *world = &simulation.world;
    world_open(world);
    simulation.began_unix_ms = loop_unix_ms(world->loop);
    random_init_seed(&simulation.random, seed);
    (void)snprintf(world->note, sizeof world->note, "%s, seed %llu: ", delivery, (unsigned long long)seed);
    world->config.limit_global = 6;
    world->config.limit_tenants = slow;
    world->config.limit_tenant_count = ARRAY_LENGTH(slow);
    if (seed % 2 == 0)
        world->config.max_in_flight = 8; /* few places: tenants crowd them */
    world->config.drain_ms = 15000;
    world->step_ms = 200;
    world->config.results_delivery = delivery;
    world->may_repeat = strcmp(delivery, "transactional") != 0;
    for (int i = 0; i < WORKERS; i++) {
        random_init_seed(&world->workers[i].random, seed * WORKERS + (uint64_t)i);
        world_launch(world, i);
    }
    for (int turn = 0; turn < 1500; turn++) {
        come(&simulation);
        disturb(&simulation);
        world_run(world, 1 + below(&simulation, 400));
        mend(&simulation);
    }
    mend_all(&simulation);
    if (!world_settle(world, HOUR_MS)) {
        world_explain(world);
        fail_msg("%srecords or results are missing after an hour", world->note);
    }
    world_run(world, HOUR_MS);              /* what is in doubt ends, and the permits of the dead */
    world_submit(world, "last", "print x"); /* prunes */
    world_close(world, WORLD_DOUBTS);
}

static void run_seeds(const char *delivery)
{
    const char *first = getenv("WORLD_SEED"), *count = getenv("WORLD_SEEDS");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    uint64_t seeds = count ? strtoull(count, NULL, 10) : first ? 1 : SEEDS;
    for (uint64_t seed = from; seed < from + seeds; seed++)
        run_seed(seed, delivery);
}

static void a_world_at_random_keeps_the_promises(void **state)
{
    (void)state;
    run_seeds("at_least_once");
}

/* ... and a result never comes twice, also where its record did. */
static void a_world_at_random_with_transactions_repeats_no_result(void **state)
{
    (void)state;
    run_seeds("transactional");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_world_at_random_keeps_the_promises),
        cmocka_unit_test(a_world_at_random_with_transactions_repeats_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
