/* The events that are no results: a job's life, and a worker's statistics. */
#include "codec/event.h"
#include "base/clock.h"
#include "codec/writer.h"

#include <string.h>

enum { STARTED_BYTES = 511 }; /* of most */

static void write_echo(struct writer *writer, const struct job *job)
{
    writer_field_text(writer, "job_id", job->job_id);
    writer_field_text(writer, "task_type", job->task_type);
    writer_field_text(writer, "tenant_id", job->tenant_id);
    writer_key(writer, "labels");
    writer_begin_object(writer);
    for (size_t i = 0; i < job->labels.count; i++)
        writer_field_text(writer, job->labels.items[i].name, job->labels.items[i].value);
    writer_end_object(writer);
    writer_field_text(writer, "correlation_id", job->correlation_id);
    writer_field_text(writer, "batch_id", job->batch_id);
}

static const char *code_or_null(enum code code)
{
    return code == CODE_NONE ? NULL : code_name(code);
}

void event_started(const struct job *job, const struct event_started *started, struct buffer *out)
{
    struct writer writer = {.out = out};
    buffer_reserve(out, STARTED_BYTES);
    const struct template_entry *entry = started->plan->placement.entry;
    writer_begin_object(&writer);
    write_echo(&writer, job);
    writer_field_int(&writer, "attempt", started->attempt);
    writer_field_text(&writer, "worker_id", started->worker_id);
    writer_field_text(&writer, "sandbox_id", started->sandbox_id);
    writer_field_text(&writer, "template", entry ? entry->name : NULL);
    writer_field_text(&writer, "template_id", entry ? entry->template_id : NULL);
    writer_field_text(&writer, "run_mode", run_mode_name(started->plan->run_mode));
    writer_end_object(&writer);
}

void event_waiting(const struct job *job, const struct event_waiting *waiting, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    write_echo(&writer, job);
    writer_field_text(&writer, "reason", waiting->reason);
    writer_field_text(&writer, "message", waiting->message);
    writer_field_text(&writer, "limit", waiting->limit);
    writer_field_count(&writer, "used", waiting->used);
    writer_field_count(&writer, "max", waiting->max);
    writer_field_count(&writer, "reserved", waiting->reserved);
    writer_field_int(&writer, "waited_ms", waiting->waited_ms);
    writer_field_count(&writer, "retry_ms", waiting->retry_ms);
    writer_end_object(&writer);
}

void event_retrying(const struct job *job, const struct event_retrying *retrying, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    write_echo(&writer, job);
    writer_field_int(&writer, "attempt", retrying->attempt);
    writer_field_int(&writer, "max_attempts", retrying->max_attempts);
    writer_field_int(&writer, "delay_ms", retrying->delay_ms);
    writer_field_text(&writer, "code", code_or_null(retrying->code));
    writer_field_text(&writer, "message", retrying->message);
    writer_end_object(&writer);
}

void event_duplicate(const struct job *job, const struct event_duplicate *duplicate, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    write_echo(&writer, job);
    writer_field_text(&writer, "code", code_or_null(duplicate->code));
    writer_field_text(&writer, "topic", job->from.topic);
    writer_field_int(&writer, "partition", job->from.partition);
    writer_field_int(&writer, "offset", job->from.offset);
    writer_key(&writer, "first");
    writer_begin_object(&writer);
    writer_field_text(&writer, "status", duplicate->first_status);
    writer_field_count(&writer, "partition", duplicate->first_partition);
    writer_field_count(&writer, "offset", duplicate->first_offset);
    writer_end_object(&writer);
    writer_end_object(&writer);
}

void event_reaped(const struct event_reaped *reaped, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "sandbox_id", reaped->sandbox_id);
    writer_field_text(&writer, "permit", reaped->permit);
    writer_field_text(&writer, "job_id", reaped->job_id);
    writer_field_text(&writer, "tenant_id", reaped->tenant_id);
    writer_field_text(&writer, "template", reaped->template_name);
    writer_field_text(&writer, "template_id", reaped->template_id);
    writer_field_text(&writer, "worker_id", reaped->worker_id);
    writer_field_text(&writer, "reason", reaped->reason);
    writer_field_int(&writer, "age_ms", reaped->age_ms);
    writer_key(&writer, "cost");
    writer_begin_object(&writer);
    writer_field_int(&writer, "nano_usd", reaped->nano_usd);
    writer_key(&writer, "vcpu");
    writer_milli(&writer, reaped->cpu_milli);
    writer_field_int(&writer, "memory_mb", reaped->memory_mb);
    writer_field_int(&writer, "seconds", (reaped->age_ms + 999) / 1000);
    writer_field_text(&writer, "price_version", reaped->price_version);
    writer_end_object(&writer);
    writer_end_object(&writer);
}

const char *event_id(const struct job *job, const char *type, int64_t n, struct arena *arena)
{
    char number[INT_TEXT_SIZE];
    base_int_text(n, number);
    if (!job)
        return ARENA_JOIN(arena, "stats:", number);
    if (strcmp(type, EVENT_FINISHED) == 0)
        return ARENA_JOIN(arena, job->job_id, ":finished");
    if (strcmp(type, EVENT_SUBMITTED) == 0)
        return ARENA_JOIN(arena, job->job_id, ":submitted");
    if (strcmp(type, EVENT_STARTED) == 0)
        return ARENA_JOIN(arena, job->job_id, ":", number, ":started");
    if (strcmp(type, EVENT_RETRYING) == 0)
        return ARENA_JOIN(arena, job->job_id, ":", number, ":retrying");
    if (strcmp(type, EVENT_WAITING) == 0)
        return ARENA_JOIN(arena, job->job_id, ":waiting:", number);
    if (strcmp(type, EVENT_DUPLICATE) == 0) /* by the record that repeats, not by how often it was seen */
        return ARENA_JOIN(arena, job->job_id, ":duplicate:", job->from.origin);
    return ARENA_JOIN(arena, job->job_id, ":", type, ":", number);
}

const char *event_source(const char *deployment, const char *tenant_id, struct arena *arena)
{
    return tenant_id ? ARENA_JOIN(arena, "e2b-worker/", deployment, "/", tenant_id)
                     : ARENA_JOIN(arena, "e2b-worker/", deployment);
}
