/* JSON objects read by tables of fields: types, bounds, pointers, unknown names. */
#include "codec/reader.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 40, FIELDS_MAX = 64 };
static const double EXACT_INTEGERS = 9007199254740992.0; /* 2^53: beyond it a double skips integers */

void reader_enter(struct reader *reader, const char *name, size_t index)
{
    assert(reader->depth < READER_DEPTH_MAX);
    reader->path[reader->depth].name = name;
    reader->path[reader->depth++].index = index;
}

void reader_leave(struct reader *reader)
{
    assert(reader->depth > 0);
    reader->depth--;
}

/* RFC 6901: "~" and "/" inside a name are written "~0" and "~1". A long name is cut: it is for people. */
static void append_name(struct buffer *out, const char *name)
{
    size_t length = utf8_prefix((struct bytes){name, strlen(name)}, SHOWN_BYTES);
    for (size_t i = 0; i < length; i++)
        if (name[i] == '~')
            buffer_append_text(out, "~0");
        else if (name[i] == '/')
            buffer_append_text(out, "~1");
        else
            buffer_append_byte(out, (unsigned char)name[i] < 0x20 ? '?' : name[i]);
    if (name[length])
        buffer_append_text(out, "...");
}

static void append_pointer(const struct reader *reader, struct buffer *out)
{
    for (size_t i = 0; i < reader->depth; i++) {
        buffer_append_byte(out, '/');
        if (reader->path[i].name)
            append_name(out, reader->path[i].name);
        else
            buffer_append_format(out, "%zu", reader->path[i].index);
    }
    if (reader->depth == 0)
        buffer_append_text(out, reader->root ? reader->root : "the job");
    buffer_append_text(out, ": ");
}

__attribute__((format(printf, 2, 0))) static const char *located(struct reader *reader, const char *format,
                                                                 va_list args)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    char sentence[320];
    append_pointer(reader, &text);
    int length = vsnprintf(sentence, sizeof sentence, format, args);
    assert(length >= 0);
    /* Names and foreign texts in it may have been cut in the middle of a character, or hold anything. */
    for (char *p = sentence; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    utf8_append_repaired(&text, (struct bytes){sentence, strlen(sentence)});
    return arena_strndup(reader->arena, text.data, text.length);
}

bool reader_fail(struct reader *reader, enum code code, const char *format, ...)
{
    assert(code != CODE_NONE);
    if (reader->code != CODE_NONE)
        return false;
    va_list args;
    va_start(args, format);
    reader->message = located(reader, format, args);
    va_end(args);
    reader->code = code;
    return false;
}

void reader_warn(struct reader *reader, const char *format, ...)
{
    if (reader->warning_count == READER_WARNINGS_MAX) {
        reader->warnings_dropped++;
        return;
    }
    va_list args;
    va_start(args, format);
    reader->warnings[reader->warning_count++] = located(reader, format, args);
    va_end(args);
}

static void unsupported(struct reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
static void unsupported(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reader->unsupported = located(reader, format, args);
    va_end(args);
}

void reader_unsupported(struct reader *reader, const char *what)
{
    if (!reader->unsupported)
        unsupported(reader, "%s is not supported by this version; leave it out", what);
}

/* What was found, for people: texts are shown cut and only where they are names of something. */
static void describe(const json_t *value, char *text, size_t size)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        base_copy_text(text, size, "an object");
        return;
    case JSON_ARRAY:
        (void)snprintf(text, size, "an array of %zu", json_array_size(value));
        return;
    case JSON_STRING:
        (void)snprintf(text, size, "a string of %zu bytes", json_string_length(value));
        return;
    case JSON_INTEGER:
        (void)snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL:
        (void)snprintf(text, size, "%g", json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        base_copy_text(text, size, json_is_true(value) ? "true" : "false");
        return;
    case JSON_NULL:
        base_copy_text(text, size, "null");
        return;
    }
}

bool reader_mismatch(struct reader *reader, const json_t *value, const char *expected)
{
    char found[64];
    describe(value, found, sizeof found);
    return reader_fail(reader, CODE_INVALID_JOB, "must be %s, found %s", expected, found);
}

/* A text as it is shown in a message: cut, without control characters. */
static const char *shown(struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    size_t kept = utf8_prefix((struct bytes){text, length}, SHOWN_BYTES);
    char *copy = arena_printf(reader->arena, "%.*s%s", (int)kept, text, kept < length ? "..." : "");
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return copy;
}

bool reader_text(struct reader *reader, json_t *value, size_t max_bytes, struct bytes *ret)
{
    if (!json_is_string(value))
        return reader_mismatch(reader, value, "a string");
    struct bytes text = {json_string_value(value), json_string_length(value)};
    if (memchr(text.data, '\0', text.length))
        return reader_fail(reader, CODE_INVALID_JOB,
                           "contains the character U+0000, which no text may hold; remove it");
    if (text.length > max_bytes)
        return reader_fail(reader, CODE_INVALID_JOB, "is %zu bytes long; at most %zu are allowed",
                           text.length, max_bytes);
    ret->data = arena_strndup(reader->arena, text.data, text.length);
    ret->length = text.length;
    return true;
}

bool reader_line(struct reader *reader, json_t *value, size_t max_bytes, const char **ret)
{
    struct bytes text = {0};
    if (!reader_text(reader, value, max_bytes, &text))
        return false;
    const unsigned char *p = text.data;
    for (size_t i = 0; i < text.length; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return reader_fail(reader, CODE_INVALID_JOB, "contains the control character U+%04X; remove it",
                               p[i]);
    *ret = text.data;
    return true;
}

bool reader_name(struct reader *reader, json_t *value, const char **ret)
{
    if (!json_is_string(value))
        return reader_mismatch(reader, value, "a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -");
    const char *name = json_string_value(value);
    if (strlen(name) != json_string_length(value) || !job_is_name(name))
        return reader_fail(reader, CODE_INVALID_JOB,
                           "must be 1 to 64 characters out of A-Z a-z 0-9 . _ : -, found \"%s\"",
                           shown(reader, name));
    *ret = arena_strdup(reader->arena, name);
    return true;
}

bool reader_integer(struct reader *reader, const json_t *value, int64_t min, int64_t max, int64_t *ret)
{
    double real = json_is_real(value) ? json_real_value(value) : 0.5;
    bool is_whole = fabs(real) <= EXACT_INTEGERS && real == floor(real); /* 5000.0 is an integer in JSON */
    int64_t number = json_is_integer(value) ? json_integer_value(value) : is_whole ? (int64_t)real : min;
    if ((!json_is_integer(value) && !is_whole) || number < min || number > max) {
        char expected[96];
        (void)snprintf(expected, sizeof expected, "an integer from %" PRId64 " to %" PRId64, min, max);
        return reader_mismatch(reader, value, expected);
    }
    *ret = number;
    return true;
}

bool reader_boolean(struct reader *reader, const json_t *value, bool *ret)
{
    if (!json_is_boolean(value))
        return reader_mismatch(reader, value, "true or false");
    *ret = json_is_true(value);
    return true;
}

bool reader_time(struct reader *reader, const json_t *value, int64_t *ret_unix_ms)
{
    static const char expected[] = "a time as in RFC 3339, such as 2026-01-31T09:30:00Z";
    if (!json_is_string(value))
        return reader_mismatch(reader, value, expected);
    if (!clock_parse(json_string_value(value), ret_unix_ms))
        return reader_fail(reader, CODE_INVALID_JOB, "must be %s, found \"%s\"", expected,
                           shown(reader, json_string_value(value)));
    return true;
}

static const char *joined(struct reader *reader, const char *const *names, size_t count)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&text, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", names[i]);
    return arena_strndup(reader->arena, text.data, text.length);
}

bool reader_choice(struct reader *reader, json_t *value, const char *const *names, size_t count,
                   enum code code, size_t *ret)
{
    if (!json_is_string(value))
        return reader_mismatch(reader, value, joined(reader, names, count));
    const char *text = json_string_value(value);
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
    const char *near = nearest_name(text, names, count);
    return reader_fail(reader, code, "must be %s, found \"%s\"%s%s%s", joined(reader, names, count),
                       shown(reader, text), near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
}

bool reader_array(struct reader *reader, const json_t *value, size_t max_count)
{
    if (!json_is_array(value))
        return reader_mismatch(reader, value, "an array");
    if (json_array_size(value) > max_count)
        return reader_fail(reader, CODE_INVALID_JOB, "has %zu elements; at most %zu are allowed",
                           json_array_size(value), max_count);
    return true;
}

bool reader_lines(struct reader *reader, json_t *value, size_t max_count, size_t max_bytes,
                  struct text_list *ret)
{
    if (!reader_array(reader, value, max_count))
        return false;
    struct text_list list = {.items = ARENA_ARRAY(reader->arena, const char *, json_array_size(value))};
    for (; list.count < json_array_size(value); list.count++) {
        reader_enter(reader, NULL, list.count);
        if (!reader_line(reader, json_array_get(value, list.count), max_bytes, &list.items[list.count]))
            return false;
        reader_leave(reader);
    }
    *ret = list;
    return true;
}

/* Returns: the field that an unknown name probably means; NULL: none. */
static const char *meant_field(const char *name, const struct field *fields, size_t count)
{
    const char *names[FIELDS_MAX];
    assert(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = fields[i].name;
    return nearest_name(name, names, count);
}

static void note_unknown(struct reader *reader, const char *name, const struct field *fields, size_t count)
{
    const char *near = meant_field(name, fields, count);
    const char *meant = near ? arena_printf(reader->arena, "; did you mean \"%s\"?", near) : "";
    reader_enter(reader, name, 0);
    if (reader->rejects_unknown)
        (void)reader_fail(reader, CODE_INVALID_JOB, "is unknown%s", meant);
    else
        reader_warn(reader, "unknown field, ignored%s", meant);
    reader_leave(reader);
}

static bool read_member(struct reader *reader, json_t *value, const struct field *field, void *target)
{
    void *place = (char *)target + field->offset;
    switch (field->type) {
    case FIELD_CUSTOM:
        return field->read(reader, value, target);
    case FIELD_TEXT:
        return reader_line(reader, value, (size_t)field->max, place);
    case FIELD_NAME:
        return reader_name(reader, value, place);
    case FIELD_INTEGER:
        return reader_integer(reader, value, field->min, field->max, place);
    case FIELD_BOOLEAN:
        return reader_boolean(reader, value, place);
    case FIELD_TIME:
        return reader_time(reader, value, place);
    }
    return false;
}

static const struct field *find_field(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

const char *reader_misspelt(struct reader *reader, const json_t *object, const struct field *fields,
                            size_t count, const char *name)
{
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)object, member, value)
    {
        if (find_field(fields, count, member))
            continue;
        const char *meant = meant_field(member, fields, count);
        if (meant && strcmp(meant, name) == 0)
            return arena_printf(reader->arena, "; there is \"%s\": did you mean \"%s\"?",
                                shown(reader, member), name);
    }
    return "";
}

static void check_required(struct reader *reader, const json_t *object, const struct field *fields,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (fields[i].is_required && (!value || json_is_null(value)))
            (void)reader_fail(reader, CODE_INVALID_JOB, "lacks \"%s\"%s", fields[i].name,
                              reader_misspelt(reader, object, fields, count, fields[i].name));
    }
}

bool reader_object(struct reader *reader, json_t *value, const struct field *fields, size_t count,
                   void *target)
{
    if (!json_is_object(value))
        return reader_mismatch(reader, value, "an object");
    const char *name;
    json_t *member;
    size_t depth = reader->depth;
    json_object_foreach(value, name, member)
    {
        const struct field *field = find_field(fields, count, name);
        if (!field) {
            note_unknown(reader, name, fields, count);
            continue;
        }
        if (json_is_null(member))
            continue;
        reader_enter(reader, name, 0);
        /* Goes on after a failure: a rejected job is answered with its labels and what else could be read. */
        (void)read_member(reader, member, field, target);
        reader->depth = depth;
    }
    check_required(reader, value, fields, count);
    return reader->code == CODE_NONE;
}
