/* Code in the sandbox's interpreter: one request, a stream of lines, an end that the interpreter
 * must tell. */
#include "base/quoted.h"
#include "e2b/events.h"
#include "e2b/ndjson.h"
#include "e2b/operation.h"
#include "e2b/sandbox.h"
#include "e2b/text.h"

#include <stdlib.h>

enum {
    CODE_MS = 300000,
    TAIL_MS = 1000, /* for the response to end after the run did, so that the connection can be used again */
};

struct code_run {
    struct e2b_operation operation;
    struct ndjson lines;
    e2b_output_fn output;
    bool has_ended, has_failed;
    struct e2b_exception exception; /* the first; its texts are ours */
};

static void code_release(struct e2b_operation *operation)
{
    struct code_run *run = (struct code_run *)operation;
    ndjson_release(&run->lines);
    free((char *)run->exception.name);
    free((char *)run->exception.value);
    free((char *)run->exception.traceback);
}

static void tell(struct code_run *run, enum e2b_output_kind kind, struct bytes bytes)
{
    if (run->output)
        run->output(
            run->operation.call,
            &(struct e2b_output){.kind = kind, .bytes = {.data = bytes.data, .length = bytes.length}});
}

static void obey(struct code_run *run, const struct event *event)
{
    switch (event->kind) {
    case EVENT_IGNORED:
        break;
    case EVENT_STARTED:
        tell(run, E2B_OUTPUT_STARTED, (struct bytes){0});
        break;
    case EVENT_STDOUT:
        tell(run, E2B_OUTPUT_STDOUT, event->bytes);
        break;
    case EVENT_STDERR:
        tell(run, E2B_OUTPUT_STDERR, event->bytes);
        break;
    case EVENT_RESULT:
        tell(run, E2B_OUTPUT_RESULT, event->bytes);
        break;
    case EVENT_ERROR: /* what follows the first is its echo */
        if (!run->has_failed)
            run->exception = (struct e2b_exception){.name = base_strdup(event->name),
                                                    .value = base_strdup(event->value),
                                                    .traceback = base_strdup(event->traceback)};
        run->has_failed = true;
        break;
    case EVENT_END:
        run->has_ended = true;
        if (run->operation.exchange)
            http_exchange_hurry(run->operation.exchange, TAIL_MS);
        break;
    }
}

static void code_pump(struct e2b_operation *operation, struct bytes chunk)
{
    struct code_run *run = (struct code_run *)operation;
    struct bytes line;
    enum decoded decoded = DECODED_NONE;
    ndjson_feed(&run->lines, chunk);
    while (!operation->is_paused && (decoded = ndjson_next(&run->lines, &line)) == DECODED_ONE) {
        struct event event;
        if (!event_of_code(line, &event)) {
            run->lines.chunk = (struct bytes){0};
            operation_abort(operation, E2B_ERROR_BROKEN,
                            "the interpreter sent a line that is no JSON object");
            return;
        }
        obey(run, &event);
        event_release(&event);
        if (!operation_is_live(operation))
            return;
    }
    chunk = run->lines.chunk;
    run->lines.chunk = (struct bytes){0};
    if (decoded == DECODED_TOO_LARGE)
        operation_abort(operation, E2B_ERROR_TOO_LARGE, "one event is larger than max_line_bytes");
    else if (chunk.length > 0)
        buffer_append(&operation->held, chunk.data, chunk.length);
}

static bool code_concluded(struct e2b_operation *operation)
{
    struct code_run *run = (struct code_run *)operation;
    if (!run->has_ended)
        return false;
    operation_succeed(operation, run->has_failed ? &run->exception : NULL);
    return true;
}

/* No env_vars: the server pastes them into the code unescaped. */
static void write_code(struct buffer *body, const struct e2b_code *code)
{
    buffer_append_text(body, "{\"code\":");
    quoted_append_text(body, code->text);
    if (code->language) {
        buffer_append_text(body, ",\"language\":");
        quoted_append_text(body, code->language);
    }
    buffer_append_byte(body, '}');
}

void e2b_code_run(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_code *code,
                  e2b_output_fn output, e2b_code_fn done)
{
    struct e2b_client *client = sandbox->client;
    struct code_run *run =
        operation_new(client, call, sizeof *run, (struct done){.kind = DONE_CODE, .code = done}, CODE_MS);
    struct e2b_operation *operation = &run->operation;
    operation->place = PLACE_INTERPRETER;
    operation->sandbox = sandbox;
    operation->pump = code_pump;
    operation->concluded = code_concluded;
    operation->release = code_release;
    run->output = output;
    run->lines.max_line_bytes = client->max_line_bytes;
    if (!text_is_good(code->text) || (code->language && !text_is_good(code->language))) {
        operation_refuse(operation, "the code or its language is missing or not UTF-8");
        return;
    }
    write_code(&operation->body, code);
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines;
    sandbox_route(sandbox, SANDBOX_INTERPRETER, &url, &lines);
    buffer_append_text(&url, "/execute");
    sandbox_add_line(&lines, "Content-Type: application/json");
    struct http_request request = {
        .method = HTTP_POST, .url = url.data, .headers = lines.items, .header_count = lines.count};
    operation_send(operation, client->interpreter, &request);
}
