#include "fakes/loop/virtual.h"
#include "fakes/redis/fake.h"
#include "test.h"

/* What a fake can do and a real Redis cannot be asked for: be gone, lose answers, and stand in virtual
 * time. */

struct world {
    struct loop *loop;
    struct fake_redis *redis;
};

struct seen {
    int answers, errors;
};

static void on_answer(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct seen *seen = call->arg;
    (void)answer;
    seen->answers++;
    seen->errors += error != NULL;
}

static void on_acquired(struct ledger_call *call, const struct error *error,
                        const struct ledger_acquired *answer)
{
    struct seen *seen = call->arg;
    (void)answer;
    seen->answers++;
    seen->errors += error != NULL;
}

static struct ledger *open_ledger(struct world *world, struct random *random)
{
    struct error error;
    world->loop = virtual_loop_new();
    world->redis = fake_redis_new(world->loop);
    random_init_seed(random, 1);
    struct ledger *ledger = ledger_new(&(struct ledger_options){.loop = world->loop,
                                                                .random = random,
                                                                .url = fake_redis_url(world->redis),
                                                                .name = "default",
                                                                .worker = "one"},
                                       &error);
    assert_non_null(ledger);
    virtual_loop_advance(world->loop, 10000);
    struct seen seen = {.answers = 0};
    struct ledger_call call = {.arg = &seen};
    ledger_ready(ledger, &call, 0, on_answer);
    virtual_loop_advance(world->loop, 10);
    assert_int_equal(ledger_state(ledger), LEDGER_READY);
    return ledger;
}

static void close_ledger(struct world *world, struct ledger *ledger)
{
    ledger_close(ledger, 1000, NULL, NULL);
    virtual_loop_advance(world->loop, 2000);
    virtual_loop_free(world->loop);
    fake_redis_free(world->redis);
}

static struct ledger_acquire wish_of(const char *job, const char *permit)
{
    static const struct ledger_limit limits[] = {{"n:acme", 10}, {"g", 10}};
    return (struct ledger_acquire){.job = job,
                                   .payload = "aa",
                                   .origin = "1",
                                   .place = "",
                                   .tenant = "acme",
                                   .weight = 1,
                                   .permit = permit,
                                   .horizon_ms = 500000,
                                   .until_ms = 60000,
                                   .limits = limits,
                                   .limit_count = 2};
}

static void an_unreachable_fake_fails_calls_and_keeps_the_background(void **state)
{
    (void)state;
    struct world world;
    struct random random;
    struct ledger *ledger = open_ledger(&world, &random);
    struct seen seen = {.answers = 0};
    struct ledger_call call = {.arg = &seen};
    struct ledger_acquire wish = wish_of("acme/1", "p1");
    fake_redis_set_reachable(world.redis, false);
    ledger_acquire(ledger, &call, &wish, on_acquired);
    ledger_done(ledger, "acme/2", "succeeded", 0, 1, 60000);
    assert_int_equal(seen.answers, 0);
    virtual_loop_advance(world.loop, 100);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(ledger_state(ledger), LEDGER_CONNECTING);
    virtual_loop_advance(world.loop, LEDGER_OWN_LEASE_MS);
    assert_false(ledger_lease_is_valid(ledger));
    assert_int_equal(ledger_background_count(ledger), 1);
    fake_redis_set_reachable(world.redis, true);
    virtual_loop_advance(world.loop, 1000);
    assert_int_equal(ledger_background_count(ledger), 0);
    assert_int_equal(ledger_state(ledger), LEDGER_READY); /* the gap is explained */
    assert_true(ledger_lease_is_valid(ledger));
    close_ledger(&world, ledger);
}

static void a_lost_answer_is_an_operation_that_was_done(void **state)
{
    (void)state;
    struct world world;
    struct random random;
    struct ledger *ledger = open_ledger(&world, &random);
    struct seen seen = {.answers = 0};
    struct ledger_call call = {.arg = &seen};
    struct ledger_acquire wish = wish_of("acme/1", "p1");
    fake_redis_lose_answers(world.redis, 1);
    ledger_acquire(ledger, &call, &wish, on_acquired);
    virtual_loop_advance(world.loop, 10);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(store_used(fake_redis_store(world.redis), "g"), 1);
    ledger_acquire(ledger, &call, &wish, on_acquired);
    virtual_loop_advance(world.loop, 10);
    assert_int_equal(seen.answers, 2);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(store_used(fake_redis_store(world.redis), "g"), 1);
    close_ledger(&world, ledger);
}

static void a_stopped_process_loses_its_lease_by_boottime(void **state)
{
    (void)state;
    struct world world;
    struct random random;
    struct ledger *ledger = open_ledger(&world, &random);
    assert_true(ledger_lease_is_valid(ledger));
    virtual_loop_stop_process(world.loop, 25000);
    assert_false(ledger_lease_is_valid(ledger));
    virtual_loop_advance(world.loop, 10);
    assert_true(ledger_lease_is_valid(ledger)); /* the overdue pulse has gone out */
    close_ledger(&world, ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unreachable_fake_fails_calls_and_keeps_the_background),
        cmocka_unit_test(a_lost_answer_is_an_operation_that_was_done),
        cmocka_unit_test(a_stopped_process_loses_its_lease_by_boottime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
