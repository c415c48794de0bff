/* What the outside reads: which names events, statistics and metrics use, and whether they are true. */
#include "unit/worker/world.h"

#include "base/buffer.h"
#include "test.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const char waiting[] = "e2b-worker.job.waiting.v1";

static bool has(struct bytes text, const char *part)
{
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

static void expect_waiting(const struct world *world, const char *job_id, const char *part)
{
    struct bytes event = world_event(world, job_id, waiting);
    if (!has(event, part))
        fail_msg("'%s' is not in the last event of %s: %.*s", part, job_id, (int)event.length,
                 (const char *)event.data);
}

/* ---- why a job waits ---- */

static void a_job_that_waits_names_its_limit(void **state)
{
    struct world *world = *state;
    struct plan_limit tenants[] = {{"slow", 1}};
    world->config.limit_global = 4;
    world->config.class_max[PRIORITY_BATCH] = 2;
    world->config.limit_tenants = tenants;
    world->config.limit_tenant_count = 1;
    world->templates[0].max_concurrent = 3;
    world_start(world, 0);
    world_submit_with(world, "slow1", "sleep 5000", "'tenant_id':'slow','template':'rough'");
    world_submit_with(world, "slow2", "sleep 5000", "'tenant_id':'slow','template':'rough'");
    world_submit_with(world, "batch1", "sleep 5000", "'priority':'batch'");
    world_submit_with(world, "batch2", "sleep 5000", "'priority':'batch'");
    world_submit_with(world, "batch3", "sleep 5000", "'priority':'batch'");
    world_run(world, 2000);
    expect_waiting(world, "slow2", "\"limit\":\"tenant:slow\",\"used\":1,\"max\":1,\"reserved\":0");
    expect_waiting(world, "batch3", "\"limit\":\"class:batch\",\"used\":2,\"max\":2,\"reserved\":0");
    world_submit_with(world, "quick3", "sleep 5000", NULL);
    world_run(world, 500);
    world_submit_with(world, "quick4", "sleep 5000", NULL);
    world_submit_with(world, "rough5", "sleep 5000", "'template':'rough'");
    world_run(world, 500);
    expect_waiting(world, "quick4", "\"limit\":\"template:quick\",\"used\":3,\"max\":3,\"reserved\":0");
    expect_waiting(world, "rough5",
                   "\"message\":\"4 of 4 places are taken\",\"limit\":\"global\",\"used\":4");
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* Eight ask for a full limit; those behind them are told nothing by the ledger. */
static void a_job_far_back_in_a_queue_says_why_too(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "job%d", i);
        world_submit(world, name, "sleep 20000");
    }
    world_run(world, 8000);
    for (int i = 1; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "job%d", i);
        expect_waiting(world, name, "\"reason\":\"limit\"");
        expect_waiting(world, name, "global");
    }
    int64_t soon = world_events(world, "job19", waiting);
    world_run(world, 280000);
    int64_t later = world_events(world, "job19", waiting);
    assert_true(soon >= 1 && later > soon && later <= 7); /* ever more rarely */
    assert_true(world_settle(world, 600000));
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_waits_for_e2b_says_so(void **state)
{
    struct world *world = *state;
    const struct e2b_world_fault fault = {
        .call = E2B_WORLD_CREATE, .count = 1000, .error = {.kind = E2B_ERROR_AUTH, .http_status = 401}};
    world_start(world, 0);
    e2b_world_fail(world->e2b, &fault);
    world_submit(world, "a", "print x");
    world_submit(world, "b", "print x");
    world_run(world, 20000);
    expect_waiting(world, "b", "\"reason\":\"e2b\"");
    e2b_world_forgive(world->e2b);
    assert_true(world_settle(world, 600000));
    world_close(world, WORLD_CLEAN);
}

static void a_job_kept_out_by_a_reserve_says_so(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 4;
    world->config.interactive_reserve = 1;
    world_start(world, 0);
    for (int i = 0; i < 4; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit(world, id, "sleep 5000");
        world_run(world, 100);
    }
    expect_waiting(world, "a3",
                   "\"message\":\"3 of 4 places are taken, 1 is reserved for interactive jobs\","
                   "\"limit\":\"reserve:interactive\",\"used\":3,\"max\":4,\"reserved\":1");
    world_submit_with(world, "now", "sleep 5000", "'priority':'interactive'");
    world_run(world, 1000);
    world_submit(world, "late", "print x");
    world_submit_with(world, "now2", "print x", "'priority':'interactive'");
    world_run(world, 1000);
    expect_waiting(world, "late", "\"limit\":\"global\",\"used\":4,\"max\":4,\"reserved\":0");
    expect_waiting(world, "now2", "\"limit\":\"global\",\"used\":4,\"max\":4,\"reserved\":0");
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* What the ledger calls full is then not a reserve's doing. */
static void an_operators_value_is_known_after_a_look(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 4;
    world->config.interactive_reserve = 1;
    store_set_limit(fake_redis_store(world->redis), "g", 3);
    world_start(world, 0);
    world_run(world, 11000);
    world_submit(world, "a", "sleep 5000");
    world_submit(world, "b", "sleep 5000");
    world_run(world, 1000);
    world_submit(world, "c", "print x");
    world_run(world, 500);
    expect_waiting(world, "c", "\"limit\":\"reserve:interactive\",\"used\":2,\"max\":3,\"reserved\":1");
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_waits_for_its_create_names_the_rate(void **state)
{
    struct world *world = *state;
    world->config.create_milli_per_s = 500;
    world_start(world, 0);
    for (int i = 0; i < 4; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit(world, id, "print x");
    }
    world_run(world, 1000);
    expect_waiting(world, "a3",
                   "\"message\":\"all workers together create at most 0.5 sandboxes a second\","
                   "\"limit\":\"create_rate\",\"used\":null,\"max\":null,\"reserved\":null");
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* Half of the partitions go to a worker that comes, while the first still runs their jobs. */
static void a_job_that_another_worker_has_names_that_worker(void **state)
{
    struct world *world = *state;
    int found = 0;
    world_start(world, 0);
    for (int i = 0; i < WORLD_PARTITIONS; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i, id, "sleep 30000", NULL);
    }
    world_run(world, 2000);
    world_start(world, 1);
    world_run(world, 5000);
    for (size_t i = 0; i < world->job_count; i++) {
        if (world_events(world, world->jobs[i], waiting) == 0)
            continue;
        expect_waiting(world, world->jobs[i], "\"reason\":\"elsewhere\",\"message\":\"the worker worker0");
        expect_waiting(world, world->jobs[i], "\"limit\":null,\"used\":null,\"max\":null,\"reserved\":null");
        found++;
    }
    assert_in_range(found, 1, WORLD_PARTITIONS - 1);
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* ---- statistics and metrics ---- */

static struct buffer metrics(const struct world *world)
{
    struct buffer text = {0};
    worker_metrics(world->workers[0].worker, &text);
    return text;
}

static void expect(const struct buffer *text, const char *part)
{
    if (!has(buffer_bytes(text), part))
        fail_msg("'%s' is not in:\n%s", part, text->data);
}

static void limits_have_one_name_in_statistics_and_metrics(void **state)
{
    struct world *world = *state;
    struct plan_limit tenants[] = {{"slow", 1}};
    world->config.limit_tenants = tenants;
    world->config.limit_tenant_count = 1;
    world->templates[0].max_concurrent = 3;
    store_set_limit(fake_redis_store(world->redis), "x:of a later version", 3);
    store_set_limit(fake_redis_store(world->redis), "n:\"}\n", 3);
    world_start(world, 0);
    world_submit_with(world, "a", "sleep 30000", "'tenant_id':'slow'");
    world_submit_with(world, "b", "sleep 30000", "'tenant_id':'other','template':'rough'");
    world_run(world, 15000);
    CLEANUP(buffer_release) struct buffer text = metrics(world), stats = {0};
    worker_stats(world->workers[0].worker, &stats);
    expect(&text, "\ne2b_worker_permits_used{limit=\"global\"} 2\n");
    expect(&text, "\ne2b_worker_permits_used{limit=\"tenant:slow\"} 1\n");
    expect(&text, "\ne2b_worker_permits_used{limit=\"template:quick\"} 1\n");
    expect(&text, "\ne2b_worker_permits_used{limit=\"class:standard\"} 2\n");
    expect(&stats, "{\"limit\":\"global\",\"used\":2,\"max\":19}");
    expect(&stats, "{\"limit\":\"tenant:slow\",\"used\":1,\"max\":1}");
    expect(&stats, "{\"limit\":\"tenant:other\",\"used\":1,\"max\":null}");
    expect(&stats, "{\"limit\":\"template:quick\",\"used\":1,\"max\":3}");
    expect(&stats, "{\"limit\":\"class:standard\",\"used\":2,\"max\":null}");
    assert_false(has(buffer_bytes(&text), "later version") || has(buffer_bytes(&text), "\"}\n\""));
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

static void the_global_limit_is_there_before_the_first_look(void **state)
{
    struct world *world = *state;
    world_launch(world, 0);
    CLEANUP(buffer_release) struct buffer text = metrics(world);
    expect(&text, "\ne2b_worker_permits_used{limit=\"global\"} 0\n");
    world_close(world, WORLD_CLEAN);
}

static void metrics_tell_what_happened(void **state)
{
    struct world *world = *state;
    const struct e2b_world_fault lost = world_fault(E2B_WORLD_CODE, E2B_ERROR_GONE);
    world->config.max_in_flight = 2;
    world_start(world, 0);
    e2b_world_fail(world->e2b, &lost);
    world_submit(world, "again", "sleep 1000");
    assert_true(world_settle(world, 60000));
    world_submit(world, "fails", "exit 3");
    world_submit_with(world, "unfit", "x", "'template':'none'");
    assert_true(world_settle(world, 60000));
    for (int i = 0; i < 3; i++) {
        CLEANUP(base_freep) char *id = base_printf("slow%d", i);
        world_submit(world, id, "sleep 5000");
    }
    world_run(world, 1000);
    CLEANUP(buffer_release) struct buffer text = metrics(world);
    expect(&text, "\ne2b_worker_part_ready{part=\"kafka_results\"} 1\n");
    expect(&text, "\ne2b_worker_jobs_in_flight 2\n");
    expect(&text, "\ne2b_worker_jobs_queued 1\n");
    expect(&text, "\ne2b_worker_sandboxes 2\n");
    expect(&text, "\ne2b_worker_backlog 3\n");
    expect(&text, "\ne2b_worker_jobs_accepted_total 6\n");
    expect(&text, "\ne2b_worker_jobs_finished_total{status=\"succeeded\"} 1\n");
    expect(&text, "\ne2b_worker_job_errors_total{code=\"UNKNOWN_TEMPLATE\"} 1\n");
    expect(&text, "\ne2b_worker_job_attempts_total 5\n");
    expect(&text, "\ne2b_worker_job_retries_total 1\n");
    expect(&text, "\ne2b_worker_sandbox_creates_total 5\n");
    expect(&text, "\ne2b_worker_job_run_seconds_count 2\n");
    expect(&text, "\ne2b_worker_sandbox_create_seconds_count 5\n");
    expect(&text, "\ne2b_worker_job_permit_wait_seconds_count 4\n"); /* the first permit of each */
    assert_true(world_settle(world, 60000));
    world_close(world, WORLD_CLEAN);
}

/* ---- logs ---- */

static void capture_log(struct world *world)
{
    world->log = (struct log){.level = LOG_LEVEL_INFO, .fd = memfd_create("log", MFD_CLOEXEC)};
    assert_true(world->log.fd > 0);
}

static struct buffer captured(struct world *world)
{
    struct buffer text = {0};
    char part[4096];
    ssize_t n;
    for (off_t at = 0; (n = pread(world->log.fd, part, sizeof part, at)) > 0; at += n)
        buffer_append(&text, part, (size_t)n);
    buffer_append_text(&text, "");
    (void)close(world->log.fd);
    return text;
}

static bool is_in_the_way(struct world *world, const char *part)
{
    const char *why;
    CLEANUP(base_freep) char *start = base_printf("%s: ", part);
    return !worker_is_ready(world->workers[0].worker, &why) && strncmp(why, start, strlen(start)) == 0;
}

static void a_part_has_one_name_in_readiness_and_log(void **state)
{
    struct world *world = *state;
    const struct e2b_world_fault refused = world_fault(E2B_WORLD_LIST, E2B_ERROR_AUTH);
    capture_log(world);
    world_start(world, 0);
    fake_redis_set_reachable(world->redis, false);
    world_run(world, 10000);
    assert_true(is_in_the_way(world, "redis"));
    fake_redis_set_reachable(world->redis, true);
    kafka_world_set_up(world->kafka, false, "down");
    world_run(world, 10000);
    const char *why;
    assert_false(worker_is_ready(world->workers[0].worker, &why));
    assert_text(why, "kafka_jobs: down; kafka_results: down");
    kafka_world_set_up(world->kafka, true, "");
    world_run(world, 1000);
    assert_true(worker_is_ready(world->workers[0].worker, &why));
    e2b_world_fail(world->e2b, &refused);
    world_launch(world, 1);
    world_run(world, 100);
    assert_false(worker_is_ready(world->workers[1].worker, &why));
    assert_memory_equal(why, "e2b: E2B_AUTH", 13);
    world_run(world, 20000);
    world_close(world, WORLD_CLEAN);
    CLEANUP(buffer_release) struct buffer log = captured(world);
    static const char *const parts[] = {"e2b", "redis", "kafka_jobs", "kafka_results"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        CLEANUP(base_freep)
        char *lost = base_printf("\"part.not_ready\",\"component\":\"worker\",\"part\":\"%s\"", parts[i]);
        CLEANUP(base_freep)
        char *back = base_printf("\"part.ready\",\"component\":\"worker\",\"part\":\"%s\"", parts[i]);
        expect(&log, lost);
        expect(&log, back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_job_that_waits_names_its_limit),
        WORLD_TEST(a_job_far_back_in_a_queue_says_why_too),
        WORLD_TEST(a_job_that_waits_for_e2b_says_so),
        WORLD_TEST(a_job_kept_out_by_a_reserve_says_so),
        WORLD_TEST(an_operators_value_is_known_after_a_look),
        WORLD_TEST(a_job_that_waits_for_its_create_names_the_rate),
        WORLD_TEST(a_job_that_another_worker_has_names_that_worker),
        WORLD_TEST(limits_have_one_name_in_statistics_and_metrics),
        WORLD_TEST(the_global_limit_is_there_before_the_first_look),
        WORLD_TEST(metrics_tell_what_happened),
        WORLD_TEST(a_part_has_one_name_in_readiness_and_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
