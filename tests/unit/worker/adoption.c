/* Runs that outlive their worker, and a ledger that loses its memory while jobs run. */
#include "unit/worker/world.h"

#include "fakes/redis/store_private.h"
#include "test.h"

#include <string.h>

#define PROCESS "'template':'long','run_mode':'process'"
#define CODE    "'template':'long','run_mode':'interpreter'"

static bool says(struct world_result result, const char *text)
{
    return result.value && memmem(result.value, result.length, text, strlen(text));
}

/* ---- handed over ---- */

static void a_drained_worker_hands_its_process_over(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 3000);
    world_start(world, 1);
    world_stop(world, 0);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    struct world_result result = world_result(world, "a");
    assert_true(says(result, "x\\ny\\n")); /* all of it, also what was printed before */
    assert_true(says(result, "\"adopted\":true"));
    assert_int_equal(result.attempts, 1);
    world_close(world, WORLD_CLEAN);
}

/* The interpreter's code dies with its stream. */
static void a_drained_worker_gives_an_interpreter_run_back(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 60000;print y", CODE);
    world_run(world, 3000);
    world_start(world, 1);
    world_stop(world, 0);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 2);
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_must_not_begin_twice_is_handed_over_too(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 60000;print y", PROCESS ",'retry':{'after_start':'never'}");
    world_run(world, 3000);
    world_start(world, 1);
    world_stop(world, 0);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Each handed on by a worker that goes, before the run is over. */
static void a_run_is_handed_over_many_times(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 100000;print y", PROCESS);
    for (int i = 0; i < 3; i++) {
        world_run(world, 5000);
        world_start(world, i + 1);
        world_stop(world, i);
    }
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_int_equal(world_claim(world, "a")->crashes, 0);
    world_close(world, WORLD_CLEAN);
}

/* While E2B is asked to extend it, a moment before it is nobody's; nor does an old snapshot, in which the run
 * was its worker's, have the last word. */
static void a_run_that_is_being_handed_over_outlives_the_ledgers_loss(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    for (int has_snapshot = 0; has_snapshot < 2; has_snapshot++) {
        const char *id = has_snapshot ? "b" : "a";
        CLEANUP(base_freep) char *key = base_printf("default/%s", id);
        int first = 2 * has_snapshot, next = first + 1;
        world->config.drain_ms = 1000;
        world_start(world, first);
        world_submit_with(world, id, "print x;sleep 60000;print y",
                          PROCESS ",'retry':{'after_start':'never'}");
        world_run(world, 3000);
        fake_redis_save(world->redis);
        world_start(world, next);
        e2b_world_delay(world->e2b, E2B_WORLD_KEEP, 8000);
        worker_stop(world->workers[first].worker);
        world_run(world, 2000);
        if (has_snapshot)
            fake_redis_restore(world->redis);
        else
            store_clear(store);
        world_run(world, 5000);
        assert_true(world_claim(world, id)->state == CLAIM_RUNNING);
        assert_text(world_claim(world, id)->owner, "");
        assert_true(world_settle(world, 200000));
        e2b_world_delay(world->e2b, E2B_WORLD_KEEP, 1);
        world_expect(world, id, "succeeded", "");
        assert_int_equal(e2b_world_starts(world->e2b, key), 1);
        assert_int_equal(e2b_world_creates(world->e2b, key), 1);
        world_stop(world, next);
    }
    world_close(world, WORLD_CLEAN);
}

/* Its time is over before anybody comes to see; how it ended stands in the sandbox. */
static void a_run_that_ended_in_time_is_not_timed_out_by_who_comes_late(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 13000;print y", PROCESS ",'timeout_ms':20000");
    world_submit_with(world, "b", "print x;sleep 200000;print y", PROCESS ",'timeout_ms':20000");
    world_run(world, 3000);
    world_start(world, 1);
    kafka_world_set_up(world->kafka, false, "nobody gets a record");
    world_stop(world, 0);
    world_run(world, 100000);
    kafka_world_set_up(world->kafka, true, "");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "timed_out", "RUN_TIMEOUT");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_true(says(world_result(world, "a"), "x\\ny\\n"));
    world_close(world, WORLD_CLEAN);
}

/* ---- taken over ---- */

/* As after a death that nobody announced: the lease is gone. */
static void bury(struct world *world, const char *job_id)
{
    struct claim *claim = world_claim(world, job_id);
    struct permit *permit = store_find_permit(fake_redis_store(world->redis), claim->permit);
    store_put(&claim->owner, "dead");
    store_put(&permit->worker, "dead");
}

/* The first worker is not dead, but fenced off: it must not touch what it started. */
static void a_dead_workers_process_is_followed_to_its_end(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000); /* nobody is taken over while the ledger is young */
    world_submit_with(world, "a", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 3000);
    bury(world, "a");
    for (int32_t i = 0; i < WORLD_PARTITIONS;
         i++) /* whichever of them has it: the other comes to see it, too */
        world_submit_to(world, i, "a", "print x;sleep 60000;print y", PROCESS);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(world_result(world, "a").count, 1);
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Up to ten times, each so long after it was adopted. Returns: how often. */
static int bury_followers(struct world *world, const char *job_id, int64_t after_ms)
{
    for (int burials = 0; burials < 10; burials++) {
        world_run(world, after_ms);
        if (world_claim(world, job_id)->state != CLAIM_RUNNING)
            return burials;
        bury(world, job_id);
        for (int i = 0; i < 100 && !world_claim(world, job_id)->is_followed; i++)
            world_run(world, 100);
    }
    return 10;
}

static void submit_to_all(struct world *world, const char *job_id, const char *code)
{
    for (int32_t i = 0; i < WORLD_PARTITIONS; i++)
        world_submit_to(world, i, job_id, code, PROCESS);
}

static void a_run_that_kills_whoever_follows_it_ends(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    submit_to_all(world, "a", "print x;sleep 1000000;print y");
    world_run(world, 3000);
    assert_int_equal(bury_followers(world, "a", 2000), 3);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "failed", "WORKER_CRASHED");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_run_whose_followers_died_late_goes_on(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    submit_to_all(world, "a", "print x;sleep 600000;print y");
    world_run(world, 3000);
    assert_int_equal(bury_followers(world, "a", 40000), 10);
    assert_true(world_settle(world, 400000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static size_t count_nobodys(struct world *world, const char *const *ids, size_t count)
{
    size_t nobodys = 0;
    for (size_t i = 0; i < count; i++)
        nobodys += world_claim(world, ids[i])->owner[0] == '\0';
    return nobodys;
}

/* One of them may be what their followers died of: each worker follows one, the third waits and is nobody's,
 * its sandbox kept by the way. */
static void runs_whose_followers_died_are_followed_one_by_one(void **state)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        submit_to_all(world, ids[i], "print x;sleep 400000;print y");
    for (int death = 0; death < 2; death++) {
        world_run(world, 8000);
        for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
            bury(world, ids[i]);
    }
    world_run(world, 25000);
    assert_int_equal(count_nobodys(world, ids, ARRAY_LENGTH(ids)), 1);
    world_run(world, 40000);
    assert_int_equal(count_nobodys(world, ids, ARRAY_LENGTH(ids)), 0);
    assert_true(world_settle(world, 600000));
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        CLEANUP(base_freep) char *key = base_printf("default/%s", ids[i]);
        world_expect(world, ids[i], "succeeded", "");
        assert_int_equal(e2b_world_starts(world->e2b, key), 1);
    }
    world_close(world, WORLD_CLEAN);
}

static int32_t partition_of(struct world *world, int worker)
{
    int32_t i = 0;
    while (!kafka_source_owns(world_source(world, worker), WORLD_TOPIC, i))
        i++;
    return i;
}

/* The limit is full of what the dead left: behind those who wait for it, whoever is to follow their runs
 * would wait until they are over. */
static void a_run_is_adopted_however_many_wait_for_its_limit(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 2;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    world_submit_to(world, partition_of(world, 0), "a", "print x;sleep 60000;print y", PROCESS);
    world_submit_to(world, partition_of(world, 1), "b", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 2000);
    for (int i = 0; i < 20; i++) {
        CLEANUP(base_freep) char *id = base_printf("waits%d", i);
        world_submit_to(world, partition_of(world, 1), id, "print x", "'priority':'interactive'");
    }
    world_run(world, 2000);
    bury(world, "a");
    struct kafka_source *source = world_source(world, 0);
    kafka_world_expel(source);
    world_run(world, 5000);
    assert_memory_equal(world_claim(world, "a")->owner, "worker1.", 8);
    kafka_world_tell(source);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Its record waits here for a place that is free when its sandbox's time has long been over. */
static void a_run_is_adopted_by_a_worker_that_is_full(void **state)
{
    struct world *world = *state;
    world->config.max_in_flight = 1;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    world_submit_to(world, partition_of(world, 0), "a", "print x;sleep 60000;print y", PROCESS);
    world_submit_to(world, partition_of(world, 1), "b", "print x;sleep 400000;print y", PROCESS);
    world_run(world, 2000);
    bury(world, "a");
    struct kafka_source *source = world_source(world, 0);
    kafka_world_expel(source);
    world_run(world, 5000);
    assert_memory_equal(world_claim(world, "a")->owner, "worker1.", 8);
    kafka_world_tell(source);
    assert_true(world_settle(world, 500000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Nothing has to be created for it. */
static void a_run_is_adopted_while_nothing_can_be_created(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 31000);
    world_submit_to(world, partition_of(world, 0), "a", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 2000);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_CAPACITY);
    fault.error.http_status = 503;
    fault.count = 1000000;
    e2b_world_fail(world->e2b, &fault);
    for (int i = 0; i < 10; i++) {
        CLEANUP(base_freep) char *id = base_printf("b%d", i);
        world_submit_to(world, partition_of(world, 1), id, "print x", NULL);
    }
    world_run(world, 5000);
    const char *why;
    assert_false(worker_is_ready(world->workers[1].worker, &why));
    bury(world, "a");
    struct kafka_source *source = world_source(world, 0);
    kafka_world_expel(source);
    world_run(world, 5000);
    assert_memory_equal(world_claim(world, "a")->owner, "worker1.", 8);
    kafka_world_tell(source);
    world_run(world, 100000);
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    e2b_world_forgive(world->e2b);
    world_close(world, WORLD_CLEAN);
}

/* Who waits for another's run has no place for it: when that is given back, it waits for its turn like
 * all. */
static void a_full_worker_begins_nothing_that_another_gave_back(void **state)
{
    struct world *world = *state;
    world->config.max_in_flight = 1;
    world->config.drain_ms = 5000;
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, 5000);
    world_submit_to(world, partition_of(world, 0), "a", "sleep 50000;print y", CODE);
    world_submit_to(world, partition_of(world, 1), "b", "sleep 100000;print y", CODE);
    world_run(world, 2000);
    assert_int_equal(e2b_world_live(world->e2b), 2);
    world_stop(world, 0);
    world_run(world, 2000);
    assert_int_equal(e2b_world_live(world->e2b), 1);
    world_run(world, 80000);
    assert_int_equal(e2b_world_live(world->e2b), 1);
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 2);
    world_close(world, WORLD_CLEAN);
}

/* The claim names its sandbox already, whether the adopter has come to say so once more or not. */
static void hand_over_unbound(struct world *world, int64_t after_ms)
{
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 100000;print y", PROCESS ",'retry':{'after_start':'never'}");
    world_run(world, 3000);
    e2b_world_delay(world->e2b, E2B_WORLD_CONNECT, 200);
    world_start(world, 1);
    worker_stop(world->workers[0].worker);
    while (strncmp(world_claim(world, "a")->owner, "worker1.", 8) != 0)
        world_run(world, 1);
    world_run(world, after_ms);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 5000);
    world_stop(world, 1);
    fake_redis_set_reachable(world->redis, true);
    world_start(world, 2);
    assert_true(world_settle(world, 300000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void an_adopter_without_redis_hands_on_what_it_has_not_connected_to(void **state)
{
    hand_over_unbound(*state, 0);
}

static void an_adopter_without_redis_hands_on_what_it_has_not_bound(void **state)
{
    hand_over_unbound(*state, 100);
}

/* It was bound and its program never began: begun now, in the same sandbox. */
static void a_process_that_never_began_begins_with_its_adopter(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 0;
    world_start(world, 0);
    e2b_world_delay(world->e2b, E2B_WORLD_WRITE, 8000);
    world_submit_with(world, "a", "print x", PROCESS ",'files':[{'path':'in.txt','content':'x'}]");
    world_run(world, 3000);
    world_start(world, 1);
    world_stop(world, 0);
    e2b_world_delay(world->e2b, E2B_WORLD_WRITE, 1);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void an_adopted_run_whose_sandbox_is_gone_runs_anew(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 3000);
    world_stop(world, 0);
    assert_true(e2b_world_vanish(world->e2b, "default/a"));
    world_start(world, 1);
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 2);
    assert_int_equal(world_result(world, "a").attempts, 2);
    world_close(world, WORLD_CLEAN);
}

/* ---- a ledger without memory ---- */

static void runs_outlive_an_emptied_ledger(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_start(world, 1);
    world_submit_with(world, "a", "sleep 20000;print x", CODE);
    world_submit_to(world, 1, "b", "sleep 200000;print x", PROCESS);
    world_submit_to(world, 2, "c", "sleep 2000;print x", PROCESS ",'retry':{'after_start':'never'}");
    world_run(world, 1000);
    store_clear(fake_redis_store(world->redis));
    world_run(world, 500);
    world_submit(world, "d", "print x");
    assert_true(world_settle(world, 400000));
    static const char *const ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        CLEANUP(base_freep) char *key = base_printf("default/%s", ids[i]);
        world_expect(world, ids[i], "succeeded", "");
        assert_int_equal(e2b_world_creates(world->e2b, key), 1);
        assert_int_equal(world_result(world, ids[i]).attempts, 1);
        assert_false(says(world_result(world, ids[i]), "\"possible_repeat\":true"));
    }
    world_close(world, WORLD_CLEAN);
}

static void a_verdict_that_waits_for_the_ledger_outlives_its_loss(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 3000;print x");
    world_submit_with(world, "b", "sleep 3000;print x", PROCESS);
    world_run(world, 1000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 10000);
    assert_int_equal(e2b_world_live(world->e2b), 1); /* the process's: see what_waits_to_be_sealed... */
    store_clear(fake_redis_store(world->redis));
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 400000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    assert_int_equal(e2b_world_creates(world->e2b, "default/b"), 1);
    assert_int_equal(world_result(world, "b").attempts, 1);
    world_close(world, WORLD_CLEAN);
}

/* Its worker may die before the ledger is back: then the sandbox is all that tells how a process went,
 * and its name that a job must not begin again. */
static void what_waits_to_be_sealed_leaves_a_trace(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 3000;print x", CODE);
    world_submit_with(world, "b", "sleep 3000;print x", PROCESS);
    world_submit_with(world, "c", "sleep 3000;print x", CODE ",'retry':{'after_start':'never'}");
    world_run(world, 1000);
    store_clear(store);
    while (store->is_there && store->is_ready)
        world_run(world, 50);
    world_run(world, 4000);
    assert_false(store->is_ready);
    assert_int_equal(e2b_world_live(world->e2b), 2);
    assert_true(world_claim(world, "b")->state == CLAIM_RUNNING && world_claim(world, "b")->sandbox);
    assert_true(world_claim(world, "c")->state == CLAIM_RUNNING && world_claim(world, "c")->sandbox);
    assert_true(world_settle(world, 400000));
    assert_int_equal(e2b_world_starts(world->e2b, "default/b"), 1);
    assert_int_equal(e2b_world_creates(world->e2b, "default/c"), 1);
    world_close(world, WORLD_CLEAN);
}

/* ... also when the sandbox came to its own end meanwhile. */
static void what_waits_for_long_names_the_sandbox_that_was(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world->config.redis_outage_hold_ms = 36000000;
    world_start(world, 0);
    world_submit_with(world, "c", "sleep 3000;print x", "'retry':{'after_start':'never'}");
    world_run(world, 1000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 1000000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    store_clear(store);
    fake_redis_set_reachable(world->redis, true);
    while (!world_claim(world, "c"))
        world_run(world, 50);
    assert_true(world_claim(world, "c")->state == CLAIM_RUNNING && world_claim(world, "c")->sandbox);
    assert_true(world_settle(world, 400000));
    world_expect(world, "c", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/c"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_finished_job_stays_finished_when_the_ledger_is_emptied(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    store_clear(fake_redis_store(world->redis));
    world_run(world, 200000);
    world_submit_to(world, 1, "a", "print x", NULL);
    world_run(world, 20000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* The marks that were read back after the first loss went with the second. */
static void a_finished_job_stays_finished_when_the_ledger_is_emptied_twice(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    struct store *store = fake_redis_store(world->redis);
    store_clear(store);
    while (!store->is_there)
        world_run(world, 100);
    world_run(world, 3000);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_DONE);
    assert_false(store->is_ready);
    store_clear(store); /* and another worker's pulse comes first */
    (void)store_pulse(store, "other", 1, -1, /* has_crew= */ true, fake_redis_now_ms(world->redis));
    world_run(world, 200000);
    world_submit_to(world, 1, "a", "print x", NULL);
    world_run(world, 20000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* The whole host went down: nobody remembers a ledger, and Kafka holds results. */
static void a_finished_job_stays_finished_when_redis_and_every_worker_began_anew(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    world_stop(world, 0);
    store_clear(fake_redis_store(world->redis));
    world_start(world, 1);
    world_submit_to(world, 1, "a", "print x", NULL);
    world_run(world, 20000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

static void push_result(struct world *world, const char *job_id)
{
    const struct kafka_header headers[] = {{"content-type", {"application/json", 16}},
                                           {"ce_specversion", {"1.0", 3}},
                                           {"ce_type", {"e2b-worker.job.finished.v1", 26}},
                                           {"ce_subject", {job_id, strlen(job_id)}}};
    CLEANUP(base_freep)
    char *value =
        base_printf("{\"job_id\":\"%s\",\"tenant_id\":\"default\",\"status\":\"succeeded\"}", job_id);
    (void)kafka_world_push(world->kafka, 0,
                           &(struct kafka_record){.topic = "e2b.results",
                                                  .key = {job_id, strlen(job_id)},
                                                  .value = {value, strlen(value)},
                                                  .headers = headers,
                                                  .header_count = ARRAY_LENGTH(headers)});
}

/* It was handed to librdkafka before the loss, came into Kafka after it, and then its worker died, which
 * had not said yet what it holds. */
static void a_result_that_comes_while_its_worker_is_waited_for_is_read_back(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    store_set_lease(store, "other", INT64_MAX);
    world_start(world, 1); /* so that all are told who is there */
    world_run(world, 10000);
    fake_redis_empty(world->redis);
    world_run(world, 60000);
    assert_false(store->is_ready);
    push_result(world, "a");
    while (!store->is_ready)
        world_run(world, 100);
    world_submit(world, "a", "print x");
    world_run(world, 20000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 0);
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* More than may be read: the newest count, whose records may come again. */
static void the_newest_results_are_read_back_where_there_are_too_many(void **state)
{
    struct world *world = *state;
    world->readback_max_bytes = 2000;
    world_start(world, 0);
    for (int i = 0; i < 100; i++) {
        CLEANUP(base_freep) char *id = base_printf("old%d", i);
        push_result(world, id);
    }
    world_run(world, 400000);
    push_result(world, "a");
    world_run(world, 1000);
    store_clear(fake_redis_store(world->redis));
    world_run(world, 30000);
    for (int i = 0; i < 100; i++) { /* more than may be read, and within the last minute */
        CLEANUP(base_freep) char *id = base_printf("new%d", i);
        push_result(world, id);
    }
    push_result(world, "b");
    world_run(world, 1000);
    store_clear(fake_redis_store(world->redis));
    world_run(world, 60000);
    world_submit(world, "a", "print x");
    world_submit(world, "b", "print x");
    world_run(world, 20000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 0);
    assert_int_equal(e2b_world_creates(world->e2b, "default/b"), 0);
    world_close(world, WORLD_CLEAN);
}

/* Its sandbox is extended for five minutes at a time, and that says nothing of its run. */
static void a_run_that_is_found_in_e2bs_list_has_its_whole_time(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 1200000;print y", PROCESS);
    world_run(world, 200000);
    world_stop(world, 0);
    store_clear(fake_redis_store(world->redis));
    world_launch(world, 1);
    assert_true(world_settle(world, 1500000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Nobody asserts it, E2B lists it: adopted when its record comes to somebody. */
static void a_run_without_a_worker_is_found_in_e2bs_list(void **state)
{
    struct world *world = *state;
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 250000;print y", PROCESS);
    world_run(world, 3000);
    world_stop(world, 0);
    struct store *store = fake_redis_store(world->redis);
    store_clear(store);
    world_launch(world, 1);
    while (!store->is_ready)
        world_run(world, 100);
    /* Whose it was may be cut off from Redis alone, and extend it at E2B for so long. */
    struct permit *permit = LIST_OBJECT(store->permits.next, struct permit, link);
    assert_true(permit->horizon_ms - fake_redis_now_ms(world->redis) > LEDGER_LEAD_MS + LEDGER_SLACK_MS);
    assert_true(world_settle(world, 500000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* Stopped over the loss and the rebuild: what it holds is counted nowhere, or another's. */
static void a_worker_that_slept_through_a_rebuild_lets_go(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 250000", CODE);
    world_run(world, 1000);
    virtual_loop_stop_process(world->loop, 400000);
    store_clear(fake_redis_store(world->redis));
    assert_true(world_settle(world, 1000000));
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* Its bytes are Kafka's until the report: what the ledger is told is made beside them. */
static void a_result_on_its_way_is_not_touched_by_a_rebuild(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *code = base_printf("print %040000d", 7);
    kafka_world_set_record_max(world->kafka, 32 << 10);
    kafka_world_delay_reports(world->kafka, 5000);
    world_submit(world, "a", code);
    world_run(world, 3000);
    assert_int_equal(world_result(world, "a").count, 0); /* refused, and not told yet */
    kafka_world_set_up(world->kafka, false, "down");
    world_run(world, 5000); /* the small one waits for a broker */
    store_clear(fake_redis_store(world->redis));
    world_run(world, 10000);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    kafka_world_set_up(world->kafka, true, "");
    assert_true(world_settle(world, 400000));
    world_expect(world, "a", "succeeded", "");
    struct world_result result = world_result(world, "a");
    assert_true(result.length < 32 << 10);
    assert_true(result.value[0] == '{' && result.value[result.length - 1] == '}');
    world_close(world, WORLD_CLEAN);
}

/* The last thing that it holds is another's: with the answer to its assertion the drain is over. */
static void a_drain_may_end_with_the_answer_of_a_rebuild(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 60000;print y", PROCESS);
    world_run(world, 3000);
    CLEANUP(base_freep) char *permit = base_strdup(world_claim(world, "a")->permit);
    CLEANUP(base_freep) char *sandbox = base_strdup(world_claim(world, "a")->sandbox);
    worker_stop(world->workers[0].worker);
    world_run(world, 3000);
    assert_false(world->workers[0].has_stopped);
    store_clear(store);
    (void)store_pulse(store, "other", 1, -1, /* has_crew= */ true, fake_redis_now_ms(world->redis));
    const struct ledger_assertion assertion = {.holder = LEDGER_MINE,
                                               .permit = permit,
                                               .sandbox = sandbox,
                                               .limits = "g",
                                               .horizon_ms = 300000,
                                               .job = "",
                                               .mode = "",
                                               .plan = "",
                                               .payload = "",
                                               .origin = "",
                                               .status = ""};
    assert_int_equal(store_assert(store, "other", &assertion, fake_redis_now_ms(world->redis)), LEDGER_OK);
    world_run(world, 10000);
    assert_true(world->workers[0].has_stopped);
    world_free_stopped(world);
    world_start(world, 1);
    assert_true(world_settle(world, 400000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ---- a ledger that is away ---- */

static void a_long_run_outlives_an_outage_of_the_ledger(void **state)
{
    struct world *world = *state;
    world->step_ms = 200;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 900000;print y", PROCESS ",'timeout_ms':1500000");
    world_run(world, 200000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 500000);
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 900000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_result_does_not_wait_for_the_ledger_for_ever(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 5000;print x");
    world_run(world, 2000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 30000);
    assert_int_equal(world_result(world, "a").count, 0);
    world_run(world, 50000);
    world_expect(world, "a", "succeeded", "");
    assert_true(says(world_result(world, "a"), "\"possible_repeat\":true"));
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 100000));
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- left before it was begun ---- */

/* The answer comes when the worker goes. Its lease goes back whole: nobody waits for the creates of one that
 * has none under way. */
static void a_run_that_is_found_on_the_way_out_is_left_to_the_next(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    struct random random;
    random_init_seed(&random, 1);
    world->config.drain_ms = 1000;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;sleep 90000;print y", PROCESS);
    world_run(world, 3000);
    world_start(world, 1);
    const struct claim *claim = world_claim(world, "a");
    CLEANUP(base_freep) char *first = base_strdup(claim->owner);
    fake_redis_vary(world->redis, &random, 500);
    world->step_ms = 1;
    worker_stop(world->workers[0].worker);
    for (int ms = 0; ms < 60000 && (claim->owner[0] == '\0' || store_is(claim->owner, first)); ms++)
        world_run(world, 1);
    CLEANUP(base_freep) char *second = base_strdup(claim->owner);
    assert_true(store_is_alive(store, second, fake_redis_now_ms(world->redis)));
    worker_stop(world->workers[1].worker);
    fake_redis_vary(world->redis, NULL, 0);
    world->step_ms = 0;
    world_run(world, 5000);
    assert_null(store_find_lease(store, second));
    world_start(world, 2);
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- cancelled ---- */

static void cancel(struct world *world, const char *job_id)
{
    CLEANUP(base_freep) char *key = base_printf("default/%s", job_id);
    struct store *store = fake_redis_store(world->redis);
    (void)store_cancel(store, key, 3600000, fake_redis_now_ms(world->redis));
    fake_redis_announce(world->redis, "cancel", key);
}

static void a_job_is_cancelled_wherever_it_is(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 2;
    world_start(world, 0);
    world_submit_with(world, "runs", "sleep 250000;print x", CODE);
    world_submit_with(world, "process", "sleep 250000;print x", PROCESS);
    world_run(world, 2000);
    world_submit(world, "waits", "print x");
    world_run(world, 2000);
    cancel(world, "runs");
    cancel(world, "process");
    cancel(world, "waits");
    cancel(world, "later");
    world_submit(world, "later", "print x");
    assert_true(world_settle(world, 30000));
    static const char *const ids[] = {"runs", "process", "waits", "later"};
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        world_expect(world, ids[i], "cancelled", "CANCELLED");
    world_close(world, WORLD_CLEAN);
}

/* Its permit lies behind everything that the create can have made: the next worker sees to it. */
static void a_drain_does_not_wait_for_a_create_in_doubt(void **state)
{
    struct world *world = *state;
    const struct e2b_world_fault silent = {.call = E2B_WORLD_CREATE, .is_silent = true};
    world_start(world, 0);
    e2b_world_fail(world->e2b, &silent);
    world_submit(world, "a", "print x");
    world_run(world, 1000);
    cancel(world, "a");
    world_run(world, 2000);
    world_expect(world, "a", "cancelled", "CANCELLED");
    int64_t before_ms = loop_now_ms(world->loop);
    world_stop(world, 0);
    assert_in_range(loop_now_ms(world->loop) - before_ms, 20000, 32000);
    world_start(world, 1);
    world_close(world, WORLD_DOUBTS);
}

static void a_verdict_beats_a_later_cancel(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    kafka_world_delay_reports(world->kafka, 5000);
    world_submit(world, "a", "print x");
    world_run(world, 2000);
    cancel(world, "a");
    assert_true(world_settle(world, 30000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_drained_worker_hands_its_process_over),
        WORLD_TEST(a_drained_worker_gives_an_interpreter_run_back),
        WORLD_TEST(a_job_that_must_not_begin_twice_is_handed_over_too),
        WORLD_TEST(a_run_is_handed_over_many_times),
        WORLD_TEST(a_run_that_is_being_handed_over_outlives_the_ledgers_loss),
        WORLD_TEST(a_run_that_ended_in_time_is_not_timed_out_by_who_comes_late),
        WORLD_TEST(a_dead_workers_process_is_followed_to_its_end),
        WORLD_TEST(a_run_that_kills_whoever_follows_it_ends),
        WORLD_TEST(a_run_whose_followers_died_late_goes_on),
        WORLD_TEST(runs_whose_followers_died_are_followed_one_by_one),
        WORLD_TEST(a_run_is_adopted_however_many_wait_for_its_limit),
        WORLD_TEST(a_run_is_adopted_by_a_worker_that_is_full),
        WORLD_TEST(a_run_is_adopted_while_nothing_can_be_created),
        WORLD_TEST(a_full_worker_begins_nothing_that_another_gave_back),
        WORLD_TEST(an_adopter_without_redis_hands_on_what_it_has_not_connected_to),
        WORLD_TEST(an_adopter_without_redis_hands_on_what_it_has_not_bound),
        WORLD_TEST(a_process_that_never_began_begins_with_its_adopter),
        WORLD_TEST(an_adopted_run_whose_sandbox_is_gone_runs_anew),
        WORLD_TEST(runs_outlive_an_emptied_ledger),
        WORLD_TEST(a_verdict_that_waits_for_the_ledger_outlives_its_loss),
        WORLD_TEST(what_waits_to_be_sealed_leaves_a_trace),
        WORLD_TEST(what_waits_for_long_names_the_sandbox_that_was),
        WORLD_TEST(a_finished_job_stays_finished_when_the_ledger_is_emptied),
        WORLD_TEST(a_finished_job_stays_finished_when_the_ledger_is_emptied_twice),
        WORLD_TEST(a_finished_job_stays_finished_when_redis_and_every_worker_began_anew),
        WORLD_TEST(a_result_that_comes_while_its_worker_is_waited_for_is_read_back),
        WORLD_TEST(the_newest_results_are_read_back_where_there_are_too_many),
        WORLD_TEST(a_run_that_is_found_in_e2bs_list_has_its_whole_time),
        WORLD_TEST(a_run_without_a_worker_is_found_in_e2bs_list),
        WORLD_TEST(a_worker_that_slept_through_a_rebuild_lets_go),
        WORLD_TEST(a_result_on_its_way_is_not_touched_by_a_rebuild),
        WORLD_TEST(a_drain_may_end_with_the_answer_of_a_rebuild),
        WORLD_TEST(a_long_run_outlives_an_outage_of_the_ledger),
        WORLD_TEST(a_result_does_not_wait_for_the_ledger_for_ever),
        WORLD_TEST(a_run_that_is_found_on_the_way_out_is_left_to_the_next),
        WORLD_TEST(a_job_is_cancelled_wherever_it_is),
        WORLD_TEST(a_drain_does_not_wait_for_a_create_in_doubt),
        WORLD_TEST(a_verdict_beats_a_later_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
