/* Kafka, Redis, E2B and workers in one process. */
#include "unit/worker/world.h"

#include "fakes/kafka/inside.h"
#include "test.h"

#include <stdio.h>

static const char key_of[] = "default/";
static const char *const retry_topics[] = {"e2b.retry.1m", "e2b.retry.10m", "e2b.retry.1h"};

static void fill_templates(struct world *world)
{
    static const char *types[] = {"quick", "long", "rough"};
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
        world->templates[i] = (struct template_entry){
            .name = types[i],
            .template_id = types[i],
            .timeout_ms = i == 1 ? 1800000 : 60000,
            .memory_mb = 512,
            .cpu_milli = 2000,
            .run_mode = i == 1 ? RUN_MODE_PROCESS : RUN_MODE_INTERPRETER,
            .languages = 1u << LANGUAGE_PYTHON,
            .task_types = {(const char **)&types[i], 1},
            .limits = {-1, -1, -1, -1},
            .nano_usd_per_vcpu_s = 14000,
            .nano_usd_per_gib_s = 4500,
        };
}

static void fill_config(struct world *world)
{
    static const char *jobs[] = {"^e2b\\.jobs\\.[^.]+$"};
    world->config = (struct config){
        .mode = MODE_PRODUCTION,
        .deployment = "test",
        .ledger = "default",
        .kafka_bootstrap_servers = kafka_world_address(world->kafka),
        .kafka_group_id = "workers",
        .kafka_assignor = "eager",
        .topics = {.jobs = {jobs, 1},
                   .jobs_prefix = "e2b.jobs.",
                   .retry = "e2b.retry.",
                   .results = "e2b.results",
                   .stats = "e2b.stats",
                   .control = "e2b.control",
                   .dlq = "e2b.dlq"},
        .redis_url = fake_redis_url(world->redis),
        .e2b_api_key = "e2b_key",
        .e2b_api_url = e2b_world_url(world->e2b),
        .max_in_flight = 64,
        .max_bytes = 64 << 20,
        .drain_ms = 620000,
        .limit_global = 19,
        .create_burst = 1,
        .outputs = {65536, 65536, 512 << 10, 16},
        .results_delivery = "at_least_once",
        .results_transaction_ms = 200,
        .results_max_bytes = 900 << 10,
        .job_max_bytes = 1 << 20,
        .queue_timeout_ms = 86400000,
        .lifecycle_events = true,
        .stats_interval_ms = 10000,
        .max_attempts = 3,
        .retry_max_crashes = 3,
        .redis_outage_hold_ms = 60000,
        .ledger_readback_ms = 600000,
        .catalog = {world->templates, ARRAY_LENGTH(world->templates), "prices"},
    };
}

void world_open(struct world *world)
{
    *world = (struct world){.step_ms = 7};
    world->loop = virtual_loop_new();
    world->kafka = kafka_world_new(world->loop);
    world->redis = fake_redis_new(world->loop);
    world->e2b = e2b_world_new(world->loop);
    world->log =
        (struct log){.component = "test", .level = getenv("WORLD_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_NONE};
    fill_templates(world);
    fill_config(world);
    kafka_world_add_topic(world->kafka, WORLD_TOPIC, WORLD_PARTITIONS);
    kafka_world_add_topic(world->kafka, "e2b.jobs.long", 1);
    kafka_world_add_topic(world->kafka, "e2b.results", 1);
    kafka_world_add_topic(world->kafka, "e2b.stats", 1);
    kafka_world_add_topic(world->kafka, "e2b.dlq", 1);
    kafka_world_add_topic(world->kafka, "e2b.control", 1);
    for (size_t i = 0; i < ARRAY_LENGTH(retry_topics); i++)
        kafka_world_add_topic(world->kafka, retry_topics[i], WORLD_RETRY_PARTITIONS);
}

int world_setup(void **state)
{
    struct world *world = base_alloc(sizeof *world);
    world_open(world);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    free(*state);
    return 0;
}

static void on_stopped(void *arg)
{
    struct world_worker *seat = arg;
    seat->has_stopped = true;
}

void world_launch(struct world *world, int i)
{
    struct world_worker *seat = &world->workers[i];
    struct error error;
    assert_null(seat->worker);
    (void)snprintf(seat->name, sizeof seat->name, "worker%d", i);
    seat->config = world->config;
    seat->config.worker_name = seat->name;
    seat->has_stopped = false;
    if (seat->random.state[0] == 0)
        random_init_seed(&seat->random, (uint64_t)i + 1);
    const struct worker_options options = {.loop = world->loop,
                                           .config = &seat->config,
                                           .log = &world->log,
                                           .random = &seat->random,
                                           .readback_max_bytes = world->readback_max_bytes,
                                           .stopped = on_stopped,
                                           .arg = seat};
    seat->worker = worker_new(&options, &error);
    assert_non_null(seat->worker);
}

void world_start(struct world *world, int i)
{
    const char *why = "";
    world_launch(world, i);
    for (int n = 0; n < 200 && !worker_is_ready(world->workers[i].worker, &why); n++)
        world_run(world, 100);
    if (*why)
        fail_msg("worker %d is not ready: %s", i, why);
}

/* ---- jobs ---- */

void world_push(struct world *world, const char *topic, int32_t partition, struct bytes value)
{
    const struct kafka_record record = {.topic = topic, .key = {"key", 3}, .value = value};
    (void)kafka_world_push(world->kafka, partition, &record);
}

void world_owe(struct world *world, const char *job_id)
{
    assert_true(world->job_count < WORLD_JOBS_MAX);
    world->jobs[world->job_count++] = base_strdup(job_id);
}

void world_submit_to(struct world *world, int32_t partition, const char *job_id, const char *code,
                     const char *fields)
{
    CLEANUP(buffer_release) struct buffer json = {0};
    buffer_append_format(&json, "{\"job_id\":\"%s\",\"code\":\"", job_id);
    for (const char *p = code; *p; p++)
        buffer_append_text(&json, *p == ';' ? "\\n" : (char[]){*p, '\0'});
    buffer_append_text(&json, "\"");
    if (fields) {
        buffer_append_text(&json, ",");
        for (const char *p = fields; *p; p++)
            buffer_append_byte(&json, *p == '\'' ? '"' : *p);
    }
    buffer_append_text(&json, "}");
    world_push(world, WORLD_TOPIC, partition, buffer_bytes(&json));
    for (size_t i = 0; i < world->job_count; i++)
        if (strcmp(world->jobs[i], job_id) == 0)
            return;
    world_owe(world, job_id);
}

void world_submit_with(struct world *world, const char *job_id, const char *code, const char *fields)
{
    world_submit_to(world, 0, job_id, code, fields);
}

void world_submit(struct world *world, const char *job_id, const char *code)
{
    world_submit_to(world, 0, job_id, code, NULL);
}

/* ---- looking ---- */

static bool header_is(const struct kafka_record *record, const char *name, const char *text)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return record->headers[i].value.length == strlen(text) &&
                   memcmp(record->headers[i].value.data, text, strlen(text)) == 0;
    return false;
}

static const struct kafka_record *next_event(const struct world *world, const char *job_id, const char *type,
                                             int64_t *offset)
{
    int64_t end = kafka_world_end(world->kafka, "e2b.results", 0);
    while (*offset < end) {
        const struct kafka_record *record = kafka_world_record(world->kafka, "e2b.results", 0, (*offset)++);
        if (header_is(record, "ce_type", type) && header_is(record, "ce_subject", job_id))
            return record;
    }
    return NULL;
}

size_t world_events(const struct world *world, const char *job_id, const char *type)
{
    size_t count = 0;
    for (int64_t offset = 0; next_event(world, job_id, type, &offset);)
        count++;
    return count;
}

struct bytes world_event(const struct world *world, const char *job_id, const char *type)
{
    struct bytes value = {0};
    const struct kafka_record *record;
    for (int64_t offset = 0; (record = next_event(world, job_id, type, &offset));)
        value = record->value;
    return value;
}

/* The text behind `"name":"`, wherever it first is. */
static void find_text(struct bytes json, const char *name, char *text, size_t size)
{
    CLEANUP(base_freep) char *pattern = base_printf("\"%s\":\"", name);
    const char *found = memmem(json.data, json.length, pattern, strlen(pattern));
    text[0] = '\0';
    if (!found)
        return;
    found += strlen(pattern);
    size_t left = json.length - (size_t)(found - (const char *)json.data), n = 0;
    while (n < left && n + 1 < size && found[n] != '"')
        n++;
    memcpy(text, found, n);
    text[n] = '\0';
}

struct world_result world_result(const struct world *world, const char *job_id)
{
    struct world_result result = {0};
    const struct kafka_record *record;
    for (int64_t offset = 0;
         (record = next_event(world, job_id, "e2b-worker.job.finished.v1", &offset)) != NULL;) {
        char status[sizeof result.status];
        find_text(record->value, "status", status, sizeof status);
        if (result.count++ > 0 && strcmp(status, result.status) != 0)
            fail_msg("%sjob %s is %s and %s", world->note, job_id, result.status, status);
        memcpy(result.status, status, sizeof status);
        const char *error = memmem(record->value.data, record->value.length, "\"error\":{", 9);
        if (error) {
            size_t at = (size_t)(error - (const char *)record->value.data);
            struct bytes rest = {error, record->value.length - at};
            find_text(rest, "code", result.code, sizeof result.code);
            find_text(rest, "message", result.message, sizeof result.message);
        }
        result.value = record->value.data;
        result.length = record->value.length;
    }
    for (const char *p = result.value; p; result.attempts++) {
        p = memmem(p, result.length - (size_t)(p - result.value), "\"n\":", 4);
        if (!p)
            break;
        p += 4;
    }
    return result;
}

void world_expect(const struct world *world, const char *job_id, const char *status, const char *code)
{
    struct world_result result = world_result(world, job_id);
    if (result.count != 1 && !(world->may_repeat && result.count > 1))
        fail_msg("%sjob %s has %zu results", world->note, job_id, result.count);
    if (strcmp(result.status, status) != 0 || strcmp(result.code, code) != 0)
        fail_msg("%sjob %s is %s %s (%s), not %s %s", world->note, job_id, result.status, result.code,
                 result.message, status, code);
}

size_t world_diverted(const struct world *world)
{
    return (size_t)kafka_world_end(world->kafka, "e2b.dlq", 0);
}

int64_t world_used(const struct world *world, const char *limit)
{
    return store_used(fake_redis_store(world->redis), limit);
}

struct claim *world_claim(const struct world *world, const char *job_id)
{
    CLEANUP(base_freep) char *key = base_printf("%s%s", key_of, job_id);
    return store_find_claim(fake_redis_store(world->redis), key, fake_redis_now_ms(world->redis));
}

struct kafka_source *world_source(const struct world *world, int i)
{
    LIST_EACH(&world->kafka->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        if (source->events.arg == world->workers[i].worker)
            return source;
    }
    return NULL;
}

struct e2b_world_fault world_fault(enum e2b_world_call call, enum e2b_error_kind kind)
{
    return (struct e2b_world_fault){.call = call, .error = {.kind = kind}};
}

static bool is_topic_finished(const struct world *world, const char *topic, int32_t partitions)
{
    for (int32_t i = 0; i < partitions; i++) {
        int64_t end = kafka_world_end(world->kafka, topic, i);
        int64_t from = kafka_world_committed(world->kafka, "workers", topic, i);
        for (int64_t offset = MAX(from, 0); offset < end; offset++)
            if (!kafka_world_is_finished(world->kafka, "workers", topic, i, offset))
                return false;
    }
    return true;
}

bool world_is_finished(const struct world *world)
{
    for (size_t i = 0; i < ARRAY_LENGTH(retry_topics); i++)
        if (!is_topic_finished(world, retry_topics[i], WORLD_RETRY_PARTITIONS))
            return false;
    return is_topic_finished(world, WORLD_TOPIC, WORLD_PARTITIONS) &&
           is_topic_finished(world, "e2b.jobs.long", 1) && is_topic_finished(world, "e2b.control", 1);
}

/* ---- time ---- */

/* What must hold at any time. */
static void look(const struct world *world)
{
    int64_t most = world->most_live > 0 ? world->most_live : world->config.limit_global;
    if ((int64_t)e2b_world_live(world->e2b) > most)
        fail_msg("%s%zu sandboxes live, the limit is %lld", world->note, e2b_world_live(world->e2b),
                 (long long)most);
}

void world_run(struct world *world, int64_t ms)
{
    int64_t left = ms;
    while (left > 0) {
        int64_t step = MIN(left, MAX(world->step_ms, 1));
        virtual_loop_advance(world->loop, step);
        look(world);
        left -= step;
    }
    if (ms == 0)
        virtual_loop_run_until_idle(world->loop);
}

static bool has_results(struct world *world)
{
    for (; world->seen_count < world->job_count; world->seen_count++)
        if (world_events(world, world->jobs[world->seen_count], "e2b-worker.job.finished.v1") == 0)
            return false;
    return true;
}

bool world_settle(struct world *world, int64_t most_ms)
{
    for (int64_t passed = 0; passed < most_ms; passed += 200) {
        world_run(world, 200);
        if (world_is_finished(world) && has_results(world))
            return true;
    }
    return false;
}

void world_explain(const struct world *world)
{
    static const char *const states[] = {"none", "idle", "running", "sealed", "parked", "done"};
    for (size_t i = 0; i < world->job_count; i++) {
        const struct claim *claim = world_claim(world, world->jobs[i]);
        if (world_result(world, world->jobs[i]).count == 0)
            print_message("%sjob %s has no result; its claim is %s of %s, permit %s\n", world->note,
                          world->jobs[i], states[claim ? claim->state : 0],
                          claim && claim->owner ? claim->owner : "nobody",
                          claim && claim->permit ? claim->permit : "none");
    }
    for (int32_t i = 0; i < WORLD_PARTITIONS; i++)
        for (int64_t offset = 0; offset < kafka_world_end(world->kafka, WORLD_TOPIC, i); offset++)
            if (!kafka_world_is_finished(world->kafka, "workers", WORLD_TOPIC, i, offset))
                print_message(
                    "%srecord %d/%lld is not finished: %.40s\n", world->note, i, (long long)offset,
                    (const char *)kafka_world_record(world->kafka, WORLD_TOPIC, i, offset)->value.data);
}

/* ---- the end ---- */

void world_free_stopped(struct world *world)
{
    for (int i = 0; i < WORLD_WORKERS_MAX; i++)
        if (world->workers[i].worker && world->workers[i].has_stopped)
            worker_free(TAKE(world->workers[i].worker));
}

void world_stop(struct world *world, int i)
{
    struct world_worker *seat = &world->workers[i];
    worker_stop(seat->worker);
    for (int64_t passed = 0; !seat->has_stopped; passed += 1000) {
        if (passed > 4 * 3600 * 1000)
            fail_msg("worker %d does not stop", i);
        world_run(world, 1000);
    }
    world_free_stopped(world);
}

static void check_results(const struct world *world)
{
    for (size_t i = 0; i < world->job_count; i++) {
        size_t count = world_result(world, world->jobs[i]).count;
        if (count == 0 || (count > 1 && !world->may_repeat))
            fail_msg("%sjob %s has %zu results", world->note, world->jobs[i], count);
    }
}

static void check_permits(const struct world *world)
{
    struct store *store = fake_redis_store(world->redis);
    LIST_EACH(&store->permits, link)
    {
        const struct permit *permit = LIST_OBJECT(link, struct permit, link);
        fail_msg("%spermit %s of %s for job %s is left", world->note, permit->id, permit->worker,
                 permit->job);
    }
}

void world_close(struct world *world, int left)
{
    if (!(left & WORLD_UNFINISHED)) {
        if (!world_settle(world, 24 * 3600 * 1000))
            fail_msg("%srecords or results are missing after a day", world->note);
        world_run(world,
                  left & WORLD_DOUBTS ? 200000 : 2000); /* kills, releases, looks after doubtful creates */
        check_results(world);
    }
    for (int i = 0; i < WORLD_WORKERS_MAX; i++)
        if (world->workers[i].worker)
            world_stop(world, i);
    if (!(left & WORLD_UNFINISHED)) {
        check_permits(world);
        if (e2b_world_live(world->e2b) > 0)
            fail_msg("%s%zu sandboxes are left", world->note, e2b_world_live(world->e2b));
    }
    virtual_loop_advance(world->loop, 400000); /* what was still to be made comes, and ends by its time */
    e2b_world_free(world->e2b);
    virtual_loop_run_until_idle(world->loop);
    kafka_world_free(world->kafka);
    fake_redis_free(world->redis);
    virtual_loop_free(world->loop);
    for (size_t i = 0; i < world->job_count; i++)
        free(world->jobs[i]);
}
