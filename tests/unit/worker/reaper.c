/* What dead workers leave, and what must not be taken for it. */
#include "unit/worker/world.h"

#include "fakes/kafka/inside.h"
#include "fakes/redis/store_private.h"
#include "test.h"

#include <stdio.h>

enum { MINUTE_MS = 60000, LIFE_MS = 300000 };

#define PERMIT "22222222-2222-4222-8222-222222222222"

/* ---- what is left ---- */

/* A claim on default/a and its permit, granted to `worker`; until_ms: of the claim, from now. */
static struct permit *leave_claim(struct world *world, const char *worker, int64_t until_ms)
{
    struct store *store = fake_redis_store(world->redis);
    static const struct ledger_limit limits[] = {{"n:default", 100}, {"g", 19}};
    const struct ledger_acquire acquire = {.job = "default/a",
                                           .payload = "",
                                           .origin = "",
                                           .place = "",
                                           .tenant = "default",
                                           .weight = 1,
                                           .permit = PERMIT,
                                           .horizon_ms = 535000,
                                           .until_ms = until_ms,
                                           .limits = limits,
                                           .limit_count = 2};
    struct arena arena;
    struct ledger_acquired answer;
    arena_init(&arena, 512);
    store_acquire(store, worker, &acquire, fake_redis_now_ms(world->redis), &arena, &answer);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    arena_release(&arena);
    free(TAKE(world_claim(world, "a")->payload)); /* whatever comes is the same */
    return store_find_permit(store, PERMIT);
}

/* Its sandbox. Returns: its id, borrowed while it lives. */
static const char *leave_sandbox(struct world *world, int64_t live_ms)
{
    static const struct e2b_pair metadata[] = {
        {"svc", "e2b-worker"}, {"ledger", "default"}, {"permit", PERMIT},
        {"job", "default/a"},  {"tenant", "default"}, {"template", "quick"},
    };
    const char *id =
        e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){metadata, ARRAY_LENGTH(metadata)}, live_ms);
    struct permit *permit = store_find_permit(fake_redis_store(world->redis), PERMIT);
    if (permit)
        store_put(&permit->sandbox, id);
    return id;
}

static bool has_permit(struct world *world)
{
    return store_find_permit(fake_redis_store(world->redis), PERMIT) != NULL;
}

/* Until it comes true, at most so long. Returns: when it was, from now; -1: it was not. */
static int64_t wait_until_dead(struct world *world, const char *id, int64_t most_ms)
{
    CLEANUP(base_freep) char *copy = base_strdup(id);
    for (int64_t passed_ms = 0; passed_ms <= most_ms; passed_ms += 100) {
        if (!e2b_world_is_live(world->e2b, copy))
            return passed_ms;
        world_run(world, 100);
    }
    return -1;
}

/* ---- what is told ---- */

static const struct kafka_record *reaped_event(const struct world *world, size_t n)
{
    for (int64_t offset = 0; offset < kafka_world_end(world->kafka, "e2b.results", 0); offset++) {
        const struct kafka_record *record = kafka_world_record(world->kafka, "e2b.results", 0, offset);
        for (size_t i = 0; i < record->header_count; i++)
            if (strcmp(record->headers[i].name, "ce_type") == 0 &&
                memmem(record->headers[i].value.data, record->headers[i].value.length, "sandbox.reaped",
                       14) &&
                n-- == 0)
                return record;
    }
    return NULL;
}

static size_t reaped_count(const struct world *world)
{
    size_t count = 0;
    while (reaped_event(world, count))
        count++;
    return count;
}

static void expect_reaped(const struct world *world, const char *text)
{
    const struct kafka_record *record = reaped_event(world, 0);
    assert_non_null(record);
    if (!memmem(record->value.data, record->value.length, text, strlen(text)))
        fail_msg("no %s in %.*s", text, (int)record->value.length, (const char *)record->value.data);
}

/* All workers together. */
static int64_t metric(struct world *world, const char *name)
{
    int64_t sum = 0;
    for (int i = 0; i < WORLD_WORKERS_MAX; i++) {
        if (!world->workers[i].worker)
            continue;
        CLEANUP(buffer_release) struct buffer text = {0};
        worker_metrics(world->workers[i].worker, &text);
        buffer_append_text(&text, "");
        CLEANUP(base_freep) char *line = base_printf("\n%s ", name);
        const char *found = strstr(text.data, line);
        assert_non_null(found);
        sum += strtoll(found + strlen(line), NULL, 10);
    }
    return sum;
}

static void start_aged(struct world *world)
{
    world->step_ms = 100;
    world_start(world, 0);
    world_run(world, 31000); /* nobody is taken over while the ledger is young */
}

/* ---- what has no right is killed ---- */

static void a_dead_workers_sandbox_is_reaped_before_its_end(void **state)
{
    struct world *world = *state;
    start_aged(world);
    (void)leave_claim(world, "dead", 1000);
    const char *id = leave_sandbox(world, LIFE_MS);
    int64_t after_ms = wait_until_dead(world, id, 45000);
    assert_in_range(after_ms, 0, 45000);
    world_run(world, 1000);
    assert_false(has_permit(world));
    assert_int_equal(world_used(world, "g"), 0);
    assert_int_equal(reaped_count(world), 1);
    expect_reaped(world, "\"permit\":\"" PERMIT "\",\"job_id\":\"a\",\"tenant_id\":\"default\","
                         "\"template\":\"quick\"");
    expect_reaped(world, "\"reason\":\"worker_dead\"");
    /* Its age is E2B's, and the price that of the template: 2 cores, half a GiB. */
    const struct kafka_record *event = reaped_event(world, 0);
    const char *age = memmem(event->value.data, event->value.length, "\"age_ms\":", 9);
    assert_non_null(age);
    int64_t age_ms = strtoll(age + 9, NULL, 10);
    assert_in_range(age_ms, after_ms - 200, after_ms + 200);
    CLEANUP(base_freep)
    char *cost =
        base_printf("\"nano_usd\":%lld,\"vcpu\":2,\"memory_mb\":512,", (long long)age_ms * 30250 / 1000);
    cost[strcspn(cost, ",") - 2] = '\0'; /* to the ten nano-dollars */
    expect_reaped(world, cost);
    assert_int_equal(metric(world, "e2b_worker_sandboxes_reaped_total"), 1);
    world_submit(world, "a", "print x"); /* its record: the job runs as if it never had */
    assert_true(world_settle(world, MINUTE_MS));
    world_expect(world, "a", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* Its verdict was sealed and published: only its sandbox stayed behind. */
static void the_sandbox_of_a_finished_job_is_reaped(void **state)
{
    struct world *world = *state;
    start_aged(world);
    (void)leave_claim(world, "dead", 600000);
    (void)store_done(fake_redis_store(world->redis), "default/a", "succeeded", 0, 0, 600000,
                     fake_redis_now_ms(world->redis));
    assert_in_range(wait_until_dead(world, leave_sandbox(world, LIFE_MS), 45000), 0, 45000);
    world_run(world, 1000);
    assert_false(has_permit(world));
    world_close(world, WORLD_CLEAN);
}

static void a_run_that_was_handed_over_and_that_nobody_took_is_reaped(void **state)
{
    struct world *world = *state;
    start_aged(world);
    store_put(&leave_claim(world, "gone", 120000)->worker, "");
    store_put(&world_claim(world, "a")->owner, "");
    const char *id = leave_sandbox(world, LIFE_MS);
    assert_in_range(wait_until_dead(world, id, 170000), 120000, 165000);
    world_run(world, 1000);
    assert_false(has_permit(world));
    expect_reaped(world, "\"reason\":\"abandoned\"");
    world_close(world, WORLD_CLEAN);
}

static void sandboxes_without_a_permit_are_reaped_on_all_pages(void **state)
{
    struct world *world = *state;
    world->most_live = 1000;
    start_aged(world);
    for (int i = 0; i < 250; i++) {
        char permit[48], job[32];
        (void)snprintf(permit, sizeof permit, "33333333-3333-4333-8333-%012d", i);
        (void)snprintf(job, sizeof job, i % 2 ? "acme/j%d" : "no name \" %d", i);
        (void)e2b_world_plant(world->e2b, permit, job, LIFE_MS);
    }
    world_run(world, 45000);
    assert_int_equal(e2b_world_live(world->e2b), 0);
    assert_int_equal(reaped_count(world), 250);
    expect_reaped(world, "\"job_id\":null,\"tenant_id\":null,\"template\":null");
    expect_reaped(world, "\"reason\":\"no_permit\"");
    expect_reaped(world, "\"vcpu\":2,\"memory_mb\":1024"); /* as E2B says */
    world_close(world, WORLD_CLEAN);
}

static void a_kill_is_repeated_until_it_is_confirmed(void **state)
{
    struct world *world = *state;
    start_aged(world);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_KILL, E2B_ERROR_BROKEN);
    fault.count = 5;
    e2b_world_fail(world->e2b, &fault);
    (void)leave_claim(world, "dead", 1000);
    assert_in_range(wait_until_dead(world, leave_sandbox(world, LIFE_MS), 2 * MINUTE_MS), 1, 2 * MINUTE_MS);
    world_run(world, 1000);
    assert_false(has_permit(world));
    assert_int_equal(reaped_count(world), 1);
    world_close(world, WORLD_CLEAN);
}

/* The permit is the reaper's then, and the reaper lives: nobody else will come for it. */
static void a_condemning_without_answer_is_asked_for_again(void **state)
{
    struct world *world = *state;
    struct random random;
    random_init_seed(&random, 1);
    start_aged(world);
    for (int has_sandbox = 0; has_sandbox < 2; has_sandbox++) {
        struct permit *permit = leave_claim(world, "dead", 1000);
        const char *sandbox = has_sandbox ? leave_sandbox(world, LIFE_MS) : NULL;
        world->step_ms = 1;
        fake_redis_vary(world->redis, &random, 100);
        for (int ms = 0; ms < 5 * MINUTE_MS && !permit->is_condemned; ms++)
            world_run(world, 1);
        assert_true(permit->is_condemned);
        fake_redis_break(world->redis);
        fake_redis_vary(world->redis, NULL, 0);
        world->step_ms = 100;
        if (has_sandbox)
            assert_in_range(wait_until_dead(world, sandbox, 80000), 1000, 80000);
        world_run(world, has_sandbox ? 1000 : 80000);
        assert_false(has_permit(world));
    }
    expect_reaped(world, "\"permit\":\"" PERMIT "\"");
    world_close(world, WORLD_CLEAN);
}

/* ---- what has one is kept ---- */

static void what_is_not_ours_is_never_touched(void **state)
{
    struct world *world = *state;
    static const struct e2b_pair other_ledger[] = {
        {"svc", "e2b-worker"}, {"ledger", "other"}, {"permit", PERMIT}};
    static const struct e2b_pair no_permit[] = {{"svc", "e2b-worker"}, {"ledger", "default"}};
    static const struct e2b_pair other_service[] = {
        {"svc", "web"}, {"ledger", "default"}, {"permit", PERMIT}};
    start_aged(world);
    const char *ids[] = {
        e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){other_ledger, 3}, 600000),
        e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){no_permit, 2}, 600000),
        e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){other_service, 3}, 600000),
        e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){0}, 600000),
    };
    world_run(world, 5 * MINUTE_MS);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        assert_true(e2b_world_is_live(world->e2b, ids[i]));
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_KILL), 0);
    assert_int_equal(metric(world, "e2b_worker_foreign_sandboxes"), 4);
    world_run(world, 5 * MINUTE_MS);
    world_close(world, WORLD_CLEAN);
}

/* Jobs come and go while slow lists are under way: what was made after the permits were read looks
 * unknown. */
static void no_living_jobs_sandbox_is_reaped(void **state)
{
    struct world *world = *state;
    world->step_ms = 100;
    for (int i = 0; i < 3; i++)
        world_start(world, i);
    world_submit_with(world, "long", "sleep 1000000;print x", "'template':'long'");
    e2b_world_delay(world->e2b, E2B_WORLD_LIST, 4000);
    for (int i = 0; i < 150; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "j%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 5000;print x", NULL);
        world_run(world, 2000);
    }
    assert_true(world_settle(world, 1200000));
    for (size_t i = 0; i < world->job_count; i++) {
        CLEANUP(base_freep) char *key = base_printf("default/%s", world->jobs[i]);
        world_expect(world, world->jobs[i], "succeeded", "");
        assert_int_equal(e2b_world_creates(world->e2b, key), 1);
    }
    assert_int_equal(metric(world, "e2b_worker_sandboxes_reaped_total"), 0);
    assert_int_equal(metric(world, "e2b_worker_permits_freed_total"), 0);
    world_close(world, WORLD_CLEAN);
}

/* Its worker is dead, and whoever has the job's record may still go on with it. */
static void a_run_that_may_be_adopted_is_kept(void **state)
{
    struct world *world = *state;
    start_aged(world);
    (void)leave_claim(world, "dead", 600000);
    const char *id = leave_sandbox(world, LIFE_MS);
    assert_in_range(wait_until_dead(world, id, LIFE_MS + 1000), LIFE_MS - 200, LIFE_MS + 200);
    assert_int_equal(reaped_count(world), 0);
    assert_true(has_permit(world));
    world_run(world, 340000); /* the claim is over: nobody will adopt what is not there */
    assert_false(has_permit(world));
    assert_int_equal(metric(world, "e2b_worker_permits_freed_total"), 1);
    world_close(world, WORLD_CLEAN);
}

static void what_is_adopted_while_the_reaper_lists_is_kept(void **state)
{
    struct world *world = *state;
    start_aged(world);
    struct permit *permit = leave_claim(world, "dead", 1000);
    const char *id = leave_sandbox(world, 200000);
    e2b_world_delay(world->e2b, E2B_WORLD_LIST, 8000);
    int64_t lists = e2b_world_calls(world->e2b, E2B_WORLD_LIST);
    while (e2b_world_calls(world->e2b, E2B_WORLD_LIST) == lists)
        world_run(world, 100);
    store_put(&permit->worker, "adopter");
    store_put(&world_claim(world, "a")->owner, "adopter");
    store_set_lease(fake_redis_store(world->redis), "adopter", INT64_MAX);
    assert_in_range(wait_until_dead(world, id, 201000), 150000, 201000);
    assert_int_equal(reaped_count(world), 0);
    store_set_lease(fake_redis_store(world->redis), "adopter", 0);
    world_run(world, 3 * MINUTE_MS);
    assert_false(has_permit(world));
    world_close(world, WORLD_CLEAN);
}

/* Stopped between the ledger's word and the kill; meanwhile its lease is over, and another has the permit. */
static void a_reaper_that_was_stopped_before_the_kill_does_not_kill(void **state)
{
    struct world *world = *state;
    start_aged(world);
    world->step_ms = 1;
    struct permit *permit = leave_claim(world, "dead", 1000);
    const char *id = leave_sandbox(world, 200000);
    struct store *store = fake_redis_store(world->redis);
    int64_t lists = e2b_world_calls(world->e2b, E2B_WORLD_LIST);
    while (e2b_world_calls(world->e2b, E2B_WORLD_LIST) == lists)
        world_run(world, 1);
    virtual_loop_set_boot_gap(world->loop, 25000); /* the list was answered, the lease is not good any more */
    while (!permit->is_condemned)
        world_run(world, 1);
    assert_true(e2b_world_is_live(world->e2b, id));
    CLEANUP(base_freep) char *reaper = base_strdup(permit->worker);
    store_put(&permit->worker, "adopter");
    permit->is_condemned = false;
    store_set_lease(store, "adopter", INT64_MAX);
    store_set_lease(store, reaper, 0);
    world->step_ms = 100;
    assert_in_range(wait_until_dead(world, id, 201000), 150000, 201000);
    assert_int_equal(reaped_count(world), 0);
    assert_int_equal(metric(world, "e2b_worker_sandbox_kills_total"), 0);
    store_set_lease(store, "adopter", 0);
    world_run(world, 3 * MINUTE_MS);
    world_close(world, WORLD_CLEAN);
}

/* ---- permits without a sandbox ---- */

/* Its create may still be carried out: two minutes, and two lists. */
static void a_dead_workers_doubtful_permit_is_settled(void **state)
{
    struct world *world = *state;
    start_aged(world);
    (void)leave_claim(world, "dead", 1000);
    world_run(world, 119000);
    assert_true(has_permit(world));
    world_run(world, 50000);
    assert_false(has_permit(world));
    assert_int_equal(metric(world, "e2b_worker_permits_freed_total"), 1);
    assert_int_equal(reaped_count(world), 0);
    world_close(world, WORLD_CLEAN);
}

static void a_doubtful_sandbox_that_comes_late_is_reaped(void **state)
{
    struct world *world = *state;
    start_aged(world);
    (void)leave_claim(world, "dead", 1000);
    world_run(world, 105000);
    assert_true(has_permit(world));
    static const struct e2b_pair metadata[] = {
        {"svc", "e2b-worker"}, {"ledger", "default"}, {"permit", PERMIT}};
    const char *id = e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){metadata, 3}, LIFE_MS);
    assert_in_range(wait_until_dead(world, id, 45000), 0, 45000);
    world_run(world, 1000);
    assert_false(has_permit(world));
    assert_int_equal(metric(world, "e2b_worker_permits_freed_total"), 0);
    world_close(world, WORLD_CLEAN);
}

/* E2B's list may miss it: only E2B's word about this very sandbox settles it. */
static void a_permit_whose_sandbox_is_known_needs_e2bs_word(void **state)
{
    struct world *world = *state;
    start_aged(world);
    store_put(&leave_claim(world, "dead", 1000)->sandbox, "sandbox-unlisted");
    int64_t lists = e2b_world_calls(world->e2b, E2B_WORLD_LIST);
    while (e2b_world_calls(world->e2b, E2B_WORLD_LIST) == lists)
        world_run(world, 100);
    world_run(world, 20000);
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_INSPECT), 0); /* one list is not enough */
    struct e2b_world_fault fault = world_fault(E2B_WORLD_INSPECT, E2B_ERROR_BROKEN);
    fault.count = 3;
    e2b_world_fail(world->e2b, &fault);
    for (int i = 0; i < 3000 && e2b_world_faults_left(world->e2b) > 0; i++)
        world_run(world, 100);
    assert_true(has_permit(world));
    world_run(world, 40000);
    assert_false(has_permit(world));
    world_close(world, WORLD_CLEAN);
}

/* ---- one at a time ---- */

static void one_worker_reaps_and_another_when_it_is_gone(void **state)
{
    struct world *world = *state;
    world->step_ms = 100;
    for (int i = 0; i < 3; i++)
        world_start(world, i);
    world_run(world, MINUTE_MS);
    int64_t lists = e2b_world_calls(world->e2b, E2B_WORLD_LIST);
    world_run(world, 10 * MINUTE_MS);
    assert_in_range(e2b_world_calls(world->e2b, E2B_WORLD_LIST) - lists, 15, 26);
    world_stop(world, 0); /* each in turn: one of them has it */
    for (int i = 1; i <= 2; i++) {
        (void)leave_claim(world, "dead", 1000);
        assert_in_range(wait_until_dead(world, leave_sandbox(world, LIFE_MS), 150000), 0, 150000);
        world_run(world, 1000);
        if (i == 1)
            world_stop(world, 1);
    }
    assert_int_equal(reaped_count(world), 2);
    world_close(world, WORLD_CLEAN);
}

/* ---- others in the account ---- */

static void sandboxes_of_others_are_subtracted_from_the_limit(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 8;
    world->step_ms = 50;
    e2b_world_limit(world->e2b, 9);
    for (int i = 0; i < 5; i++)
        (void)e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){0}, 100000);
    world_start(world, 0);
    world_run(world, 5000); /* the first round */
    for (int i = 0; i < 200; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "j%d", i);
        world_submit(world, id, "sleep 5000;print x");
    }
    for (int i = 0; i < 80; i++) {
        world_run(world, 1000);
        assert_true(world_used(world, "g") <= 3);
    }
    world_run(world, 75000); /* they went after 100 s, and most of a minute more */
    assert_int_equal(world_used(world, "g"), 8);
    assert_true(world_settle(world, 600000));
    assert_int_equal(e2b_world_calls(world->e2b, E2B_WORLD_CREATE), 200); /* nothing was refused */
    world_close(world, WORLD_CLEAN);
}

/* More runs than our limit says E2B allows: it was chosen lower than it must be, and others take nothing from
 * it. */
static void a_limit_far_below_e2bs_is_not_lowered(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 3;
    world->most_live = 43;
    world->step_ms = 50;
    for (int i = 0; i < 40; i++)
        (void)e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){0}, 100000);
    world_start(world, 0);
    world_run(world, 5000);
    for (int i = 0; i < 9; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "j%d", i);
        world_submit(world, id, "sleep 5000;print x");
    }
    world_run(world, 2000);
    assert_int_equal(world_used(world, "g"), 3);
    assert_true(world_settle(world, MINUTE_MS));
    world_run(world, 100000);
    world_close(world, WORLD_CLEAN);
}

static void an_operators_limit_is_what_others_are_subtracted_from(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 30;
    world->step_ms = 50;
    for (int i = 0; i < 5; i++)
        (void)e2b_world_plant_foreign(world->e2b, (struct e2b_pairs){0}, 400000);
    world_start(world, 0);
    store_set_limit(fake_redis_store(world->redis), "g", 15);
    world_run(world, 120000); /* a cut of its own is not taken for the limit: it would shrink each time */
    for (int i = 0; i < 30; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "j%d", i);
        world_submit(world, id, "sleep 5000;print x");
    }
    world_run(world, 2000);
    assert_int_equal(world_used(world, "g"), 10);
    assert_true(world_settle(world, 5 * MINUTE_MS));
    world_run(world, 400000);
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_dead_workers_sandbox_is_reaped_before_its_end),
        WORLD_TEST(the_sandbox_of_a_finished_job_is_reaped),
        WORLD_TEST(a_run_that_was_handed_over_and_that_nobody_took_is_reaped),
        WORLD_TEST(sandboxes_without_a_permit_are_reaped_on_all_pages),
        WORLD_TEST(a_kill_is_repeated_until_it_is_confirmed),
        WORLD_TEST(a_condemning_without_answer_is_asked_for_again),
        WORLD_TEST(what_is_not_ours_is_never_touched),
        WORLD_TEST(no_living_jobs_sandbox_is_reaped),
        WORLD_TEST(a_run_that_may_be_adopted_is_kept),
        WORLD_TEST(what_is_adopted_while_the_reaper_lists_is_kept),
        WORLD_TEST(a_reaper_that_was_stopped_before_the_kill_does_not_kill),
        WORLD_TEST(a_dead_workers_doubtful_permit_is_settled),
        WORLD_TEST(a_doubtful_sandbox_that_comes_late_is_reaped),
        WORLD_TEST(a_permit_whose_sandbox_is_known_needs_e2bs_word),
        WORLD_TEST(one_worker_reaps_and_another_when_it_is_gone),
        WORLD_TEST(sandboxes_of_others_are_subtracted_from_the_limit),
        WORLD_TEST(a_limit_far_below_e2bs_is_not_lowered),
        WORLD_TEST(an_operators_limit_is_what_others_are_subtracted_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
