/* The one terminal event of a job, within the bytes that a topic takes: what is large goes first, the verdict
 * never. */
#include "codec/result.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "codec/bundle.h"
#include "codec/writer.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SMALLEST_BYTES = 4096,
    AROUND_BYTES = 1535, /* what a usual result has around its outputs */
    MODULES_MAX = 8,
    MODULE_BYTES_MAX = 64,
    OUTPUT_FLOOR_BYTES = 256, /* less than this of an output tells nothing: then none of it */
};

/* What is left out so far, in the order in which it goes. */
enum cut { CUT_NOTHING, CUT_ARTIFACTS, CUT_RESULTS, CUT_OUTPUTS, CUT_TRACEBACKS, CUT_LABELS, CUT_DETAILS };
static const char *const cut_names[] = {[CUT_ARTIFACTS] = "bodies of artifacts",
                                        [CUT_RESULTS] = "bodies of results",
                                        [CUT_OUTPUTS] = "parts of stdout and stderr",
                                        [CUT_TRACEBACKS] = "the traceback",
                                        [CUT_LABELS] = "labels",
                                        [CUT_DETAILS] = "lists and long texts"};

struct encoding {
    const struct result_source *source;
    size_t max_bytes;
    struct writer writer;
    struct buffer out, err;   /* the outputs as texts */
    struct bundle *bundles;   /* one for each rich result */
    size_t artifact_body_max; /* larger bodies are left out */
    size_t result_body_max;
    size_t output_max;
    enum cut cut;
    bool was_cut[CUT_DETAILS + 1];
};

static void release(struct encoding *encoding)
{
    buffer_release(&encoding->out);
    buffer_release(&encoding->err);
    free(encoding->bundles);
}

/* At most `max` bytes of the message, escapes included. For texts that only people read. */
static void field_short(struct encoding *encoding, const char *key, const char *text, size_t max)
{
    if (encoding->cut < CUT_DETAILS || !text) {
        writer_field_text(&encoding->writer, key, text);
        return;
    }
    size_t length = 0, escaped = 0;
    for (; text[length]; length++) {
        unsigned char c = (unsigned char)text[length];
        escaped += c < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : c < 0x80 ? 1 : 3; /* 3: it may become U+FFFD */
        if (escaped > max)
            break;
    }
    writer_key(&encoding->writer, key);
    writer_bytes(&encoding->writer,
                 (struct bytes){text, utf8_prefix((struct bytes){text, strlen(text)}, length)});
}

static void write_echo(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct job *job = encoding->source->job;
    writer_field_text(writer, "job_id", job->job_id);
    writer_field_text(writer, "task_type", job->task_type);
    writer_field_text(writer, "tenant_id", job->tenant_id);
    writer_key(writer, "labels");
    writer_begin_object(writer);
    for (size_t i = 0; encoding->cut < CUT_LABELS && i < job->labels.count; i++)
        writer_field_text(writer, job->labels.items[i].name, job->labels.items[i].value);
    writer_end_object(writer);
    field_short(encoding, "correlation_id", job->correlation_id, 300);
    field_short(encoding, "batch_id", job->batch_id, 300);
}

static void write_user_error(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    writer_key(writer, "user");
    if (!outcome->user_name && !outcome->user_value) {
        writer_null(writer);
        return;
    }
    writer_begin_object(writer);
    field_short(encoding, "name", outcome->user_name, 80);
    field_short(encoding, "value", outcome->user_value, 200);
    writer_field_text(writer, "traceback", encoding->cut < CUT_TRACEBACKS ? outcome->user_traceback : NULL);
    writer_end_object(writer);
}

static void write_error(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    const char *hint = code_hint(outcome->code);
    writer_key(writer, "error");
    if (outcome->code == CODE_NONE) {
        writer_null(writer);
        return;
    }
    writer_begin_object(writer);
    writer_field_text(writer, "code", code_name(outcome->code));
    writer_field_text(writer, "category", category_name(code_category(outcome->code)));
    writer_field_bool(writer, "retryable", code_is_retried(outcome->code));
    field_short(encoding, "stage", outcome->stage && *outcome->stage ? outcome->stage : NULL, 40);
    field_short(encoding, "message", outcome_message(outcome), 400);
    field_short(encoding, "hint", *hint ? hint : NULL, 160);
    writer_key(writer, "provider");
    if (outcome->provider_status == 0 && !outcome->provider_code) {
        writer_null(writer);
    } else {
        writer_begin_object(writer);
        writer_field_count(writer, "http_status", outcome->provider_status ? outcome->provider_status : -1);
        field_short(encoding, "code", outcome->provider_code, 60);
        writer_end_object(writer);
    }
    write_user_error(encoding);
    writer_end_object(writer);
}

/* Head and tail of a text within output_max bytes. Returns: whether anything is missing. */
static bool write_cut_text(struct encoding *encoding, const struct buffer *text)
{
    struct bytes whole = {text->data, text->length};
    size_t max = encoding->output_max;
    if (whole.length <= max) {
        writer_bytes(&encoding->writer, whole);
        return false;
    }
    CLEANUP(buffer_release) struct buffer kept = {0};
    size_t head = utf8_prefix(whole, max / 2), tail = whole.length - max / 2;
    while (tail < whole.length && (text->data[tail] & 0xc0) == 0x80)
        tail++;
    if (max > 0) {
        buffer_append(&kept, text->data, head);
        buffer_append_format(&kept, "\n[%zu bytes left out]\n", tail - head);
        buffer_append(&kept, text->data + tail, whole.length - tail);
    }
    writer_bytes(&encoding->writer, buffer_bytes(&kept));
    return true;
}

static void write_output(struct encoding *encoding, const char *key, const struct capture *capture,
                         const struct buffer *text)
{
    struct writer *writer = &encoding->writer;
    writer_key(writer, key);
    writer_begin_object(writer);
    writer_key(writer, "text");
    bool is_cut = write_cut_text(encoding, text);
    writer_field_int(writer, "bytes_total", capture->total_bytes);
    writer_field_bool(writer, "truncated", is_cut || capture_is_truncated(capture));
    writer_end_object(writer);
}

static void write_results(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    writer_key(writer, "results");
    writer_begin_array(writer);
    for (size_t i = 0; encoding->cut < CUT_DETAILS && i < outcome->result_count; i++) {
        const struct rich_result *result = &outcome->results[i];
        if (!encoding->bundles[i].is_valid)
            continue;
        if (result->length <= encoding->result_body_max) {
            writer_raw(writer, (struct bytes){result->json, result->length});
            continue;
        }
        writer_begin_object(writer);
        writer_field_bool(writer, "is_main_result", encoding->bundles[i].is_main);
        writer_field_int(writer, "left_out_bytes", (int64_t)result->length);
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

static void write_steps(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    writer_key(writer, "steps");
    writer_begin_array(writer);
    for (size_t i = 0; encoding->cut < CUT_DETAILS && i < outcome->step_count; i++) {
        const struct step_report *step = &outcome->steps[i];
        writer_begin_object(writer);
        writer_field_text(writer, "name", step->name);
        writer_field_text(writer, "code", step->code == CODE_NONE ? NULL : code_name(step->code));
        writer_field_count(writer, "exit_code", step->exit_code);
        writer_field_count(writer, "ms", step->ms);
        writer_field_null(writer, "output");
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

static const char *mime_type(const char *path)
{
    static const char *const types[][2] = {
        {".csv", "text/csv"},          {".txt", "text/plain"},
        {".json", "application/json"}, {".png", "image/png"},
        {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},
        {".svg", "image/svg+xml"},     {".gif", "image/gif"},
        {".pdf", "application/pdf"},   {".html", "text/html"},
        {".md", "text/markdown"},      {".xml", "application/xml"},
        {".zip", "application/zip"},   {".gz", "application/gzip"},
        {".log", "text/plain"},        {".tsv", "text/tab-separated-values"},
        {".py", "text/x-python"},      {".js", "text/javascript"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < ARRAY_LENGTH(types); i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static void write_artifacts(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    writer_key(writer, "artifacts");
    writer_begin_array(writer);
    for (size_t i = 0; encoding->cut < CUT_DETAILS && i < outcome->artifact_count; i++) {
        const struct artifact *artifact = &outcome->artifacts[i];
        writer_begin_object(writer);
        writer_field_text(writer, "path", artifact->path);
        writer_field_int(writer, "bytes", (int64_t)artifact->content.length);
        writer_field_text(writer, "sha256", artifact->sha256);
        writer_field_text(writer, "mime", mime_type(artifact->path));
        writer_key(writer, "content_base64");
        if (artifact->content.length <= encoding->artifact_body_max)
            writer_base64(writer, buffer_bytes(&artifact->content));
        else
            writer_null(writer);
        writer_field_null(writer, "uri");
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

static void write_attempts(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    size_t first =
        encoding->cut == CUT_DETAILS && outcome->attempt_count > 0 ? outcome->attempt_count - 1 : 0;
    writer_key(writer, "attempts");
    writer_begin_array(writer);
    for (size_t i = first; i < outcome->attempt_count; i++) {
        const struct attempt_report *attempt = &outcome->attempts[i];
        writer_begin_object(writer);
        writer_field_int(writer, "n", attempt->n);
        field_short(encoding, "sandbox_id", *attempt->sandbox_id ? attempt->sandbox_id : NULL, 64);
        writer_field_text(writer, "code", attempt->code == CODE_NONE ? NULL : code_name(attempt->code));
        writer_field_count(writer, "ms", attempt->ms);
        writer_field_int(writer, "nano_usd", attempt->nano_usd);
        writer_field_bool(writer, "adopted", attempt->is_adopted);
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

static void field_time(struct writer *writer, const char *key, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (unix_ms > 0)
        clock_format(unix_ms, text);
    writer_field_text(writer, key, unix_ms > 0 ? text : NULL);
}

static void write_timing(struct writer *writer, const struct timing *timing)
{
    writer_key(writer, "timing");
    writer_begin_object(writer);
    writer_field_count(writer, "queued_ms", timing->queued_ms);
    writer_field_count(writer, "permit_wait_ms", timing->permit_wait_ms);
    writer_field_count(writer, "create_ms", timing->create_ms);
    writer_field_count(writer, "prepare_ms", timing->prepare_ms);
    writer_field_count(writer, "run_ms", timing->run_ms);
    writer_field_count(writer, "collect_ms", timing->collect_ms);
    writer_field_count(writer, "total_ms", timing->total_ms);
    field_time(writer, "started_at", timing->started_unix_ms);
    field_time(writer, "finished_at", timing->finished_unix_ms);
    writer_end_object(writer);
}

static void write_usage_and_cost(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    const struct template_entry *entry =
        encoding->source->plan ? encoding->source->plan->placement.entry : NULL;
    writer_key(writer, "usage");
    writer_begin_object(writer);
    writer_field_count(writer, "cpu_ms", outcome->usage.cpu_ms);
    writer_field_count(writer, "peak_memory_bytes", outcome->usage.peak_memory_bytes);
    writer_field_count(writer, "disk_bytes", outcome->usage.disk_bytes);
    field_short(encoding, "source", outcome->usage.source, 40);
    writer_end_object(writer);
    writer_key(writer, "cost");
    writer_begin_object(writer);
    writer_field_int(writer, "nano_usd", outcome->nano_usd);
    writer_field_int(writer, "wasted_nano_usd", outcome->wasted_nano_usd);
    writer_key(writer, "vcpu");
    if (entry)
        writer_milli(writer, entry->cpu_milli);
    else
        writer_null(writer);
    writer_field_count(writer, "memory_mb", entry ? entry->memory_mb : -1);
    writer_field_int(writer, "seconds", (outcome->sandbox_ms + 999) / 1000);
    field_short(encoding, "price_version", encoding->source->price_version, 64);
    writer_end_object(writer);
}

static void write_placement(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct plan *plan = encoding->source->plan;
    writer_key(writer, "placement");
    if (!plan || !plan->placement.entry) {
        writer_null(writer);
        return;
    }
    writer_begin_object(writer);
    field_short(encoding, "template", plan->placement.entry->name, 64);
    field_short(encoding, "template_id", plan->placement.entry->template_id, 64);
    writer_key(writer, "vcpu");
    writer_milli(writer, plan->placement.entry->cpu_milli);
    writer_field_int(writer, "memory_mb", plan->placement.entry->memory_mb);
    field_short(encoding, "reason", plan->placement.reason, 80);
    writer_end_object(writer);
}

static void write_origin(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct result_source *source = encoding->source;
    const struct provenance *from = &source->job->from;
    writer_key(writer, "ran_on");
    writer_begin_object(writer);
    field_short(encoding, "worker_id", source->worker_id, 64);
    field_short(encoding, "worker_version", source->worker_version, 32);
    writer_field_text(writer, "run_mode", source->plan ? run_mode_name(source->plan->run_mode) : NULL);
    field_short(encoding, "topic", from->topic, 249);
    writer_field_int(writer, "partition", from->partition);
    writer_field_int(writer, "offset", from->offset);
    writer_end_object(writer);
    writer_key(writer, "cache");
    writer_begin_object(writer);
    writer_field_bool(writer, "hit", false);
    writer_field_null(writer, "key");
    writer_field_null(writer, "source_job_id");
    writer_end_object(writer);
}

static void write_cut_warning(struct encoding *encoding)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    const char *separator = "";
    buffer_append_format(&text, "left out to fit into %zu bytes: ", encoding->max_bytes);
    for (int cut = CUT_ARTIFACTS; cut <= CUT_DETAILS; cut++)
        if (encoding->was_cut[cut]) {
            buffer_append_format(&text, "%s%s", separator, cut_names[cut]);
            separator = ", ";
        }
    writer_text(&encoding->writer, text.data);
}

static void write_count_warning(struct writer *writer, size_t count, const char *what)
{
    char text[96];
    if (count == 0)
        return;
    (void)snprintf(text, sizeof text, "%zu %s", count, what);
    writer_text(writer, text);
}

static void write_warnings(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct job *job = encoding->source->job;
    const struct outcome *outcome = encoding->source->outcome;
    size_t invalid = 0;
    writer_key(writer, "warnings");
    writer_begin_array(writer);
    if (encoding->cut > CUT_NOTHING)
        write_cut_warning(encoding);
    if (encoding->cut < CUT_DETAILS) {
        for (size_t i = 0; i < job->warnings.count; i++)
            writer_text(writer, job->warnings.items[i]);
        for (size_t i = 0; i < outcome->warning_count; i++)
            writer_text(writer, outcome->warnings[i]);
    }
    for (size_t i = 0; i < outcome->result_count; i++)
        invalid += !encoding->bundles[i].is_valid;
    write_count_warning(writer, invalid, "results were left out: they are no JSON objects");
    write_count_warning(writer, outcome->results_dropped,
                        "further results were not kept: a bound was reached");
    write_count_warning(writer, outcome->artifacts_dropped,
                        "further artifacts were not kept: a bound was reached");
    writer_end_array(writer);
}

static bool is_module_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* "No module named 'numpy'": adds what the text complains about to `modules`, each once. */
static void find_modules(struct bytes text, char modules[][MODULE_BYTES_MAX + 1], size_t *count)
{
    static const char complaint[] = "No module named ";
    const char *at = text.data, *end = at + text.length;
    while (at && *count < MODULES_MAX &&
           (at = memmem(at, (size_t)(end - at), complaint, strlen(complaint)))) {
        size_t length = 0;
        at += strlen(complaint);
        at += at < end && (*at == '\'' || *at == '"');
        while (at + length < end && length < MODULE_BYTES_MAX && is_module_character(at[length]))
            length++;
        if (length == 0)
            continue;
        (void)snprintf(modules[*count], MODULE_BYTES_MAX + 1, "%.*s", (int)length, at);
        bool is_known = false;
        for (size_t i = 0; i < *count; i++)
            is_known |= strcmp(modules[i], modules[*count]) == 0;
        *count += !is_known;
    }
}

static void write_hints(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    char modules[MODULES_MAX][MODULE_BYTES_MAX + 1];
    size_t count = 0;
    if (outcome->user_value)
        find_modules((struct bytes){outcome->user_value, strlen(outcome->user_value)}, modules, &count);
    if (outcome->code != CODE_NONE && encoding->err.length > 0)
        find_modules(buffer_bytes(&encoding->err), modules, &count);
    writer_key(writer, "hints");
    writer_begin_object(writer);
    writer_key(writer, "missing_modules");
    writer_begin_array(writer);
    for (size_t i = 0; encoding->cut < CUT_DETAILS && i < count; i++)
        writer_text(writer, modules[i]);
    writer_end_array(writer);
    writer_end_object(writer);
}

static void write_value(struct encoding *encoding)
{
    struct writer *writer = &encoding->writer;
    const struct outcome *outcome = encoding->source->outcome;
    writer_begin_object(writer);
    write_echo(encoding);
    writer_field_text(writer, "status", status_name(code_status(outcome->code)));
    write_error(encoding);
    writer_field_count(writer, "exit_code", outcome->exit_code);
    writer_field_count(writer, "signal", outcome->signal > 0 ? outcome->signal : -1);
    write_output(encoding, "stdout", &outcome->out, &encoding->out);
    write_output(encoding, "stderr", &outcome->err, &encoding->err);
    write_results(encoding);
    write_steps(encoding);
    write_artifacts(encoding);
    write_attempts(encoding);
    write_timing(writer, &outcome->timing);
    write_usage_and_cost(encoding);
    write_placement(encoding);
    write_origin(encoding);
    write_warnings(encoding);
    write_hints(encoding);
    writer_field_bool(writer, "possible_repeat", outcome->possible_repeat);
    writer_end_object(writer);
}

/* The largest body not above `max`; 0: none. */
static size_t largest_artifact(const struct outcome *outcome, size_t max)
{
    size_t largest = 0;
    for (size_t i = 0; i < outcome->artifact_count; i++)
        if (outcome->artifacts[i].content.length <= max)
            largest = MAX(largest, outcome->artifacts[i].content.length);
    return largest;
}

static size_t largest_result(const struct encoding *encoding, size_t max)
{
    const struct outcome *outcome = encoding->source->outcome;
    size_t largest = 0;
    for (size_t i = 0; i < outcome->result_count; i++)
        if (encoding->bundles[i].is_valid && outcome->results[i].length <= max)
            largest = MAX(largest, outcome->results[i].length);
    return largest;
}

/* Lowers the bound on bodies until those above it are worth `excess` bytes, or none is left. */
static bool cut_artifacts(struct encoding *encoding, size_t excess)
{
    size_t saved = 0, largest;
    while (saved < excess &&
           (largest = largest_artifact(encoding->source->outcome, encoding->artifact_body_max)) > 0) {
        encoding->artifact_body_max = largest - 1;
        saved += largest / 3 * 4;
    }
    return saved > 0;
}

static bool cut_results(struct encoding *encoding, size_t excess)
{
    size_t saved = 0, largest;
    while (saved < excess && (largest = largest_result(encoding, encoding->result_body_max)) > 64) {
        encoding->result_body_max = largest - 1;
        saved += largest;
    }
    return saved > 0;
}

static bool cut_outputs(struct encoding *encoding)
{
    size_t longest = MIN(encoding->output_max, MAX(encoding->out.length, encoding->err.length));
    if (longest == 0)
        return false;
    encoding->output_max = longest / 4 < OUTPUT_FLOOR_BYTES ? 0 : longest / 4;
    return true;
}

/* Leaves out the next thing. What has nothing to give is passed over. */
static void cut_more(struct encoding *encoding, size_t excess)
{
    for (;;) {
        bool is_cut = true;
        switch (encoding->cut) {
        case CUT_ARTIFACTS:
            is_cut = cut_artifacts(encoding, excess);
            break;
        case CUT_RESULTS:
            is_cut = cut_results(encoding, excess);
            break;
        case CUT_OUTPUTS:
            is_cut = cut_outputs(encoding);
            break;
        case CUT_TRACEBACKS:
            is_cut = encoding->source->outcome->user_traceback && !encoding->was_cut[CUT_TRACEBACKS];
            break;
        case CUT_LABELS:
            is_cut = encoding->source->job->labels.count > 0 && !encoding->was_cut[CUT_LABELS];
            break;
        case CUT_DETAILS:
            assert(!encoding->was_cut[CUT_DETAILS]); /* what is left then fits into SMALLEST_BYTES */
            break;
        case CUT_NOTHING:
            is_cut = false;
            break;
        }
        if (is_cut) {
            encoding->was_cut[encoding->cut] = true;
            return;
        }
        encoding->cut++;
    }
}

enum result_cut result_encode(const struct result_source *source, size_t max_bytes, struct buffer *out)
{
    assert(max_bytes >= SMALLEST_BYTES && source->job->job_id && source->job->tenant_id);
    const struct outcome *outcome = source->outcome;
    size_t start = out->length;
    CLEANUP(release)
    struct encoding encoding = {.source = source,
                                .max_bytes = max_bytes,
                                .artifact_body_max = SIZE_MAX,
                                .result_body_max = SIZE_MAX,
                                .output_max = SIZE_MAX};
    encoding.bundles = base_alloc(sizeof *encoding.bundles * (outcome->result_count + 1));
    for (size_t i = 0; i < outcome->result_count; i++)
        encoding.bundles[i] =
            bundle_inspect((struct bytes){outcome->results[i].json, outcome->results[i].length});
    capture_text(&outcome->out, &encoding.out);
    capture_text(&outcome->err, &encoding.err);
    buffer_reserve(out, MIN(AROUND_BYTES + encoding.out.length + encoding.err.length, max_bytes));
    for (;;) {
        encoding.writer = (struct writer){.out = out};
        write_value(&encoding);
        if (out->length - start <= max_bytes)
            return encoding.cut == CUT_NOTHING ? RESULT_WHOLE : RESULT_CUT;
        size_t excess = out->length - start - max_bytes;
        out->length = start;
        cut_more(&encoding, excess);
    }
}
