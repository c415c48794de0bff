/* Results and events back into values that can be shown. */
#include "codec/event_view.h"

#include "codec/event.h"

#include <jansson.h>
#include <string.h>

static const struct {
    const char *type, *name;
} kinds[] = {
    [EVENT_KIND_OTHER] = {NULL, "other"},
    [EVENT_KIND_SUBMITTED] = {EVENT_SUBMITTED, "submitted"},
    [EVENT_KIND_STARTED] = {EVENT_STARTED, "started"},
    [EVENT_KIND_WAITING] = {EVENT_WAITING, "waiting"},
    [EVENT_KIND_RETRYING] = {EVENT_RETRYING, "retrying"},
    [EVENT_KIND_FINISHED] = {EVENT_FINISHED, "finished"},
    [EVENT_KIND_DUPLICATE] = {EVENT_DUPLICATE, "duplicate"},
    [EVENT_KIND_REAPED] = {EVENT_REAPED, "reaped"},
    [EVENT_KIND_STATS] = {EVENT_STATS, "stats"},
};

const char *event_kind_name(enum event_kind kind)
{
    return kinds[kind].name;
}

bool event_kind_parse(const char *name, enum event_kind *ret)
{
    for (size_t i = 1; i < ARRAY_LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        *ret = (enum event_kind)i;
        return true;
    }
    return false;
}

static enum event_kind kind_of(const char *type)
{
    for (size_t i = 1; type && i < ARRAY_LENGTH(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return (enum event_kind)i;
    return EVENT_KIND_OTHER;
}

/* ---- fields; a NULL object has none ---- */

static struct bytes bytes_of(const json_t *object, const char *name, struct arena *arena)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return (struct bytes){0};
    size_t length = json_string_length(value);
    return (struct bytes){arena_strndup(arena, json_string_value(value), length), length};
}

static const char *text_of(const json_t *object, const char *name, struct arena *arena)
{
    return bytes_of(object, name, arena).data;
}

static int64_t int_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static struct text_view output_of(const json_t *object, const char *name, struct arena *arena)
{
    const json_t *value = json_object_get(object, name);
    return (struct text_view){.text = bytes_of(value, "text", arena),
                              .bytes_total = int_of(value, "bytes_total"),
                              .is_truncated = json_is_true(json_object_get(value, "truncated"))};
}

/* ---- kinds ---- */

static void read_error(const json_t *root, struct arena *arena, struct event_view *view)
{
    const json_t *error = json_object_get(root, "error");
    view->code = text_of(error, "code", arena);
    view->message = text_of(error, "message", arena);
    view->stage = text_of(error, "stage", arena);
    view->hint = text_of(error, "hint", arena);
    view->traceback = text_of(json_object_get(error, "user"), "traceback", arena);
}

static void read_main_result(const json_t *root, struct arena *arena, struct event_view *view)
{
    size_t index;
    json_t *result;
    json_array_foreach(json_object_get(root, "results"), index, result)
    {
        if (json_is_true(json_object_get(result, "is_main_result")))
            view->main_result = bytes_of(result, "text", arena);
    }
}

static void read_warnings(const json_t *root, struct arena *arena, struct event_view *view)
{
    const json_t *warnings = json_object_get(root, "warnings");
    size_t index;
    json_t *warning;
    view->warnings.items = ARENA_ARRAY(arena, const char *, json_array_size(warnings) + 1);
    json_array_foreach(warnings, index, warning)
    {
        if (json_is_string(warning))
            view->warnings.items[view->warnings.count++] = arena_strdup(arena, json_string_value(warning));
    }
}

static void read_finished(const json_t *root, struct arena *arena, struct event_view *view)
{
    const json_t *timing = json_object_get(root, "timing"), *cost = json_object_get(root, "cost");
    view->status = text_of(root, "status", arena);
    view->exit_code = int_of(root, "exit_code");
    view->signal = int_of(root, "signal");
    view->out = output_of(root, "stdout", arena);
    view->err = output_of(root, "stderr", arena);
    view->attempt = (int64_t)json_array_size(json_object_get(root, "attempts"));
    view->artifact_count = (int64_t)json_array_size(json_object_get(root, "artifacts"));
    view->queued_ms = int_of(timing, "queued_ms");
    view->permit_wait_ms = int_of(timing, "permit_wait_ms");
    view->create_ms = int_of(timing, "create_ms");
    view->run_ms = int_of(timing, "run_ms");
    view->total_ms = int_of(timing, "total_ms");
    view->nano_usd = int_of(cost, "nano_usd");
    view->memory_mb = int_of(cost, "memory_mb");
    view->vcpu_milli = (int64_t)(json_number_value(json_object_get(cost, "vcpu")) * 1000.0);
    view->template_name = text_of(json_object_get(root, "placement"), "template", arena);
    view->worker_id = text_of(json_object_get(root, "ran_on"), "worker_id", arena);
    read_error(root, arena, view);
    read_main_result(root, arena, view);
    read_warnings(root, arena, view);
}

static void read_lifecycle(const json_t *root, struct arena *arena, struct event_view *view)
{
    const json_t *first = json_object_get(root, "first");
    view->worker_id = text_of(root, "worker_id", arena);
    view->sandbox_id = text_of(root, "sandbox_id", arena);
    view->run_mode = text_of(root, "run_mode", arena);
    view->template_name = text_of(root, "template", arena);
    view->attempt = int_of(root, "attempt");
    view->max_attempts = int_of(root, "max_attempts");
    view->delay_ms = int_of(root, "delay_ms");
    view->reason = text_of(root, "reason", arena);
    view->limit = text_of(root, "limit", arena);
    view->used = int_of(root, "used");
    view->max = int_of(root, "max");
    view->waited_ms = int_of(root, "waited_ms");
    view->retry_ms = int_of(root, "retry_ms");
    view->code = text_of(root, "code", arena);
    view->message = text_of(root, "message", arena);
    view->first_status = text_of(first, "status", arena);
    view->first_partition = int_of(first, "partition");
    view->first_offset = int_of(first, "offset");
    view->age_ms = int_of(root, "age_ms");
    view->nano_usd = int_of(json_object_get(root, "cost"), "nano_usd");
    view->in_flight = int_of(root, "in_flight");
    view->queued = int_of(root, "queued");
    view->backlog = int_of(root, "backlog");
    view->mode = text_of(root, "mode", arena);
}

bool event_view_read(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                     struct event_view *ret, struct error *reterr)
{
    struct envelope envelope;
    json_error_t where;
    if (!envelope_read(headers, count, value, arena, &envelope, reterr))
        return false;
    json_t *root = json_loadb(envelope.data.data, envelope.data.length, JSON_ALLOW_NUL, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(reterr, ERROR_REJECTED, "event", 0, "the event is no JSON object");
    }
    *ret = (struct event_view){.kind = kind_of(envelope.type),
                               .type = envelope.type,
                               .time_unix_ms = envelope.time_unix_ms,
                               .data = envelope.data,
                               .job_id = text_of(root, "job_id", arena),
                               .tenant_id = text_of(root, "tenant_id", arena),
                               .task_type = text_of(root, "task_type", arena)};
    if (ret->kind == EVENT_KIND_FINISHED)
        read_finished(root, arena, ret);
    else
        read_lifecycle(root, arena, ret);
    json_decref(root);
    return true;
}
