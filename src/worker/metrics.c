/* The worker's numbers, as Prometheus text and as its statistics event. */
#include "worker/custody_runner.h"
#include "worker/flight_runner.h"
#include "worker/observe.h"

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

static int64_t backlog_of(const struct worker *worker)
{
    struct kafka_source_stats stats = {0};
    if (worker->source)
        kafka_source_stats(worker->source, &stats);
    return stats.backlog;
}

void worker_stats(const struct worker *worker, struct buffer *out)
{
    const struct observe *observe = worker->observe;
    if (!observe) { /* closing: the last word was said */
        buffer_append_text(out, "{}");
        return;
    }
    struct groups *groups = base_alloc(2 * sizeof *groups);
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
        .loop_lag_ms_max = observe->loop_lag_max_ms,
        .backlog = backlog_of(worker),
    };
    memcpy(stats.by_status, observe->by_status, sizeof stats.by_status);
    memcpy(stats.by_code, observe->by_code, sizeof stats.by_code);
    event_stats(&stats, out);
    free(groups);
}

/* ---- Prometheus ---- */

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_append_format(out, "# HELP e2b_worker_%s %s\n# TYPE e2b_worker_%s %s\n", name, help, name, type);
}

static void number(struct buffer *out, const char *name, const char *type, const char *help, int64_t value)
{
    head(out, name, type, help);
    buffer_append_format(out, "e2b_worker_%s %lld\n", name, (long long)value);
}

static void histogram(struct buffer *out, const char *name, const char *help, const struct histogram *values)
{
    static const double bounds_s[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                      2.5,   5,    10,    30,   60,  300,  1800};
    head(out, name, "histogram", help);
    for (size_t i = 0; i < ARRAY_LENGTH(bounds_s); i++)
        buffer_append_format(
            out, "e2b_worker_%s_bucket{le=\"%g\"} %llu\n", name, bounds_s[i],
            (unsigned long long)histogram_count_up_to(values, (int64_t)(bounds_s[i] * 1000)));
    buffer_append_format(out, "e2b_worker_%s_bucket{le=\"+Inf\"} %llu\n", name,
                         (unsigned long long)values->count);
    buffer_append_format(out, "e2b_worker_%s_sum %.3f\n", name, (double)values->sum_ms / 1000);
    buffer_append_format(out, "e2b_worker_%s_count %llu\n", name, (unsigned long long)values->count);
}

static void append_jobs(struct buffer *out, const struct observe *observe)
{
    head(out, "jobs_finished_total", "counter", "Terminal results published, by status.");
    for (int i = 0; i < STATUS_COUNT; i++)
        buffer_append_format(out, "e2b_worker_jobs_finished_total{status=\"%s\"} %lld\n",
                             status_name((enum status)i), (long long)observe->by_status[i]);
    head(out, "jobs_failed_total", "counter", "Terminal results with an error, by code.");
    for (int i = CODE_NONE + 1; i < CODE_COUNT; i++)
        if (observe->by_code[i] > 0)
            buffer_append_format(out, "e2b_worker_jobs_failed_total{code=\"%s\"} %lld\n",
                                 code_name((enum code)i), (long long)observe->by_code[i]);
    number(out, "jobs_accepted_total", "counter", "Records taken in as jobs.", observe->accepted);
    number(out, "attempts_total", "counter", "Sandboxes that began to run a job.", observe->attempts);
    number(out, "retries_total", "counter", "Attempts that failed for the infrastructure and are repeated.",
           observe->retries);
    number(out, "duplicates_total", "counter", "Records of a job that exists already.", observe->duplicates);
    number(out, "dlq_total", "counter", "Records copied to the dead-letter topic.", observe->diverted);
}

static void append_sandboxes(struct buffer *out, const struct observe *observe)
{
    number(out, "sandbox_creates_total", "counter", "Creates that were answered or given up.",
           observe->creates);
    number(out, "sandbox_create_failures_total", "counter", "Creates that brought no sandbox.",
           observe->create_failures);
    number(out, "sandbox_doubts_total", "counter", "Creates without a clear answer.", observe->doubts);
    number(out, "sandbox_kills_total", "counter", "Sandboxes seen dead.", observe->kills);
    number(out, "sandbox_kill_failures_total", "counter", "Kills that E2B did not confirm at once.",
           observe->kill_failures);
    number(out, "cost_nano_usd_total", "counter",
           "Sandbox time at the configured prices, in billionths of a dollar.", observe->nano_usd);
    number(out, "wasted_nano_usd_total", "counter",
           "The part of it that went into attempts that were repeated.", observe->wasted_nano_usd);
}

static void append_permits(struct buffer *out, const struct places *places)
{
    head(out, "permits_used", "gauge", "Sandboxes that hold a place under a limit, all workers together.");
    for (size_t i = 0; i < places->count; i++)
        buffer_append_format(out, "e2b_worker_permits_used{limit=\"%s\"} %lld\n", places->items[i].limit,
                             (long long)places->items[i].used);
    head(out, "permits_limit", "gauge", "The places that there are under a limit.");
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].max >= 0)
            buffer_append_format(out, "e2b_worker_permits_limit{limit=\"%s\"} %lld\n", places->items[i].limit,
                                 (long long)places->items[i].max);
}

void worker_metrics(struct worker *worker, struct buffer *out)
{
    const struct observe *observe = worker->observe;
    const char *why;
    struct process_use use = process_use();
    if (!observe) {
        number(out, "ready", "gauge", "1 when the worker could take a job now.", 0);
        return;
    }
    number(out, "ready", "gauge", "1 when the worker could take a job now.", worker_is_ready(worker, &why));
    number(out, "backlog", "gauge",
           "Records not finished yet in the partitions owned: what an autoscaler should follow.",
           backlog_of(worker));
    number(out, "flights", "gauge", "Jobs in memory.", (int64_t)worker->flight_count);
    number(out, "flights_active", "gauge", "Jobs that are past the queue.", (int64_t)worker->active_count);
    number(out, "sandboxes", "gauge", "Sandboxes in the keeping of this worker.",
           (int64_t)worker->custody_count);
    number(out, "memory_charged_bytes", "gauge", "Bytes that jobs in memory account for.",
           (int64_t)worker->bytes);
    append_jobs(out, observe);
    append_sandboxes(out, observe);
    append_permits(out, &observe->places);
    histogram(out, "queued_seconds", "From a record's timestamp to this worker.", &observe->queued_ms);
    histogram(out, "permit_wait_seconds", "From this worker to the permit.", &observe->permit_wait_ms);
    histogram(out, "create_seconds", "From the permit to the sandbox.", &observe->create_ms);
    histogram(out, "run_seconds", "The job's own code.", &observe->run_ms);
    histogram(out, "total_seconds", "From a record's timestamp to the verdict.", &observe->total_ms);
    histogram(out, "kill_seconds", "From the wish to kill to the confirmed death.", &observe->kill_ms);
    number(out, "loop_lag_max_milliseconds", "gauge",
           "How late the event loop was at most since the last statistics.", observe->loop_lag_max_ms);
    number(out, "cpu_milliseconds_total", "counter", "Processor time of this process.", use.cpu_ms);
    number(out, "resident_bytes", "gauge", "Resident memory of this process.", use.rss_bytes);
}
