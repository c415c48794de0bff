/* JSON lines. */
#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>
#include <unistd.h>

static const char *const LEVELS[] = {"debug", "info", "warn", "error", "none"};

bool log_level_parse(const char *name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LENGTH(LEVELS); i++)
        if (strcmp(name, LEVELS[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return LEVELS[level];
}

static void append_escaped(struct buffer *line, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buffer_append_format(line, "\\%c", *p);
        else if (*p < 0x20)
            buffer_append_format(line, "\\u%04x", *p);
        else
            buffer_append_byte(line, (char)*p);
    }
}

static void append_string(struct buffer *line, const char *text)
{
    buffer_append_byte(line, '"');
    if (utf8_is_valid((struct bytes){text, strlen(text)})) {
        append_escaped(line, text);
    } else {
        CLEANUP(buffer_release) struct buffer repaired = {0};
        utf8_append_repaired(&repaired, (struct bytes){text, strlen(text)});
        append_escaped(line, repaired.data);
    }
    buffer_append_byte(line, '"');
}

static void append_field(struct buffer *line, const struct log_field *field)
{
    buffer_append_format(line, ",\"%s\":", field->name);
    switch (field->kind) {
    case LOG_KIND_TEXT:
        if (field->text)
            append_string(line, field->text);
        else
            buffer_append_text(line, "null");
        break;
    case LOG_KIND_INT:
        buffer_append_format(line, "%lld", (long long)field->number);
        break;
    case LOG_KIND_BOOL:
        buffer_append_text(line, field->number ? "true" : "false");
        break;
    }
}

void log_write(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    if (!log_is_on(log, level))
        return;
    CLEANUP(buffer_release) struct buffer line = {0};
    char at[CLOCK_TEXT_SIZE];
    clock_format(clock_unix_ms(), at);
    buffer_append_format(&line, "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", at, LEVELS[level], event);
    if (log->component)
        append_field(&line, &LOG_TEXT("component", log->component));
    if (log->worker)
        append_field(&line, &LOG_TEXT("worker", log->worker));
    for (size_t i = 0; i < count; i++)
        append_field(&line, &fields[i]);
    buffer_append_text(&line, "}\n");
    /* Nobody can be told of a log that cannot be written. */
    ssize_t written = write(log->fd > 0 ? log->fd : STDERR_FILENO, line.data, line.length);
    (void)written;
}
