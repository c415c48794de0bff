/* Jobs that go well, or badly by their own fault: nothing else goes wrong. */
#include "unit/worker/world.h"

#include "test.h"

/* ---- the order of things ---- */

struct order {
    struct world *world;
    struct buffer events; /* "create code kill " */
    bool was_bound, was_sealed_at_kill;
};

static void note(void *arg, enum e2b_world_call call, const char *job, bool is_done)
{
    struct order *order = arg;
    const struct claim *claim = world_claim(order->world, "a");
    if (is_done || call == E2B_WORLD_LIST)
        return;
    (void)job;
    buffer_append_format(&order->events, "%s ", e2b_world_call_name(call));
    if (call == E2B_WORLD_CREATE) {
        assert_int_equal(claim->state, CLAIM_RUNNING);
        assert_null(claim->sandbox);
        assert_int_equal(world_used(order->world, "g"), 1);
    } else if (call == E2B_WORLD_PROCESS) {
        order->was_bound = claim->sandbox != NULL;
    } else if (call == E2B_WORLD_KILL) {
        order->was_sealed_at_kill = claim->state == CLAIM_SEALED;
        assert_int_equal(world_result(order->world, "a").count, 0); /* its report comes later */
    }
}

static void a_job_runs_and_its_result_comes(void **state)
{
    struct world *world = *state;
    struct order order = {.world = world};
    world_start(world, 0);
    e2b_world_watch(world->e2b, note, &order);
    world_submit(world, "a", "print hello;sleep 100;print you");
    assert_true(world_settle(world, 5000));
    world_expect(world, "a", "succeeded", "");
    struct world_result result = world_result(world, "a");
    assert_non_null(memmem(result.value, result.length, "hello\\nyou\\n", 12));
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_text(order.events.data, "create code kill ");
    assert_true(order.was_sealed_at_kill);
    assert_int_equal(world_claim(world, "a")->state, CLAIM_DONE);
    assert_int_equal(world_events(world, "a", "e2b-worker.job.started.v1"), 1);
    buffer_release(&order.events);
    world_close(world, WORLD_CLEAN);
}

static void a_process_starts_when_the_claim_names_its_sandbox(void **state)
{
    struct world *world = *state;
    struct order order = {.world = world};
    world_start(world, 0);
    e2b_world_watch(world->e2b, note, &order);
    world_submit_with(world, "a", "print hello;error oh;write out/x.txt file;exit 0",
                      "'run_mode':'process','files':[{'path':'in.txt','content':'x'}],"
                      "'artifacts':['out/*.txt']");
    assert_true(world_settle(world, 5000));
    world_expect(world, "a", "succeeded", "");
    assert_text(order.events.data, "create write process files read kill ");
    assert_true(order.was_bound);
    struct world_result result = world_result(world, "a");
    assert_non_null(memmem(result.value, result.length, "out/x.txt", 9));
    buffer_release(&order.events);
    world_close(world, WORLD_CLEAN);
}

/* ---- jobs that do not run ---- */

static void a_job_that_is_wrong_is_rejected_without_a_sandbox(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_with(world, "a", "print x", "'template':'none-such'");
    world_submit_with(world, "b", "print x", "'timeout_ms':'long'");
    world_submit_with(world, "c", "print x", "'language':'cobol'");
    world_submit_with(world, "d", "print x", "'task_type':'other'");
    assert_true(world_settle(world, 5000));
    world_expect(world, "a", "rejected", "UNKNOWN_TEMPLATE");
    world_expect(world, "b", "rejected", "INVALID_JOB");
    assert_text(world_result(world, "c").status, "rejected");
    assert_text(world_result(world, "d").status, "rejected");
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 0);
    assert_true(world_diverted(world) >= 1); /* INVALID_JOB */
    world_close(world, WORLD_CLEAN);
}

static void what_is_no_job_goes_to_the_dead_letters(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_push(world, WORLD_TOPIC, 0, (struct bytes){"not json", 8});
    world_push(world, WORLD_TOPIC, 1, (struct bytes){"", 0});
    world_push(world, WORLD_TOPIC, 0, (struct bytes){"[1,2]", 5});
    assert_true(world_settle(world, 5000));
    assert_int_equal(world_diverted(world), 3);
    size_t found = 0;
    for (int64_t offset = 0; offset < 3; offset++) {
        struct bytes value = kafka_world_record(world->kafka, "e2b.dlq", 0, offset)->value;
        found += value.length == 8 && memcmp(value.data, "not json", 8) == 0;
    }
    assert_int_equal(found, 1);
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_is_too_large_is_rejected(void **state)
{
    struct world *world = *state;
    world->config.job_max_bytes = 1000;
    world_start(world, 0);
    CLEANUP(base_freep) char *code = base_alloc(2001);
    memset(code, 'x', 2000);
    world_submit(world, "a", code);
    world_run(world, 5000);
    assert_true(world_is_finished(world));
    world_expect(world, "a", "rejected", "PAYLOAD_TOO_LARGE");
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_comes_too_late_expires(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_with(world, "a", "print x", "'expires_at':'2026-11-20T00:00:00Z'");
    assert_true(world_settle(world, 5000));
    world_expect(world, "a", "expired", "JOB_EXPIRED");
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 0);
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_waited_too_long_ends_by_the_queue_timeout(void **state)
{
    struct world *world = *state;
    world->config.queue_timeout_ms = 10000;
    world->config.limit_global = 1;
    world_start(world, 0);
    world_submit(world, "a", "sleep 15000");
    world_run(world, 1000);
    world_submit(world, "b", "print x");
    assert_true(world_settle(world, 30000));
    world_expect(world, "a", "succeeded", "");
    world_expect(world, "b", "expired", "QUEUE_TIMEOUT");
    world_close(world, WORLD_CLEAN);
}

/* ---- duplicates ---- */

static void a_second_record_of_a_job_brings_a_note_and_no_run(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 0, "a", "sleep 2000", NULL);
    world_submit_to(world, 1, "a", "sleep 2000", NULL); /* while it runs */
    assert_true(world_settle(world, 10000));
    world_submit_to(world, 2, "a", "sleep 2000", NULL); /* when it is done */
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(e2b_world_starts(world->e2b, "default/a"), 1);
    assert_int_equal(world_events(world, "a", "e2b-worker.job.duplicate.v1"), 2);
    world_close(world, WORLD_CLEAN);
}

static void another_job_of_the_same_id_goes_to_the_dead_letters(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_to(world, 0, "a", "sleep 2000", NULL);
    world_run(world, 500);
    world_submit_to(world, 1, "a", "print other", NULL);
    world_submit_to(world, 1, "a", "print wrong",
                    "'timeout_ms':'x'"); /* it is rejected, and no result either */
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "succeeded", "");
    assert_int_equal(world_diverted(world), 2);
    assert_int_equal(world_events(world, "a", "e2b-worker.job.duplicate.v1"), 2);
    world_close(world, WORLD_CLEAN);
}

static void a_duplicate_that_is_late_is_no_second_result(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    const char *fields = "'expires_at':'2026-11-21T00:00:07Z'"; /* seven seconds after the world began */
    world_submit_to(world, 0, "a", "sleep 9000", fields);
    world_run(world, 3000);
    world_submit_to(world, 1, "a", "sleep 9000", fields);
    assert_true(world_settle(world, 30000));
    assert_int_equal(world_result(world, "a").count, 1);
    world_close(world, WORLD_CLEAN);
}

/* ---- failures of the user ---- */

static void a_program_that_fails_is_a_result(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit(world, "a", "print x;raise ValueError no good");
    world_submit(world, "b", "raise SyntaxError bad");
    world_submit_with(world, "c", "print x;exit 3", "'run_mode':'process'");
    world_submit_with(world, "d", "print x;signal 11", "'run_mode':'process'");
    assert_true(world_settle(world, 10000));
    world_expect(world, "a", "failed", "RUNTIME_ERROR");
    world_expect(world, "b", "failed", "SYNTAX_ERROR");
    world_expect(world, "c", "failed", "NONZERO_EXIT");
    world_expect(world, "d", "failed", "SIGNALED");
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 4);
    world_close(world, WORLD_CLEAN);
}

static void a_program_that_takes_too_long_is_stopped(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_submit_with(world, "a", "print x;write f.txt y;hang", "'timeout_ms':3000,'artifacts':['f.txt']");
    world_submit_with(world, "b", "print x;hang", "'timeout_ms':3000,'run_mode':'process'");
    assert_true(world_settle(world, 30000));
    world_expect(world, "a", "timed_out", "RUN_TIMEOUT");
    world_expect(world, "b", "timed_out", "RUN_TIMEOUT");
    struct world_result result = world_result(world, "a");
    assert_non_null(memmem(result.value, result.length, "f.txt\"", 6));
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_job_runs_and_its_result_comes),
        WORLD_TEST(a_process_starts_when_the_claim_names_its_sandbox),
        WORLD_TEST(a_job_that_is_wrong_is_rejected_without_a_sandbox),
        WORLD_TEST(what_is_no_job_goes_to_the_dead_letters),
        WORLD_TEST(a_job_that_is_too_large_is_rejected),
        WORLD_TEST(a_job_that_comes_too_late_expires),
        WORLD_TEST(a_job_that_waited_too_long_ends_by_the_queue_timeout),
        WORLD_TEST(a_second_record_of_a_job_brings_a_note_and_no_run),
        WORLD_TEST(another_job_of_the_same_id_goes_to_the_dead_letters),
        WORLD_TEST(a_duplicate_that_is_late_is_no_second_result),
        WORLD_TEST(a_program_that_fails_is_a_result),
        WORLD_TEST(a_program_that_takes_too_long_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
