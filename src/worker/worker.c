/* The composition: who is there, who may start, how it ends. */
#include "worker/worker.h"

#include "core/limit.h"
#include "worker/account.h"
#include "worker/context.h"
#include "worker/control.h"
#include "worker/custody_runner.h"
#include "worker/divert.h"
#include "worker/flight_runner.h"
#include "worker/gate.h"
#include "worker/intake.h"
#include "worker/observe.h"
#include "worker/provider.h"
#include "worker/reaper.h"
#include "worker/rebuild.h"
#include "worker/rebuild_leader.h"
#include "worker/results.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FREED_BY_HINT = 2,
    TICKS_PER_TELLING = 20, /* jobs that wait without asking say why */
    TICKS_PER_POLL = 2,     /* of those who wait behind a full limit */
    POLLS_PER_TENANT = 4,   /* ... every tenant within 2 s: the ledger forgets who has not asked for 3 s */
    EARLY_TURN_MS = 100,
    SOURCE_GRACE_MS = 10000,
    LEDGER_GRACE_MS = 5000,
    CUSTODY_GRACE_MS = 30000, /* for kills that E2B does not answer */
};

/* ---- starting what waits ---- */

void worker_poke(struct worker *worker)
{
    worker->is_pump_wanted = true;
}

void worker_count_active(struct worker *worker, bool *is_counted, bool is_active)
{
    if (*is_counted == is_active)
        return;
    *is_counted = is_active;
    worker->active_count += is_active ? 1 : (size_t)-1;
    if (!is_active)
        worker_poke(worker);
}

void worker_enter_suspect(struct worker *worker, struct flight_runner *runner)
{
    if (runner->is_suspect)
        worker->suspect = runner;
}

void worker_leave_suspect(struct worker *worker, struct flight_runner *runner)
{
    if (worker->suspect != runner)
        return;
    worker->suspect = NULL;
    queue_free_limit(worker->queue, WORKER_SUSPECT_LIMIT, 1);
    worker_poke(worker);
}

bool worker_is_suspect_busy(const struct worker *worker, const struct flight_runner *runner)
{
    return worker->suspect && worker->suspect != runner;
}

/* The job whose create tells how E2B is goes alone: others would book places and creates for nothing. */
static bool is_somebody_ahead(const struct worker *worker)
{
    LIST_EACH(&worker->flights, link)
    if (LIST_OBJECT(link, struct flight_runner, link)->flight.state == FLIGHT_ACQUIRING)
        return true;
    LIST_EACH(&worker->custodies, link)
    if (LIST_OBJECT(link, struct custody_runner, link)->custody.state == CUSTODY_CREATING)
        return true;
    return false;
}

static bool may_act(const struct worker *worker)
{
    return worker->phase == WORKER_RUNNING && ledger_state(worker->ledger) == LEDGER_READY &&
           ledger_lease_is_valid(worker->ledger) && results_has_room(worker);
}

bool worker_is_overfull(const struct worker *worker)
{
    size_t most = worker->options.max_active;
    return worker->active_count >= (most > 0 ? most : 2 * (size_t)worker->config->max_in_flight);
}

bool worker_may_take_up(const struct worker *worker)
{
    return may_act(worker) && !worker_is_overfull(worker);
}

static bool is_in_service(const struct worker *worker)
{
    return may_act(worker) && provider_has_room(worker->provider);
}

static bool may_begin(const struct worker *worker)
{
    return is_in_service(worker) && (provider_is_usable(worker->provider) || !is_somebody_ahead(worker));
}

/* A limit that turned several away lately: whoever needs it waits behind them without asking. NULL: none. */
static const char *full_limit(const struct worker *worker, const struct flight_runner *runner)
{
    for (size_t i = 0; runner->has_plan && i < runner->plan.limit_count; i++)
        if (queue_aside_count(worker->queue, runner->plan.limits[i].name) >= WORKER_ASKING_MAX)
            return runner->plan.limits[i].name;
    return queue_aside_count(worker->queue, LIMIT_KEY_CREATE_RATE) >= WORKER_ASKING_MAX
               ? LIMIT_KEY_CREATE_RATE
               : NULL;
}

static void start_waiting(struct worker *worker)
{
    while (may_begin(worker) && worker->active_count < (size_t)worker->config->max_in_flight) {
        struct queue_entry *entry = queue_pop(worker->queue);
        if (!entry)
            return;
        struct flight_runner *runner = flight_runner_of_entry(entry);
        bool asks = entry->is_freed || runner->was_pulled; /* what fills the limit may be its own run */
        const char *limit = asks ? NULL : full_limit(worker, runner);
        if (runner->is_suspect && worker_is_suspect_busy(worker, runner))
            limit = WORKER_SUSPECT_LIMIT;
        if (limit) {
            runner->denied_by = limit;
            queue_set_aside(worker->queue, entry, limit);
        } else {
            flight_runner_turn(runner);
        }
    }
}

/* What is here may be the very jobs that E2B fails for: another may tell more. */
static bool has_untried(const struct worker *worker)
{
    LIST_EACH(&worker->flights, link)
    {
        const struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (runner->flight.state == FLIGHT_QUEUED && !runner->entry.is_held && runner->create_mark < 0)
            return true;
    }
    return false;
}

/* As many records in memory as can run, and as many again that wait for their turn; while E2B is tried, one
 * that was not tried yet. */
static bool has_room_for_jobs(const struct worker *worker)
{
    return is_in_service(worker) && (provider_is_usable(worker->provider) || !has_untried(worker)) &&
           worker->flight_count < 2 * (size_t)worker->config->max_in_flight &&
           worker->bytes < (size_t)worker->config->max_bytes;
}

/* Who is full of jobs must hear all the more of those that are not wanted. */
static bool has_room(void *arg, const char *topic)
{
    struct worker *worker = arg;
    return intake_kind_of(worker, topic) == INTAKE_ORDER ? control_has_room(worker)
                                                         : has_room_for_jobs(worker);
}

/* What others had pulled is looked at however full we are, for it may be running; yet ten of them may have
 * had ten times what fits. */
static bool has_memory(void *arg)
{
    const struct worker *worker = arg;
    return worker->bytes < 2 * (size_t)worker->config->max_bytes;
}

static void pump(void *arg)
{
    struct worker *worker = arg;
    gate_turn(worker);
    if (!worker->is_pump_wanted)
        return;
    worker->is_pump_wanted = false;
    start_waiting(worker);
    if (worker->source && (has_room_for_jobs(worker) || control_has_room(worker) || has_memory(worker)))
        kafka_source_pull(worker->source);
}

/* ---- what the adapters say ---- */

/* Jobs of a partition that is another's now: what runs goes on, what waits is that worker's. */
static void on_revoked(void *arg, const char *topic, int32_t partition, bool is_lost)
{
    struct worker *worker = arg;
    log_info(&worker->log, "partition.revoked", LOG_TEXT("topic", topic), LOG_INT("partition", partition),
             LOG_BOOL("lost", is_lost));
    control_forget(worker, topic, partition);
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (runner->job.from.partition == partition && runner->job.from.topic &&
            strcmp(runner->job.from.topic, topic) == 0)
            flight_runner_leave(runner);
    }
}

static void on_assigned(void *arg, const char *topic, int32_t partition)
{
    struct worker *worker = arg;
    log_info(&worker->log, "partition.assigned", LOG_TEXT("topic", topic), LOG_INT("partition", partition));
    worker_poke(worker);
}

static void on_source_state(void *arg, bool is_usable, const char *why)
{
    struct worker *worker = arg;
    worker->source_is_usable = is_usable;
    base_copy_text(worker->source_why, sizeof worker->source_why, why);
    observe_state(worker, PART_KAFKA_JOBS, is_usable, why);
    worker_poke(worker);
}

static void on_ledger_state(void *arg, enum ledger_state state, const char *why)
{
    struct worker *worker = arg;
    observe_state(worker, PART_REDIS, state == LEDGER_READY, why);
    if (worker->rebuild_leader)
        rebuild_leader_look(worker->rebuild_leader);
    worker_poke(worker);
}

static void on_rebuild(void *arg)
{
    struct worker *worker = arg;
    if (worker->rebuild)
        rebuild_begin(worker->rebuild);
}

static void on_lost(void *arg, const char *permit, enum ledger_loss loss)
{
    struct custody_runner *custody = custody_runner_find(arg, permit);
    if (custody)
        custody_runner_on_lost(custody, loss);
}

static void on_cancelled(void *arg, const char *job)
{
    struct worker *worker = arg;
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (strcmp(runner->job.key, job) == 0)
            flight_runner_cancel(runner);
    }
}

static void on_free(void *arg, const char *limits)
{
    struct worker *worker = arg;
    CLEANUP(base_freep) char *names = base_strdup(limits);
    char *rest = names;
    for (char *name; (name = strsep(&rest, " "));)
        queue_free_limit(worker->queue, name, FREED_BY_HINT);
    worker_poke(worker);
}

static void put_early_turn(struct worker *worker, char *limit, char *tenant)
{
    free(worker->early_turn.limit);
    free(worker->early_turn.tenant);
    worker->early_turn.limit = limit;
    worker->early_turn.tenant = tenant;
    worker->early_turn.told_ms = loop_now_ms(worker->loop);
}

static void on_turn(void *arg, const char *limit, const char *tenant)
{
    struct worker *worker = arg;
    if (!queue_free_tenant(worker->queue, limit, tenant))
        put_early_turn(worker, base_strdup(limit), base_strdup(tenant));
    worker_poke(worker);
}

void worker_take_early_turn(struct worker *worker, const char *limit)
{
    if (!worker->early_turn.limit || strcmp(worker->early_turn.limit, limit) != 0)
        return;
    if (loop_now_ms(worker->loop) < worker->early_turn.told_ms + EARLY_TURN_MS)
        (void)queue_free_tenant(worker->queue, limit, worker->early_turn.tenant);
    put_early_turn(worker, NULL, NULL);
    worker_poke(worker);
}

static void on_done(void *arg, const char *job)
{
    struct worker *worker = arg;
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (strcmp(runner->job.key, job) == 0)
            flight_runner_wake(runner);
    }
}

/* Conditions that end by themselves (a lease that is valid again, a sink with room again) are looked at
 * anew. */
static void on_tick(void *arg)
{
    struct worker *worker = arg;
    gate_tick(worker);
    if (!is_in_service(worker) || !provider_is_usable(worker->provider)) /* nobody's jobs leave the queue */
        crowd_forget(&worker->intake.crowd);
    if (++worker->ticks % TICKS_PER_POLL == 0) {
        queue_poll(worker->queue, POLLS_PER_TENANT);
        intake_look(worker);
    }
    if (worker->ticks % TICKS_PER_TELLING == 0)
        observe_queue(worker);
    worker_poke(worker);
    loop_timer_start(worker->loop, &worker->tick_timer, GATE_TICK_MS, on_tick, worker);
}

/* ---- beginning ---- */

struct kafka_cluster worker_cluster(struct worker *worker)
{
    const struct config *config = worker->config;
    size_t count = config->kafka_properties.count;
    if (!worker->properties)
        worker->properties = base_alloc(sizeof *worker->properties * MAX(count, 1));
    for (size_t i = 0; i < count; i++)
        worker->properties[i] = (struct kafka_property){config->kafka_properties.items[i].name,
                                                        config->kafka_properties.items[i].value};
    return (struct kafka_cluster){config->kafka_bootstrap_servers, worker->properties, count};
}

/* The log of one component, at the level that log.components gives it. */
static struct log component_log(const struct worker *worker, const char *component)
{
    const struct pair_list *levels = &worker->config->log_components;
    struct log log = *worker->options.log;
    log.component = component;
    for (size_t i = 0; i < levels->count; i++)
        if (strcmp(levels->items[i].name, component) == 0 &&
            !log_level_parse(levels->items[i].value, &log.level))
            log.level = worker->options.log->level; /* the configuration was checked: this cannot be */
    return log;
}

static bool open_kafka(struct worker *worker, struct error *reterr)
{
    const struct config *config = worker->config;
    if (!results_open_sink(worker, reterr))
        return false;
    const struct kafka_source_options source = {
        .loop = worker->loop,
        .log = &worker->kafka_log,
        .cluster = worker_cluster(worker),
        .group_id = config->kafka_group_id,
        .topics = worker->intake.topics,
        .topic_count = worker->intake.topic_count,
        .assignor = config->kafka_assignor,
        .client_id = config->worker_name,
        .events = {.arg = worker,
                   .has_room = has_room,
                   .has_memory = has_memory,
                   .wait_ms = intake_wait_ms,
                   .on_message = intake_take,
                   .on_revoked = on_revoked,
                   .on_assigned = on_assigned,
                   .on_state = on_source_state},
    };
    worker->source = kafka_source_new(&source, reterr);
    return worker->source && results_open_transactor(worker, reterr);
}

static bool open_ledger(struct worker *worker, struct error *reterr)
{
    const struct ledger_options options = {
        .loop = worker->loop,
        .random = worker->random,
        .log = &worker->redis_log,
        .url = worker->config->redis_url,
        .name = worker->config->ledger,
        .worker = worker->config->worker_name,
        .events = {.arg = worker,
                   .on_state = on_ledger_state,
                   .on_rebuild = on_rebuild,
                   .on_lost = on_lost,
                   .on_cancelled = on_cancelled,
                   .on_free = on_free,
                   .on_turn = on_turn,
                   .on_done = on_done},
    };
    worker->ledger = ledger_new(&options, reterr);
    return worker->ledger != NULL;
}

static void open_e2b(struct worker *worker)
{
    const struct config *config = worker->config;
    const struct e2b_client_options options = {.api_key = config->e2b_api_key,
                                               .domain = config->e2b_domain,
                                               .api_url = config->e2b_api_url,
                                               .sandbox_url = config->e2b_sandbox_url,
                                               .user_agent = "e2b-worker/" E2BW_VERSION,
                                               .ca_file = config->e2b_ca_file,
                                               .idle_connections = worker->options.idle_connections};
    worker->e2b = e2b_client_new(worker->options.uv, &options);
}

/* ---- closing what was opened ---- */

static void on_ledger_closed(void *arg)
{
    struct worker *worker = arg;
    void (*stopped)(void *) = worker->options.stopped;
    void *stopped_arg = worker->options.arg;
    worker->ledger = NULL;
    worker->phase = WORKER_STOPPED;
    if (worker->is_abandoned)
        worker_free(worker);
    stopped(stopped_arg);
}

static void on_e2b_closed(void *arg)
{
    struct worker *worker = arg;
    worker->e2b = NULL;
    if (worker->ledger)
        ledger_close(worker->ledger, LEDGER_GRACE_MS, on_ledger_closed, worker);
    else
        on_ledger_closed(worker);
}

static void on_results_closed(void *arg)
{
    struct worker *worker = arg;
    if (worker->e2b)
        e2b_client_close(worker->e2b, on_e2b_closed, worker);
    else
        on_e2b_closed(worker);
}

static void close_opened(void *arg)
{
    struct worker *worker = arg;
    if (worker->source) /* it was opened in vain */
        kafka_source_close(TAKE(worker->source), SOURCE_GRACE_MS, close_opened, worker);
    else
        results_close(worker, on_results_closed);
}

struct worker *worker_new(const struct worker_options *options, struct error *reterr)
{
    struct worker *worker = base_alloc(sizeof *worker);
    worker->options = *options;
    worker->loop = options->loop;
    worker->config = options->config;
    worker->random = options->random;
    worker->log = component_log(worker, "worker");
    worker->kafka_log = component_log(worker, "kafka");
    worker->redis_log = component_log(worker, "redis");
    worker->rules = config_plan_rules(options->config);
    list_init(&worker->flights);
    list_init(&worker->custodies);
    list_init(&worker->gated);
    list_init(&worker->diversions);
    list_init(&worker->orders);
    intake_init(worker);
    worker->queue = queue_new();
    (void)snprintf(worker->source_why, sizeof worker->source_why, "the consumer group was not joined yet");
    open_e2b(worker); /* first: librdkafka begins libcurl, too, and the first decides on its memory */
    if (!open_ledger(worker, reterr) || !open_kafka(worker, reterr)) {
        worker->phase = WORKER_CLOSING;
        worker->is_abandoned = true;
        loop_timer_start(worker->loop, &worker->drain_timer, 0, close_opened, worker);
        return NULL;
    }
    worker->observe = observe_new(worker);
    worker->provider = provider_new(worker);
    worker->account = account_new(worker);
    worker->reaper = reaper_new(worker);
    worker->rebuild = rebuild_new(worker);
    worker->rebuild_leader = rebuild_leader_new(worker);
    worker->ticked_boot_ms = loop_boot_ms(worker->loop);
    worker->steady_since_boot_ms = worker->awake_since_boot_ms = INT64_MIN / 2; /* a start is no stop */
    loop_hook_add(worker->loop, &worker->pump, pump, worker);
    on_tick(worker);
    return worker;
}

/* ---- ending ---- */

static void close_rest(struct worker *worker)
{
    worker->phase = WORKER_CLOSING;
    loop_timer_stop(worker->loop, &worker->drain_timer);
    loop_timer_stop(worker->loop, &worker->tick_timer);
    loop_hook_remove(worker->loop, &worker->pump);
    LIST_EACH(&worker->custodies, link)
    custody_runner_abandon(LIST_OBJECT(link, struct custody_runner, link));
    rebuild_free(TAKE(worker->rebuild));
    rebuild_leader_free(TAKE(worker->rebuild_leader));
    reaper_free(TAKE(worker->reaper));
    account_free(TAKE(worker->account));
    provider_free(TAKE(worker->provider));
    observe_free(worker->observe);
    worker->observe = NULL;
    close_opened(worker);
}

/* A doubtful create is not waited for: its permit lies behind everything that it can have made. */
static bool only_doubts_left(const struct worker *worker)
{
    LIST_EACH(&worker->custodies, link)
    if (LIST_OBJECT(link, struct custody_runner, link)->custody.state != CUSTODY_DOUBTFUL)
        return false;
    return true;
}

void worker_ended(struct worker *worker)
{
    worker_poke(worker);
    if (worker->phase == WORKER_DRAINING && !worker->is_source_closing && worker->flight_count == 0 &&
        worker->diversion_count == 0 && only_doubts_left(worker))
        close_rest(worker);
}

static void on_custody_grace(void *arg)
{
    struct worker *worker = arg;
    if (worker->flight_count == 0) {
        log_warn(&worker->log, "drain.kills_unanswered", LOG_INT("sandboxes", worker->custody_count));
        close_rest(worker);
        return;
    }
    log_warn(&worker->log, "drain.jobs_wait", LOG_INT("jobs", worker->flight_count),
             LOG_INT("sandboxes", worker->custody_count),
             LOG_TEXT("redis", worker_part_why(worker, PART_REDIS)),
             LOG_TEXT("kafka_results", worker_part_why(worker, PART_KAFKA_RESULTS)));
    loop_timer_start(worker->loop, &worker->drain_timer, CUSTODY_GRACE_MS, on_custody_grace, worker);
}

static void give_up_all(void *arg)
{
    struct worker *worker = arg;
    LIST_EACH(&worker->flights, link)
    flight_runner_give_up(LIST_OBJECT(link, struct flight_runner, link));
    loop_timer_start(worker->loop, &worker->drain_timer, CUSTODY_GRACE_MS, on_custody_grace, worker);
}

static void on_source_closed(void *arg)
{
    struct worker *worker = arg;
    worker->is_source_closing = false;
    worker_ended(worker);
}

void worker_stop(struct worker *worker)
{
    if (worker->phase == WORKER_DRAINING)
        give_up_all(worker);
    if (worker->phase != WORKER_RUNNING)
        return;
    log_info(&worker->log, "worker.draining", LOG_INT("jobs", worker->flight_count),
             LOG_INT("grace_ms", worker->config->drain_ms));
    worker->phase = WORKER_DRAINING;
    worker->is_source_closing = true;
    kafka_source_close(TAKE(worker->source), SOURCE_GRACE_MS, on_source_closed, worker);
    control_forget(worker, NULL, 0); /* the next owner reads them again */
    LIST_EACH(&worker->flights, link)
    flight_runner_leave(LIST_OBJECT(link, struct flight_runner, link));
    loop_timer_start(worker->loop, &worker->drain_timer, worker->config->drain_ms, give_up_all, worker);
    worker_ended(worker);
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    assert(worker->phase == WORKER_STOPPED);
    queue_free(worker->queue);
    intake_release(worker);
    put_early_turn(worker, NULL, NULL);
    free(worker->properties);
    free(worker);
}

/* ---- looking ---- */

static const char *const part_names[] = {
    [PART_E2B] = "e2b",
    [PART_REDIS] = "redis",
    [PART_KAFKA_JOBS] = "kafka_jobs",
    [PART_KAFKA_RESULTS] = "kafka_results",
};

const char *part_name(enum part part)
{
    assert((size_t)part < ARRAY_LENGTH(part_names));
    return part_names[part];
}

const char *worker_part_why(const struct worker *worker, enum part part)
{
    switch (part) {
    case PART_E2B:
        return provider_is_usable(worker->provider) ? "" : provider_why(worker->provider);
    case PART_REDIS:
        return ledger_state(worker->ledger) == LEDGER_READY ? "" : ledger_why(worker->ledger);
    case PART_KAFKA_JOBS:
        return worker->source_is_usable ? "" : worker->source_why;
    case PART_KAFKA_RESULTS:
        return results_why(worker);
    case PART_COUNT:
        break;
    }
    return "";
}

/* All reasons at once: one part may only wait for another (a new ledger for E2B's list), and the last named
 * would hide the first to be mended. */
bool worker_is_ready(struct worker *worker, const char **ret_why)
{
    *ret_why = worker->why;
    worker->why[0] = '\0';
    if (worker->phase != WORKER_RUNNING) {
        (void)snprintf(worker->why, sizeof worker->why, "worker: draining");
        return false;
    }
    for (int part = 0; part < PART_COUNT; part++) {
        const char *why = worker_part_why(worker, (enum part)part);
        size_t length = strlen(worker->why);
        if (*why)
            (void)snprintf(worker->why + length, sizeof worker->why - length, "%s%s: %s",
                           length > 0 ? "; " : "", part_name((enum part)part), why);
    }
    return worker->why[0] == '\0';
}

const char *worker_mode(const struct worker *worker)
{
    return worker->config->mode == MODE_SIMULATION ? "simulation" : "production";
}
