/* One seed: the world is opened, lived in, mended, judged, and closed. */
#include "sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEP_MS = 1000,
    LOAD_MOST_MS = 24 * 3600 * 1000,
    SETTLE_MOST_MS = 4 * 3600 * 1000,
    HORIZON_MOST_MS = 25 * 60000, /* grant, create, late create, life, slack and lead, and a reaper's round */
    LEAVE_MOST_MS = 30 * 60000,
};

int64_t sim_below(struct sim *sim, int64_t bound)
{
    return (int64_t)random_below(&sim->random, (uint64_t)bound);
}

int64_t sim_between(struct sim *sim, int64_t low, int64_t high)
{
    return low + sim_below(sim, high - low + 1);
}

bool sim_chance(struct sim *sim, int percent)
{
    return sim_below(sim, 100) < percent;
}

int64_t sim_now_ms(const struct sim *sim)
{
    return loop_boot_ms(sim->loop) - sim->began_ms;
}

/* ---- opening ---- */

static void fill_templates(struct sim *sim)
{
    static const char *types[] = {"quick", "long"};
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
        sim->templates[i] = (struct template_entry){
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

static void fill_config(struct sim *sim)
{
    static const char *jobs[] = {"^e2b\\.jobs\\.[^.]+$"};
    static const int64_t drains_ms[] = {1000, 5000, 30000, 90000, 620000};
    sim->config = (struct config){
        .mode = MODE_PRODUCTION,
        .deployment = "sim",
        .ledger = "default",
        .kafka_bootstrap_servers = kafka_world_address(sim->kafka),
        .kafka_group_id = "workers",
        .kafka_assignor = "eager",
        .topics = {.jobs = {jobs, 1},
                   .jobs_prefix = "e2b.jobs.",
                   .retry = "e2b.retry.",
                   .results = "e2b.results",
                   .stats = "e2b.stats",
                   .control = "e2b.control",
                   .dlq = "e2b.dlq"},
        .redis_url = fake_redis_url(sim->redis),
        .e2b_api_key = "e2b_key",
        .e2b_api_url = e2b_world_url(sim->e2b),
        .max_in_flight = sim_between(sim, 8, 64),
        .max_bytes = 64 << 20,
        .drain_ms = drains_ms[sim_below(sim, ARRAY_LENGTH(drains_ms))],
        .limit_global = sim_between(sim, 4, 40),
        .limit_tenant = sim_chance(sim, 30) ? sim_between(sim, 1, 8) : 0,
        .create_milli_per_s = sim_chance(sim, 20) ? 20000 : 0,
        .create_burst = 5,
        .interactive_percent = 20,
        .batch_percent = 70,
        .outputs = {65536, 65536, 512 << 10, 16},
        .results_delivery = "at_least_once",
        .results_max_bytes = 900 << 10,
        .job_max_bytes = 1 << 20,
        .queue_timeout_ms = 86400000,
        .lifecycle_events = sim_chance(sim, 30),
        .stats_interval_ms = 60000,
        .max_attempts = SIM_ATTEMPTS,
        .retry_max_crashes = SIM_CRASHES,
        .redis_outage_hold_ms = 60000,
        .ledger_readback_ms = 3600000,
        .catalog = {sim->templates, ARRAY_LENGTH(sim->templates), "prices"},
    };
    sim->config.class_max[PRIORITY_BATCH] = MAX(sim->config.limit_global * 70 / 100, 1);
    sim->config.interactive_reserve = sim->config.limit_global * 20 / 100;
}

static void open_topics(struct sim *sim)
{
    static const char *const names[SIM_TOPICS] = {"e2b.jobs.quick", "e2b.jobs.long", "e2b.retry.1m",
                                                  "e2b.retry.10m",  "e2b.retry.1h",  "e2b.control"};
    for (int i = 0; i < SIM_TOPICS; i++) {
        int32_t partitions = i == 0 ? (int32_t)sim_between(sim, 2, SIM_PARTITIONS_MAX) : 2;
        sim->topics[i] = (struct sim_topic){.name = names[i], .partitions = partitions};
        kafka_world_add_topic(sim->kafka, names[i], partitions);
    }
    kafka_world_add_topic(sim->kafka, "e2b.results", 3);
    kafka_world_add_topic(sim->kafka, "e2b.stats", 1);
    kafka_world_add_topic(sim->kafka, "e2b.dlq", 1);
}

static void open_operator(struct sim *sim)
{
    struct error error;
    random_init_seed(&sim->operator_random, 1);
    const struct ledger_options options = {.loop = sim->loop,
                                           .random = &sim->operator_random,
                                           .url = fake_redis_url(sim->redis),
                                           .name = "default",
                                           .worker = "operator",
                                           .is_onlooker = true};
    sim->operator= ledger_new(&options, &error);
    assert(sim->operator);
}

static void open_world(struct sim *sim)
{
    random_init_seed(&sim->random, sim->options.seed);
    random_init_seed(&sim->latency, sim->options.seed + 1);
    list_init(&sim->graves);
    sim->loop = virtual_loop_new();
    sim->began_ms = loop_boot_ms(sim->loop);
    sim->kafka = kafka_world_new(sim->loop);
    sim->redis = fake_redis_new(sim->loop);
    sim->e2b = e2b_world_new(sim->loop);
    kafka_world_vary(sim->kafka, &sim->latency, sim_between(sim, 0, 5));
    fake_redis_vary(sim->redis, &sim->latency, sim_between(sim, 0, 3));
    e2b_world_vary(sim->e2b, &sim->latency);
    trace_open(sim);
    fill_templates(sim);
    fill_config(sim);
    open_topics(sim);
    open_operator(sim);
    judge_open(sim);
    sim->seat_count = (int)sim_between(sim, 2, SIM_SEATS_MAX);
    int first = (int)sim_between(sim, 2, sim->seat_count);
    for (int i = 0; i < sim->seat_count; i++) {
        sim->seats[i].sim = sim;
        sim->seats[i].is_wanted = i < first;
        if (sim->seats[i].is_wanted)
            seat_launch(&sim->seats[i]);
    }
}

/* ---- living ---- */

static void advance(struct sim *sim)
{
    for (int i = 0; i < STEP_MS; i++) {
        virtual_loop_advance(sim->loop, sim->log_fd > 0 ? 1 : STEP_MS);
        trace_turn(sim);
        if (sim->log_fd == 0)
            return;
    }
}

static void live(struct sim *sim)
{
    while (!jobs_are_quiet(sim) || !faults_are_over(sim)) {
        advance(sim);
        if (sim_now_ms(sim) > LOAD_MOST_MS)
            sim_breach(sim, "", "the load has not ended after a day");
    }
}

static bool is_anybody_missing(const struct sim *sim)
{
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].is_wanted && sim->seats[i].state != SEAT_UP)
            return true;
    return false;
}

static void settle(struct sim *sim)
{
    int64_t end_ms = sim_now_ms(sim) + SETTLE_MOST_MS;
    sim->is_ending = true;
    faults_close(sim);
    sim_trace(sim, NULL, "---- the end: no more faults");
    while (!judge_is_settled(sim) || is_anybody_missing(sim)) {
        for (int i = 0; i < 10; i++)
            advance(sim);
        if (sim_now_ms(sim) > end_ms) {
            judge_unsettled(sim);
            sim_breach(sim, "", "a worker is missing");
        }
    }
    sim->report->settled_ms = sim_now_ms(sim) - (end_ms - SETTLE_MOST_MS);
    end_ms = sim_now_ms(sim) + HORIZON_MOST_MS;
    while (sim_now_ms(sim) < end_ms && (sim->e2b->live > 0 || fake_redis_store(sim->redis)->ids.count > 0))
        advance(sim);
    judge_end(sim);
}

/* ---- closing ---- */

static bool is_anybody_there(const struct sim *sim)
{
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].state != SEAT_EMPTY)
            return true;
    return false;
}

static void close_seats(struct sim *sim)
{
    int64_t end_ms = sim_now_ms(sim) + LEAVE_MOST_MS;
    for (int i = 0; i < sim->seat_count; i++)
        seat_leave(&sim->seats[i]);
    while (is_anybody_there(sim)) {
        advance(sim);
        if (sim_now_ms(sim) > end_ms)
            sim_breach(sim, "", "a worker with nothing to do does not end");
    }
    for (int i = 0; i < sim->seat_count; i++) {
        loop_timer_stop(sim->loop, &sim->seats[i].back);
        loop_timer_stop(sim->loop, &sim->seats[i].look);
    }
}

/* Of those that were killed the memory stays, reachable from here. */
static void free_world(struct sim *sim)
{
    judge_close(sim);
    jobs_close(sim);
    free(sim->faults);
    ledger_close(sim->operator, 0, NULL, NULL);
    virtual_loop_advance(sim->loop, 700000);
    e2b_world_free(sim->e2b);
    virtual_loop_run_until_idle(sim->loop);
    LIST_EACH(&sim->graves, link)
    {
        struct process *process = LIST_OBJECT(link, struct process, link);
        if (process->worker)
            continue;
        link_remove(link);
        virtual_loop_free(process->threads);
        virtual_loop_free(process->loop);
        free(process);
    }
    if (list_is_empty(&sim->graves)) {
        kafka_world_free(sim->kafka);
        fake_redis_free(sim->redis);
        virtual_loop_free(sim->loop);
    }
}

void sim_run(const struct sim_options *options)
{
    static struct sim sim; /* what was killed hangs from here, for the eyes of a leak checker */
    sim = (struct sim){.options = *options, .report = options->report};
    open_world(&sim);
    jobs_open(&sim);
    faults_open(&sim);
    live(&sim);
    settle(&sim);
    close_seats(&sim);
    options->report->virtual_ms = sim_now_ms(&sim);
    free_world(&sim);
}
