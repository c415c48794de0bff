/* The fault sweep: the n-th call fails, for n = 0, 1, 2 ... until a run goes by without a failure; after each
 * the job has its one result, and nothing is left. */
#include "unit/worker/world.h"

#include "test.h"

#include <stdio.h>

static const char *const kinds_of_job[] = {
    "'artifacts':['*.txt']",
    "'run_mode':'process','stdin':'x','files':[{'path':'in.txt','content':'x','mode':'0755'}],"
    "'artifacts':['*.txt']",
};

static void open_world(struct world *world)
{
    world_open(world);
    world->step_ms = 50;
    world_start(world, 0);
}

static void run_one(struct world *world, const char *fields)
{
    world_submit_with(world, "a", "print x;write one.txt 1;write two.txt 2;sleep 100;print y", fields);
    if (!world_settle(world, 300000))
        fail_msg("%sno result after five minutes", world->note);
    world_run(world, 200000); /* doubts end */
}

/* ---- E2B ---- */

static const struct e2b_world_fault faults[] = {
    {.error = {.kind = E2B_ERROR_BROKEN}},
    {.error = {.kind = E2B_ERROR_BROKEN, .undecided = true}},
    {.error = {.kind = E2B_ERROR_BROKEN, .undecided = true}, .is_done = true},
    {.is_silent = true},
    {.is_silent = true, .is_done = true},
    {.is_silent = true, .late_ms = 60000},
    {.error = {.kind = E2B_ERROR_GONE}},
    {.error = {.kind = E2B_ERROR_RATE_LIMITED, .retry_after_ms = 3000}},
    {.error = {.kind = E2B_ERROR_QUOTA}},
    {.error = {.kind = E2B_ERROR_CAPACITY}},
    {.error = {.kind = E2B_ERROR_AUTH}},
    {.error = {.kind = E2B_ERROR_INVALID}},
    {.error = {.kind = E2B_ERROR_NOT_FOUND}},
    {.error = {.kind = E2B_ERROR_CONFLICT}},
    {.error = {.kind = E2B_ERROR_PORT_CLOSED}},
    {.error = {.kind = E2B_ERROR_DISK_FULL}},
    {.error = {.kind = E2B_ERROR_TIMEOUT, .undecided = true}},
    {.error = {.kind = E2B_ERROR_TOO_LARGE}},
    {.cut_after = 1},
    {.cut_after = 2},
};

/* What may well end the job instead of being overcome. */
static bool may_fail(const struct e2b_world_fault *fault)
{
    static const enum e2b_error_kind kinds[] = {E2B_ERROR_NOT_FOUND, E2B_ERROR_INVALID, E2B_ERROR_PORT_CLOSED,
                                                E2B_ERROR_DISK_FULL, E2B_ERROR_TIMEOUT};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (fault->error.kind == kinds[i])
            return true;
    return fault->is_silent;
}

/* Returns: whether the fault came. */
static bool sweep_e2b_once(const char *fields, const struct e2b_world_fault *fault, int skip, int count)
{
    struct world world;
    struct e2b_world_fault copy = *fault;
    open_world(&world);
    (void)snprintf(world.note, sizeof world.note, "fault %d of kind %d at call %d: ", (int)(fault - faults),
                   (int)fault->error.kind, skip);
    copy.call = E2B_WORLD_ANY;
    copy.skip = skip;
    copy.count = count;
    e2b_world_fail(world.e2b, &copy);
    run_one(&world, fields);
    bool has_come = (int)e2b_world_faults_left(world.e2b) < count;
    if (!has_come || (!may_fail(fault) && count == 1))
        world_expect(&world, "a", "succeeded", "");
    world_close(&world, WORLD_DOUBTS);
    return has_come;
}

static void every_call_to_e2b_fails_once(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LENGTH(kinds_of_job); kind++)
        for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
            int skip = 0;
            while (sweep_e2b_once(kinds_of_job[kind], &faults[i], skip, 1))
                skip++;
            assert_true(skip >= 5 || faults[i].cut_after > 0);
        }
}

static void every_call_to_e2b_fails_several_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(faults); i++)
        for (int skip = 0; sweep_e2b_once(kinds_of_job[1], &faults[i], skip, 4);)
            skip++;
}

/* ---- Redis ---- */

static bool sweep_redis_once(const char *fields, int skip, bool is_done)
{
    struct world world;
    open_world(&world);
    (void)snprintf(world.note, sizeof world.note, "operation %d: ", skip);
    fake_redis_fail_later(world.redis, skip, is_done);
    run_one(&world, fields);
    bool has_come = fake_redis_has_failed(world.redis);
    world_expect(&world, "a", "succeeded", "");
    assert_int_equal(world_result(&world, "a").attempts, 1);
    world_close(&world, WORLD_DOUBTS);
    return has_come;
}

static void every_operation_of_the_ledger_fails_once(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LENGTH(kinds_of_job); kind++)
        for (int is_done = 0; is_done < 2; is_done++)
            /* Without an end, since a snapshot is taken now and then. */
            for (int skip = 0; skip < 12 && sweep_redis_once(kinds_of_job[kind], skip, is_done);)
                skip++;
}

/* ---- Kafka ---- */

static void every_report_fails_once(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LENGTH(kinds_of_job); kind++)
        for (int is_written = 0; is_written < 2; is_written++) {
            struct world world;
            open_world(&world);
            world.may_repeat = is_written;
            kafka_world_fail_reports(world.kafka, 3, is_written);
            run_one(&world, kinds_of_job[kind]);
            world_expect(&world, "a", "succeeded", "");
            world_close(&world, WORLD_CLEAN);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_to_e2b_fails_once),
        cmocka_unit_test(every_call_to_e2b_fails_several_times),
        cmocka_unit_test(every_operation_of_the_ledger_fails_once),
        cmocka_unit_test(every_report_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
