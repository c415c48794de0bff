/* JSON lines. */
#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/quoted.h"

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

static void append_field(struct buffer *line, const struct log_field *field)
{
    buffer_append_format(line, ",\"%s\":", field->name);
    switch (field->kind) {
    case LOG_KIND_TEXT:
        if (field->text)
            quoted_append_text(line, field->text);
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
