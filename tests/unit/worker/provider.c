/* An E2B that concerns all jobs: it refuses, fails or falls silent for minutes, and comes back. */
#include "unit/worker/world.h"

#include "base/clock.h"
#include "fakes/redis/store_private.h"
#include "test.h"

#include <stdio.h>

enum { MINUTE_MS = 60000, FOR_EVER = 1000000 };

static const char *why_of(struct world *world, int i)
{
    const char *why;
    (void)worker_is_ready(world->workers[i].worker, &why);
    return why;
}

static int64_t metric(struct world *world, int i, const char *name)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    worker_metrics(world->workers[i].worker, &text);
    buffer_append_text(&text, "");
    CLEANUP(base_freep) char *line = base_printf("\n%s ", name);
    const char *found = strstr(text.data, line);
    assert_non_null(found);
    return strtoll(found + strlen(line), NULL, 10);
}

/* When creates were begun. */
struct creates {
    struct world *world;
    int64_t count, last_ms, closest_ms;
};

static void on_call(void *arg, enum e2b_world_call call, const char *job, bool is_done)
{
    struct creates *creates = arg;
    (void)job;
    if (call != E2B_WORLD_CREATE || is_done)
        return;
    int64_t now_ms = loop_now_ms(creates->world->loop);
    if (creates->count++ > 0)
        creates->closest_ms = MIN(creates->closest_ms, now_ms - creates->last_ms);
    creates->last_ms = now_ms;
}

static void watch_creates(struct world *world, struct creates *creates)
{
    *creates = (struct creates){.world = world, .closest_ms = INT64_MAX};
    e2b_world_watch(world->e2b, on_call, creates);
}

static void submit_many(struct world *world, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%s%d", prefix, i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "print x", "'retry':{'max_attempts':1}");
    }
}

/* ---- nothing fails ---- */

struct outage {
    const char *name;
    struct e2b_world_fault fault;
    bool opens; /* it concerns all jobs; else each waits by itself */
};

static const struct outage outages[] = {
    {"500",
     {E2B_WORLD_CREATE, .error = {.kind = E2B_ERROR_BROKEN, .undecided = true, .http_status = 500}},
     true},
    {"503", {E2B_WORLD_CREATE, .error = {.kind = E2B_ERROR_CAPACITY, .http_status = 503}}, true},
    {"no answer", {E2B_WORLD_CREATE, .is_silent = true}, true},
    {"unreachable", {E2B_WORLD_ANY, .error = {.kind = E2B_ERROR_BROKEN}}, true},
    {"too fast",
     {E2B_WORLD_CREATE,
      .error = {.kind = E2B_ERROR_RATE_LIMITED, .http_status = 429, .retry_after_ms = 2000}},
     false},
    {"too many", {E2B_WORLD_CREATE, .error = {.kind = E2B_ERROR_QUOTA, .http_status = 429}}, false},
};

static void go_through(struct world *world, const struct outage *outage)
{
    struct creates creates;
    struct e2b_world_fault fault = outage->fault;
    fault.count = FOR_EVER;
    (void)snprintf(world->note, sizeof world->note, "%s: ", outage->name);
    world->step_ms = 100;
    world_start(world, 0);
    e2b_world_fail(world->e2b, &fault);
    submit_many(world, "a", 30);
    world_run(world, 3 * MINUTE_MS);
    if (outage->opens) {
        const char *why = why_of(world, 0);
        if (!strstr(why, "e2b: E2B at ") || !strstr(why, " since 2") || strstr(why, "E2B_AUTH"))
            fail_msg("%sready, or not for this reason: %s", world->note, why);
        /* One at a time, and not often; nothing more is taken in than what is tried. */
        watch_creates(world, &creates);
        int64_t before = metric(world, 0, "e2b_worker_jobs_accepted_total");
        submit_many(world, "b", 30);
        world_run(world, 3 * MINUTE_MS);
        assert_in_range(creates.count, strcmp(outage->name, "unreachable") == 0 ? 0 : 4, 20);
        assert_true(creates.count < 2 || creates.closest_ms > 5000);
        assert_true(metric(world, 0, "e2b_worker_jobs_accepted_total") - before < 20);
    }
    for (size_t i = 0; i < world->job_count; i++)
        assert_int_equal(world_result(world, world->jobs[i]).count, 0);
    e2b_world_forgive(world->e2b);
    e2b_world_watch(world->e2b, NULL, NULL);
    assert_true(world_settle(world, 5 * MINUTE_MS));
    assert_text(why_of(world, 0), "");
    for (size_t i = 0; i < world->job_count; i++) {
        world_expect(world, world->jobs[i], "succeeded", "");
        assert_int_equal(world_result(world, world->jobs[i]).attempts, 1);
        assert_int_equal(world_events(world, world->jobs[i], "e2b-worker.job.retrying.v1"), 0);
    }
    world_close(world, WORLD_DOUBTS);
}

static void no_job_fails_for_an_e2b_that_is_away_for_minutes(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(outages); i++) {
        if (i > 0)
            world_open(world);
        go_through(world, &outages[i]);
    }
}

/* ---- what opens it, and what closes it ---- */

static void five_failures_are_enough(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    for (int failures = 4; failures <= 5; failures++) {
        struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_CAPACITY);
        fault.error.http_status = 503;
        fault.count = failures;
        e2b_world_fail(world->e2b, &fault);
        submit_many(world, failures == 4 ? "a" : "b", failures);
        world_run(world, 300);
        assert_int_equal(why_of(world, 0)[0] == '\0', failures == 4);
        assert_true(world_settle(world, MINUTE_MS));
    }
    world_close(world, WORLD_CLEAN);
}

static void a_worker_without_jobs_finds_out_by_itself(void **state)
{
    struct world *world = *state;
    struct e2b_world_fault fault = world_fault(E2B_WORLD_LIST, E2B_ERROR_BROKEN);
    fault.count = FOR_EVER;
    e2b_world_fail(world->e2b, &fault);
    world_launch(world, 0);
    world_run(world, MINUTE_MS);
    assert_non_null(strstr(why_of(world, 0), "does not answer as it should"));
    e2b_world_forgive(world->e2b);
    world_run(world, 20000);
    assert_text(why_of(world, 0), "");
    world_close(world, WORLD_CLEAN);
}

/* The queue is empty when creates work again: a list has to do. */
static void nobody_is_needed_to_close_it(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_CAPACITY);
    fault.error.http_status = 503;
    fault.count = FOR_EVER;
    e2b_world_fail(world->e2b, &fault);
    world->step_ms = 100;
    submit_many(world, "a", 6);
    world_run(world, 10000);
    assert_non_null(strstr(why_of(world, 0), "makes no sandboxes"));
    struct kafka_source *source = world_source(world, 0);
    for (int32_t i = 0; i < WORLD_PARTITIONS; i++)
        kafka_world_revoke(source, WORLD_TOPIC, i, /* is_lost= */ false);
    world_run(world, 2 * MINUTE_MS);
    assert_text(why_of(world, 0), "");
    e2b_world_forgive(world->e2b);
    world_start(world, 1);
    assert_true(world_settle(world, 5 * MINUTE_MS));
    world_close(world, WORLD_CLEAN);
}

/* E2B fails for whatever uses one template, and those jobs are the first. */
static void begin_with_bad_jobs(struct world *world)
{
    world->config.max_in_flight = 8;
    world->step_ms = 100;
    world_start(world, 0);
    for (int i = 0; i < 6; i++) {
        static const char *const jobs[] = {"default/bad0", "default/bad1", "default/bad2",
                                           "default/bad3", "default/bad4", "default/bad5"};
        struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_BROKEN);
        fault.error = (struct e2b_error){.kind = E2B_ERROR_BROKEN, .undecided = true, .http_status = 500};
        fault.job = jobs[i];
        fault.count = FOR_EVER;
        e2b_world_fail(world->e2b, &fault);
    }
    submit_many(world, "bad", 6);
    world_run(world, 20000);
    assert_non_null(strstr(why_of(world, 0), "makes no sandboxes"));
}

/* It is in memory, and nothing can be learnt from it. */
static void a_job_that_is_not_due_keeps_no_other_from_being_tried(void **state)
{
    struct world *world = *state;
    char time[32];
    begin_with_bad_jobs(world);
    world_run(world, MINUTE_MS); /* each of them has been tried */
    clock_format(loop_unix_ms(world->loop) + 29000, time);
    CLEANUP(base_freep) char *later = base_printf("'not_before':'%s'", time);
    world_submit_with(world, "later", "print x", later);
    world_submit(world, "good", "print x");
    struct kafka_source_stats stats = {.in_flight = 6};
    for (int i = 0; i < 25 && stats.in_flight == 6; i++) { /* until the next is tried */
        world_run(world, 1000);
        kafka_source_stats(world_source(world, 0), &stats);
    }
    assert_int_equal(stats.in_flight, 8); /* the one that waits, and the good one */
    assert_true(world_settle(world, 10 * MINUTE_MS));
    world_expect(world, "good", "succeeded", "");
    world_expect(world, "later", "succeeded", "");
    world_close(world, WORLD_DOUBTS);
}

static void jobs_that_break_their_own_creates_keep_no_others(void **state)
{
    struct world *world = *state;
    begin_with_bad_jobs(world);
    submit_many(world, "good", 60);
    assert_true(world_settle(world, 10 * MINUTE_MS));
    for (size_t i = 0; i < world->job_count; i++) {
        bool is_bad = strncmp(world->jobs[i], "bad", 3) == 0;
        world_expect(world, world->jobs[i], is_bad ? "failed" : "succeeded",
                     is_bad ? "SANDBOX_CREATE_FAILED" : "");
    }
    world_close(world, WORLD_DOUBTS);
}

/* ---- 429 ---- */

/* Returns: what the limit is cut to now; -1: it is not. */
static int64_t cut(struct world *world)
{
    const struct maximum *maximum = store_find_maximum(fake_redis_store(world->redis), "g");
    bool is_cut = maximum && maximum->cut >= 0 && maximum->cut_ends_ms > fake_redis_now_ms(world->redis);
    return is_cut ? maximum->cut : -1;
}

static void too_many_requests_slow_all_workers_down(void **state)
{
    struct world *world = *state;
    struct creates creates;
    world->config.create_milli_per_s = 8000;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CREATE, E2B_ERROR_RATE_LIMITED);
    fault.error.http_status = 429;
    fault.error.retry_after_ms = 3000;
    e2b_world_fail(world->e2b, &fault);
    submit_many(world, "a", 1);
    world_run(world, 300);
    assert_int_equal(fake_redis_store(world->redis)->milli, 4000);
    watch_creates(world, &creates);
    submit_many(world, "b", 20);
    world_run(world, 2000);
    assert_int_equal(creates.count, 0);
    int64_t before_ms = loop_now_ms(world->loop);
    assert_true(world_settle(world, 20000));
    assert_true(loop_now_ms(world->loop) - before_ms > 3500); /* at the whole rate it had been 2600 */
    assert_int_equal(world_events(world, "a0", "e2b-worker.job.retrying.v1"), 0);
    world_close(world, WORLD_CLEAN);
}

/* E2B's limit lies below ours: it says so once, and is not asked for more after that. */
static void a_quota_lowers_the_limit_to_what_e2b_says(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = 20;
    e2b_world_limit(world->e2b, 4);
    for (int i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        world_submit(world, id, "sleep 2000");
    }
    world_run(world, 1000);
    assert_int_equal(cut(world), 4);
    struct creates creates;
    watch_creates(world, &creates);
    assert_true(world_settle(world, 60000));
    assert_in_range(creates.count, 16, 24);
    assert_int_equal(e2b_world_max_live(world->e2b), 4);
    for (size_t i = 0; i < world->job_count; i++)
        assert_int_equal(world_result(world, world->jobs[i]).attempts, 1);
    world_run(world, 11 * MINUTE_MS); /* E2B's word grows old: the plan may have grown */
    assert_int_equal(cut(world), -1);
    world_close(world, WORLD_CLEAN);
}

static void a_quota_that_others_use_is_shared_with_them(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    e2b_world_limit(world->e2b, 10);
    for (int i = 0; i < 7; i++)
        (void)e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){0}, 10 * MINUTE_MS);
    for (int i = 0; i < 12; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        world_submit(world, id, "sleep 1000");
    }
    world_run(world, 1000);
    assert_int_equal(cut(world), 3);
    assert_true(world_settle(world, MINUTE_MS));
    assert_int_equal(e2b_world_live(world->e2b), 7); /* never touched */
    world_run(world, 12 * MINUTE_MS);
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(no_job_fails_for_an_e2b_that_is_away_for_minutes),
        WORLD_TEST(five_failures_are_enough),
        WORLD_TEST(a_worker_without_jobs_finds_out_by_itself),
        WORLD_TEST(nobody_is_needed_to_close_it),
        WORLD_TEST(jobs_that_break_their_own_creates_keep_no_others),
        WORLD_TEST(a_job_that_is_not_due_keeps_no_other_from_being_tried),
        WORLD_TEST(too_many_requests_slow_all_workers_down),
        WORLD_TEST(a_quota_lowers_the_limit_to_what_e2b_says),
        WORLD_TEST(a_quota_that_others_use_is_shared_with_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
