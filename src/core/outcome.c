/* What came out of a job, within its bounds. */
#include "core/outcome.h"
#include "base/digest.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESULT_BYTES = 1024 * 1024,
    WARNING_BYTES = 512,
    MESSAGE_BYTES = 320,
    STAGE_BYTES = 32,
    PROVIDER_CODE_BYTES = 48,
    SMALLEST = 64
};

/* ---- Captures ---- */

static size_t head_limit(const struct capture *capture)
{
    return (size_t)(capture->limit_bytes / 2);
}

static size_t tail_limit(const struct capture *capture)
{
    return (size_t)capture->limit_bytes - head_limit(capture);
}

/* Appends within `limit`. Doubles as any buffer does, but never past the limit: its last doubling would waste
 * half of it, in every job in flight. */
static void append_within(struct buffer *buffer, const char *data, size_t length, size_t limit)
{
    if (length == 0)
        return;
    assert(buffer->length + length <= limit);
    size_t needed = buffer->length + length + 1;
    if (needed > buffer->capacity) {
        buffer->capacity = MIN(MAX(buffer->capacity * 2, MAX(needed, (size_t)SMALLEST)), limit + 1);
        buffer->data = base_realloc(buffer->data, buffer->capacity);
    }
    buffer_append(buffer, data, length);
}

/* The ring is full: the oldest bytes give way. */
static void overwrite(struct buffer *ring, size_t *start, const char *data, size_t length)
{
    while (length > 0) {
        size_t piece = MIN(length, ring->length - *start);
        memcpy(ring->data + *start, data, piece);
        *start = (*start + piece) % ring->length;
        data += piece;
        length -= piece;
    }
}

void capture_init(struct capture *capture, int64_t limit_bytes)
{
    assert(limit_bytes >= 0);
    *capture = (struct capture){.limit_bytes = limit_bytes};
}

void capture_release(struct capture *capture)
{
    buffer_release(&capture->head);
    buffer_release(&capture->tail);
    capture_init(capture, capture->limit_bytes);
}

void capture_append(struct capture *capture, struct bytes bytes)
{
    const char *data = bytes.data;
    size_t length = bytes.length, room = head_limit(capture) - capture->head.length;
    capture->total_bytes += (int64_t)length;
    size_t piece = MIN(length, room);
    append_within(&capture->head, data, piece, head_limit(capture));
    if (piece == length)
        return;
    data += piece;
    length -= piece;
    size_t limit = tail_limit(capture);
    if (length > limit) { /* what would be overwritten at once */
        data += length - limit;
        length = limit;
    }
    piece = MIN(length, limit - capture->tail.length);
    append_within(&capture->tail, data, piece, limit);
    if (piece < length)
        overwrite(&capture->tail, &capture->tail_start, data + piece, length - piece);
}

void capture_skip(struct capture *capture, int64_t count)
{
    assert(count >= 0);
    capture->total_bytes += count;
}

bool capture_is_truncated(const struct capture *capture)
{
    return capture->total_bytes > (int64_t)(capture->head.length + capture->tail.length);
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Returns: how much of the text is left when a character that its end cuts in two goes. */
static size_t whole_prefix(const char *text, size_t length)
{
    size_t back = 0;
    while (back < 3 && back < length && is_continuation(text[length - 1 - back]))
        back++;
    if (back == length)
        return length;
    unsigned char lead = (unsigned char)text[length - 1 - back];
    size_t announced = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return announced > back + 1 ? length - 1 - back : length;
}

/* Returns: how many bytes at the beginning belong to a character that began before. */
static size_t cut_prefix(const char *text, size_t length)
{
    size_t cut = 0;
    while (cut < 3 && cut < length && is_continuation(text[cut]))
        cut++;
    return cut;
}

static void append_tail(const struct capture *capture, struct buffer *out)
{
    const struct buffer *tail = &capture->tail;
    if (tail->length == 0)
        return;
    buffer_append(out, tail->data + capture->tail_start, tail->length - capture->tail_start);
    buffer_append(out, tail->data, capture->tail_start);
}

void capture_text(const struct capture *capture, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append(&text, capture->head.data, capture->head.length);
    append_tail(capture, &text);
    if (!capture_is_truncated(capture)) {
        utf8_append_repaired(out, buffer_bytes(&text));
        return;
    }
    bool is_gap = capture->tail.length == tail_limit(capture); /* else it is the end that is missing */
    const char *data = text.length > 0 ? text.data : "";
    size_t seam = is_gap ? capture->head.length : text.length;
    size_t kept = whole_prefix(data, seam), from = seam + cut_prefix(data + seam, text.length - seam);
    int64_t missing = capture->total_bytes - (int64_t)kept - (int64_t)(text.length - from);
    utf8_append_repaired(out, (struct bytes){.data = data, .length = kept});
    if (kept > 0 && data[kept - 1] != '\n')
        buffer_append_byte(out, '\n');
    buffer_append_format(out, "[... %lld bytes are missing here ...]\n", (long long)missing);
    utf8_append_repaired(out, (struct bytes){.data = data + from, .length = text.length - from});
}

size_t capture_memory(const struct capture *capture)
{
    return capture->head.capacity + capture->tail.capacity;
}

/* ---- Outcomes: life cycle ---- */

static void forget_timing_of_attempt(struct timing *timing)
{
    timing->create_ms = timing->prepare_ms = timing->run_ms = timing->collect_ms = -1;
}

/* All that an attempt may have left, whatever was there before. */
static void reset_attempt(struct outcome *outcome)
{
    outcome->code = CODE_NONE;
    outcome->provider_status = 0;
    outcome->exit_code = -1;
    outcome->signal = 0;
    outcome->usage = (struct usage){.cpu_ms = -1, .peak_memory_bytes = -1, .disk_bytes = -1};
    for (size_t i = 0; i < outcome->step_count; i++)
        outcome->steps[i] = (struct step_report){.name = outcome->steps[i].name, .exit_code = -1};
    forget_timing_of_attempt(&outcome->timing);
}

void outcome_init(struct outcome *outcome, const struct output_limits *limits)
{
    *outcome = (struct outcome){.result_limit_bytes = RESULT_BYTES};
    capture_init(&outcome->out, limits->stdout_bytes);
    capture_init(&outcome->err, limits->stderr_bytes);
    outcome->timing = (struct timing){
        .queued_ms = -1, .permit_wait_ms = -1, .total_ms = -1, .started_unix_ms = -1, .finished_unix_ms = -1};
    reset_attempt(outcome);
}

static void free_results(struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->result_count; i++)
        free(outcome->results[i].json);
    free(TAKE(outcome->results));
    outcome->result_count = outcome->result_bytes = outcome->results_dropped = 0;
}

static void free_artifacts(struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->artifact_count; i++) {
        free(outcome->artifacts[i].path);
        buffer_release(&outcome->artifacts[i].content);
    }
    free(TAKE(outcome->artifacts));
    outcome->artifact_count = outcome->artifacts_dropped = 0;
    outcome->artifact_bytes = 0;
}

void outcome_clear_attempt(struct outcome *outcome)
{
    capture_release(&outcome->out);
    capture_release(&outcome->err);
    free_results(outcome);
    free_artifacts(outcome);
    free(TAKE(outcome->stage));
    free(TAKE(outcome->message));
    free(TAKE(outcome->provider_code));
    free(TAKE(outcome->user_name));
    free(TAKE(outcome->user_value));
    free(TAKE(outcome->user_traceback));
    reset_attempt(outcome);
}

void outcome_release(struct outcome *outcome)
{
    outcome_clear_attempt(outcome);
    for (size_t i = 0; i < outcome->warning_count; i++)
        free(outcome->warnings[i]);
    free(TAKE(outcome->warnings));
    outcome->warning_count = 0;
    free(TAKE(outcome->attempts));
    outcome->attempt_count = outcome->attempt_room = 0;
}

/* ---- Outcomes: use ---- */

/* vsnprintf, with no character cut in two at its end. */
__attribute__((format(printf, 3, 0))) static void format_whole(char *text, size_t size, const char *format,
                                                               va_list args)
{
    (void)vsnprintf(text, size, format, args);
    text[whole_prefix(text, strlen(text))] = '\0';
}

/* A copy of its beginning, with no character cut in two. */
static char *copy_whole(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    return base_strndup(text, text[length] == '\0' ? length : whole_prefix(text, length));
}

void outcome_blame(struct outcome *outcome, enum code code, const char *stage, const char *format, ...)
{
    assert(code != CODE_NONE);
    if (outcome->code != CODE_NONE)
        return;
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    format_whole(message, sizeof message, format, args);
    va_end(args);
    outcome->code = code;
    free(outcome->stage);
    free(outcome->message);
    outcome->stage = copy_whole(stage, STAGE_BYTES - 1);
    outcome->message = base_strdup(message);
}

void outcome_blame_provider(struct outcome *outcome, int http_status, const char *code)
{
    outcome->provider_status = http_status;
    free(outcome->provider_code);
    outcome->provider_code = code[0] != '\0' ? copy_whole(code, PROVIDER_CODE_BYTES - 1) : NULL;
}

void outcome_warn(struct outcome *outcome, const char *format, ...)
{
    if (outcome->warning_count == OUTCOME_WARNINGS_MAX)
        return;
    char text[WARNING_BYTES];
    va_list args;
    va_start(args, format);
    format_whole(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < outcome->warning_count; i++)
        if (strcmp(outcome->warnings[i], text) == 0)
            return; /* every attempt says the same */
    outcome->warnings =
        base_realloc(outcome->warnings, (outcome->warning_count + 1) * sizeof *outcome->warnings);
    outcome->warnings[outcome->warning_count++] = base_strdup(text);
}

void outcome_add_result(struct outcome *outcome, struct bytes json)
{
    if (outcome->result_count == OUTCOME_RESULTS_MAX ||
        (int64_t)(outcome->result_bytes + json.length) > outcome->result_limit_bytes) {
        outcome->results_dropped++;
        return;
    }
    size_t count = outcome->result_count + 1;
    outcome->results = base_realloc(outcome->results, count * sizeof *outcome->results);
    outcome->results[count - 1] =
        (struct rich_result){.json = base_strndup(json.data, json.length), .length = json.length};
    outcome->result_count = count;
    outcome->result_bytes += json.length;
}

void outcome_set_exception(struct outcome *outcome, const char *name, const char *value,
                           const char *traceback)
{
    free(outcome->user_name);
    free(outcome->user_value);
    free(outcome->user_traceback);
    outcome->user_name = base_strdup(name);
    outcome->user_value = base_strdup(value);
    outcome->user_traceback = base_strdup(traceback);
}

bool outcome_add_artifact(struct outcome *outcome, const char *path, struct buffer *content,
                          int64_t max_bytes, int64_t max_count)
{
    if ((int64_t)outcome->artifact_count >= max_count ||
        outcome->artifact_bytes + (int64_t)content->length > max_bytes) {
        outcome->artifacts_dropped++;
        return false;
    }
    size_t count = outcome->artifact_count + 1;
    outcome->artifacts = base_realloc(outcome->artifacts, count * sizeof *outcome->artifacts);
    struct artifact *artifact = &outcome->artifacts[count - 1];
    *artifact = (struct artifact){.path = base_strdup(path), .content = *content};
    *content = (struct buffer){0};
    digest_sha256_hex(buffer_bytes(&artifact->content), artifact->sha256);
    outcome->artifact_count = count;
    outcome->artifact_bytes += (int64_t)artifact->content.length;
    return true;
}

static size_t text_memory(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

struct attempt_report *outcome_attempt(struct outcome *outcome)
{
    size_t place = MIN(outcome->attempt_count, (size_t)OUTCOME_ATTEMPTS_MAX - 1);
    if (place == outcome->attempt_room) {
        outcome->attempts =
            base_realloc(outcome->attempts, ++outcome->attempt_room * sizeof *outcome->attempts);
        outcome->attempts[place] = (struct attempt_report){0};
    }
    return &outcome->attempts[place];
}

void outcome_count_attempt(struct outcome *outcome)
{
    assert(outcome->attempt_room > 0);
    outcome->attempt_count = MIN(outcome->attempt_count + 1, OUTCOME_ATTEMPTS_MAX);
}

size_t outcome_memory(const struct outcome *outcome)
{
    size_t bytes = capture_memory(&outcome->out) + capture_memory(&outcome->err);
    bytes += outcome->result_bytes + outcome->result_count * (sizeof *outcome->results + 1);
    bytes += outcome->artifact_count * sizeof *outcome->artifacts;
    bytes += outcome->attempt_room * sizeof *outcome->attempts;
    for (size_t i = 0; i < outcome->artifact_count; i++)
        bytes += text_memory(outcome->artifacts[i].path) + outcome->artifacts[i].content.capacity;
    bytes += text_memory(outcome->user_name) + text_memory(outcome->user_value) +
             text_memory(outcome->user_traceback) + text_memory(outcome->stage) +
             text_memory(outcome->message) + text_memory(outcome->provider_code);
    bytes += outcome->warning_count * sizeof *outcome->warnings;
    for (size_t i = 0; i < outcome->warning_count; i++)
        bytes += text_memory(outcome->warnings[i]);
    return bytes;
}
