/* What Kafka may do to a job, and how a worker ends: partitions that go and come back, brokers that are away
 * or want less, drains. */
#include "unit/worker/world.h"

#include "fakes/redis/store_private.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static void revoke(struct world *world, int i)
{
    kafka_world_revoke(world_source(world, i), WORLD_TOPIC, 0, /* is_lost= */ false);
}

/* ---- partitions ---- */

/* In every moment of a job's life its partition goes, and comes back at once or later. */
static void a_partition_goes_and_comes_back_at_any_moment(void **state)
{
    struct world *world = *state;
    static const char *const fields[] = {NULL, "'run_mode':'process'"};
    static const int64_t away_ms[] = {0, 1, 100, 5000};
    world_start(world, 0);
    int n = 0;
    for (size_t k = 0; k < ARRAY_LENGTH(away_ms) * ARRAY_LENGTH(fields); k++)
        for (int64_t at_ms = 0; at_ms<260; at_ms += at_ms> 8 && at_ms < 140 ? 15 : 1) {
            CLEANUP(base_freep) char *id = base_printf("a%d", n++ % 400);
            CLEANUP(base_freep) char *unique = base_printf("%s-%zu-%d", id, k, n);
            world->step_ms = 1;
            world_submit_with(world, unique, "print x;sleep 40;print y", fields[k % 2]);
            world_run(world, at_ms);
            revoke(world, 0);
            world_run(world, away_ms[k / 2]);
            kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 0);
            assert_true(world_settle(world, 100000));
            world_expect(world, unique, "succeeded", "");
            assert_int_equal(world_result(world, unique).attempts, 1);
        }
    world_close(world, WORLD_CLEAN);
}

static void a_partition_that_goes_to_another_worker_loses_no_job(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 3;
    world_start(world, 0);
    for (int i = 0; i < 40; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 700;print x", NULL);
        world_run(world, 50);
    }
    world_start(world, 1); /* half of them goes there */
    world_run(world, 3000);
    world_stop(world, 0);
    assert_true(world_settle(world, 120000));
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void a_member_that_was_expelled_unawares_does_no_harm(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    for (int i = 0; i < 20; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 2000;print x", NULL);
    }
    world_run(world, 500);
    struct kafka_source *source = world_source(world, 0);
    kafka_world_expel(source);
    world_run(world, 8000);
    kafka_world_tell(source);
    assert_true(world_settle(world, 120000));
    for (size_t i = 0; i < world->job_count; i++) {
        CLEANUP(base_freep) char *key = base_printf("default/%s", world->jobs[i]);
        world_expect(world, world->jobs[i], "succeeded", "");
        assert_int_equal(e2b_world_starts(world->e2b, key), 1);
    }
    world_close(world, WORLD_CLEAN);
}

static int64_t memory_of(struct world *world, int i)
{
    static const char name[] = "\ne2b_worker_jobs_memory_bytes ";
    CLEANUP(buffer_release) struct buffer text = {0};
    worker_metrics(world->workers[i].worker, &text);
    buffer_append_byte(&text, '\0');
    const char *found = strstr(text.data, name);
    assert_non_null(found);
    return strtoll(found + strlen(name), NULL, 10);
}

/* What others had pulled and not finished comes at once, and may be more than fits: who would take it all in
 * would die of it, and the next after that. */
static void what_others_had_pulled_is_taken_in_as_far_as_there_is_memory(void **state)
{
    enum { JOBS = 60, JOB_BYTES = 100000, MAX_BYTES = 1 << 20 };
    struct world *world = *state;
    CLEANUP(base_freep) char *stdin_field = base_printf("'stdin':'%0*d'", JOB_BYTES, 7);
    world->config.limit_global = 1;
    world->config.drain_ms = 0;
    world_start(world, 0);
    for (int i = 0; i < JOBS; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 2000;print x", stdin_field);
    }
    world_run(world, 3000);
    assert_true(memory_of(world, 0) > 5 * MAX_BYTES);
    world_stop(world, 0);
    world->config.max_bytes = MAX_BYTES;
    world_start(world, 1);
    int64_t most = 0;
    for (int i = 0; i < 300; i++) {
        world_run(world, 100);
        most = MAX(most, memory_of(world, 1));
    }
    assert_in_range(most, 2 * MAX_BYTES, 2 * MAX_BYTES + 5 * JOB_BYTES);
    assert_true(world_settle(world, 600000));
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ---- brokers ---- */

static void a_result_waits_for_the_broker(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x;sleep 1000");
    world_run(world, 500);
    kafka_world_set_up(world->kafka, false, "down");
    world_run(world, 60000);
    assert_int_equal(e2b_world_live(world->e2b), 0); /* the sandbox does not */
    assert_int_equal(world_used(world, "g"), 0);
    kafka_world_set_up(world->kafka, true, "");
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void a_report_that_is_lost_repeats_the_same_result(void **state)
{
    struct world *world = *state;
    world->may_repeat = true;
    world_start(world, 0);
    kafka_world_fail_reports(world->kafka, 1, /* is_written= */ true);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(world_result(world, "a").count, 2);
    world_close(world, WORLD_CLEAN);
}

static void a_result_that_is_too_large_loses_its_bodies(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *code = base_printf("print %030000d", 7);
    kafka_world_set_record_max(world->kafka, 20000);
    world_submit(world, "a", code);
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    assert_true(world_result(world, "a").length < 20000);
    world_close(world, WORLD_CLEAN);
}

/* The broker is set up wrong: the sealed verdict is kept until somebody mends it. */
static void a_result_that_is_always_too_large_is_kept(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    kafka_world_set_record_max(world->kafka, 100);
    world_submit(world, "a", "print x");
    world_run(world, 100000);
    assert_false(world_is_finished(world));
    kafka_world_set_record_max(world->kafka, 1 << 20);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ... also when the ledger loses its memory meanwhile, and the job's record comes a second time. */
static void a_result_that_is_kept_outlives_an_emptied_ledger(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    kafka_world_set_record_max(world->kafka, 100);
    world_submit(world, "a", "print x");
    world_run(world, 20000);
    store_clear(fake_redis_store(world->redis));
    world_run(world, 15000);
    assert_non_null(world_claim(world, "a"));
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    world_submit_to(world, 1, "a", "print x", NULL);
    world_run(world, 5000);
    kafka_world_set_record_max(world->kafka, 1 << 20);
    assert_true(world_settle(world, 100000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* ... and what comes while the ledger is rebuilt is not sent before it is sealed again. */
static void a_result_that_is_kept_is_sealed_again_before_it_is_sent(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    kafka_world_set_record_max(world->kafka, 100);
    world_submit(world, "a", "print x");
    world_run(world, 3000);
    kafka_world_set_record_max(world->kafka, 1 << 20);
    store_clear(store);
    while (!store->is_there)
        world_run(world, 100);
    store_set_lease(store, "other", fake_redis_now_ms(world->redis) + 60000); /* who is waited for */
    world_run(world, 50000);
    assert_false(store->is_ready);
    assert_int_equal(world_result(world, "a").count, 0);
    assert_true(world_settle(world, 200000));
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

static void a_dead_letter_that_is_too_large_does_not_hold_the_result(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *code = base_printf("print %030000d", 7);
    kafka_world_set_record_max(world->kafka, 20000);
    world_submit_with(world, "a", code, "'timeout_ms':'x'");
    world_push(world, WORLD_TOPIC, 1, (struct bytes){code, strlen(code)}); /* no job at all */
    assert_true(world_settle(world, 100000));
    world_expect(world, "a", "rejected", "INVALID_JOB");
    world_close(world, WORLD_CLEAN);
}

/* ---- drains ---- */

static void a_drain_waits_for_what_runs(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 20000;print x");
    world_run(world, 1000);
    int64_t before_ms = loop_now_ms(world->loop);
    world_stop(world, 0);
    assert_in_range(loop_now_ms(world->loop) - before_ms, 18000, 25000);
    world_expect(world, "a", "succeeded", "");
    world_start(world, 1); /* finishes the offset, and runs nothing */
    assert_true(world_settle(world, 10000));
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void an_idle_worker_stops_at_once(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    int64_t before_ms = loop_now_ms(world->loop);
    world_stop(world, 0);
    assert_true(loop_now_ms(world->loop) - before_ms <= 1000);
    world_close(world, WORLD_CLEAN);
}

static void a_drain_gives_back_what_does_not_fit(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 5000;
    world->config.limit_global = 3;
    world_start(world, 0);
    for (int i = 0; i < 8; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 20000;print x",
                        i % 2 ? "'run_mode':'process'" : NULL);
    }
    world_run(world, 1000);
    int64_t before_ms = loop_now_ms(world->loop);
    world_stop(world, 0);
    assert_in_range(loop_now_ms(world->loop) - before_ms, 5000, 7000);
    int64_t handed_over = (int64_t)e2b_world_live(world->e2b); /* processes; the interpreter's are killed */
    assert_in_range(handed_over, 1, 2);
    assert_int_equal(world_used(world, "g"), handed_over);
    world_start(world, 1);
    assert_true(world_settle(world, 200000));
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* Not of sandboxes whose kill is not answered: there are none. */
static void a_drain_says_what_its_last_jobs_wait_for(void **state)
{
    struct world *world = *state;
    char text[16384] = "";
    world->log.level = LOG_LEVEL_WARN;
    FILE *log = tmpfile();
    assert_non_null(log);
    world->log.fd = fileno(log);
    world->config.drain_ms = 1000;
    world->config.redis_outage_hold_ms = 36000000;
    world_start(world, 0);
    world_submit(world, "a", "sleep 2000;print x");
    world_run(world, 1000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 3000);
    worker_stop(world->workers[0].worker);
    world_run(world, 70000);
    rewind(log);
    assert_true(fread(text, 1, sizeof text - 1, log) > 0);
    assert_non_null(strstr(text, "\"event\":\"drain.jobs_wait\""));
    assert_null(strstr(text, "drain.kills_unanswered"));
    fake_redis_set_reachable(world->redis, true);
    world_stop(world, 0);
    (void)fclose(log);
    world->log = (struct log){.component = "test", .level = LOG_LEVEL_NONE};
    world_start(world, 1);
    world_close(world, WORLD_CLEAN);
}

static void a_second_stop_does_not_wait(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 20000;print x");
    world_submit_with(world, "b", "sleep 20000;print x", "'run_mode':'process'");
    world_run(world, 1000);
    worker_stop(world->workers[0].worker);
    world_run(world, 1000);
    int64_t before_ms = loop_now_ms(world->loop);
    world_stop(world, 0);
    assert_true(loop_now_ms(world->loop) - before_ms <= 2000);
    world_start(world, 1);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* Else a job that always fails would never end, as long as partitions move. */
static void attempts_that_fail_without_a_partition_count(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 500;vanish");
    for (int i = 0; i < 3; i++) {
        world_run(world, 300);
        revoke(world, 0);
        world_run(world, 2000);
        kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 0);
    }
    assert_true(world_settle(world, 60000));
    assert_text(world_result(world, "a").status, "failed");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 3);
    world_close(world, WORLD_CLEAN);
}

static void a_drain_does_not_give_back_what_must_not_begin_again(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 5000;
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 20000;print x", "'retry':{'after_start':'never'}");
    world_run(world, 1000);
    world_stop(world, 0);
    world_start(world, 1);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "failed", "INTERNAL");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Stopped, and stopped once more, in every moment of a job's life. */
static void a_worker_stops_at_any_moment(void **state)
{
    struct world *world = *state;
    world_start(world, 1);
    for (int64_t at_ms = 0; at_ms<260; at_ms += at_ms> 8 && at_ms < 140 ? 15 : 1) {
        for (int stops = 1; stops <= 2; stops++) {
            CLEANUP(base_freep) char *id = base_printf("a%d-%d", (int)at_ms, stops);
            world->step_ms = 20;
            world_start(world, 0);
            world->step_ms = 1;
            world_submit_with(world, id, "print x;sleep 40;print y",
                              at_ms % 2 ? "'run_mode':'process'" : NULL);
            world_run(world, at_ms);
            if (stops == 2)
                worker_stop(world->workers[0].worker);
            world->step_ms = 20;
            world_stop(world, 0);
            assert_true(world_settle(world, 100000));
            world_expect(world, id, "succeeded", "");
        }
    }
    world_close(world, WORLD_CLEAN);
}

static void a_worker_stops_before_anything_is_there(void **state)
{
    struct world *world = *state;
    fake_redis_set_reachable(world->redis, false);
    kafka_world_set_up(world->kafka, false, "down");
    world_launch(world, 0);
    world_stop(world, 0);
    world_launch(world, 0);
    world_run(world, 5000);
    world_stop(world, 0);
    world_close(world, WORLD_UNFINISHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_partition_goes_and_comes_back_at_any_moment),
        WORLD_TEST(a_partition_that_goes_to_another_worker_loses_no_job),
        WORLD_TEST(a_member_that_was_expelled_unawares_does_no_harm),
        WORLD_TEST(what_others_had_pulled_is_taken_in_as_far_as_there_is_memory),
        WORLD_TEST(a_result_waits_for_the_broker),
        WORLD_TEST(a_report_that_is_lost_repeats_the_same_result),
        WORLD_TEST(a_result_that_is_too_large_loses_its_bodies),
        WORLD_TEST(a_result_that_is_always_too_large_is_kept),
        WORLD_TEST(a_result_that_is_kept_outlives_an_emptied_ledger),
        WORLD_TEST(a_result_that_is_kept_is_sealed_again_before_it_is_sent),
        WORLD_TEST(a_dead_letter_that_is_too_large_does_not_hold_the_result),
        WORLD_TEST(a_drain_waits_for_what_runs),
        WORLD_TEST(an_idle_worker_stops_at_once),
        WORLD_TEST(a_drain_gives_back_what_does_not_fit),
        WORLD_TEST(a_drain_says_what_its_last_jobs_wait_for),
        WORLD_TEST(a_second_stop_does_not_wait),
        WORLD_TEST(attempts_that_fail_without_a_partition_count),
        WORLD_TEST(a_drain_does_not_give_back_what_must_not_begin_again),
        WORLD_TEST(a_worker_stops_at_any_moment),
        WORLD_TEST(a_worker_stops_before_anything_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
