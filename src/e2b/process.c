/* Processes in a sandbox, over Connect: streams for start and follow, single messages for the rest. */
#include "base/base64.h"
#include "base/quoted.h"
#include "e2b/connect.h"
#include "e2b/events.h"
#include "e2b/operation.h"
#include "e2b/rpc.h"
#include "e2b/sandbox.h"
#include "e2b/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROCESS_MS = 60000,
    GRACE_MS = 2000, /* for the server's own word about its deadline */
    TAIL_MS = 1000,  /* for the response to end after the stream did */
    PING_S = 50,     /* below the minute after which go-betweens drop a silent connection */
    SILENT_MS = PING_S * 2500,
    CALL_MS = 10000,
    SHARED_MOST = 2, /* the long words of one command line that are sent from where they lie */
};

/* ---- streams ---- */

struct process_stream {
    struct e2b_operation operation;
    struct connect_frames frames;
    e2b_output_fn output;
    bool has_exited, has_ended;
    struct e2b_exit exit;
    char timeout_line[48];
    char *user_line; /* NULL: the template's user */
    struct shared_text *shared[SHARED_MOST];
    size_t shared_count, cuts[SHARED_MOST]; /* where in the operation's body they belong */
    struct bytes pieces[2 * SHARED_MOST + 1];
};

static void stream_release(struct e2b_operation *operation)
{
    struct process_stream *stream = (struct process_stream *)operation;
    for (size_t i = 0; i < stream->shared_count; i++)
        texts_let_go(&operation->client->texts, stream->shared[i]);
    connect_release(&stream->frames);
    free(stream->user_line);
}

static void tell(struct process_stream *stream, enum e2b_output_kind kind, const struct event *event)
{
    if (stream->output)
        stream->output(stream->operation.call, &(struct e2b_output){.kind = kind,
                                                                    .bytes = {.data = event->bytes.data,
                                                                              .length = event->bytes.length},
                                                                    .pid = event->pid});
}

static void obey(struct process_stream *stream, const struct event *event)
{
    switch (event->kind) {
    case EVENT_STARTED:
        tell(stream, E2B_OUTPUT_STARTED, event);
        break;
    case EVENT_STDOUT:
        tell(stream, E2B_OUTPUT_STDOUT, event);
        break;
    case EVENT_STDERR:
        tell(stream, E2B_OUTPUT_STDERR, event);
        break;
    case EVENT_END:
        stream->has_exited = true;
        stream->exit = (struct e2b_exit){.code = event->exit_code, .signal = event->exit_signal};
        break;
    case EVENT_IGNORED:
    case EVENT_RESULT:
    case EVENT_ERROR:
        break;
    }
}

/* The last frame: all is well, or why not. */
static void end_stream(struct process_stream *stream, const struct event *event)
{
    struct e2b_operation *operation = &stream->operation;
    stream->has_ended = true;
    if (event->kind == EVENT_ERROR) {
        struct e2b_error error;
        error_of_stream(PLACE_ENVD, event->code, event->message, &error);
        error.http_status = 200;
        operation_keep_failure(operation, &error);
        stream->has_exited = false;
    }
    if (operation->exchange)
        http_exchange_hurry(operation->exchange, TAIL_MS);
}

/* Returns: false: nonsense. */
static bool take_frame(struct process_stream *stream, const struct connect_frame *frame)
{
    struct event event;
    bool is_end = frame->flags & CONNECT_END;
    if (frame->flags & CONNECT_COMPRESSED)
        return false; /* we never offered to read that */
    if (!(is_end ? event_of_stream_end(frame->payload, &event) : event_of_process(frame->payload, &event)))
        return false;
    if (is_end)
        end_stream(stream, &event);
    else
        obey(stream, &event);
    event_release(&event);
    return true;
}

static void stream_pump(struct e2b_operation *operation, struct bytes chunk)
{
    struct process_stream *stream = (struct process_stream *)operation;
    struct connect_frame frame;
    enum decoded decoded = DECODED_NONE;
    connect_feed(&stream->frames, chunk);
    while (!operation->is_paused && (decoded = connect_next(&stream->frames, &frame)) == DECODED_ONE) {
        if (!take_frame(stream, &frame)) {
            stream->frames.chunk = (struct bytes){0};
            operation_abort(operation, E2B_ERROR_BROKEN,
                            "the process's stream holds a frame that makes no sense");
            return;
        }
        if (!operation_is_live(operation))
            return;
    }
    chunk = stream->frames.chunk;
    stream->frames.chunk = (struct bytes){0};
    if (decoded == DECODED_TOO_LARGE)
        operation_abort(operation, E2B_ERROR_TOO_LARGE, "one event is larger than max_line_bytes");
    else if (chunk.length > 0)
        buffer_append(&operation->held, chunk.data, chunk.length);
}

/* Only an end event and the closing frame together are an end. */
static bool stream_concluded(struct e2b_operation *operation)
{
    struct process_stream *stream = (struct process_stream *)operation;
    if (!stream->has_ended)
        return false;
    if (stream->has_exited)
        operation_succeed(operation, &stream->exit);
    else if (operation->failure)
        operation_fail(operation, operation->failure);
    else
        return false;
    return true;
}

static struct process_stream *stream_new(struct e2b_sandbox *sandbox, struct e2b_call *call,
                                         e2b_output_fn output, e2b_exit_fn done)
{
    struct process_stream *stream =
        operation_new(sandbox->client, call, sizeof *stream, (struct done){.kind = DONE_EXIT, .exit = done},
                      call->timeout_ms < 0 ? OPERATION_NO_DEADLINE : PROCESS_MS);
    stream->operation.place = PLACE_ENVD;
    stream->operation.sandbox = sandbox;
    stream->operation.pump = stream_pump;
    stream->operation.concluded = stream_concluded;
    stream->operation.release = stream_release;
    stream->output = output;
    stream->frames.max_frame_bytes = sandbox->client->max_line_bytes;
    connect_begin(&stream->operation.body);
    return stream;
}

/* The body, cut where shared texts belong. */
static size_t finish_body(struct process_stream *stream)
{
    struct buffer *body = &stream->operation.body;
    struct bytes *piece = stream->pieces;
    size_t start = 0, elsewhere = 0;
    for (size_t i = 0; i < stream->shared_count; i++)
        elsewhere += stream->shared[i]->json.length;
    connect_finish(body, elsewhere);
    for (size_t i = 0; i < stream->shared_count; i++) {
        *piece++ = (struct bytes){.data = body->data + start, .length = stream->cuts[i] - start};
        *piece++ = stream->shared[i]->json;
        start = stream->cuts[i];
    }
    *piece++ = (struct bytes){.data = body->data + start, .length = body->length - start};
    return (size_t)(piece - stream->pieces);
}

/* The server ends stream and process at the deadline and says so; ours is a little later, for a server that
 * is not there any more. */
static void stream_send(struct process_stream *stream, const char *path)
{
    struct e2b_operation *operation = &stream->operation;
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines;
    size_t piece_count = finish_body(stream);
    sandbox_route(operation->sandbox, SANDBOX_ENVD, &url, &lines);
    buffer_append_text(&url, path);
    sandbox_add_line(&lines, "Content-Type: application/connect+json");
    sandbox_add_line(&lines, "Connect-Protocol-Version: 1");
    sandbox_add_line(&lines, "Keepalive-Ping-Interval: 50");
    _Static_assert(PING_S == 50, "the line above says it in words");
    if (operation->deadline_ms != INT64_MAX) {
        long long left_ms = operation->deadline_ms - loop_now_ms(operation->client->loop);
        snprintf(stream->timeout_line, sizeof stream->timeout_line, "Connect-Timeout-Ms: %lld", left_ms);
        sandbox_add_line(&lines, stream->timeout_line);
        operation->deadline_ms += GRACE_MS;
    }
    if (stream->user_line)
        sandbox_add_line(&lines, stream->user_line);
    struct http_request request = {.method = HTTP_POST,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .pieces = stream->pieces,
                                   .piece_count = piece_count,
                                   .idle_ms = SILENT_MS};
    operation_send(operation, operation->client->envd, &request);
}

static const char *mistake_in(const struct e2b_process_options *options)
{
    if (!options->argv || !options->argv[0] || !*options->argv[0])
        return "argv is empty";
    for (const char *const *item = options->argv; *item; item++)
        if (!text_is_good(*item))
            return "an entry of argv is not UTF-8";
    if (!text_are_good(&options->env))
        return "a name or value of env is NULL or not UTF-8";
    if (options->cwd && !text_is_good(options->cwd))
        return "cwd is not UTF-8";
    if (options->user && (!*options->user || strchr(options->user, ':')))
        return "user is empty or holds a colon";
    return NULL;
}

static void append_word(struct process_stream *stream, const char *word)
{
    struct buffer *body = &stream->operation.body;
    size_t length = strlen(word);
    if (length < TEXTS_LEAST_BYTES || stream->shared_count == SHARED_MOST) {
        quoted_append_text(body, word);
        return;
    }
    stream->cuts[stream->shared_count] = body->length;
    stream->shared[stream->shared_count++] = texts_use(&stream->operation.client->texts, word, length);
}

static void write_start(struct process_stream *stream, const struct e2b_process_options *options)
{
    struct buffer *body = &stream->operation.body;
    buffer_append_text(body, "{\"process\":{\"cmd\":");
    append_word(stream, options->argv[0]);
    buffer_append_text(body, ",\"args\":[");
    for (size_t i = 1; options->argv[i]; i++) {
        if (i > 1)
            buffer_append_byte(body, ',');
        append_word(stream, options->argv[i]);
    }
    buffer_append_byte(body, ']');
    if (options->env.count > 0) {
        buffer_append_text(body, ",\"envs\":");
        text_append_json_map(body, &options->env);
    }
    if (options->cwd) {
        buffer_append_text(body, ",\"cwd\":");
        quoted_append_text(body, options->cwd);
    }
    buffer_append_format(body, "},\"stdin\":%s}", options->with_input ? "true" : "false");
}

/* Basic authentication with an empty password is how envd is told the user. */
static char *user_line(const char *user)
{
    struct buffer CLEANUP(buffer_release) plain = {0};
    struct buffer line = {0};
    buffer_append_format(&plain, "%s:", user);
    buffer_append_text(&line, "Authorization: Basic ");
    base64_encode(buffer_bytes(&plain), &line);
    return buffer_take(&line);
}

void e2b_process_start(struct e2b_sandbox *sandbox, struct e2b_call *call,
                       const struct e2b_process_options *options, e2b_output_fn output, e2b_exit_fn done)
{
    struct process_stream *stream = stream_new(sandbox, call, output, done);
    const char *mistake = mistake_in(options);
    if (mistake) {
        operation_refuse(&stream->operation, mistake);
        return;
    }
    if (options->user)
        stream->user_line = user_line(options->user);
    write_start(stream, options);
    stream_send(stream, "/process.Process/Start");
}

void e2b_process_follow(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                        e2b_output_fn output, e2b_exit_fn done)
{
    struct process_stream *stream = stream_new(sandbox, call, output, done);
    buffer_append_format(&stream->operation.body, "{\"process\":{\"pid\":%u}}", pid);
    stream_send(stream, "/process.Process/Connect");
}

/* ---- single messages ---- */

static struct e2b_operation *message_new(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                                         e2b_done_fn done)
{
    struct e2b_operation *operation = operation_new(
        sandbox->client, call, sizeof *operation, (struct done){.kind = DONE_PLAIN, .plain = done}, CALL_MS);
    operation->place = PLACE_ENVD;
    operation->sandbox = sandbox;
    operation->answered = operation_answered_plainly;
    buffer_append_format(&operation->body, "{\"process\":{\"pid\":%u}", pid);
    return operation;
}

void e2b_process_write(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                       struct e2b_bytes input, e2b_done_fn done)
{
    struct e2b_operation *operation = message_new(sandbox, call, pid, done);
    buffer_append_text(&operation->body, ",\"input\":{\"stdin\":\"");
    base64_encode((struct bytes){.data = input.data, .length = input.length}, &operation->body);
    buffer_append_text(&operation->body, "\"}}");
    rpc_send(operation, "/process.Process/SendInput", RPC_ONCE);
}

void e2b_process_close_input(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                             e2b_done_fn done)
{
    struct e2b_operation *operation = message_new(sandbox, call, pid, done);
    buffer_append_byte(&operation->body, '}');
    rpc_send(operation, "/process.Process/CloseStdin", RPC_ONCE);
}

void e2b_process_signal(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid, int signal,
                        e2b_done_fn done)
{
    struct e2b_operation *operation = message_new(sandbox, call, pid, done);
    if (signal != SIGTERM && signal != SIGKILL) {
        operation_refuse(operation, "only SIGTERM and SIGKILL can be sent to a process in a sandbox");
        return;
    }
    buffer_append_format(&operation->body, ",\"signal\":\"%s\"}",
                         signal == SIGTERM ? "SIGNAL_SIGTERM" : "SIGNAL_SIGKILL");
    rpc_send(operation, "/process.Process/SendSignal", RPC_ONCE);
}
