/* CloudEvents over Kafka in and out, and the packing of a whole record into one blob. */
#include "codec/envelope.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ATTRIBUTE_BYTES_MAX = 1024 };

static bool is_text(struct bytes value)
{
    return value.length > 0 && value.length <= ATTRIBUTE_BYTES_MAX &&
           !memchr(value.data, '\0', value.length) && utf8_is_valid(value);
}

/* The last of a name wins, as Kafka's own clients have it. Returns: NULL when absent or no text. */
static const char *find_text(const struct header *headers, size_t count, const char *name,
                             struct arena *arena)
{
    for (size_t i = count; i-- > 0;)
        if (strcasecmp(headers[i].name, name) == 0)
            return is_text(headers[i].value)
                       ? arena_strndup(arena, headers[i].value.data, headers[i].value.length)
                       : NULL;
    return NULL;
}

static int64_t parse_time(const char *text)
{
    int64_t ms = -1;
    return text && clock_parse(text, &ms) ? ms : -1;
}

static const char *find_trace(const struct header *headers, size_t count, const char *name,
                              const char *ce_name, struct arena *arena)
{
    const char *found = find_text(headers, count, name, arena);
    return found ? found : find_text(headers, count, ce_name, arena);
}

static void read_headers(const struct header *headers, size_t count, struct arena *arena,
                         struct envelope *envelope)
{
    envelope->id = find_text(headers, count, "ce_id", arena);
    envelope->source = find_text(headers, count, "ce_source", arena);
    envelope->type = find_text(headers, count, "ce_type", arena);
    envelope->subject = find_text(headers, count, "ce_subject", arena);
    envelope->time_unix_ms = parse_time(find_text(headers, count, "ce_time", arena));
    envelope->trace_parent = find_trace(headers, count, "traceparent", "ce_traceparent", arena);
    envelope->trace_state = find_trace(headers, count, "tracestate", "ce_tracestate", arena);
}

static const char *attribute(const json_t *root, const char *name, struct arena *arena)
{
    const json_t *value = json_object_get(root, name);
    if (!json_is_string(value))
        return NULL;
    struct bytes text = {json_string_value(value), json_string_length(value)};
    return is_text(text) ? arena_strndup(arena, text.data, text.length) : NULL;
}

/* `data` as JSON text again, or what `data_base64` holds; empty when the event has neither. */
static bool read_structured_data(const json_t *root, struct arena *arena, struct bytes *ret,
                                 struct error *reterr)
{
    const json_t *data = json_object_get(root, "data");
    const json_t *encoded = json_object_get(root, "data_base64");
    if (json_is_string(encoded)) {
        CLEANUP(buffer_release) struct buffer decoded = {0};
        if (!base64_decode((struct bytes){json_string_value(encoded), json_string_length(encoded)}, &decoded))
            return error_set(reterr, ERROR_REJECTED, "envelope", 0,
                             "/data_base64 of the structured CloudEvent is no base64");
        *ret = (struct bytes){arena_copy(arena, decoded.data, decoded.length), decoded.length};
        return true;
    }
    if (!data) {
        *ret = (struct bytes){"", 0};
        return true;
    }
    char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        base_die("jansson cannot write back what it has read");
    size_t length = strlen(text);
    *ret = (struct bytes){arena_copy(arena, text, length), length};
    free(text);
    return true;
}

static bool read_structured(struct bytes value, struct arena *arena, struct envelope *envelope,
                            struct error *reterr)
{
    json_error_t why;
    json_auto_t *root =
        json_loadb(value.data ? value.data : "", value.length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!root)
        return error_set(reterr, ERROR_REJECTED, "envelope", 0,
                         "the structured CloudEvent is not JSON: %.100s (byte %d)", why.text, why.position);
    if (!json_is_object(root))
        return error_set(reterr, ERROR_REJECTED, "envelope", 0,
                         "the structured CloudEvent is no JSON object");
    struct bytes data = {0};
    if (!read_structured_data(root, arena, &data, reterr))
        return false;
    envelope->data = data;
    envelope->id = attribute(root, "id", arena);
    envelope->source = attribute(root, "source", arena);
    envelope->type = attribute(root, "type", arena);
    envelope->subject = attribute(root, "subject", arena);
    envelope->time_unix_ms = parse_time(attribute(root, "time", arena));
    if (!envelope->trace_parent)
        envelope->trace_parent = attribute(root, "traceparent", arena);
    if (!envelope->trace_state)
        envelope->trace_state = attribute(root, "tracestate", arena);
    return true;
}

bool envelope_read(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                   struct envelope *ret, struct error *reterr)
{
    static const char cloud_event[] = "application/cloudevents";
    struct envelope envelope = {.data = value};
    read_headers(headers, count, arena, &envelope);
    const char *content_type = find_text(headers, count, "content-type", arena);
    if (content_type && strncasecmp(content_type, cloud_event, strlen(cloud_event)) == 0) {
        const char *format = content_type + strlen(cloud_event);
        if (strncasecmp(format, "+json", 5) != 0)
            return error_set(
                reterr, ERROR_REJECTED, "envelope", 0,
                "content-type %.60s is not read; use application/cloudevents+json or binary mode",
                content_type);
        if (!read_structured(value, arena, &envelope, reterr))
            return false;
    }
    *ret = envelope;
    return true;
}

static void add_header(struct envelope_headers *headers, const char *name, const char *value)
{
    if (!value)
        return;
    assert(headers->count < ENVELOPE_HEADERS_MAX);
    headers->items[headers->count++] = (struct header){.name = name, .value = {value, strlen(value)}};
}

void envelope_write(const struct envelope *envelope, struct envelope_headers *ret)
{
    ret->count = 0;
    add_header(ret, "content-type", "application/json");
    add_header(ret, "ce_specversion", "1.0");
    add_header(ret, "ce_id", envelope->id);
    add_header(ret, "ce_source", envelope->source);
    add_header(ret, "ce_type", envelope->type);
    add_header(ret, "ce_subject", envelope->subject);
    if (envelope->time_unix_ms >= 0) {
        clock_format(envelope->time_unix_ms, ret->time);
        add_header(ret, "ce_time", ret->time);
    }
    add_header(ret, "traceparent", envelope->trace_parent);
    add_header(ret, "tracestate", envelope->trace_state);
}

/* The blob: a line "record1 <headers> <value bytes>", one line "<name bytes> <value bytes>" per header, then
 * all names and values in that order, then the value. Text when its parts are text, and safe for bytes. */
static const char magic[] = "record1 ";

enum { SIZES_BYTES = 12 }; /* of most such lines */

static void append_sizes(struct buffer *out, size_t first, size_t second)
{
    buffer_append_int(out, (int64_t)first);
    buffer_append_byte(out, ' ');
    buffer_append_int(out, (int64_t)second);
    buffer_append_byte(out, '\n');
}

void record_pack(const struct header *headers, size_t count, struct bytes value, struct buffer *out)
{
    size_t bytes = value.length;
    for (size_t i = 0; i < count; i++)
        bytes += SIZES_BYTES + strlen(headers[i].name) + headers[i].value.length;
    buffer_reserve(out, strlen(magic) + SIZES_BYTES + bytes);
    buffer_append_text(out, magic);
    append_sizes(out, count, value.length);
    for (size_t i = 0; i < count; i++)
        append_sizes(out, strlen(headers[i].name), headers[i].value.length);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, headers[i].name);
        buffer_append(out, headers[i].value.data, headers[i].value.length);
    }
    buffer_append(out, value.data, value.length);
}

struct cursor {
    const char *at;
    size_t left;
};

/* A decimal number that ends with `end`, which is consumed. */
static bool read_size(struct cursor *cursor, char end, size_t *ret)
{
    size_t number = 0, digits = 0;
    while (digits < cursor->left && digits < 12 && isdigit((unsigned char)cursor->at[digits]))
        number = number * 10 + (size_t)(cursor->at[digits++] - '0');
    if (digits == 0 || digits == cursor->left || cursor->at[digits] != end)
        return false;
    cursor->at += digits + 1;
    cursor->left -= digits + 1;
    *ret = number;
    return true;
}

static bool read_bytes(struct cursor *cursor, size_t length, struct bytes *ret)
{
    if (length > cursor->left)
        return false;
    *ret = (struct bytes){cursor->at, length};
    cursor->at += length;
    cursor->left -= length;
    return true;
}

static bool unpack_headers(struct cursor *lines, struct header *headers, size_t count, struct arena *arena)
{
    size_t *lengths = ARENA_ARRAY(arena, size_t, 2 * count);
    for (size_t i = 0; i < count; i++)
        if (!read_size(lines, ' ', &lengths[2 * i]) || !read_size(lines, '\n', &lengths[2 * i + 1]))
            return false;
    for (size_t i = 0; i < count; i++) {
        struct bytes name, value;
        if (!read_bytes(lines, lengths[2 * i], &name) || !read_bytes(lines, lengths[2 * i + 1], &value) ||
            memchr(name.data, '\0', name.length))
            return false;
        headers[i].name = arena_strndup(arena, name.data, name.length);
        headers[i].value = (struct bytes){arena_copy(arena, value.data, value.length), value.length};
    }
    return true;
}

bool record_unpack(struct bytes blob, struct header *headers, size_t max_headers, struct arena *arena,
                   size_t *ret_count, struct bytes *ret_value, struct error *reterr)
{
    struct cursor cursor = {blob.data, blob.length};
    size_t prefix = strlen(magic), count, value_length;
    struct bytes ignored, value;
    bool is_ours = blob.length > prefix && memcmp(blob.data, magic, prefix) == 0 &&
                   read_bytes(&cursor, prefix, &ignored) && read_size(&cursor, ' ', &count) &&
                   read_size(&cursor, '\n', &value_length);
    if (!is_ours || count > max_headers)
        return error_set(reterr, ERROR_REJECTED, "record", 0, "the sealed record has no readable beginning");
    if (!unpack_headers(&cursor, headers, count, arena) || !read_bytes(&cursor, value_length, &value) ||
        cursor.left != 0)
        return error_set(reterr, ERROR_REJECTED, "record", 0, "the sealed record is cut or damaged");
    *ret_count = count;
    *ret_value = value;
    return true;
}
