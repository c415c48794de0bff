/* The worker's numbers, as Prometheus text and as its statistics event. */
#include "worker/account.h"
#include "worker/custody_runner.h"
#include "worker/flight_runner.h"
#include "worker/observe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { GROUPS_MAX = 64 };

struct process_use {
    int64_t cpu_ms, rss_bytes;
};

static struct process_use process_use(void)
{
    struct rusage usage;
    struct process_use use = {0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        use.cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000LL +
                     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;
    if (file && fscanf(file, "%*s %ld", &pages) == 1)
        use.rss_bytes = (int64_t)pages * sysconf(_SC_PAGESIZE);
    if (file)
        (void)fclose(file);
    return use;
}

static int64_t open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    int64_t count = -3; /* ".", "..", and the directory's own */
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

static int64_t max_fds(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)MIN(limit.rlim_cur, (rlim_t)INT64_MAX) : 0;
}

/* ---- who is active, by a name ---- */

struct groups {
    struct stats_group items[GROUPS_MAX];
    size_t count;
};

/* More than GROUPS_MAX names are counted together under "other": a hostile stream of task types must not grow
 * this. */
static struct stats_group *group_of(struct groups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->items[i].name, name) == 0)
            return &groups->items[i];
    if (groups->count == GROUPS_MAX)
        return &groups->items[GROUPS_MAX - 1];
    struct stats_group *group = &groups->items[groups->count++];
    *group = (struct stats_group){.name = groups->count == GROUPS_MAX ? "other" : name};
    return group;
}

static void count_flights(const struct worker *worker, struct groups *templates, struct groups *task_types)
{
    LIST_EACH(&worker->flights, link)
    {
        const struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        bool is_active = runner->is_counted;
        struct stats_group *by_type =
            group_of(task_types, runner->job.task_type ? runner->job.task_type : "-");
        by_type->active += is_active;
        by_type->waiting += !is_active;
        if (!runner->has_plan)
            continue;
        struct stats_group *by_template = group_of(templates, runner->plan.placement.entry->name);
        by_template->active += is_active;
        by_template->waiting += !is_active;
    }
}

static struct kafka_source_stats source_stats(const struct worker *worker)
{
    struct kafka_source_stats stats = {0};
    if (worker->source)
        kafka_source_stats(worker->source, &stats);
    return stats;
}

void worker_stats(const struct worker *worker, struct buffer *out)
{
    const struct observe *observe = worker->observe;
    if (!observe) { /* closing: the last word was said */
        buffer_append_text(out, "{}");
        return;
    }
    struct groups *groups = base_alloc(2 * sizeof *groups);
    struct kafka_source_stats source = source_stats(worker);
    struct process_use use = process_use();
    count_flights(worker, &groups[0], &groups[1]);
    struct worker_stats stats = {
        .worker_id = ledger_worker(worker->ledger),
        .worker_version = E2BW_VERSION,
        .deployment = worker->config->deployment,
        .mode = worker_mode(worker),
        .started_unix_ms = observe->started_unix_ms,
        .now_unix_ms = loop_unix_ms(worker->loop),
        .interval_ms = worker->config->stats_interval_ms,
        .in_flight = (int64_t)worker->active_count,
        .queued = (int64_t)(worker->flight_count - worker->active_count),
        .templates = groups[0].items,
        .template_count = groups[0].count,
        .task_types = groups[1].items,
        .task_type_count = groups[1].count,
        .attempts = observe->attempts,
        .retries = observe->retries,
        .duplicates = observe->duplicates,
        .dlq = observe->diverted,
        .queued_ms = &observe->queued_ms,
        .permit_wait_ms = &observe->permit_wait_ms,
        .create_ms = &observe->create_ms,
        .run_ms = &observe->run_ms,
        .total_ms = &observe->total_ms,
        .kill_ms = &observe->kill_ms,
        .permits = observe->places.items,
        .permit_count = observe->places.count,
        .nano_usd = observe->nano_usd,
        .wasted_nano_usd = observe->wasted_nano_usd,
        .cpu_ms = use.cpu_ms,
        .rss_bytes = use.rss_bytes,
        .loop_lag_max_ms = observe->loop_lag_max_ms,
        .backlog = source.backlog,
        .deferred = source.deferred,
    };
    memcpy(stats.by_status, observe->by_status, sizeof stats.by_status);
    memcpy(stats.by_code, observe->by_code, sizeof stats.by_code);
    event_stats(&stats, out);
    free(groups);
}

/* ---- Prometheus: base units, totals that only grow, a sentence for each ---- */

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buffer *out, const char *name, const char *type, const char *help, int64_t value)
{
    head(out, name, type, help);
    buffer_append_format(out, "%s %lld\n", name, (long long)value);
}

/* value / 1000, for what is counted in ms. */
static void seconds(struct buffer *out, const char *name, const char *type, const char *help, int64_t ms)
{
    head(out, name, type, help);
    buffer_append_format(out, "%s %lld.%03lld\n", name, (long long)ms / 1000, (long long)ms % 1000);
}

/* Exact: nine digits are what is counted, and a double holds them up to millions of dollars. */
static void dollars(struct buffer *out, const char *name, const char *help, int64_t nano_usd)
{
    head(out, name, "counter", help);
    buffer_append_format(out, "%s %lld.%09lld\n", name, (long long)nano_usd / 1000000000,
                         (long long)nano_usd % 1000000000);
}

static void histogram(struct buffer *out, const char *name, const char *help, const struct histogram *values)
{
    static const double bounds_s[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                      1,     2.5,    5,     10,   30,    60,   300, 1800};
    head(out, name, "histogram", help);
    for (size_t i = 0; i < ARRAY_LENGTH(bounds_s); i++)
        buffer_append_format(
            out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_s[i],
            (unsigned long long)histogram_count_up_to(values, (int64_t)(bounds_s[i] * 1000)));
    buffer_append_format(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)values->count);
    buffer_append_format(out, "%s_sum %.3f\n", name, (double)values->sum_ms / 1000);
    buffer_append_format(out, "%s_count %llu\n", name, (unsigned long long)values->count);
}

static void append_now(struct buffer *out, struct worker *worker)
{
    const char *why;
    struct kafka_source_stats source = source_stats(worker);
    number(out, "e2b_worker_ready", "gauge", "1 when the worker could take a job now, else 0.",
           worker_is_ready(worker, &why));
    head(out, "e2b_worker_part_ready", "gauge", "1 when what the worker depends on can be used, else 0.");
    for (int part = 0; part < PART_COUNT; part++)
        buffer_append_format(out, "e2b_worker_part_ready{part=\"%s\"} %d\n", part_name((enum part)part),
                             *worker_part_why(worker, (enum part)part) == '\0');
    number(out, "e2b_worker_backlog", "gauge",
           "Records not finished in the partitions that this worker owns: what an autoscaler should follow.",
           source.backlog);
    number(
        out, "e2b_worker_backlog_deferred", "gauge",
        "Records of retry topics that are not due yet, in the partitions that this worker owns: no part of "
        "the backlog.",
        source.deferred);
    number(
        out, "e2b_worker_jobs_in_flight", "gauge",
        "Jobs past the queue and not finished; worker.max_in_flight bounds them, twice that what is adopted.",
        (int64_t)worker->active_count);
    number(out, "e2b_worker_jobs_queued", "gauge", "Jobs in memory that wait for their turn.",
           (int64_t)(worker->flight_count - worker->active_count));
    number(out, "e2b_worker_jobs_memory_bytes", "gauge",
           "Memory that the jobs in flight and queued account for; worker.max_bytes bounds it.",
           (int64_t)worker->bytes);
    number(out, "e2b_worker_sandboxes", "gauge",
           "Sandboxes that this worker answers for, from the create to the confirmed end.",
           (int64_t)worker->custody_count);
}

static void append_jobs(struct buffer *out, const struct observe *observe)
{
    number(out, "e2b_worker_jobs_accepted_total", "counter", "Records taken in as jobs.", observe->accepted);
    head(out, "e2b_worker_jobs_finished_total", "counter", "Results published, by status.");
    for (int i = 0; i < STATUS_COUNT; i++)
        buffer_append_format(out, "e2b_worker_jobs_finished_total{status=\"%s\"} %lld\n",
                             status_name((enum status)i), (long long)observe->by_status[i]);
    head(out, "e2b_worker_job_errors_total", "counter", "Results published with an error, by its code.");
    for (int i = CODE_NONE + 1; i < CODE_COUNT; i++)
        if (observe->by_code[i] > 0)
            buffer_append_format(out, "e2b_worker_job_errors_total{code=\"%s\"} %lld\n",
                                 code_name((enum code)i), (long long)observe->by_code[i]);
    number(out, "e2b_worker_job_attempts_total", "counter",
           "Attempts begun: sandboxes that got a job to run.", observe->attempts);
    number(out, "e2b_worker_job_retries_total", "counter",
           "Attempts that failed for the infrastructure and are repeated.", observe->retries);
    number(out, "e2b_worker_job_hops_total", "counter",
           "Copies of jobs' records written to retry topics, where they wait.", observe->hops);
    number(out, "e2b_worker_cancellations_total", "counter", "Cancellations taken from the control topic.",
           observe->cancels);
    number(out, "e2b_worker_duplicate_records_total", "counter",
           "Records whose job exists already under the same id.", observe->duplicates);
    number(out, "e2b_worker_dlq_records_total", "counter", "Records copied to the dead-letter topic.",
           observe->diverted);
}

static void append_transactions(struct buffer *out, const struct worker *worker)
{
    struct kafka_transactor_stats stats;
    if (!worker->transactor)
        return;
    kafka_transactor_stats(worker->transactor, &stats);
    number(out, "e2b_worker_transactions_committed_total", "counter",
           "Transactions that carried results and offsets to their end.", stats.committed);
    number(out, "e2b_worker_transactions_aborted_total", "counter",
           "Transactions that were undone; what they carried goes again.", stats.aborted);
    number(out, "e2b_worker_transactions_rebuilt_total", "counter",
           "Transactional producers replaced after a fatal error; what became of their last transaction is "
           "read back.",
           stats.rebuilt);
    number(out, "e2b_worker_results_left_total", "counter",
           "Verdicts left to the worker that owns their record's offset now.", stats.disowned);
    number(out, "e2b_worker_results_waiting", "gauge", "Results that wait for a transaction.", stats.waiting);
}

static void append_sandboxes(struct buffer *out, const struct observe *observe)
{
    number(out, "e2b_worker_sandbox_creates_total", "counter",
           "Creates that E2B answered or that were given up.", observe->creates);
    number(out, "e2b_worker_sandbox_create_failures_total", "counter", "Creates that brought no sandbox.",
           observe->create_failures);
    number(out, "e2b_worker_sandbox_create_doubts_total", "counter",
           "Creates without a clear answer: there may be a sandbox, and its place stays taken.",
           observe->doubts);
    number(out, "e2b_worker_sandbox_kills_total", "counter", "Sandboxes that E2B confirmed to be gone.",
           observe->kills);
    number(out, "e2b_worker_sandbox_kill_failures_total", "counter",
           "Kills that E2B did not confirm and that are repeated.", observe->kill_failures);
    number(out, "e2b_worker_sandboxes_reaped_total", "counter",
           "Sandboxes of dead workers, or without a permit, that this worker killed.", observe->reaped);
    number(out, "e2b_worker_permits_freed_total", "counter",
           "Permits of dead workers without a sandbox that this worker gave back.", observe->freed);
    dollars(out, "e2b_worker_cost_usd_total", "Sandbox time at the configured prices, in dollars.",
            observe->nano_usd);
    dollars(out, "e2b_worker_wasted_cost_usd_total",
            "The part of the cost that went into attempts that failed for the infrastructure, in dollars.",
            observe->wasted_nano_usd);
}

static void append_account(struct buffer *out, const struct worker *worker)
{
    number(
        out, "e2b_worker_foreign_sandboxes", "gauge",
        "Sandboxes of others in the E2B account, when this worker last looked: they lower the global limit.",
        account_foreign(worker->account));
}

static void append_places(struct buffer *out, const struct places *places)
{
    head(out, "e2b_worker_permits_used", "gauge",
         "Places taken under a limit, all workers together, as Redis last said.");
    for (size_t i = 0; i < places->count; i++)
        buffer_append_format(out, "e2b_worker_permits_used{limit=\"%s\"} %lld\n", places->items[i].limit,
                             (long long)places->items[i].used);
    head(out, "e2b_worker_permits_max", "gauge",
         "Places that there are under a limit that has a bound of its own.");
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].max >= 0)
            buffer_append_format(out, "e2b_worker_permits_max{limit=\"%s\"} %lld\n", places->items[i].limit,
                                 (long long)places->items[i].max);
}

static void append_durations(struct buffer *out, const struct observe *observe)
{
    histogram(out, "e2b_worker_job_queued_seconds",
              "From the timestamp of a job's record until this worker took it in.", &observe->queued_ms);
    histogram(out, "e2b_worker_job_permit_wait_seconds", "From there to the first permit.",
              &observe->permit_wait_ms);
    histogram(out, "e2b_worker_sandbox_create_seconds", "From the permit to the sandbox.",
              &observe->create_ms);
    histogram(out, "e2b_worker_job_run_seconds", "The job's own code.", &observe->run_ms);
    histogram(out, "e2b_worker_job_total_seconds", "From the timestamp of a job's record to its verdict.",
              &observe->total_ms);
    histogram(out, "e2b_worker_sandbox_kill_seconds", "From the first kill request to the confirmed end.",
              &observe->kill_ms);
}

/* The names that Prometheus' own libraries use. */
static void append_process(struct buffer *out, const struct observe *observe)
{
    struct process_use use = process_use();
    histogram(out, "e2b_worker_loop_lag_seconds", "How late the event loop was, looked at 10 times a second.",
              &observe->loop_lag_ms);
    seconds(out, "e2b_worker_loop_lag_max_seconds", "gauge",
            "How late the event loop was at most since the last statistics (stats.interval_ms).",
            observe->loop_lag_max_ms);
    seconds(out, "process_cpu_seconds_total", "counter", "Processor time of this process.", use.cpu_ms);
    number(out, "process_resident_memory_bytes", "gauge", "Resident memory of this process.", use.rss_bytes);
    seconds(out, "process_start_time_seconds", "gauge", "When the worker started, in Unix time.",
            observe->started_unix_ms);
    number(out, "process_open_fds", "gauge", "File descriptors that are open.", open_fds());
    number(out, "process_max_fds", "gauge", "File descriptors that may be open.", max_fds());
}

void worker_metrics(struct worker *worker, struct buffer *out)
{
    const struct observe *observe = worker->observe;
    if (!observe) { /* closing: the last word was said */
        number(out, "e2b_worker_ready", "gauge", "1 when the worker could take a job now, else 0.", 0);
        return;
    }
    append_now(out, worker);
    append_jobs(out, observe);
    append_transactions(out, worker);
    append_sandboxes(out, observe);
    append_account(out, worker);
    append_places(out, &observe->places);
    append_durations(out, observe);
    append_process(out, observe);
}
