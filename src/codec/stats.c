/* The statistics event of a worker: totals since its start, gauges of now, histograms that can be added
 * up. */
#include "base/clock.h"
#include "codec/event.h"
#include "codec/writer.h"

static void field_time(struct writer *writer, const char *key, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(unix_ms, text);
    writer_field_text(writer, key, text);
}

static void write_groups(struct writer *writer, const char *key, const struct stats_group *groups,
                         size_t count)
{
    writer_key(writer, key);
    writer_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        writer_begin_object(writer);
        writer_field_text(writer, "name", groups[i].name);
        writer_field_int(writer, "active", groups[i].active);
        writer_field_int(writer, "waiting", groups[i].waiting);
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

/* Whose failure it is not: the platform's own rate counts a user's failing program as a success of ours. */
static bool is_platforms_fault(enum code code)
{
    switch (code_category(code)) {
    case CATEGORY_USER:
    case CATEGORY_POLICY:
        return false;
    case CATEGORY_CAPACITY:
    case CATEGORY_PROVIDER:
    case CATEGORY_PLATFORM:
        return true;
    }
    return false;
}

static void write_rate(struct writer *writer, const char *key, int64_t good, int64_t total)
{
    writer_key(writer, key);
    if (total == 0)
        writer_null(writer);
    else
        writer_milli(writer, good * 1000 / total);
}

static void write_totals(struct writer *writer, const struct worker_stats *stats)
{
    int64_t total = 0, ours = 0;
    writer_key(writer, "by_status");
    writer_begin_object(writer);
    for (int status = 0; status < STATUS_COUNT; status++) {
        writer_field_int(writer, status_name((enum status)status), stats->by_status[status]);
        total += stats->by_status[status];
    }
    writer_end_object(writer);
    writer_key(writer, "by_code");
    writer_begin_object(writer);
    for (int code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        if (stats->by_code[code] > 0)
            writer_field_int(writer, code_name((enum code)code), stats->by_code[code]);
        ours += is_platforms_fault((enum code)code) ? stats->by_code[code] : 0;
    }
    writer_end_object(writer);
    writer_key(writer, "success_rate");
    writer_begin_object(writer);
    write_rate(writer, "caller", stats->by_status[STATUS_SUCCEEDED], total);
    write_rate(writer, "platform", MAX(total - ours, 0), total);
    writer_end_object(writer);
}

static void write_histogram(struct writer *writer, const char *key, const struct histogram *histogram)
{
    writer_key(writer, key);
    if (!histogram) {
        writer_null(writer);
        return;
    }
    writer_begin_object(writer);
    writer_field_int(writer, "count", (int64_t)histogram->count);
    writer_field_int(writer, "sum_ms", (int64_t)histogram->sum_ms);
    writer_field_int(writer, "max_ms", (int64_t)histogram->max_ms);
    writer_field_int(writer, "p50_ms", histogram_quantile(histogram, 0.50));
    writer_field_int(writer, "p95_ms", histogram_quantile(histogram, 0.95));
    writer_field_int(writer, "p99_ms", histogram_quantile(histogram, 0.99));
    writer_key(writer, "buckets");
    writer_begin_array(writer);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->counts[i] == 0)
            continue;
        writer_begin_array(writer);
        writer_int(writer, (int64_t)i);
        writer_int(writer, (int64_t)histogram->counts[i]);
        writer_end_array(writer);
    }
    writer_end_array(writer);
    writer_end_object(writer);
}

static void write_latencies(struct writer *writer, const struct worker_stats *stats)
{
    writer_key(writer, "latency");
    writer_begin_object(writer);
    write_histogram(writer, "queued", stats->queued_ms);
    write_histogram(writer, "permit_wait", stats->permit_wait_ms);
    write_histogram(writer, "create", stats->create_ms);
    write_histogram(writer, "run", stats->run_ms);
    write_histogram(writer, "total", stats->total_ms);
    write_histogram(writer, "kill", stats->kill_ms);
    writer_end_object(writer);
}

static void write_permits(struct writer *writer, const struct worker_stats *stats)
{
    writer_key(writer, "permits");
    writer_begin_array(writer);
    for (size_t i = 0; i < stats->permit_count; i++) {
        writer_begin_object(writer);
        writer_field_text(writer, "limit", stats->permits[i].limit);
        writer_field_int(writer, "used", stats->permits[i].used);
        writer_field_count(writer, "max", stats->permits[i].max);
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

void event_stats(const struct worker_stats *stats, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "worker_id", stats->worker_id);
    writer_field_text(&writer, "worker_version", stats->worker_version);
    writer_field_text(&writer, "deployment", stats->deployment);
    writer_field_text(&writer, "mode", stats->mode);
    field_time(&writer, "started_at", stats->started_unix_ms);
    field_time(&writer, "at", stats->now_unix_ms);
    writer_field_int(&writer, "interval_ms", stats->interval_ms);
    writer_field_int(&writer, "in_flight", stats->in_flight);
    writer_field_int(&writer, "queued", stats->queued);
    writer_field_int(&writer, "backlog", stats->backlog);
    writer_field_int(&writer, "deferred", stats->deferred);
    write_groups(&writer, "templates", stats->templates, stats->template_count);
    write_groups(&writer, "task_types", stats->task_types, stats->task_type_count);
    write_totals(&writer, stats);
    writer_field_int(&writer, "attempts", stats->attempts);
    writer_field_int(&writer, "retries", stats->retries);
    writer_field_int(&writer, "duplicates", stats->duplicates);
    writer_field_int(&writer, "dlq", stats->dlq);
    write_latencies(&writer, stats);
    write_permits(&writer, stats);
    writer_key(&writer, "cost");
    writer_begin_object(&writer);
    writer_field_int(&writer, "nano_usd", stats->nano_usd);
    writer_field_int(&writer, "wasted_nano_usd", stats->wasted_nano_usd);
    writer_end_object(&writer);
    writer_key(&writer, "process");
    writer_begin_object(&writer);
    writer_field_int(&writer, "cpu_ms", stats->cpu_ms);
    writer_field_int(&writer, "rss_bytes", stats->rss_bytes);
    writer_field_int(&writer, "loop_lag_max_ms", stats->loop_lag_max_ms);
    writer_end_object(&writer);
    writer_end_object(&writer);
}
