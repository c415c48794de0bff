/* Limits, shares and bounds: who waits, who is woken, what is not pulled. */
#include "unit/worker/world.h"

#include "fakes/redis/ledger_inside.h"
#include "test.h"

static void submit_many(struct world *world, int count, const char *code, const char *fields)
{
    for (int i = 0; i < count; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, code, fields);
    }
}

static void expect_all(const struct world *world)
{
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
}

static void ten_jobs_share_two_places(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 2;
    world_start(world, 0);
    submit_many(world, 10, "sleep 1000", NULL);
    assert_true(world_settle(world, 30000));
    expect_all(world);
    assert_int_equal(e2b_world_max_live(world->e2b), 2);
    /* 5 rounds of 1.2 s and little between them */
    assert_true(loop_now_ms(world->loop) < 1000000 + 6000 + 9000);
    world_close(world, WORLD_CLEAN);
}

static void forty_jobs_share_two_places_of_two_workers(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 2;
    world_start(world, 0);
    world_start(world, 1);
    submit_many(world, 40, "sleep 1000", NULL);
    assert_true(world_settle(world, 60000));
    expect_all(world);
    assert_int_equal(e2b_world_max_live(world->e2b), 2);
    world_close(world, WORLD_CLEAN);
}

/* A place that is free is told to one waiter: the more workers there are, the more would ask for nothing. */
static void few_ask_for_a_place_that_one_of_them_may_have(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 8;
    for (int i = 0; i < WORLD_WORKERS_MAX; i++)
        world_start(world, i);
    world_run(world, 2000);
    int64_t asked = fake_redis_count(world->redis);
    for (int i = 0; i < 240; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        CLEANUP(base_freep) char *tenant = base_printf("\"tenant_id\": \"tenant%d\"", i % 8);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 20", tenant);
    }
    assert_true(world_settle(world, 60000));
    expect_all(world);
    /* A job that does not wait is five calls and its share of the pulses; these were 20 when all were told.
     */
    assert_in_range(fake_redis_count(world->redis) - asked, 5 * 240, 9 * 240);
    world_close(world, WORLD_CLEAN);
}

/* A place that is free goes to whoever is first by the ledger's rank, at once: not when that one asks of
 * itself, a quarter of a second later. */
static void tenants_take_turns_at_two_places_without_a_pause(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 2;
    world_start(world, 0);
    for (int i = 0; i < 60; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        CLEANUP(base_freep) char *tenant = base_printf("\"tenant_id\": \"tenant%d\"", i % 6);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 100", tenant);
    }
    int64_t began_ms = loop_now_ms(world->loop);
    assert_true(world_settle(world, 60000));
    expect_all(world);
    /* 30 rounds: 100 ms, and twice that for create, kill and what lies between. With pauses it was 14 s. */
    assert_in_range(loop_now_ms(world->loop) - began_ms, 8000, 11000);
    world_close(world, WORLD_CLEAN);
}

/* Those that ask for the limit go; those behind them must not be forgotten. */
static void jobs_behind_others_that_leave_get_their_turn(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    world_submit_to(world, 0, "first", "sleep 60000", NULL);
    world_run(world, 1000);
    for (int i = 0; i < 12; i++) {
        CLEANUP(base_freep) char *id = base_printf("gone%d", i);
        world_submit_to(world, 1, id, "print x", NULL);
    }
    world_run(world, 2000);
    world_submit_to(world, 2, "left", "print x", NULL);
    world_run(world, 2000);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 1, /* is_lost= */ false);
    world_run(world, 50000);
    for (int i = 0; i < 200 && world_result(world, "left").count == 0; i++)
        world_run(world, 100);
    world_expect(world, "left", "succeeded", "");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 1);
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* On another connection than the answer: it may come first. */
static void a_turn_that_overtakes_its_denial_is_not_lost(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    world_submit_to(world, 0, "first", "sleep 60000", NULL);
    world_run(world, 1000);
    const struct ledger *ledger = LIST_OBJECT(fake_redis_ledgers(world->redis)->next, struct ledger, link);
    fake_redis_set_frozen(world->redis, true, /* keeps_orphans= */ false);
    world_submit_to(world, 1, "second", "print x", NULL);
    world_run(world, 50);
    ledger->options.events.on_turn(ledger->options.events.arg, "g", "default");
    int64_t asked = fake_redis_count(world->redis);
    fake_redis_set_frozen(world->redis, false, false);
    world_run(world, 20);
    assert_int_equal(fake_redis_count(world->redis), asked + 2); /* denied, and again at once */
    assert_true(world_settle(world, 120000));
    world_close(world, WORLD_CLEAN);
}

/* The place is freed by another ledger's operator, so no hint tells. */
static void a_place_that_is_freed_silently_is_found_by_polling(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    store_set_limit(store, "g", 0);
    for (int i = 0; i < 12; i++) {
        CLEANUP(base_freep) char *id = base_printf("gone%d", i);
        world_submit_to(world, 1, id, "print x", NULL);
    }
    world_run(world, 3000);
    world_submit_to(world, 2, "left", "print x", NULL);
    world_run(world, 3000);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 1, /* is_lost= */ false);
    world_run(world, 3000);
    store_set_limit(store, "g", 19);
    for (int i = 0; i < 50 && world_result(world, "left").count == 0; i++)
        world_run(world, 100);
    world_expect(world, "left", "succeeded", "");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 1);
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

static void creates_are_booked_one_per_second(void **state)
{
    struct world *world = *state;
    world->config.create_milli_per_s = 1000;
    world_start(world, 0);
    submit_many(world, 10, "print x", NULL);
    int64_t before_ms = loop_now_ms(world->loop);
    assert_true(world_settle(world, 60000));
    expect_all(world);
    int64_t took_ms = loop_now_ms(world->loop) - before_ms;
    assert_in_range(took_ms, 9000, 14000);
    world_close(world, WORLD_CLEAN);
}

static void a_tenants_own_limit_does_not_hold_back_another(void **state)
{
    struct world *world = *state;
    struct plan_limit limits[] = {{"slow", 1}};
    world->config.limit_tenants = limits;
    world->config.limit_tenant_count = 1;
    world_start(world, 0);
    submit_many(world, 10, "sleep 2000", "'tenant_id':'slow'");
    world_submit_to(world, 0, "quick", "print x", "'tenant_id':'other'");
    world_run(world, 1500);
    world_expect(world, "quick", "succeeded", "");
    assert_true(world_settle(world, 60000));
    expect_all(world);
    world_close(world, WORLD_CLEAN);
}

static void interactive_jobs_go_first(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    submit_many(world, 8, "sleep 1000", "'priority':'batch'");
    world_run(world, 500);
    world_submit_to(world, 0, "now", "print x", "'priority':'interactive'");
    world_run(world, 2500);
    world_expect(world, "now", "succeeded", "");
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* ---- bounds of the worker ---- */

static int64_t pulled(struct world *world)
{
    struct kafka_source_stats stats = {0};
    kafka_source_stats(world_source(world, 0), &stats);
    return stats.in_flight;
}

static void no_more_is_pulled_than_may_wait(void **state)
{
    struct world *world = *state;
    world->config.max_in_flight = 4;
    world_start(world, 0);
    submit_many(world, 60, "sleep 1000", NULL);
    for (int i = 0; i < 40; i++) {
        world_run(world, 100);
        assert_true(pulled(world) <= 8);
        assert_true(e2b_world_live(world->e2b) <= 8);
    }
    assert_true(world_settle(world, 60000));
    expect_all(world);
    world_close(world, WORLD_CLEAN);
}

static void no_more_is_pulled_than_memory_allows(void **state)
{
    struct world *world = *state;
    CLEANUP(base_freep) char *code = base_printf("sleep 1000;%0100000d", 1);
    world->config.max_bytes = 1 << 20;
    world_start(world, 0);
    submit_many(world, 40, code, NULL);
    for (int i = 0; i < 40; i++) {
        world_run(world, 100);
        assert_true(pulled(world) <= 11);
    }
    assert_true(world_settle(world, 120000));
    expect_all(world);
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(ten_jobs_share_two_places),
        WORLD_TEST(few_ask_for_a_place_that_one_of_them_may_have),
        WORLD_TEST(tenants_take_turns_at_two_places_without_a_pause),
        WORLD_TEST(forty_jobs_share_two_places_of_two_workers),
        WORLD_TEST(jobs_behind_others_that_leave_get_their_turn),
        WORLD_TEST(a_turn_that_overtakes_its_denial_is_not_lost),
        WORLD_TEST(a_place_that_is_freed_silently_is_found_by_polling),
        WORLD_TEST(creates_are_booked_one_per_second),
        WORLD_TEST(a_tenants_own_limit_does_not_hold_back_another),
        WORLD_TEST(interactive_jobs_go_first),
        WORLD_TEST(no_more_is_pulled_than_may_wait),
        WORLD_TEST(no_more_is_pulled_than_memory_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
