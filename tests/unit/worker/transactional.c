/* results.delivery=transactional: a result goes with its record's offset, by whoever owns that, or not at
 * all. */
#include "unit/worker/world.h"

#include "fakes/redis/store_private.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define SEALED_ELSEWHERE "{\"job_id\":\"a\",\"status\":\"succeeded\"}"

static int transactional_setup(void **state)
{
    (void)world_setup(state);
    ((struct world *)*state)->config.results_delivery = "transactional";
    return 0;
}

#define TRANSACTIONAL(test) cmocka_unit_test_setup_teardown(test, transactional_setup, world_teardown)

static void move_partition(struct world *world, int32_t partition, int from, int to)
{
    kafka_world_revoke(world_source(world, from), WORLD_TOPIC, partition, /* is_lost= */ false);
    kafka_world_assign(world_source(world, to), WORLD_TOPIC, partition);
}

static int owner_of(struct world *world, int32_t partition)
{
    return kafka_source_owns(world_source(world, 0), WORLD_TOPIC, partition) ? 0 : 1;
}

/* ---- the usual way ---- */

static void a_result_is_there_when_its_offset_is_committed(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = 1;
    for (int i = 0; i < 8; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit(world, id, "sleep 100;print x");
        for (int n = 0; n < 1000 && world_result(world, id).count == 0; n++) {
            world_run(world, 1);
            assert_int_equal(kafka_world_is_finished(world->kafka, "workers", WORLD_TOPIC, 0, i),
                             world_result(world, id).count);
        }
        world_expect(world, id, "succeeded", "");
    }
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
    world_close(world, WORLD_CLEAN);
}

/* Whoever publishes in another's place has all of it. */
static void the_ledger_keeps_the_whole_of_a_result(void **state)
{
    struct world *world = *state;
    world->config.outputs.stdout_bytes = 200000;
    world_start(world, 0);
    world_start(world, 1);
    CLEANUP(base_freep) char *code = base_printf("sleep 3000;print %0100000d;print end", 7);
    world_submit(world, "a", code);
    world_run(world, 1000);
    int first = owner_of(world, 0);
    move_partition(world, 0, first, 1 - first);
    assert_true(world_settle(world, 20000));
    assert_true(world_result(world, "a").length > 100000);
    world_close(world, WORLD_CLEAN);
}

/* ---- partitions that go ---- */

/* In every moment of a job's life, also between its seal and the transaction. */
static void a_partition_goes_and_comes_back_at_any_moment(void **state)
{
    struct world *world = *state;
    static const int64_t away_ms[] = {0, 1, 250, 5000};
    world_start(world, 0);
    int n = 0;
    for (size_t k = 0; k < ARRAY_LENGTH(away_ms); k++)
        for (int64_t at_ms = 0; at_ms<460; at_ms += at_ms> 8 && at_ms < 140 ? 15 : 3) {
            CLEANUP(base_freep) char *id = base_printf("a%d", n++);
            world->step_ms = 1;
            world_submit(world, id, "print x;sleep 40;print y");
            world_run(world, at_ms);
            kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 0, false);
            world_run(world, away_ms[k]);
            kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 0);
            assert_true(world_settle(world, 100000));
            world_expect(world, id, "succeeded", "");
            assert_int_equal(world_result(world, id).attempts, 1);
        }
    world_close(world, WORLD_CLEAN);
}

static void a_detached_verdict_is_published_by_the_owner_of_the_offset(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_submit(world, "a", "sleep 3000;print x");
    world_run(world, 1000);
    int first = owner_of(world, 0);
    move_partition(world, 0, first, 1 - first);
    world_run(world, 1500);
    assert_int_equal(world_result(world, "a").count, 0);
    assert_true(world_settle(world, 2500)); /* at once, not when some lease is over */
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_drained_worker_leaves_its_verdicts_to_the_next_owner(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    for (int i = 0; i < 8; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 4000;print x", NULL);
    }
    world_run(world, 2000);
    world_start(world, 1);
    world_stop(world, 0);
    assert_true(world_settle(world, 10000));
    for (size_t i = 0; i < world->job_count; i++) {
        CLEANUP(base_freep) char *key = base_printf("default/%s", world->jobs[i]);
        world_expect(world, world->jobs[i], "succeeded", "");
        assert_int_equal(e2b_world_starts(world->e2b, key), 1);
    }
    world_close(world, WORLD_CLEAN);
}

/* It publishes nothing of what it does not own any more, and what it does own waits for the brokers. */
static void a_member_that_was_expelled_unawares_publishes_nothing(void **state)
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
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ---- copies of a record ---- */

/* As a worker leaves it that died after its seal. */
static void plant_verdict(struct world *world, const char *place)
{
    struct claim *claim = world_claim(world, "a");
    claim->state = CLAIM_SEALED;
    store_put(&claim->owner, "dead");
    store_put(&claim->permit, "");
    store_put(&claim->place, place);
    claim->until_ms = fake_redis_now_ms(world->redis) + 60000;
    claim->epoch = fake_redis_store(world->redis)->epoch;
    claim->expires_ms = INT64_MAX;
    buffer_clear(&claim->record);
    buffer_append_text(&claim->record, "0\n" SEALED_ELSEWHERE);
}

/* W1 committed its transaction and died before it could say so: the copy must not bring a second result. */
static void a_copy_of_what_was_committed_brings_no_second_result(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 0, "a", "print x", NULL);
    assert_true(world_settle(world, 10000));
    plant_verdict(world, WORLD_TOPIC "/0/0");
    world_submit_to(world, 1, "a", "print x", NULL);
    assert_true(world_settle(world, 60000)); /* nobody is taken over in the first lease of a ledger */
    world_run(world, 5000);
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(world_claim(world, "a")->state, CLAIM_DONE);
    assert_int_equal(world_events(world, "a", "e2b-worker.job.duplicate.v1"), 1);
    world_close(world, WORLD_CLEAN);
}

/* ... died before it committed: the result is for the owner of that record, and the copy waits for it. */
static void a_copy_of_what_was_not_committed_waits_for_its_record(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 2, "a", "print x", NULL);
    world_run(world, 50);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 2, false);
    world_run(world, 5000); /* what ran is sealed, and left */
    assert_int_equal(world_result(world, "a").count, 0);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    assert_text(world_claim(world, "a")->place, WORLD_TOPIC "/2/0");
    assert_text(world_claim(world, "a")->owner, "");
    world_submit_to(world, 1, "a", "print x", NULL);
    int64_t asked = fake_redis_count(world->redis);
    world_run(world, 20000);
    assert_int_equal(world_result(world, "a").count, 0);
    assert_in_range(fake_redis_count(world->redis) - asked, 10, 100); /* it polls, no more */
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 2);
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Its offset is finished, but by a copy in a retry topic: the result is still owed. */
static void a_record_that_moved_on_was_not_published(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 2, "a", "print x", NULL);
    world_run(world, 50);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 2, false);
    world_run(world, 5000);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    store_moved(fake_redis_store(world->redis), "default/a", WORLD_TOPIC "/2/0", 0);
    kafka_world_set_up(world->kafka, false, "nobody gets it");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 2);
    kafka_source_finish(world_source(world, 0), WORLD_TOPIC, 2, 0);
    kafka_world_set_up(world->kafka, true, "");
    world_submit_to(world, 1, "a", "print x", NULL);
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* While it ran here another worker had its record, and sent it on: finished, and not by us. */
static void a_record_that_is_finished_already_is_not_taken_for_published(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 2, "a", "sleep 3000;print x", NULL);
    world_run(world, 1000);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 2, false);
    store_moved(fake_redis_store(world->redis), "default/a", WORLD_TOPIC "/2/0", 0);
    kafka_world_set_up(world->kafka, false, "nobody gets it");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 2);
    kafka_source_finish(world_source(world, 0), WORLD_TOPIC, 2, 0);
    kafka_world_set_up(world->kafka, true, "");
    world_run(world, 5000);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    world_submit_to(world, 1, "a", "sleep 3000;print x", NULL); /* as its copy comes */
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Both records are here, and hints wake both: the copy gives way to the record that the verdict is for. */
static void a_copy_gives_way_to_the_record_in_the_same_worker(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 2, "a", "print x", NULL);
    world_run(world, 50);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 2, false);
    world_run(world, 5000);
    world_submit_to(world, 2, "a", "print x", NULL);
    store_put(&world_claim(world, "a")->place, WORLD_TOPIC "/2/1"); /* the later of the two had run */
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 2);
    int64_t asked = fake_redis_count(world->redis);
    assert_true(world_settle(world, 10000));
    assert_in_range(fake_redis_count(world->redis) - asked, 1, 100);
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* Sealed by a worker that delivers at least once: nobody else will publish it. */
static void a_verdict_without_a_place_is_published_by_whoever_finds_it(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 2, "a", "sleep 3000;print x", NULL);
    world_run(world, 1000);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 2, false);
    world_run(world, 5000);
    store_put(&world_claim(world, "a")->place, "");
    world_submit_to(world, 1, "a", "sleep 3000;print x", NULL);
    world_run(world, 5000);
    world_expect(world, "a", "succeeded", "");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 2);
    world_close(world, WORLD_CLEAN);
}

/* ---- Redis away ---- */

static void without_redis_the_owner_publishes_at_once(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 1000;print x");
    world_run(world, 500);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 5000);
    world_expect(world, "a", "succeeded", "");
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 20000));
    world_close(world, WORLD_CLEAN);
}

/* Not sealed, and not ours to publish any more: sealed first, then left. */
static void what_was_not_sealed_is_not_left_before_it_is(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = 1;
    world_submit(world, "a", "sleep 1000;print x");
    world_run(world, 500);
    fake_redis_set_reachable(world->redis, false);
    for (int n = 0; n < 3000 && e2b_world_live(world->e2b) > 0; n++)
        world_run(world, 1);
    world_run(world, 50); /* gathered, not committed */
    assert_int_equal(world_result(world, "a").count, 0);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 0, false);
    world_run(world, 5000);
    assert_int_equal(world_result(world, "a").count, 0);
    fake_redis_set_reachable(world->redis, true);
    world_run(world, 20000);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    assert_text(world_claim(world, "a")->owner, "");
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 0);
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSACTIONAL(a_result_is_there_when_its_offset_is_committed),
        TRANSACTIONAL(a_result_that_is_too_large_loses_its_bodies),
        TRANSACTIONAL(the_ledger_keeps_the_whole_of_a_result),
        TRANSACTIONAL(a_partition_goes_and_comes_back_at_any_moment),
        TRANSACTIONAL(a_detached_verdict_is_published_by_the_owner_of_the_offset),
        TRANSACTIONAL(a_drained_worker_leaves_its_verdicts_to_the_next_owner),
        TRANSACTIONAL(a_member_that_was_expelled_unawares_publishes_nothing),
        TRANSACTIONAL(a_copy_of_what_was_committed_brings_no_second_result),
        TRANSACTIONAL(a_copy_of_what_was_not_committed_waits_for_its_record),
        TRANSACTIONAL(a_record_that_moved_on_was_not_published),
        TRANSACTIONAL(a_record_that_is_finished_already_is_not_taken_for_published),
        TRANSACTIONAL(a_copy_gives_way_to_the_record_in_the_same_worker),
        TRANSACTIONAL(a_verdict_without_a_place_is_published_by_whoever_finds_it),
        TRANSACTIONAL(without_redis_the_owner_publishes_at_once),
        TRANSACTIONAL(what_was_not_sealed_is_not_left_before_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
