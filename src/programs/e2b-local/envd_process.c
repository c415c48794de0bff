/* process.Process over Connect. */
#include "envd.h"

#include "base/base64.h"
#include "base/buffer.h"
#include "connect_frame.h"
#include "http/server.h"
#include "loop/loop.h"
#include "process.h"
#include "sandbox.h"
#include "service.h"
#include "stream.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { DEFAULT_KEEPALIVE_S = 90 };

/* One Start or Connect call: a listener with a stream. */
struct call {
    struct sandbox *sandbox;        /* borrowed */
    struct http_exchange *exchange; /* until the stream starts */
    struct stream stream;
    struct process_listener listener;
    struct process *process; /* borrowed; NULL once it is not ours to ask */
    struct timer keepalive, deadline;
    int64_t keepalive_ms;
    bool kills_at_deadline; /* Start: the deadline is the process's, too */
};

static const char stream_type[] = "application/connect+json";

/* ---- frames ---- */

static bool write_frame(struct call *call, unsigned flags, const char *text, size_t length)
{
    struct buffer frame = {0};
    connect_frame_append(&frame, flags, (struct bytes){text, length});
    bool has_room = stream_write(&call->stream, buffer_bytes(&frame));
    buffer_release(&frame);
    return has_room;
}

static void free_call(struct call *call)
{
    struct loop *loop = call->sandbox->service->loop;
    process_unlisten(&call->listener);
    loop_timer_stop(loop, &call->keepalive);
    loop_timer_stop(loop, &call->deadline);
    free(call);
}

static void end_call(struct call *call)
{
    stream_end(&call->stream);
    free_call(call);
}

static void end_with_error(struct call *call, const char *code, const char *message)
{
    json_auto_t *end = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
    CLEANUP(base_freep) char *text = json_dumps(end, JSON_COMPACT);
    (void)write_frame(call, CONNECT_END, text, strlen(text));
    end_call(call);
}

static void on_keepalive(void *arg)
{
    static const char event[] = "{\"event\":{\"keepalive\":{}}}";
    struct call *call = arg;
    (void)write_frame(call, 0, event, sizeof event - 1);
    loop_timer_start(call->sandbox->service->loop, &call->keepalive, call->keepalive_ms, on_keepalive, call);
}

static bool write_event(struct call *call, const char *text, size_t length)
{
    loop_timer_start(call->sandbox->service->loop, &call->keepalive, call->keepalive_ms, on_keepalive, call);
    return write_frame(call, 0, text, length);
}

/* ---- what the process does ---- */

static void on_started(void *arg)
{
    struct call *call = arg;
    CLEANUP(base_freep)
    char *text = base_printf("{\"event\":{\"start\":{\"pid\":%lld}}}", (long long)call->process->inner_pid);
    (void)write_event(call, text, strlen(text));
}

static void on_failed(void *arg, const char *code, const char *message)
{
    end_with_error(arg, code, message);
}

static void on_output(void *arg, enum process_channel channel, struct bytes data)
{
    static const char *const names[] = {
        [PROCESS_STDOUT] = "stdout", [PROCESS_STDERR] = "stderr", [PROCESS_PTY] = "pty"};
    struct call *call = arg;
    struct buffer text = {0};
    buffer_append_format(&text, "{\"event\":{\"data\":{\"%s\":\"", names[channel]);
    base64_encode(data, &text);
    buffer_append_text(&text, "\"}}}");
    if (!write_event(call, text.data, text.length))
        process_hold(&call->listener);
    buffer_release(&text);
}

/* In Go's words, as envd passes them on. Zero values are left out, as in proto3's JSON. */
static char *describe_end(int status)
{
    if (WIFSIGNALED(status)) {
        static const struct {
            int signal;
            const char *name;
        } rows[] = {{SIGKILL, "killed"},     {SIGTERM, "terminated"},         {SIGINT, "interrupt"},
                    {SIGHUP, "hangup"},      {SIGSEGV, "segmentation fault"}, {SIGABRT, "aborted"},
                    {SIGPIPE, "broken pipe"}};
        const char *name = "unknown";
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
            if (rows[i].signal == WTERMSIG(status))
                name = rows[i].name;
        return base_printf(
            "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: %s\",\"error\":\"signal: %s\"}}}",
            name, name);
    }
    int code = WEXITSTATUS(status);
    if (code == 0)
        return base_strdup("{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}");
    return base_printf(
        "{\"event\":{\"end\":{\"exitCode\":%d,\"exited\":true,\"status\":\"exit status %d\",\"error\":"
        "\"exit status %d\"}}}",
        code, code, code);
}

static void on_ended(void *arg)
{
    struct call *call = arg;
    CLEANUP(base_freep) char *text = describe_end(call->process->wait_status);
    (void)write_event(call, text, strlen(text));
    (void)write_frame(call, CONNECT_END, "{}", 2);
    end_call(call);
}

static void on_lost(void *arg)
{
    struct call *call = arg;
    stream_cut(&call->stream);
    free_call(call);
}

/* ---- what the client does ---- */

static void on_left(void *arg, struct http_exchange *exchange)
{
    (void)exchange;
    end_call(arg); /* the command goes on */
}

static void on_room(void *arg, struct http_exchange *exchange)
{
    (void)exchange;
    struct call *call = arg;
    process_release(&call->listener);
}

static void on_deadline(void *arg)
{
    struct call *call = arg;
    struct process *doomed = call->kills_at_deadline ? call->process : NULL;
    end_with_error(call, "deadline_exceeded", "context deadline exceeded");
    if (doomed)
        process_kill(doomed);
}

static int64_t header_number(struct http_exchange *exchange, const char *name)
{
    const char *text = http_exchange_header(exchange, name);
    char *end;
    long long number = text ? strtoll(text, &end, 10) : 0;
    return text && end != text && number > 0 ? number : 0;
}

static struct call *call_new(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct loop *loop = sandbox->service->loop;
    struct call *call = base_alloc(sizeof *call);
    int64_t keepalive_s = header_number(exchange, "Keepalive-Ping-Interval");
    int64_t timeout_ms = header_number(exchange, "Connect-Timeout-Ms");
    call->sandbox = sandbox;
    call->keepalive_ms = (keepalive_s > 0 ? MIN(keepalive_s, 86400) : DEFAULT_KEEPALIVE_S) * 1000;
    call->listener = (struct process_listener){.on_started = on_started,
                                               .on_failed = on_failed,
                                               .on_output = on_output,
                                               .on_ended = on_ended,
                                               .on_lost = on_lost,
                                               .arg = call};
    http_exchange_set_header(exchange, "Content-Type", stream_type);
    http_exchange_on_left(exchange, on_left, call);
    stream_start(&call->stream, sandbox->service, exchange, STREAM_PROCESS, 200, on_room, call);
    if (timeout_ms > 0)
        loop_timer_start(loop, &call->deadline, timeout_ms, on_deadline, call);
    return call;
}

/* Returns: NULL, the call ended, when the request is no enveloped JSON object. */
static json_t *parse_request(struct call *call, struct http_exchange *exchange)
{
    struct bytes rest = http_exchange_body(exchange);
    struct connect_frame frame;
    struct error error;
    if (!connect_frame_parse(&rest, &frame, &error)) {
        end_with_error(call, "invalid_argument", error.text);
        return NULL;
    }
    json_t *request = json_loadb(frame.message.data, frame.message.length, 0, NULL);
    if (json_is_object(request))
        return request;
    json_decref(request);
    end_with_error(call, "invalid_argument", "unmarshal message: the message is no JSON object");
    return NULL;
}

/* "Authorization: Basic base64(user:)". Returns: false for a user whom the sandbox does not have. */
static bool decode_user(struct http_exchange *exchange, char user[64])
{
    static const char scheme[] = "Basic ";
    const char *header = http_exchange_header(exchange, "Authorization");
    struct buffer decoded = {0};
    (void)snprintf(user, 64, "user");
    if (header && strncmp(header, scheme, sizeof scheme - 1) == 0) {
        const char *text = header + sizeof scheme - 1;
        if (base64_decode((struct bytes){text, strlen(text)}, &decoded) && decoded.data)
            (void)snprintf(user, 64, "%.*s", (int)strcspn(decoded.data, ":"), decoded.data);
        buffer_release(&decoded);
    }
    return strcmp(user, "user") == 0 || strcmp(user, "root") == 0;
}

static void start(struct sandbox *sandbox, struct http_exchange *exchange)
{
    char user[64];
    bool is_user_known = decode_user(exchange, user);
    struct call *call = call_new(sandbox, exchange);
    json_auto_t *request = parse_request(call, exchange);
    if (!request)
        return;
    if (!is_user_known) {
        CLEANUP(base_freep) char *text = base_printf("invalid username: '%s'", user);
        end_with_error(call, "unauthenticated", text);
        return;
    }
    json_t *process = json_object_get(request, "process");
    json_t *size = json_object_get(json_object_get(request, "pty"), "size");
    struct process_request wanted = {
        .program = json_string_value(json_object_get(process, "cmd")),
        .arguments = json_object_get(process, "args"),
        .variables = json_object_get(process, "envs"),
        .cwd = json_string_value(json_object_get(process, "cwd")),
        .user = user,
        .tag = json_string_value(json_object_get(request, "tag")),
        .has_stdin = !json_is_false(json_object_get(request, "stdin")),
        .columns = (int)json_integer_value(json_object_get(size, "cols")),
        .rows = (int)json_integer_value(json_object_get(size, "rows")),
    };
    if (!wanted.program || !*wanted.program) {
        end_with_error(call, "invalid_argument", "process.cmd is required");
        return;
    }
    call->kills_at_deadline = true;
    call->process = process_new(sandbox, &wanted, &call->listener);
}

/* ---- finding a process ---- */

static struct process *select_process(struct sandbox *sandbox, const json_t *request, char text[128])
{
    json_t *selector = json_object_get(request, "process");
    const char *tag = json_string_value(json_object_get(selector, "tag"));
    json_t *pid_value = json_object_get(selector, "pid");
    int64_t pid = json_is_string(pid_value) ? strtoll(json_string_value(pid_value), NULL, 10)
                                            : json_integer_value(pid_value);
    if (tag)
        (void)snprintf(text, 128, "process with tag %.80s not found", tag);
    else
        (void)snprintf(text, 128, "process with pid %lld not found", (long long)pid);
    return process_find(sandbox, pid, tag);
}

static void connect_to(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct call *call = call_new(sandbox, exchange);
    json_auto_t *request = parse_request(call, exchange);
    if (!request)
        return;
    char text[128];
    call->process = select_process(sandbox, request, text);
    if (call->process)
        process_listen(call->process, &call->listener);
    else
        end_with_error(call, "not_found", text);
}

/* ---- unary calls ---- */

static void list(struct sandbox *sandbox, struct http_exchange *exchange)
{
    json_t *found = json_array();
    LIST_EACH(&sandbox->processes, link)
    {
        const struct process *process = LIST_OBJECT(link, struct process, link);
        if (process->state != PROCESS_RUNNING)
            continue;
        json_t *row =
            json_pack("{s:O,s:I}", "config", process->config, "pid", (json_int_t)process->inner_pid);
        if (process->tag)
            json_object_set_new(row, "tag", json_string(process->tag));
        json_array_append_new(found, row);
    }
    json_t *answer = json_object();
    if (json_array_size(found) > 0)
        json_object_set(answer, "processes", found);
    json_decref(found);
    envd_answer(exchange, answer);
}

/* Writes the input of a SendInput or StreamInput message. */
static bool feed(struct process *process, const json_t *input, struct error *reterr)
{
    json_t *terminal = json_object_get(input, "pty");
    const char *text = json_string_value(terminal ? terminal : json_object_get(input, "stdin"));
    struct buffer data = {0};
    bool is_fed = text && base64_decode((struct bytes){text, strlen(text)}, &data)
                      ? process_write(process, buffer_bytes(&data), terminal != NULL, reterr)
                      : error_set(reterr, ERROR_REJECTED, "e2b-local", 0, "input is no base64");
    buffer_release(&data);
    return is_fed;
}

static void send_signal(struct process *process, struct http_exchange *exchange, const json_t *request)
{
    const json_t *value = json_object_get(request, "signal");
    const char *name = json_string_value(value);
    bool is_kill = name ? strcmp(name, "SIGNAL_SIGKILL") == 0 : json_integer_value(value) == SIGKILL;
    bool is_term = name ? strcmp(name, "SIGNAL_SIGTERM") == 0 : json_integer_value(value) == SIGTERM;
    if (!is_kill && !is_term) {
        envd_answer_error(exchange, "unimplemented", "invalid signal: %s", name ? name : "");
        return;
    }
    process_signal(process, is_kill ? SIGKILL : SIGTERM);
    envd_answer(exchange, json_object());
}

static void send_input(struct process *process, struct http_exchange *exchange, const json_t *request)
{
    struct error error;
    if (feed(process, json_object_get(request, "input"), &error))
        envd_answer(exchange, json_object());
    else
        envd_answer_error(exchange, "internal", "%s", error.text);
}

static void close_stdin(struct process *process, struct http_exchange *exchange)
{
    if (process_close_input(process))
        envd_answer(exchange, json_object());
    else
        envd_answer_error(exchange, "internal", "error closing stdin: stdin not enabled or closed");
}

static void update(struct process *process, struct http_exchange *exchange, const json_t *request)
{
    const json_t *size = json_object_get(json_object_get(request, "pty"), "size");
    process_resize(process, (int)json_integer_value(json_object_get(size, "cols")),
                   (int)json_integer_value(json_object_get(size, "rows")));
    envd_answer(exchange, json_object());
}

static void handle_selected(struct sandbox *sandbox, struct http_exchange *exchange, const char *method)
{
    char text[128];
    json_auto_t *request = envd_parse(exchange);
    if (!request)
        return;
    struct process *process = select_process(sandbox, request, text);
    if (!process || process->state != PROCESS_RUNNING)
        envd_answer_error(exchange, "not_found", "%s", text);
    else if (strcmp(method, "SendSignal") == 0)
        send_signal(process, exchange, request);
    else if (strcmp(method, "SendInput") == 0)
        send_input(process, exchange, request);
    else if (strcmp(method, "CloseStdin") == 0)
        close_stdin(process, exchange);
    else
        update(process, exchange, request);
}

/* ---- StreamInput: a client stream, read whole, answered once ---- */

static bool take_input(struct sandbox *sandbox, const json_t *message, struct process **process,
                       char text[128], struct error *reterr)
{
    json_t *first = json_object_get(message, "start");
    json_t *data = json_object_get(message, "data");
    if (first) {
        *process = select_process(sandbox, first, text);
        return *process || error_set(reterr, ERROR_REJECTED, "not_found", 0, "%s", text);
    }
    if (!data)
        return true; /* keepalive */
    if (!*process)
        return error_set(reterr, ERROR_REJECTED, "invalid_argument", 0, "the first message must be start");
    return feed(*process, json_object_get(data, "input"), reterr);
}

static void stream_input(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct bytes rest = http_exchange_body(exchange);
    struct process *process = NULL;
    struct error error = {0};
    char text[128];
    bool is_fine = true;
    while (is_fine && rest.length > 0) {
        struct connect_frame frame;
        is_fine = connect_frame_parse(&rest, &frame, &error);
        if (!is_fine || frame.flags & CONNECT_END)
            break;
        json_auto_t *message = json_loadb(frame.message.data, frame.message.length, 0, NULL);
        is_fine = take_input(sandbox, message, &process, text, &error);
    }
    struct buffer out = {0};
    if (is_fine) {
        connect_frame_append(&out, 0, (struct bytes){"{}", 2});
        connect_frame_append(&out, CONNECT_END, (struct bytes){"{}", 2});
    } else {
        const char *code = strcmp(error.origin, "not_found") == 0 ? "not_found" : "internal";
        json_auto_t *end = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", error.text);
        CLEANUP(base_freep) char *body = json_dumps(end, JSON_COMPACT);
        connect_frame_append(&out, CONNECT_END, (struct bytes){body, strlen(body)});
    }
    http_exchange_set_header(exchange, "Content-Type", stream_type);
    http_exchange_reply(exchange, 200, buffer_bytes(&out));
    buffer_release(&out);
}

/* ---- routes ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

void envd_process_handle(struct sandbox *sandbox, struct http_exchange *exchange, const char *method)
{
    static const char *const streams[] = {"Start", "Connect", "StreamInput", NULL};
    static const char *const selected[] = {"SendSignal", "SendInput", "CloseStdin", "Update", NULL};
    const char *type = http_exchange_header(exchange, "Content-Type");
    if (is_one_of(method, streams) && (!type || strncmp(type, stream_type, sizeof stream_type - 1) != 0)) {
        http_exchange_set_header(exchange, "Accept-Post", stream_type);
        http_exchange_reply(exchange, 415, (struct bytes){0});
    } else if (strcmp(method, "Start") == 0) {
        start(sandbox, exchange);
    } else if (strcmp(method, "Connect") == 0) {
        connect_to(sandbox, exchange);
    } else if (strcmp(method, "StreamInput") == 0) {
        stream_input(sandbox, exchange);
    } else if (strcmp(method, "List") == 0) {
        list(sandbox, exchange);
    } else if (is_one_of(method, selected)) {
        handle_selected(sandbox, exchange, method);
    } else {
        http_exchange_set_header(exchange, "Content-Type", "text/plain; charset=utf-8");
        http_exchange_reply(exchange, 404, (struct bytes){"404 page not found\n", 19});
    }
}
