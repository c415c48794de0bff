/* Events of the interpreter and of processes. */
#include "e2b/events.h"

#include "base/base64.h"

#include <ctype.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void event_release(struct event *event)
{
    json_decref(event->tree);
    buffer_release(&event->owned);
    event->tree = NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static struct bytes bytes_of(const json_t *string)
{
    return (struct bytes){.data = json_string_value(string), .length = json_string_length(string)};
}

/* Returns: false when it is no object. */
static bool load(struct bytes json, struct event *ret)
{
    *ret = (struct event){.kind = EVENT_IGNORED};
    ret->tree = json_loadb(json.data ? json.data : "", json.length, JSON_ALLOW_NUL, NULL);
    if (json_is_object((json_t *)ret->tree))
        return true;
    event_release(ret);
    return false;
}

/* ---- code ---- */

/* The object without its type: the sender's own text where the type stands in front, as it always does;
 * written anew otherwise. */
static void take_result(struct bytes line, struct event *event)
{
    static const char in_front[] = "{\"type\": \"result\", ";
    size_t skip = sizeof in_front - 1;
    if (line.length > skip && !memcmp(line.data, in_front, skip)) {
        buffer_append_byte(&event->owned, '{');
        buffer_append(&event->owned, (const char *)line.data + skip, line.length - skip);
    } else {
        json_object_del(event->tree, "type");
        char *text = json_dumps(event->tree, JSON_COMPACT);
        buffer_append_text(&event->owned, text ? text : "{}");
        free(text);
    }
    event->kind = EVENT_RESULT;
    event->bytes = buffer_bytes(&event->owned);
}

static bool begins_with(struct bytes line, const char *text)
{
    size_t length = strlen(text);
    return line.length >= length && !memcmp(line.data, text, length);
}

/* {"type": "number_of_executions", "execution_count": 12} */
static bool is_count(struct bytes line)
{
    static const char before[] = "{\"type\": \"number_of_executions\", \"execution_count\": ";
    size_t i = sizeof before - 1;
    if (!begins_with(line, before))
        return false;
    while (i < line.length && isdigit(((const unsigned char *)line.data)[i]))
        i++;
    return i >= sizeof before && i + 1 == line.length && ((const char *)line.data)[i] == '}';
}

/* Lines of which only the type counts, as the interpreter writes them: no tree is built for these. */
static bool take_bare(struct bytes line, struct event *ret)
{
    static const struct {
        const char *line;
        enum event_kind kind;
    } bare[] = {{"{\"type\": \"end_of_execution\"}", EVENT_END},
                {"{\"type\": \"keepalive\"}", EVENT_IGNORED}};
    for (size_t i = 0; i < ARRAY_LENGTH(bare); i++)
        if (line.length == strlen(bare[i].line) && begins_with(line, bare[i].line)) {
            *ret = (struct event){.kind = bare[i].kind};
            return true;
        }
    *ret = (struct event){.kind = EVENT_STARTED};
    return is_count(line);
}

bool event_of_code(struct bytes line, struct event *ret)
{
    if (take_bare(line, ret))
        return true;
    if (!load(line, ret))
        return false;
    const char *type = text_of(ret->tree, "type");
    if (!strcmp(type, "stdout") || !strcmp(type, "stderr")) {
        ret->kind = type[3] == 'o' ? EVENT_STDOUT : EVENT_STDERR;
        ret->bytes = bytes_of(json_object_get(ret->tree, "text"));
    } else if (!strcmp(type, "result")) {
        take_result(line, ret);
    } else if (!strcmp(type, "error")) {
        ret->kind = EVENT_ERROR;
        ret->name = text_of(ret->tree, "name");
        ret->value = text_of(ret->tree, "value");
        ret->traceback = text_of(ret->tree, "traceback");
    } else if (!strcmp(type, "number_of_executions")) {
        ret->kind = EVENT_STARTED;
    } else if (!strcmp(type, "end_of_execution")) {
        ret->kind = EVENT_END;
    }
    return true;
}

/* ---- processes ---- */

/* As Go writes a wait status. */
static const struct {
    const char *text;
    int signal;
} signals[] = {
    {"hangup", SIGHUP},
    {"interrupt", SIGINT},
    {"quit", SIGQUIT},
    {"illegal instruction", SIGILL},
    {"trace/breakpoint trap", SIGTRAP},
    {"aborted", SIGABRT},
    {"bus error", SIGBUS},
    {"floating point exception", SIGFPE},
    {"killed", SIGKILL},
    {"user defined signal 1", SIGUSR1},
    {"segmentation fault", SIGSEGV},
    {"user defined signal 2", SIGUSR2},
    {"broken pipe", SIGPIPE},
    {"alarm clock", SIGALRM},
    {"terminated", SIGTERM},
};

int event_signal_of(const char *status)
{
    static const char prefix[] = "signal: ", core[] = " (core dumped)";
    if (strncmp(status, prefix, sizeof prefix - 1) != 0)
        return 0;
    const char *name = status + sizeof prefix - 1;
    size_t length = strlen(name);
    if (length > sizeof core - 1 && !strcmp(name + length - (sizeof core - 1), core))
        length -= sizeof core - 1;
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        if (strlen(signals[i].text) == length && !strncmp(signals[i].text, name, length))
            return signals[i].signal;
    long number = strncmp(name, "signal ", 7) != 0 ? 0 : strtol(name + 7, NULL, 10);
    return number > 0 && number < NSIG ? (int)number : SIGKILL; /* ended by one, whatever its name */
}

static bool take_data(const json_t *data, struct event *event)
{
    const json_t *text = json_object_get(data, "stdout");
    event->kind = EVENT_STDOUT;
    if (!text) {
        text = json_object_get(data, "stderr");
        event->kind = EVENT_STDERR;
    }
    if (!text) {
        event->kind = EVENT_IGNORED; /* a terminal's, which we never ask for; or nothing */
        return true;
    }
    if (!base64_decode(bytes_of(text), &event->owned))
        return false;
    event->bytes = buffer_bytes(&event->owned);
    return true;
}

static void take_end(const json_t *end, struct event *event)
{
    event->kind = EVENT_END;
    event->exit_code = (int)json_integer_value(json_object_get(end, "exitCode")); /* absent: 0 */
    event->exit_signal = event_signal_of(text_of(end, "status"));
    if (event->exit_signal != 0)
        event->exit_code = -1;
}

bool event_of_process(struct bytes payload, struct event *ret)
{
    if (!load(payload, ret))
        return false;
    const json_t *event = json_object_get(ret->tree, "event"), *part;
    if ((part = json_object_get(event, "start"))) {
        ret->kind = EVENT_STARTED;
        ret->pid = (uint32_t)json_integer_value(json_object_get(part, "pid"));
    } else if ((part = json_object_get(event, "data"))) {
        if (!take_data(part, ret)) {
            event_release(ret);
            return false;
        }
    } else if ((part = json_object_get(event, "end"))) {
        take_end(part, ret);
    }
    return true;
}

bool event_of_stream_end(struct bytes payload, struct event *ret)
{
    if (!load(payload, ret))
        return false;
    const json_t *error = json_object_get(ret->tree, "error");
    if (!error)
        return true;
    ret->kind = EVENT_ERROR;
    ret->code = text_of(error, "code");
    ret->message = text_of(error, "message");
    return true;
}
