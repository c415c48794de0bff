/* What E2B may do to a job: creates that fail in every way, sandboxes that go, streams that break. */
#include "unit/worker/world.h"

#include "test.h"

#include <stdio.h>

/* ---- creates ---- */

static void a_create_that_must_wait_is_no_attempt(void **state)
{
    static const enum e2b_error_kind kinds[] = {E2B_ERROR_RATE_LIMITED, E2B_ERROR_QUOTA, E2B_ERROR_CAPACITY};
    struct world *world = *state;
    world_start(world, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        char id[8] = {'a', (char)('0' + i)};
        struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, kinds[i]);
        fault.count = 5;
        fault.error.retry_after_ms = 700;
        e2b_world_fail(world->e2b, &fault);
        world_submit(world, id, "print x");
        assert_true(world_settle(world, 120000));
        world_expect(world, id, "succeeded", "");
        assert_int_equal(world_result(world, id).attempts, 1);
        assert_int_equal(world_used(world, "g"), 0);
    }
    world_close(world, WORLD_CLEAN);
}

static void a_wrong_key_stops_the_pulling_and_loses_no_job(void **state)
{
    struct world *world = *state;
    const char *why;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_AUTH);
    e2b_world_fail(world->e2b, &fault);
    fault = world_fault(E2B_WORLD_LIST, E2B_ERROR_AUTH);
    fault.count = 3;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    world_run(world, 2000);
    assert_false(worker_is_ready(world->workers[0].worker, &why));
    assert_non_null(strstr(why, "E2B_AUTH"));
    world_submit(world, "b", "print x");
    assert_true(world_settle(world, 60000));
    assert_int_equal(e2b_world_faults_left(world->e2b), 0);
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void a_template_that_is_not_there_is_a_result(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_NOT_FOUND);
    fault.error.http_status = 404;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 5000));
    world_expect(world, "a", "failed", "TEMPLATE_NOT_FOUND");
    world_close(world, WORLD_CLEAN);
}

/* Others get their sandboxes meanwhile: it is the job. */
static void creates_that_fail_for_one_job_use_up_its_attempts(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_BROKEN);
    fault.job = "default/a";
    fault.error.http_status = 500;
    fault.count = 100;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    int64_t before_ms = loop_now_ms(world->loop);
    for (int i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "b%d", i);
        world_submit(world, id, "print x");
        world_run(world, 500);
    }
    assert_true(world_settle(world, 30000));
    world_expect(world, "a", "failed", "SANDBOX_CREATE_FAILED");
    assert_int_equal(world_result(world, "a").attempts, 3);
    assert_true(loop_now_ms(world->loop) - before_ms > 1000); /* it backed off */
    assert_int_equal(world_events(world, "a", "e2b-worker.job.retrying.v1"), 2);
    world_close(world, WORLD_CLEAN);
}

/* No answer: the permit stays, and the job goes on under another. */
static void an_unanswered_create_keeps_its_permit(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_BROKEN);
    fault.error.undecided = true;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    world_run(world, 1000);
    assert_int_equal(world_used(world, "g"), 1);
    world_run(world, 100000);
    assert_int_equal(world_used(world, "g"), 1);
    world_run(world, 30000);
    assert_int_equal(world_used(world, "g"), 0);
    world_close(world, WORLD_CLEAN);
}

static void an_unanswered_create_that_was_done_is_found_and_killed(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_BROKEN);
    fault.error.undecided = true;
    fault.is_done = true;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    world_run(world, 5000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 2);
    world_close(world, WORLD_CLEAN);
}

static void a_create_that_is_done_late_is_found_and_killed(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    const struct e2b_world_fault fault = {.call = E2B_WORLD_CREATE, .is_silent = true, .late_ms = 70000};
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_run(world, 20000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(world_used(world, "g"), 1);
    world_run(world, 60000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 2);
    world_close(world, WORLD_CLEAN);
}

/* The process is stopped between grant and create: too late to be sent, and no attempt. */
static void a_grant_that_is_too_old_is_not_used(void **state)
{
    struct world *world = *state;
    world->config.create_milli_per_s = 1000;
    world_start(world, 0);
    world->step_ms = 1;
    world_submit(world, "a", "print x");
    world_submit(world, "b", "print x"); /* booked a second later */
    while (world_used(world, "g") < 2)
        world_run(world, 1);
    world_run(world, 500);
    virtual_loop_stop_process(world->loop, 15000);
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/b"), 1);
    assert_int_equal(world_result(world, "b").attempts, 1);
    world_close(world, WORLD_CLEAN);
}

static void a_limit_of_one_holds_over_a_doubt(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    const struct e2b_world_fault fault = {.call = E2B_WORLD_CREATE, .is_silent = true, .late_ms = 70000};
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    world_submit(world, "b", "print x");
    assert_true(world_settle(world, 600000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(e2b_world_max_live(world->e2b), 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- sandboxes that go, streams that break ---- */

static void a_sandbox_lost_in_the_run_is_another_attempt(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "sleep 1000");
    world_submit_with(world, "b", "sleep 1000", "'run_mode':'process'");
    world_run(world, 700);
    assert_true(e2b_world_vanish(world->e2b, "default/a"));
    assert_true(e2b_world_vanish(world->e2b, "default/b"));
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(world_result(world, "a").attempts, 2);
    world_close(world, WORLD_CLEAN);
}

static void sandboxes_that_always_go_use_up_the_attempts(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x;vanish");
    world_submit_with(world, "b", "print x;vanish", "'run_mode':'process','retry':{'max_attempts':2}");
    world_submit_with(world, "c", "print x;vanish", "'retry':{'after_start':'never'}");
    assert_true(world_settle(world, 60000));
    world_expect(world, "a", "failed", "SANDBOX_LOST");
    world_expect(world, "b", "failed", "SANDBOX_LOST");
    world_expect(world, "c", "failed", "SANDBOX_LOST");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 3);
    assert_int_equal(e2b_world_starts(world->e2b, "default/b"), 2);
    assert_int_equal(e2b_world_starts(world->e2b, "default/c"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_cut_stream_is_taken_up_again_or_repeated(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print one;sleep 50;print two;sleep 50;print three");
    world_submit_with(world, "b", "print one;sleep 50;cut;print two;sleep 50;cut;print three",
                      "'run_mode':'process'");
    const struct e2b_world_fault fault = {.call = E2B_WORLD_CODE, .cut_after = 2};
    e2b_world_fail(world->e2b, &fault);
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 2); /* the interpreter forgot */
    assert_int_equal(e2b_world_starts(world->e2b, "default/b"), 1);
    struct world_result result = world_result(world, "a");
    assert_non_null(memmem(result.value, result.length, "\"one\\ntwo\\nthree\\n\"", 18));
    result = world_result(world, "b");
    assert_non_null(memmem(result.value, result.length, "\"one\\ntwo\\nthree\\n\"", 18));
    world_close(world, WORLD_CLEAN);
}

/* A broken transfer begins anew: nothing is kept twice. */
static void artifacts_that_break_off_are_fetched_once(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    const struct e2b_world_fault fault = {
        .call = E2B_WORLD_READ, .skip = 1, .error = {.kind = E2B_ERROR_BROKEN, .undecided = true}};
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "a", "write one.txt 1;write two.txt 2", "'artifacts':['*.txt']");
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "succeeded", "");
    struct world_result result = world_result(world, "a");
    const char *first = memmem(result.value, result.length, "one.txt", 7);
    assert_non_null(first);
    assert_null(memmem(first + 1, result.length - (size_t)(first + 1 - result.value), "one.txt", 7));
    assert_non_null(memmem(result.value, result.length, "two.txt", 7));
    world_close(world, WORLD_CLEAN);
}

/* Nothing of the job's own takes time there. */
static void files_that_e2b_does_not_take_in_time_cost_an_attempt_and_not_the_job(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    const struct e2b_world_fault fault = {.call = E2B_WORLD_WRITE, .is_silent = true};
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "a", "print x", "'run_mode':'process'");
    assert_true(world_settle(world, 120000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(world_result(world, "a").attempts, 2);
    world_close(world, WORLD_CLEAN);
}

static void kills_are_repeated_until_they_are_answered(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_KILL, E2B_ERROR_BROKEN);
    fault.count = 4;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 5000)); /* the result does not wait */
    assert_int_equal(world_used(world, "g"), 1);
    assert_int_equal(e2b_world_live(world->e2b), 1);
    world_run(world, 60000);
    world_close(world, WORLD_CLEAN);
}

/* ---- long jobs ---- */

struct extensions {
    struct world *world;
    int count;
};

static void on_call(void *arg, enum e2b_world_call call, const char *job, bool is_done)
{
    struct extensions *extensions = arg;
    struct world *world = extensions->world;
    if (call != E2B_WORLD_KEEP || is_done)
        return;
    (void)job;
    extensions->count++;
    /* The ledger first: the permit outlives what is asked for now. */
    struct store *store = fake_redis_store(world->redis);
    LIST_EACH(&store->permits, link)
    assert_true(LIST_OBJECT(link, struct permit, link)->horizon_ms >=
                fake_redis_now_ms(world->redis) + LEDGER_LIVE_MS + LEDGER_SLACK_MS);
}

static void a_long_job_is_extended_each_third_of_its_life(void **state)
{
    struct world *world = *state;
    struct extensions extensions = {.world = world};
    world->step_ms = 500;
    world_start(world, 0);
    e2b_world_watch(world->e2b, on_call, &extensions);
    world_submit_with(world, "a", "sleep 1000000;print x", "'template':'long'");
    assert_true(world_settle(world, 1100000));
    world_expect(world, "a", "succeeded", "");
    assert_in_range(extensions.count, 9, 10);
    world_close(world, WORLD_CLEAN);
}

static void extensions_that_fail_are_tried_again(void **state)
{
    struct world *world = *state;
    world->step_ms = 500;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_KEEP, E2B_ERROR_BROKEN);
    fault.count = 20;
    fault.skip = 1;
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "a", "sleep 1000000;print x", "'template':'long'");
    assert_true(world_settle(world, 1100000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- cancellation ---- */

static void cancel(struct world *world, const char *job_id)
{
    struct claim *claim = world_claim(world, job_id);
    claim->is_cancelled = true;
    if (claim->owner)
        store_note_cancel(fake_redis_store(world->redis), claim->owner, claim->job);
}

static void a_running_job_is_cancelled(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x;hang");
    world_submit_with(world, "b", "print x;hang", "'run_mode':'process'");
    world_run(world, 2000);
    cancel(world, "a");
    cancel(world, "b");
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "cancelled", "CANCELLED");
    world_expect(world, "b", "cancelled", "CANCELLED");
    world_close(world, WORLD_CLEAN);
}

/* Whoever has not heard of it is told again: pub/sub did not reach it, nor did the next pulse's answer. */
static void a_cancel_that_was_told_to_nobody_is_told_again(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x;sleep 50000");
    world_run(world, 2000);
    cancel(world, "a");
    const struct store *store = fake_redis_store(world->redis);
    world->step_ms = 1;
    for (int64_t pulsed_ms = store->clk_ms; store->clk_ms == pulsed_ms;) {
        fake_redis_break_after(world->redis, world->loop, 1);
        world_run(world, 1);
    }
    world->step_ms = 0;
    assert_true(world_settle(world, 100000));
    world_expect(world, "a", "cancelled", "CANCELLED");
    world_close(world, WORLD_CLEAN);
}

/* The seal does not wait for the sandbox, which is killed as soon as it is there. */
static void a_job_is_cancelled_while_its_sandbox_is_made(void **state)
{
    struct world *world = *state;
    e2b_world_delay(world->e2b, E2B_WORLD_CREATE, 8000);
    world_start(world, 0);
    world_submit(world, "a", "print x;hang");
    world_run(world, 1000);
    cancel(world, "a");
    assert_true(world_settle(world, 6000));
    world_expect(world, "a", "cancelled", "CANCELLED");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 0);
    world_run(world, 10000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    world_close(world, WORLD_CLEAN);
}

static void a_sandbox_that_comes_during_the_seal_is_killed(void **state)
{
    struct world *world = *state;
    e2b_world_delay(world->e2b, E2B_WORLD_CREATE, 8000);
    world_start(world, 0);
    world->step_ms = 1;
    world_submit(world, "a", "print x;hang");
    world_run(world, 1000);
    cancel(world, "a");
    while (!list_is_empty(&fake_redis_store(world->redis)->cancels))
        world_run(world, 1);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 10000);
    assert_int_equal(e2b_world_creates(world->e2b, "default/a"), 1);
    fake_redis_set_reachable(world->redis, true);
    assert_true(world_settle(world, 20000));
    world_expect(world, "a", "cancelled", "CANCELLED");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 0);
    world_close(world, WORLD_CLEAN);
}

/* ---- what a review found ---- */

static void a_rolling_sandbox_that_is_gone_at_its_extension_is_lost(void **state)
{
    struct world *world = *state;
    world->step_ms = 500;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_KEEP, E2B_ERROR_GONE);
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "a", "sleep 150000;print x", "'template':'long'");
    assert_true(world_settle(world, 900000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void artifacts_that_cannot_be_had_are_warned_of(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_FILES, E2B_ERROR_BROKEN);
    fault.count = 50;
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "a", "print x", "'artifacts':['*.csv']");
    assert_true(world_settle(world, 100000));
    world_expect(world, "a", "succeeded", "");
    assert_non_null(strstr(world_result(world, "a").value, "ARTIFACT_FAILED: step 'artifacts'"));
    world_close(world, WORLD_CLEAN);
}

static void an_e2b_that_cannot_be_reached_fails_no_job(void **state)
{
    struct world *world = *state;
    world->step_ms = 500;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_BROKEN);
    fault.count = 10;
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    assert_true(world_settle(world, 900000));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_create_that_must_wait_is_no_attempt),
        WORLD_TEST(a_rolling_sandbox_that_is_gone_at_its_extension_is_lost),
        WORLD_TEST(artifacts_that_cannot_be_had_are_warned_of),
        WORLD_TEST(an_e2b_that_cannot_be_reached_fails_no_job),
        WORLD_TEST(a_wrong_key_stops_the_pulling_and_loses_no_job),
        WORLD_TEST(a_template_that_is_not_there_is_a_result),
        WORLD_TEST(creates_that_fail_for_one_job_use_up_its_attempts),
        WORLD_TEST(an_unanswered_create_keeps_its_permit),
        WORLD_TEST(an_unanswered_create_that_was_done_is_found_and_killed),
        WORLD_TEST(a_create_that_is_done_late_is_found_and_killed),
        WORLD_TEST(a_grant_that_is_too_old_is_not_used),
        WORLD_TEST(a_limit_of_one_holds_over_a_doubt),
        WORLD_TEST(a_sandbox_lost_in_the_run_is_another_attempt),
        WORLD_TEST(sandboxes_that_always_go_use_up_the_attempts),
        WORLD_TEST(a_cut_stream_is_taken_up_again_or_repeated),
        WORLD_TEST(artifacts_that_break_off_are_fetched_once),
        WORLD_TEST(files_that_e2b_does_not_take_in_time_cost_an_attempt_and_not_the_job),
        WORLD_TEST(kills_are_repeated_until_they_are_answered),
        WORLD_TEST(a_long_job_is_extended_each_third_of_its_life),
        WORLD_TEST(extensions_that_fail_are_tried_again),
        WORLD_TEST(a_running_job_is_cancelled),
        WORLD_TEST(a_cancel_that_was_told_to_nobody_is_told_again),
        WORLD_TEST(a_job_is_cancelled_while_its_sandbox_is_made),
        WORLD_TEST(a_sandbox_that_comes_during_the_seal_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
