#ifndef CODEC_EVENT_H
#define CODEC_EVENT_H
#include "codec/envelope.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/plan.h"

/* The other events: lifecycle of a job (started, waiting, retrying, duplicate), the end of a sandbox that was
 * left behind, and the statistics of a worker. Values go with schemas/<type>.json. Ids are deterministic, so
 * that a repeat is known as one. */

#define EVENT_SUBMITTED "e2b-worker.job.submitted.v1"
#define EVENT_STARTED   "e2b-worker.job.started.v1"
#define EVENT_WAITING   "e2b-worker.job.waiting.v1"
#define EVENT_RETRYING  "e2b-worker.job.retrying.v1"
#define EVENT_FINISHED  "e2b-worker.job.finished.v1"
#define EVENT_DUPLICATE "e2b-worker.job.duplicate.v1"
#define EVENT_REAPED    "e2b-worker.sandbox.reaped.v1"
#define EVENT_STATS     "e2b-worker.worker.stats.v1"

struct event_started {
    const char *worker_id, *sandbox_id;
    const struct plan *plan;
    int64_t attempt;
};
void event_started(const struct job *job, const struct event_started *started, struct buffer *out);

struct event_waiting {
    const char
        *reason; /* "limit", "elsewhere", "limiter_not_ready", "suspect", "not_before", "tenant_share" */
    const char *message;         /* a sentence */
    const char *limit;           /* as core/limit.h names it for the outside; NULL: none */
    int64_t used, max, reserved; /* places; -1: none */
    int64_t waited_ms, retry_ms; /* retry_ms -1: not known */
};
void event_waiting(const struct job *job, const struct event_waiting *waiting, struct buffer *out);

struct event_retrying {
    int64_t attempt, max_attempts, delay_ms;
    enum code code;
    const char *message;
};
void event_retrying(const struct job *job, const struct event_retrying *retrying, struct buffer *out);

struct event_duplicate {
    enum code code;                        /* JOB_ID_CONFLICT, or NONE: a repeat of the same payload */
    const char *first_status;              /* of the first result, NULL: not known */
    int64_t first_partition, first_offset; /* -1: not known */
};
void event_duplicate(const struct job *job, const struct event_duplicate *duplicate, struct buffer *out);

/* What is not known is NULL. Its id is "<sandbox_id>:reaped". */
struct event_reaped {
    const char *worker_id; /* who killed it */
    const char *sandbox_id, *permit, *job_id, *tenant_id, *template_name, *template_id;
    const char *reason; /* "worker_dead", "abandoned", "no_permit" */
    int64_t age_ms;
    int64_t nano_usd, cpu_milli, memory_mb;
    const char *price_version;
};
void event_reaped(const struct event_reaped *reaped, struct buffer *out);

/* "<job_id>:finished", "<job_id>:<attempt>:started", "<job_id>:waiting:<n>", ...; job NULL: "stats:<n>", for
 * statistics, with the time as n. Into the arena. */
const char *event_id(const struct job *job, const char *type, int64_t n, struct arena *arena);
/* "e2b-worker/<deployment>/<tenant>"; tenant_id NULL: of the deployment as a whole. Into the arena. */
const char *event_source(const char *deployment, const char *tenant_id, struct arena *arena);

/* Statistics: log-bucket histograms that can be added up across workers: bucket i counts values in
 * [2^(i/4), 2^((i+1)/4)) ms. */
enum { HISTOGRAM_BUCKETS = 96 };
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum_ms, max_ms;
};
void histogram_add(struct histogram *histogram, int64_t ms);
int64_t histogram_quantile(const struct histogram *histogram,
                           double q); /* upper bound of the bucket; 0: empty */
/* Returns: how many values were certainly <= ms. */
uint64_t histogram_count_up_to(const struct histogram *histogram, int64_t ms);

struct stats_group { /* by template or by task type */
    const char *name;
    int64_t active, waiting;
};

struct stats_permit {
    const char *limit; /* as core/limit.h names it for the outside */
    int64_t used, max; /* max -1: it has none of its own */
};

struct worker_stats {
    const char *worker_id, *worker_version, *deployment, *mode;
    int64_t started_unix_ms, now_unix_ms, interval_ms;
    int64_t in_flight, queued;
    const struct stats_group *templates, *task_types;
    size_t template_count, task_type_count;
    int64_t by_status[STATUS_COUNT];
    int64_t by_code[CODE_COUNT];
    int64_t attempts, retries, duplicates, dlq;
    const struct histogram *queued_ms, *permit_wait_ms, *create_ms, *run_ms, *total_ms, *kill_ms;
    const struct stats_permit *permits;
    size_t permit_count;
    int64_t nano_usd, wasted_nano_usd;
    int64_t cpu_ms, rss_bytes, loop_lag_max_ms;
    int64_t backlog, deferred;
};
void event_stats(const struct worker_stats *stats, struct buffer *out);

#endif
