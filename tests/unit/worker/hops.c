/* Jobs that wait longer than memory should hold them, and orders: copies in retry topics, tenants with more
 * than their part of the queue, cancellations over the control topic. */
#include "unit/worker/world.h"

#include "base/clock.h"
#include "codec/control.h"
#include "codec/envelope.h"
#include "fakes/redis/store_private.h"
#include "test.h"

#include <stdio.h>

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };

#define TIER_1M  "e2b.retry.1m"
#define TIER_10M "e2b.retry.10m"
#define TIER_1H  "e2b.retry.1h"

/* ---- what is in Kafka ---- */

static int64_t count_in(const struct world *world, const char *topic)
{
    int64_t count = 0;
    for (int32_t i = 0; i < WORLD_RETRY_PARTITIONS; i++)
        count += kafka_world_end(world->kafka, topic, i);
    return count;
}

/* The last record of this job there. */
static const struct kafka_record *last_copy(const struct world *world, const char *topic, const char *job_id)
{
    const struct kafka_record *last = NULL;
    for (int32_t i = 0; i < WORLD_RETRY_PARTITIONS; i++)
        for (int64_t offset = 0; offset < kafka_world_end(world->kafka, topic, i); offset++) {
            const struct kafka_record *record = kafka_world_record(world->kafka, topic, i, offset);
            if (record->key.length == strlen(job_id) && memcmp(record->key.data, job_id, strlen(job_id)) == 0)
                last = record;
        }
    return last;
}

static void expect_header(const struct kafka_record *record, const char *name, const char *expected)
{
    size_t found = 0;
    assert_non_null(record);
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) != 0)
            continue;
        found++;
        assert_int_equal(record->headers[i].value.length, strlen(expected));
        assert_memory_equal(record->headers[i].value.data, expected, strlen(expected));
    }
    assert_int_equal(found, 1);
}

static char *unix_text(int64_t unix_ms)
{
    return base_printf("%lld", (long long)unix_ms);
}

/* ---- jobs and orders ---- */

static void submit_later(struct world *world, const char *job_id, int64_t ahead_ms, const char *fields)
{
    char time[32];
    clock_format(loop_unix_ms(world->loop) + ahead_ms, time);
    CLEANUP(base_freep)
    char *all = base_printf("'not_before':'%s'%s%s", time, fields ? "," : "", fields ? fields : "");
    world_submit_with(world, job_id, "print x", all);
}

static void cancel(struct world *world, const char *job_id)
{
    CLEANUP(buffer_release) struct buffer value = {0};
    control_encode(&(struct control){.action = CONTROL_CANCEL, .job_id = job_id}, &value);
    world_push(world, "e2b.control", 0, buffer_bytes(&value));
}

static int64_t starts(const struct world *world, const char *job_id)
{
    CLEANUP(base_freep) char *key = base_printf("default/%s", job_id);
    return e2b_world_starts(world->e2b, key);
}

static bool is_answered(const struct world *world, const char *job_id)
{
    return world_events(world, job_id, "e2b-worker.job.finished.v1") > 0;
}

static bool is_order_finished(const struct world *world, int64_t offset)
{
    return kafka_world_is_finished(world->kafka, "workers", "e2b.control", 0, offset);
}

/* ---- jobs that start later ---- */

static void a_job_that_starts_soon_waits_in_memory(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    submit_later(world, "soon", 20 * SECOND_MS, NULL);
    world_run(world, 19 * SECOND_MS);
    assert_int_equal(starts(world, "soon"), 0);
    assert_int_equal(world_used(world, "g"), 0);
    world_run(world, 2 * SECOND_MS);
    world_expect(world, "soon", "succeeded", "");
    assert_int_equal(count_in(world, TIER_1M), 0);
    submit_later(world, "past", -HOUR_MS, NULL);
    world_run(world, SECOND_MS);
    world_expect(world, "past", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_starts_in_two_days_goes_from_hop_to_hop(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world->step_ms = SECOND_MS;
    int64_t began_ms = loop_unix_ms(world->loop), due_ms = began_ms + 48 * HOUR_MS + 25 * MINUTE_MS;
    submit_later(world, "later", 48 * HOUR_MS + 25 * MINUTE_MS, NULL);
    world_run(world, MINUTE_MS);
    CLEANUP(base_freep) char *due = unix_text(due_ms), *seen = unix_text(began_ms);
    const struct kafka_record *copy = last_copy(world, TIER_1H, "later");
    expect_header(copy, "x-hop", "1");
    expect_header(copy, "x-not-before", due);
    expect_header(copy, "x-first-seen", seen);
    expect_header(copy, "x-job-id", "later");
    expect_header(copy, "x-topic", WORLD_TOPIC);
    assert_int_equal(world_events(world, "later", "e2b-worker.job.waiting.v1"), 1);
    assert_int_equal(kafka_world_committed(world->kafka, "workers", WORLD_TOPIC, 0), 1);
    world_run(world, 48 * HOUR_MS);
    assert_int_equal(starts(world, "later"), 0);
    assert_int_equal(count_in(world, TIER_1H), 48);
    expect_header(last_copy(world, TIER_10M, "later"), "x-not-before", due);
    world_run(world, 25 * MINUTE_MS);
    world_expect(world, "later", "succeeded", "");
    assert_int_equal(count_in(world, TIER_10M), 2);
    assert_in_range(count_in(world, TIER_1M), 4, 5);
    world_close(world, WORLD_CLEAN);
}

/* Its place, its age and its bytes are another's: only the headers tell. */
static void a_job_without_an_id_keeps_the_one_it_was_given(void **state)
{
    struct world *world = *state;
    char time[32];
    world_start(world, 0);
    clock_format(loop_unix_ms(world->loop) + 3 * MINUTE_MS, time);
    CLEANUP(base_freep) char *json = base_printf("{\"code\":\"print x\",\"not_before\":\"%s\"}", time);
    world_push(world, WORLD_TOPIC, 0, (struct bytes){json, strlen(json)});
    world_run(world, SECOND_MS);
    const struct kafka_record *copy = kafka_world_record(world->kafka, TIER_1M, 0, 0);
    if (!copy)
        copy = kafka_world_record(world->kafka, TIER_1M, 1, 0);
    assert_non_null(copy);
    assert_int_equal(copy->value.length, strlen(json));
    assert_memory_equal(copy->value.data, json, strlen(json));
    CLEANUP(base_freep) char *id = base_printf("%.*s", (int)copy->key.length, (const char *)copy->key.data);
    assert_int_equal(strlen(id), 36);
    world_owe(world, id);
    world_run(world, 4 * MINUTE_MS);
    world_expect(world, id, "succeeded", "");
    assert_int_equal(count_in(world, TIER_1M), 3);
    world_close(world, WORLD_CLEAN);
}

static void a_job_that_starts_later_waits_in_line_since_then(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world->config.queue_timeout_ms = 10 * MINUTE_MS;
    world_start(world, 0);
    submit_later(world, "patient", 30 * MINUTE_MS, NULL);
    submit_later(world, "short", 30 * MINUTE_MS + SECOND_MS, NULL);
    char time[32];
    clock_format(loop_unix_ms(world->loop) + 32 * MINUTE_MS, time);
    CLEANUP(base_freep) char *expires = base_printf("'expires_at':'%s'", time);
    submit_later(world, "hasty", 30 * MINUTE_MS, expires);
    world_run(world, 29 * MINUTE_MS);
    world_submit_to(world, 1, "long", "sleep 1200000", "'template':'long'");
    world_run(world, 15 * MINUTE_MS);
    world_expect(world, "hasty", "expired", "JOB_EXPIRED");
    world_expect(world, "patient", "expired", "QUEUE_TIMEOUT");
    world_expect(world, "short", "expired", "QUEUE_TIMEOUT");
    assert_true(world_settle(world, HOUR_MS));
    world_close(world, WORLD_CLEAN);
}

static void a_copy_that_no_topic_takes_waits_in_memory(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    kafka_world_set_record_max(world->kafka, 10);
    submit_later(world, "later", 10 * MINUTE_MS, NULL);
    world_run(world, 9 * MINUTE_MS);
    assert_int_equal(count_in(world, TIER_10M), 0);
    assert_int_equal(starts(world, "later"), 0);
    kafka_world_set_record_max(world->kafka, 1 << 20);
    world_run(world, MINUTE_MS + 2 * SECOND_MS);
    world_expect(world, "later", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ---- what is decided about them before ---- */

static void a_job_of_later_that_cannot_run_is_answered_now(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    fake_redis_fail_later(world->redis, 0, /* is_done= */ false);
    submit_later(world, "a", 48 * HOUR_MS, "'template':'nowhere'");
    world_run(world, MINUTE_MS);
    assert_true(fake_redis_has_failed(world->redis));
    world_expect(world, "a", "rejected", "UNKNOWN_TEMPLATE");
    world_close(world, WORLD_CLEAN);
}

/* As by a worker that died with it. */
static void leave(struct world *world, const char *job_id, enum claim_state state)
{
    struct claim *claim = world_claim(world, job_id);
    assert_non_null(claim);
    claim->state = state;
    store_put(&claim->owner, "dead");
    store_put(&claim->permit, "a-permit");
    claim->epoch = fake_redis_store(world->redis)->epoch;
    claim->until_ms = fake_redis_now_ms(world->redis) + MINUTE_MS;
    claim->expires_ms = INT64_MAX;
    const struct header headers[] = {{"content-type", {"application/json", 16}},
                                     {"ce_specversion", {"1.0", 3}},
                                     {"ce_type", {"e2b-worker.job.finished.v1", 26}},
                                     {"ce_subject", {job_id, strlen(job_id)}}};
    static const char value[] = "{\"status\":\"cancelled\",\"error\":{\"code\":\"CANCELLED\"}}";
    buffer_clear(&claim->record);
    if (state == CLAIM_SEALED)
        record_pack(headers, ARRAY_LENGTH(headers), (struct bytes){value, sizeof value - 1}, &claim->record);
}

static void a_verdict_on_a_job_of_later_is_published_by_who_finds_it(void **state)
{
    struct world *world = *state;
    world->step_ms = SECOND_MS;
    world_start(world, 0);
    submit_later(world, "week", 7 * 24 * HOUR_MS, NULL);
    world_run(world, 5 * MINUTE_MS);
    leave(world, "week", CLAIM_SEALED);
    world_run(world, HOUR_MS + MINUTE_MS);
    world_expect(world, "week", "cancelled", "CANCELLED");
    assert_int_equal(starts(world, "week"), 0);
    world_close(world, WORLD_CLEAN);
}

/* ... and at once by who comes after the dead. */
static void a_verdict_on_a_job_of_later_is_published_by_who_has_its_record_next(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_run(world, 31 * SECOND_MS); /* nobody is taken over while the ledger is young */
    submit_later(world, "soon", 25 * SECOND_MS, NULL);
    world_run(world, 2 * SECOND_MS);
    store_need_claim(fake_redis_store(world->redis), "default/soon", fake_redis_now_ms(world->redis));
    leave(world, "soon", CLAIM_SEALED);
    kafka_world_revoke(world_source(world, 0), WORLD_TOPIC, 0, /* is_lost= */ false);
    kafka_world_assign(world_source(world, 0), WORLD_TOPIC, 0);
    world_run(world, 2 * SECOND_MS);
    world_expect(world, "soon", "cancelled", "CANCELLED");
    world_close(world, WORLD_CLEAN);
}

/* Its claim is taken over at once; it begins when it is due. */
static void a_job_of_later_that_was_left_running_begins_no_earlier(void **state)
{
    struct world *world = *state;
    world->step_ms = SECOND_MS;
    world_start(world, 0);
    submit_later(world, "later", 5 * HOUR_MS, NULL);
    world_run(world, 5 * MINUTE_MS);
    leave(world, "later", CLAIM_RUNNING);
    world_run(world, HOUR_MS + MINUTE_MS);
    assert_int_not_equal(world_claim(world, "later")->state, CLAIM_RUNNING);
    world_run(world, 3 * HOUR_MS + 50 * MINUTE_MS);
    assert_int_equal(starts(world, "later"), 0);
    world_run(world, 5 * MINUTE_MS);
    world_expect(world, "later", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

/* ---- copies ---- */

static void push_copy(struct world *world, const char *job_id, int64_t not_before_ms, int64_t wake_ms)
{
    CLEANUP(base_freep) char *json = base_printf("{\"job_id\":\"%s\",\"code\":\"print x\"}", job_id);
    CLEANUP(base_freep)
    char *due = unix_text(loop_unix_ms(world->loop) + not_before_ms),
         *wake = unix_text(loop_unix_ms(world->loop) + wake_ms);
    const struct kafka_header headers[] = {{"x-hop", {"1", 1}},
                                           {"x-not-before", {due, strlen(due)}},
                                           {"x-wake-at", {wake, strlen(wake)}},
                                           {"x-topic", {WORLD_TOPIC, strlen(WORLD_TOPIC)}}};
    const struct kafka_record record = {.topic = TIER_1M,
                                        .key = {job_id, strlen(job_id)},
                                        .value = {json, strlen(json)},
                                        .headers = headers,
                                        .header_count = ARRAY_LENGTH(headers)};
    (void)kafka_world_push(world->kafka, 0, &record);
    world_owe(world, job_id);
}

/* Whoever wrote it had a clock that is an hour ahead: those behind it must not wait for that. */
static void a_copy_from_another_clock_holds_up_nobody(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    push_copy(world, "ahead", HOUR_MS, HOUR_MS);
    push_copy(world, "behind", 30 * SECOND_MS, 30 * SECOND_MS);
    world_run(world, MINUTE_MS);
    world_expect(world, "behind", "succeeded", "");
    expect_header(last_copy(world, TIER_10M, "ahead") ? last_copy(world, TIER_10M, "ahead")
                                                      : last_copy(world, TIER_1H, "ahead"),
                  "x-hop", "2");
    world_run(world, HOUR_MS);
    world_expect(world, "ahead", "succeeded", "");
    world_close(world, WORLD_CLEAN);
}

static void copies_that_are_not_due_are_no_backlog(void **state)
{
    struct world *world = *state;
    struct kafka_source_stats stats;
    world_start(world, 0);
    for (int i = 0; i < 20; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        submit_later(world, id, 2 * MINUTE_MS, NULL);
    }
    world_run(world, 3 * SECOND_MS);
    kafka_source_stats(world_source(world, 0), &stats);
    assert_int_equal(stats.backlog, 0);
    assert_int_equal(stats.deferred, 20);
    CLEANUP(buffer_release) struct buffer metrics = {0};
    worker_metrics(world->workers[0].worker, &metrics);
    buffer_append_byte(&metrics, '\0');
    assert_non_null(strstr(metrics.data, "\ne2b_worker_backlog 0\n"));
    assert_non_null(strstr(metrics.data, "\ne2b_worker_backlog_deferred 20\n"));
    assert_true(world_settle(world, 5 * MINUTE_MS));
    world_close(world, WORLD_CLEAN);
}

/* The copy is in Kafka, and neither the ledger nor the group knows: both records are of the same job. */
static void a_copy_whose_original_comes_again_runs_once(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    submit_later(world, "twice", 70 * MINUTE_MS, NULL);
    world_run(world, SECOND_MS);
    submit_later(world, "other", 0, NULL);
    struct claim *claim = world_claim(world, "twice");
    assert_int_equal(claim->state, CLAIM_PARKED);
    claim->hop = 0;
    const struct kafka_record *original = kafka_world_record(world->kafka, WORLD_TOPIC, 0, 0);
    (void)kafka_world_push(world->kafka, 0, original);
    world_run(world, SECOND_MS);
    assert_int_equal(count_in(world, TIER_1H), 2);
    world_run(world, 12 * HOUR_MS);
    world_expect(world, "twice", "succeeded", "");
    assert_int_equal(starts(world, "twice"), 1);
    world_close(world, WORLD_CLEAN);
}

static void an_original_that_comes_again_after_its_copy_is_stale(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    submit_later(world, "once", 2 * MINUTE_MS, NULL);
    world_run(world, SECOND_MS);
    assert_int_equal(world_claim(world, "once")->hop, 1);
    world_run(world, 90 * SECOND_MS); /* less than 30 s are left: it is not parked again */
    const struct kafka_record *original = kafka_world_record(world->kafka, WORLD_TOPIC, 0, 0);
    (void)kafka_world_push(world->kafka, 1, original);
    assert_true(world_settle(world, 5 * MINUTE_MS));
    world_expect(world, "once", "succeeded", "");
    assert_int_equal(starts(world, "once"), 1);
    world_close(world, WORLD_CLEAN);
}

static void the_seventh_attempt_that_fails_is_parked(void **state)
{
    struct world *world = *state;
    world->config.max_attempts = 10;
    world_start(world, 0);
    struct e2b_world_fault fault = world_fault(E2B_WORLD_CODE, E2B_ERROR_GONE);
    fault.count = 8;
    e2b_world_fail(world->e2b, &fault);
    world_submit_with(world, "unlucky", "print x", NULL);
    world_run(world, 50 * SECOND_MS); /* 1/2 + 1 + 2 + ... + 16 s and jitter */
    expect_header(last_copy(world, TIER_1M, "unlucky"), "x-hop", "1");
    assert_int_equal(world_claim(world, "unlucky")->state, CLAIM_PARKED);
    assert_int_equal(e2b_world_creates(world->e2b, "default/unlucky"), 7);
    assert_true(world_settle(world, 10 * MINUTE_MS));
    world_expect(world, "unlucky", "succeeded", "");
    assert_int_equal(e2b_world_creates(world->e2b, "default/unlucky"), 9);
    assert_int_equal(count_in(world, TIER_1M), 2);
    world_close(world, WORLD_CLEAN);
}

/* ---- tenants ---- */

static void submit_of(struct world *world, const char *tenant, const char *job_id, const char *code)
{
    CLEANUP(base_freep) char *fields = base_printf("'tenant_id':'%s'", tenant);
    world_submit_to(world, 0, job_id, code, fields);
}

static void push_many(struct world *world, const char *tenant, int count, const char *code)
{
    for (int i = 0; i < count; i++) {
        CLEANUP(base_freep)
        char *json = base_printf("{\"job_id\":\"%s%d\",\"tenant_id\":\"%s\",\"code\":\"%s\"}", tenant, i,
                                 tenant, code);
        world_push(world, WORLD_TOPIC, i % WORLD_PARTITIONS, (struct bytes){json, strlen(json)});
    }
}

static void ten_thousand_jobs_of_a_tenant_at_its_limit_hold_up_nobody(void **state)
{
    struct world *world = *state;
    struct plan_limit limits[] = {{"slow", 1}};
    world->config.limit_tenants = limits;
    world->config.limit_tenant_count = 1;
    world_start(world, 0);
    push_many(world, "slow", 10000, "sleep 20000");
    for (int32_t i = 0; i < WORLD_PARTITIONS; i++) {
        CLEANUP(base_freep) char *id = base_printf("quick%d", (int)i);
        world_submit_to(world, i, id, "print x", "'tenant_id':'other'");
    }
    world_run(world, 5 * SECOND_MS);
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "succeeded", "");
    int64_t hops = count_in(world, TIER_1M);
    assert_in_range(hops, 10000 - 2 * 64, 10000);
    assert_true(world_events(world, "slow5000", "e2b-worker.job.waiting.v1") == 1);
    world_run(world, 50 * SECOND_MS);
    assert_int_equal(count_in(world, TIER_1M), hops); /* none comes back within the minute */
    world_run(world, 55 * SECOND_MS);
    assert_in_range(count_in(world, TIER_1M), hops, 2 * hops);
    assert_int_equal(e2b_world_live(world->e2b), 1); /* it has its place all the time */
    world_close(world, WORLD_UNFINISHED);
}

static void a_tenant_that_is_alone_and_fast_goes_on_no_hop(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 60;
    world_start(world, 0);
    for (int i = 0; i < 1500; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 4000", NULL);
    }
    assert_true(world_settle(world, 5 * MINUTE_MS));
    assert_int_equal(count_in(world, TIER_1M), 0);
    world_close(world, WORLD_CLEAN);
}

static void jobs_that_were_sent_on_a_hop_all_run_once(void **state)
{
    struct world *world = *state;
    struct plan_limit limits[] = {{"slow", 1}};
    world->config.limit_tenants = limits;
    world->config.limit_tenant_count = 1;
    world->config.max_in_flight = 8;
    world_start(world, 0);
    world_start(world, 1);
    for (int i = 0; i < 60; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        submit_of(world, "slow", id, "sleep 20000");
    }
    world_run(world, 1500);
    kafka_world_expel(world_source(world, 0)); /* what it copies, another reads again */
    world_run(world, 8 * SECOND_MS);
    assert_true(count_in(world, TIER_1M) > 5);
    kafka_world_tell(world_source(world, 0));
    world->step_ms = 200;
    assert_true(world_settle(world, 3 * HOUR_MS));
    assert_true(count_in(world, TIER_1M) > 20);
    for (size_t i = 0; i < world->job_count; i++) {
        CLEANUP(base_freep) char *key = base_printf("slow/%s", world->jobs[i]);
        world_expect(world, world->jobs[i], "succeeded", "");
        assert_int_equal(e2b_world_starts(world->e2b, key), 1);
    }
    world_close(world, WORLD_CLEAN);
}

/* Two records of one job, both in memory: one runs, and its mark is gone when the other's turn comes. */
static void a_job_that_is_long_in_the_queue_hears_that_it_is_done(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world->step_ms = 500;
    world_start(world, 0);
    world_submit_to(world, 0, "first", "sleep 1700000", "'template':'long'");
    world_run(world, SECOND_MS);
    for (int i = 0; i < 9; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, 1, id, "sleep 1700000", "'template':'long'");
    }
    world_run(world, SECOND_MS);
    static const char json[] = "{\"job_id\":\"twice\",\"code\":\"print x\",\"template\":\"long\"}";
    world_push(world, WORLD_TOPIC, 2, (struct bytes){json, strlen(json)});
    world_run(world, HOUR_MS / 2);
    (void)store_done(fake_redis_store(world->redis), "default/twice", "succeeded", 0, 5, LEDGER_DONE_MS,
                     fake_redis_now_ms(world->redis));
    assert_true(world_settle(world, 12 * HOUR_MS));
    assert_int_equal(starts(world, "twice"), 0);
    world_close(world, WORLD_CLEAN);
}

/* ---- cancellations ---- */

static void jobs_are_cancelled_wherever_they_are(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world_start(world, 0);
    world_submit(world, "running", "print x;sleep 50000");
    world_run(world, 2 * SECOND_MS);
    world_submit(world, "queued", "print x");
    submit_later(world, "held", 25 * SECOND_MS, NULL);
    submit_later(world, "parked", 90 * SECOND_MS, NULL);
    cancel(world, "unknown");
    cancel(world, "queued");
    cancel(world, "held");
    cancel(world, "parked");
    world_run(world, 5 * SECOND_MS);
    world_expect(world, "queued", "cancelled", "CANCELLED");
    world_expect(world, "held", "cancelled", "CANCELLED");
    cancel(world, "running");
    world_run(world, 10 * SECOND_MS);
    world_expect(world, "running", "cancelled", "CANCELLED");
    world_submit(world, "unknown", "print x");
    world_run(world, 2 * SECOND_MS);
    world_expect(world, "unknown", "cancelled", "CANCELLED");
    world_run(world, MINUTE_MS);
    world_expect(world, "parked", "cancelled", "CANCELLED");
    assert_int_equal(starts(world, "parked") + starts(world, "held") + starts(world, "queued"), 0);
    cancel(world, "running"); /* too late */
    world_run(world, 2 * SECOND_MS);
    assert_true(is_order_finished(world, 5));
    world_close(world, WORLD_CLEAN);
}

/* The mark of a job that nobody has would be gone by then. */
static void a_job_of_next_week_is_cancelled_within_the_hour(void **state)
{
    struct world *world = *state;
    world->step_ms = SECOND_MS;
    world_start(world, 0);
    submit_later(world, "week", 7 * 24 * HOUR_MS, NULL);
    world_run(world, 30 * HOUR_MS);
    assert_false(is_answered(world, "week"));
    cancel(world, "week");
    world_run(world, HOUR_MS + MINUTE_MS);
    world_expect(world, "week", "cancelled", "CANCELLED");
    assert_true(world_is_finished(world));
    world_close(world, WORLD_CLEAN);
}

static void an_order_is_finished_when_the_ledger_has_it(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    e2b_world_delay(world->e2b, E2B_WORLD_CREATE, 100);
    world_submit(world, "running", "sleep 50000");
    world_run(world, 2 * SECOND_MS);
    fake_redis_fail_later(world->redis, 0, /* is_lost= */ false);
    cancel(world, "running");
    world_run(world, 100);
    assert_false(is_order_finished(world, 0));
    world_run(world, 10 * SECOND_MS);
    world_expect(world, "running", "cancelled", "CANCELLED");
    assert_true(is_order_finished(world, 0));
    fake_redis_set_reachable(world->redis, false);
    world_run(world, SECOND_MS);
    cancel(world, "later");
    world_run(world, 20 * SECOND_MS);
    assert_false(is_order_finished(world, 1));
    fake_redis_set_reachable(world->redis, true);
    world_run(world, 10 * SECOND_MS);
    assert_true(is_order_finished(world, 1));
    world_close(world, WORLD_CLEAN);
}

static void a_full_worker_hears_cancellations(void **state)
{
    struct world *world = *state;
    world->config.limit_global = 1;
    world->config.max_in_flight = 2;
    world_start(world, 0);
    for (int i = 0; i < 12; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        world_submit_to(world, i % WORLD_PARTITIONS, id, "sleep 40000", NULL);
    }
    world_run(world, 3 * SECOND_MS);
    for (int i = 0; i < 12; i++) {
        CLEANUP(base_freep) char *id = base_printf("a%d", i);
        cancel(world, id);
    }
    assert_true(world_settle(world, 30 * SECOND_MS));
    for (size_t i = 0; i < world->job_count; i++)
        world_expect(world, world->jobs[i], "cancelled", "CANCELLED");
    world_close(world, WORLD_CLEAN);
}

static void an_order_that_cannot_be_read_goes_to_the_dlq(void **state)
{
    struct world *world = *state;
    world_start(world, 0);
    world_push(world, "e2b.control", 0, (struct bytes){"{\"action\":\"pause\",\"job_id\":\"a\"}", 32});
    world_push(world, "e2b.control", 0, (struct bytes){"stop", 4});
    world_run(world, 3 * SECOND_MS);
    assert_int_equal(world_diverted(world), 2);
    const struct kafka_record *record = kafka_world_record(world->kafka, "e2b.dlq", 0, 1);
    expect_header(record, "__connect.errors.topic", "e2b.control");
    expect_header(record, "__connect.errors.exception.class.name", "INVALID_CONTROL");
    assert_true(is_order_finished(world, 1));
    world_close(world, WORLD_CLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_job_that_starts_soon_waits_in_memory),
        WORLD_TEST(a_job_that_starts_in_two_days_goes_from_hop_to_hop),
        WORLD_TEST(a_job_without_an_id_keeps_the_one_it_was_given),
        WORLD_TEST(a_job_that_starts_later_waits_in_line_since_then),
        WORLD_TEST(a_copy_that_no_topic_takes_waits_in_memory),
        WORLD_TEST(a_job_of_later_that_cannot_run_is_answered_now),
        WORLD_TEST(a_verdict_on_a_job_of_later_is_published_by_who_finds_it),
        WORLD_TEST(a_verdict_on_a_job_of_later_is_published_by_who_has_its_record_next),
        WORLD_TEST(a_job_of_later_that_was_left_running_begins_no_earlier),
        WORLD_TEST(a_copy_from_another_clock_holds_up_nobody),
        WORLD_TEST(copies_that_are_not_due_are_no_backlog),
        WORLD_TEST(a_copy_whose_original_comes_again_runs_once),
        WORLD_TEST(an_original_that_comes_again_after_its_copy_is_stale),
        WORLD_TEST(the_seventh_attempt_that_fails_is_parked),
        WORLD_TEST(ten_thousand_jobs_of_a_tenant_at_its_limit_hold_up_nobody),
        WORLD_TEST(a_tenant_that_is_alone_and_fast_goes_on_no_hop),
        WORLD_TEST(jobs_that_were_sent_on_a_hop_all_run_once),
        WORLD_TEST(a_job_that_is_long_in_the_queue_hears_that_it_is_done),
        WORLD_TEST(jobs_are_cancelled_wherever_they_are),
        WORLD_TEST(a_job_of_next_week_is_cancelled_within_the_hour),
        WORLD_TEST(an_order_is_finished_when_the_ledger_has_it),
        WORLD_TEST(a_full_worker_hears_cancellations),
        WORLD_TEST(an_order_that_cannot_be_read_goes_to_the_dlq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
