/* What the ledger may do to a job: not there, answers lost, claims taken by others or left by them. */
#include "unit/worker/world.h"

#include "codec/envelope.h"
#include "fakes/redis/store_private.h"
#include "test.h"

#include <string.h>

/* ---- not there ---- */

static void a_new_ledger_is_waited_for(void **state)
{
    struct world *world = *state;
    const char *why;
    world_launch(world, 0);
    world_submit(world, "a", "print x");
    world_run(world, 3000);
    assert_false(worker_is_ready(world->workers[0].worker, &why));
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 0);
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void a_ledger_that_is_away_at_the_start_is_waited_for(void **state)
{
    struct world *world = *state;
    fake_redis_set_reachable(world->redis, false);
    world_launch(world, 0);
    world_submit(world, "a", "print x");
    world_run(world, 30000);
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* In every millisecond of a job's life the ledger goes away for a while. */
static void the_ledger_goes_away_at_any_moment(void **state)
{
    struct world *world = *state;
    static const char *const fields[] = {NULL, "'run_mode':'process'"};
    world_start(world, 0);
    world->step_ms = 1;
    int n = 0;
    for (size_t mode = 0; mode < ARRAY_LENGTH(fields); mode++)
        for (int64_t at_ms = 0; at_ms<250; at_ms += at_ms> 8 && at_ms < 140 ? 15 : 1) {
            CLEANUP(base_freep) char *id = base_printf("a%d", n++);
            world->step_ms = 1;
            world_submit_with(world, id, "print x;sleep 40;print y", fields[mode]);
            world_run(world, at_ms);
            fake_redis_set_reachable(world->redis, false);
            world->step_ms = 50;
            world_run(world, 3000);
            fake_redis_set_reachable(world->redis, true);
            assert_true(world_settle(world, 200000));
            world_expect(world, id, "succeeded", "");
        }
    world_close(world, WORLD_DOUBTS);
}

/* The answer that is lost is that of the n-th operation: acquire, bind, seal. */
static void answers_are_lost(void **state)
{
    struct world *world = *state;
    static const char *const fields[] = {NULL, "'run_mode':'process'"};
    world_start(world, 0);
    int count = 0;
    for (size_t mode = 0; mode < ARRAY_LENGTH(fields); mode++)
        for (int skip = 0; skip < 4; skip++)
            for (int is_done = 0; is_done < 2; is_done++) {
                CLEANUP(base_freep) char *id = base_printf("a%d", count++);
                fake_redis_fail_later(world->redis, skip, is_done);
                world_submit_with(world, id, "print x;sleep 40;print y", fields[mode]);
                assert_true(world_settle(world, 200000));
                world_expect(world, id, "succeeded", "");
                assert_int_equal(world_result(world, id).attempts, 1);
            }
    world_close(world, WORLD_DOUBTS);
}

/* A bind that is to be tried again belongs to its attempt. */
static void a_bind_without_answer_ends_with_its_attempt(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    kafka_world_delay_reports(world->kafka, 5000);
    fake_redis_fail_later(world->redis, 1, /* is_done= */ false);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    fake_redis_fail_later(world->redis, 1, /* is_done= */ false);
    world_submit(world, "b", "print x;vanish");
    assert_true(world_settle(world, 60000));
    world_expect(world, "b", "failed", "SANDBOX_LOST");
    world_close(world, WORLD_CLEAN);
}

/* Its program did not even start: no fault of the user. */
static void a_process_that_waits_for_its_claim_does_not_time_out(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = 1;
    world_submit_with(world, "a", "print x", "'run_mode':'process','timeout_ms':5000");
    while (e2b_world_live(world->e2b) == 0)
        world_run(world, 1);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 90000);
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- taken by others ---- */

static struct permit *permit_of(struct world *world, const char *job_id)
{
    struct claim *claim = world_claim(world, job_id);
    return claim && claim->permit ? store_find_permit(fake_redis_store(world->redis), claim->permit) : NULL;
}

/* Another worker has the claim, and the permit with it or one of its own. */
static void take(struct world *world, const char *job_id, bool with_permit)
{
    struct claim *claim = world_claim(world, job_id);
    struct store *store = fake_redis_store(world->redis);
    store_set_lease(store, "other", fake_redis_now_ms(world->redis) + 600000);
    store_put(&claim->owner, "other");
    claim->until_ms = fake_redis_now_ms(world->redis) + 600000;
    if (with_permit)
        store_put(&permit_of(world, job_id)->worker, "other");
    else
        store_put(&claim->permit, "11111111-1111-4111-8111-111111111111");
}

/* ... and gives both back, its sandbox killed. */
static void give_back(struct world *world, const char *job_id)
{
    struct claim *claim = world_claim(world, job_id);
    CLEANUP(base_freep) char *permit = base_strdup(claim->permit);
    (void)e2b_world_vanish(world->e2b, claim->job);
    store_release(fake_redis_store(world->redis), "other", permit, claim->job,
                  LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM, fake_redis_now_ms(world->redis));
}

/* ... and publishes what came out. */
static void be_done(struct world *world, const char *job_id)
{
    struct claim *claim = world_claim(world, job_id);
    store_put(&claim->owner, "other");
    claim->state = CLAIM_SEALED;
    (void)store_done(fake_redis_store(world->redis), claim->job, "succeeded", 0, 7, 3600000,
                     fake_redis_now_ms(world->redis));
    fake_redis_announce(world->redis, "done", claim->job);
}

static void forget_owed(struct world *world, const char *job_id)
{
    for (size_t i = 0; i < world->job_count; i++)
        if (strcmp(world->jobs[i], job_id) == 0) {
            free(world->jobs[i]);
            world->jobs[i] = world->jobs[--world->job_count];
            return;
        }
}

static void a_job_that_another_took_with_its_sandbox_is_left_alone(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 8000");
    world_run(world, 1000);
    take(world, "a", /* with_permit= */ true);
    world_run(world, 15000); /* the seal says so */
    assert_int_equal(e2b_world_live(world->e2b), 1);
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_KILL), 0);
    assert_int_equal(world_result(world, "a").count, 0);
    give_back(world, "a");
    assert_true(world_settle(world, 30000)); /* our turn again, and this sandbox is ours */
    world_expect(world, "a", "succeeded", "");
    world_run(world, 1000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_another_took_under_its_own_permit_loses_its_sandbox(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 4000");
    world_run(world, 1000);
    take(world, "a", /* with_permit= */ false);
    world_run(world, 6000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(world_used(world, "g"), 0);
    be_done(world, "a");
    assert_true(world_result(world, "a").count == 0);
    forget_owed(world, "a");
    assert_true(world_settle(world, 5000));
    assert_int_equal(world_events(world, "a", "e2b-worker.job.duplicate.v1"), 0); /* it is the same record */
    world_close(world, WORLD_CLEAN);
}

/* By the pulse after a lapsed lease, which says what is not ours any more. */
static void a_job_that_another_took_during_a_stop_is_left_alone(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 50000");
    world_run(world, 1000);
    take(world, "a", /* with_permit= */ true);
    virtual_loop_stop_process(world->loop, 40000);
    world_run(world, 5000);
    assert_int_equal(e2b_world_live(world->e2b), 1);
    be_done(world, "a");
    (void)e2b_world_vanish(world->e2b, "default/a");
    struct store *store = fake_redis_store(world->redis);
    LIST_EACH(&store->permits, link)
    store_set_horizon(store, LIST_OBJECT(link, struct permit, link), 0);
    forget_owed(world, "a");
    world_submit(world, "b", "print x"); /* prunes */
    assert_true(world_settle(world, 120000));
    world_close(world, WORLD_CLEAN);
}

/* It ended in time, and nobody was there to hear it. */
static void a_program_is_not_timed_out_by_a_stop_of_its_worker(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 5000;print y", "'timeout_ms':20000");
    world_submit_with(world, "b", "sleep 50000;print y", "'timeout_ms':20000");
    world_run(world, 1000);
    virtual_loop_stop_process(world->loop, 35000);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "timed_out", "RUN_TIMEOUT");
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_is_done_elsewhere_when_it_is_sealed_ends_without_a_word(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 4000");
    world_run(world, 1000);
    be_done(world, "a");
    forget_owed(world, "a");
    assert_true(world_settle(world, 10000));
    world_run(world, 2000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(world_used(world, "g"), 0);
    assert_int_equal(world_result(world, "a").count, 0);
    assert_int_equal(world_events(world, "a", "e2b-worker.job.duplicate.v1"), 0);
    world_close(world, WORLD_CLEAN);
}

static void a_bind_that_is_superseded_kills_its_own_sandbox(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = 1;
    world_submit_with(world, "a", "print x", "'run_mode':'process'");
    while (e2b_world_calls(world->e2b, E2B_WORLD_CREATE) == 0)
        world_run(world, 1);
    take(world, "a", /* with_permit= */ false);
    world_run(world, 1000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 0);
    give_back(world, "a");
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* The whole ledger is gone in the middle of runs: they end, and what comes waits for the new one. */
static void a_ledger_that_is_emptied_is_built_anew(void **state)
{
    struct world *world = *state;
    world->step_ms = 50;
    world_start(world, 0);
    world_submit(world, "a", "sleep 3000;print x");
    world_submit_with(world, "b", "sleep 3000;print x", "'run_mode':'process'");
    world_run(world, 1000);
    store_clear(fake_redis_store(world->redis));
    world_submit(world, "c", "print x");
    assert_true(world_settle(world, 1000000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    world_expect(world, "c", "succeeded", "");
    world_close(world, WORLD_DOUBTS);
}

/* ---- left by others ---- */

static char *leave_claim(struct world *world, const char *job_id, const char *worker)
{
    struct store *store = fake_redis_store(world->redis);
    static const struct ledger_limit limits[] = {{"n:default", 100}, {"g", 19}};
    CLEANUP(base_freep) char *key = base_printf("default/%s", job_id);
    struct ledger_acquire acquire = {.job = key,
                                     .payload = "",
                                     .origin = "",
                                     .place = "",
                                     .tenant = "default",
                                     .weight = 1,
                                     .permit = job_id[0] == 'b' ? "33333333-3333-4333-8333-333333333333"
                                                                : "22222222-2222-4222-8222-222222222222",
                                     .horizon_ms = 500000,
                                     .until_ms = 600000,
                                     .limits = limits,
                                     .limit_count = 2};
    struct arena arena;
    struct ledger_acquired answer;
    arena_init(&arena, 512);
    store_acquire(store, worker, &acquire, fake_redis_now_ms(world->redis), &arena, &answer);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    arena_release(&arena);
    struct claim *claim = world_claim(world, job_id);
    free(TAKE(claim->payload)); /* whatever comes is the same */
    return base_strdup(acquire.permit);
}

/* Whoever waits for another's verdict goes on asking: what never left is not given back, or an outage fills
 * the background. */
static void what_was_never_asked_for_is_not_given_back(void **state)
{
    struct world *world = *state;
    struct store *store = fake_redis_store(world->redis);
    world_start(world, 0);
    world_run(world, 30000);
    free(leave_claim(world, "a", "other"));
    store_set_lease(store, "other", INT64_MAX);
    world_submit_with(world, "a", "print x", "'template':'nowhere'");
    world_run(world, 5000);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 600000);
    store_set_lease(store, "other", 0);
    int64_t before = fake_redis_count(world->redis);
    fake_redis_set_reachable(world->redis, true);
    world_run(world, 5000);
    assert_in_range(fake_redis_count(world->redis) - before, 0, 20); /* the reaper's, and a question or two */
    assert_true(world_settle(world, 100000));
    world_expect(world, "a", "rejected", "UNKNOWN_TEMPLATE");
    world_close(world, WORLD_DOUBTS);
}

/* A dead worker's job: its sandbox is killed, then it runs here. */
static void what_a_dead_worker_ran_is_cleared_and_run_anew(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    for (int is_bound = 0; is_bound < 2; is_bound++) {
        const char *id = is_bound ? "a" : "b";
        CLEANUP(base_freep) char *permit = leave_claim(world, id, "dead");
        CLEANUP(base_freep) char *key = base_printf("default/%s", id);
        const char *sandbox = e2b_world_plant(world->e2b, permit, key, 300000);
        if (is_bound)
            store_put(&world_claim(world, id)->sandbox, sandbox);
        world_run(world, 30000); /* nobody is taken over while the ledger is young */
        world_submit(world, id, "print x");
        assert_true(world_settle(world, 60000));
        world_expect(world, id, "succeeded", "");
        world_run(world, 1000);
        assert_int_equal(e2b_world_live(world->e2b), 0);
        assert_int_equal(e2b_world_creates(world->e2b, key), 2);
    }
    world_close(world, WORLD_DOUBTS);
}

/* ... of which nothing was made yet. */
static void what_a_dead_worker_had_only_claimed_is_run_anew(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    free(leave_claim(world, "a", "dead"));
    world_run(world, 30000);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_run(world, 1000);
    assert_int_equal(world_used(world, "g"), 1); /* a doubt */
    world_close(world, WORLD_DOUBTS);
}

/* The claim is its worker's then, and it does not know: after its end it takes it over from itself. */
static void a_take_over_whose_answer_is_lost_again_and_again_is_no_crash(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_run(world, 30000);
    free(leave_claim(world, "a", "dead"));
    fake_redis_lose_answers(world->redis, 1000000);
    world_submit(world, "a", "print x");
    CLEANUP(base_freep) char *taken = base_strdup("");
    for (int takes = 0; takes < 3;) {
        world_run(world, 1000);
        const char *now = world_claim(world, "a")->taken;
        if (now && strcmp(now, taken) != 0) {
            free(taken);
            taken = base_strdup(now);
            takes++;
        }
    }
    fake_redis_lose_answers(world->redis, 0);
    assert_true(world_settle(world, 200000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_DOUBTS);
}

/* What must not begin twice does not, if it may have begun. */
static void what_a_dead_worker_began_is_not_begun_again(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *permit = leave_claim(world, "a", "dead");
    const char *sandbox = e2b_world_plant(world->e2b, permit, "default/a", 300000);
    store_put(&world_claim(world, "a")->sandbox, sandbox);
    world_run(world, 30000);
    world_submit_with(world, "a", "print x", "'retry':{'after_start':'never'}");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "failed", "WORKER_CRASHED");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 0);
    free(leave_claim(world, "b", "dead"));
    world_run(world, 30000);
    world_submit_with(world, "b", "print x", "'retry':{'after_start':'never'}");
    assert_true(world_settle(world, 60000));
    world_expect(world, "b", "succeeded", ""); /* it had not */
    world_close(world, WORLD_DOUBTS);
}

/* Else whoever has another record of the job, or comes after a second death, begins it again in between. */
static void what_must_not_begin_again_is_never_free_before_its_verdict(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *permit = leave_claim(world, "a", "dead");
    const char *sandbox = e2b_world_plant(world->e2b, permit, "default/a", 300000);
    store_put(&world_claim(world, "a")->sandbox, sandbox);
    world_run(world, 30000);
    world->step_ms = 1;
    world_submit_with(world, "a", "print x", "'retry':{'after_start':'never'}");
    while (world_claim(world, "a")->state == CLAIM_RUNNING)
        world_run(world, 1);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    world->step_ms = 0;
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "failed", "WORKER_CRASHED");
    world_run(world, 5000);
    assert_int_equal(e2b_world_live(world->e2b), 0); /* what its owner left is killed */
    assert_int_equal(world_used(world, "g"), 0);
    world_close(world, WORLD_CLEAN);
}

/* ... nor when the reaper came first, because nobody had its record. */
static void what_a_dead_worker_began_is_not_begun_again_after_the_reaper(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *permit = leave_claim(world, "a", "dead");
    const char *sandbox = e2b_world_plant(world->e2b, permit, "default/a", 300000);
    store_put(&world_claim(world, "a")->sandbox, sandbox);
    world_claim(world, "a")->until_ms = 0;
    world_run(world, 120000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_IDLE);
    world_submit_with(world, "a", "print x", "'retry':{'after_start':'never'}");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "failed", "WORKER_CRASHED");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 0);
    world_close(world, WORLD_DOUBTS);
}

static void a_live_workers_job_is_waited_for(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *permit = leave_claim(world, "a", "other");
    store_set_lease(fake_redis_store(world->redis), "other", INT64_MAX);
    world_submit(world, "a", "print x");
    world_run(world, 20000);
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 0);
    assert_false(world_is_finished(world));
    forget_owed(world, "a");
    store_release(fake_redis_store(world->redis), "other", permit, NULL, LEDGER_RELEASE_PERMIT, 0);
    be_done(world, "a");
    assert_true(world_settle(world, 3000));
    world_close(world, WORLD_CLEAN);
}

/* What a dead worker sealed is published as it is; the sandbox that it left is killed. */
static void what_a_dead_worker_sealed_is_published(void **state)
{
    struct world *world = *state;
    kafka_world_set_up(world->kafka, false, "down");
    world_launch(world, 1);
    world_run(world, 1000);
    kafka_world_set_up(world->kafka, true, "");
    world_run(world, 10000);
    world_submit(world, "a", "print from the first;sleep 3000");
    world_run(world, 1500);
    kafka_world_set_up(world->kafka, false, "down"); /* sealed, not published */
    world_run(world, 2000);
    struct claim *claim = world_claim(world, "a");
    assert_int_equal(claim->state, CLAIM_SEALED);
    store_put(&claim->owner, "dead");
    struct kafka_source *source = world_source(world, 1);
    kafka_world_expel(source);
    world_run(world, 40000);
    world->may_repeat = true; /* the first one is not dead in truth */
    world_launch(world, 0);
    world_run(world, 1000);
    kafka_world_set_up(world->kafka, true, "");
    kafka_world_tell(source);
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void leave_verdict(struct world *world, const char *job_id)
{
    const struct header headers[] = {{"ce_specversion", {"1.0", 3}},
                                     {"ce_type", {"e2b-worker.job.finished.v1", 26}},
                                     {"ce_subject", {job_id, strlen(job_id)}}};
    CLEANUP(base_freep)
    char *value = base_printf("{\"job_id\":\"%s\",\"tenant_id\":\"default\",\"status\":\"failed\"}", job_id);
    free(leave_claim(world, job_id, "dead"));
    struct claim *claim = world_claim(world, job_id);
    claim->state = CLAIM_SEALED;
    store_put(&claim->status, "failed");
    record_pack(headers, ARRAY_LENGTH(headers), (struct bytes){value, strlen(value)}, &claim->record);
}

/* Its bytes may come into Kafka at any moment, and nobody else knows of them. */
static void a_verdict_of_another_that_is_on_its_way_outlives_the_ledger(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    leave_verdict(world, "a");
    world_submit(world, "a", "print x");
    world_run(world, 2000);
    kafka_world_set_up(world->kafka, false, "down");
    while (strcmp(world_claim(world, "a")->owner, "dead") == 0)
        world_run(world, 100);
    world_run(world, 1000);
    fake_redis_empty(world->redis);
    world_run(world, 5000);
    assert_non_null(world_claim(world, "a"));
    assert_int_equal(world_claim(world, "a")->state, CLAIM_SEALED);
    assert_text(world_claim(world, "a")->status, "failed");
    kafka_world_set_up(world->kafka, true, "");
    assert_true(world_settle(world, 120000));
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_DOUBTS);
}

static void a_sealed_claim_without_its_bytes_is_a_failure(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    CLEANUP(base_freep) char *permit = leave_claim(world, "a", "dead");
    CLEANUP(base_freep) char *id = base_strdup(e2b_world_plant(world->e2b, permit, "default/a", 300000));
    struct claim *claim = world_claim(world, "a");
    claim->state = CLAIM_SEALED;
    store_put(&claim->sandbox, id);
    world_run(world, 31000);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 30000));
    world_expect(world, "a", "failed", "INTERNAL");
    world_run(world, 5000);
    assert_int_equal(e2b_world_live(world->e2b), 0); /* what its owner left is killed */
    world_run(world, 600000);
    world_submit(world, "b", "print x"); /* prunes its permit */
    world_close(world, WORLD_CLEAN);
}

/* A server that came back with its data: the ledger is rebuilt, and waits until no sandbox lives. */
static void a_verdict_that_waits_for_a_rebuild_lets_its_sandbox_go(void **state)
{
    struct world *world = *state;
    world->step_ms = 500;
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 20000;print x", "'template':'long'");
    world_run(world, 5000);
    struct store *store = fake_redis_store(world->redis);
    store->is_ready = store->is_fresh = false;
    store->epoch++;
    store->since_ms = fake_redis_now_ms(world->redis);
    store->hold_ms = store->since_ms + 30000;
    assert_true(world_settle(world, 900000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_verdict_that_waits_for_a_rebuild_lets_its_sandbox_go),
        WORLD_TEST(a_new_ledger_is_waited_for),
        WORLD_TEST(a_ledger_that_is_away_at_the_start_is_waited_for),
        WORLD_TEST(the_ledger_goes_away_at_any_moment),
        WORLD_TEST(answers_are_lost),
        WORLD_TEST(a_bind_without_answer_ends_with_its_attempt),
        WORLD_TEST(a_process_that_waits_for_its_claim_does_not_time_out),
        WORLD_TEST(a_job_that_another_took_with_its_sandbox_is_left_alone),
        WORLD_TEST(a_job_that_another_took_under_its_own_permit_loses_its_sandbox),
        WORLD_TEST(a_job_that_another_took_during_a_stop_is_left_alone),
        WORLD_TEST(a_program_is_not_timed_out_by_a_stop_of_its_worker),
        WORLD_TEST(a_job_that_is_done_elsewhere_when_it_is_sealed_ends_without_a_word),
        WORLD_TEST(a_bind_that_is_superseded_kills_its_own_sandbox),
        WORLD_TEST(a_ledger_that_is_emptied_is_built_anew),
        WORLD_TEST(what_was_never_asked_for_is_not_given_back),
        WORLD_TEST(what_a_dead_worker_ran_is_cleared_and_run_anew),
        WORLD_TEST(what_a_dead_worker_had_only_claimed_is_run_anew),
        WORLD_TEST(a_take_over_whose_answer_is_lost_again_and_again_is_no_crash),
        WORLD_TEST(what_a_dead_worker_began_is_not_begun_again),
        WORLD_TEST(what_must_not_begin_again_is_never_free_before_its_verdict),
        WORLD_TEST(what_a_dead_worker_began_is_not_begun_again_after_the_reaper),
        WORLD_TEST(a_live_workers_job_is_waited_for),
        WORLD_TEST(what_a_dead_worker_sealed_is_published),
        WORLD_TEST(a_verdict_of_another_that_is_on_its_way_outlives_the_ledger),
        WORLD_TEST(a_sealed_claim_without_its_bytes_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
