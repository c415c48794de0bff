/* Slots: every operation ends once, off its starter's stack, or is cancelled and never heard of again. */
#include "e2b/operation.h"

#include "e2b/sandbox.h"

#include <assert.h>
#include <stdlib.h>

enum {
    PROBE_MS = 5000,
    /* What is kept for a paused caller before the connection is made to wait. It is not 0 because libcurl, up
     * to 8.0 at least, stops a whole HTTP/2 connection for one paused stream: a short pause must not hold up
     * others. */
    HOLD_BYTES = 65536,
};

/* ---- life cycle ---- */

void *operation_new(struct e2b_client *client, struct e2b_call *call, size_t size, struct done done,
                    int64_t default_ms)
{
    assert(!call->operation); /* one operation at a time in a slot */
    struct e2b_operation *operation = base_alloc(size);
    int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : default_ms;
    bool is_endless = default_ms == OPERATION_NO_DEADLINE;
    operation->client = client;
    operation->call = call;
    operation->done = done;
    operation->deadline_ms = is_endless ? INT64_MAX : loop_now_ms(client->loop) + timeout_ms;
    call->operation = operation;
    list_push_back(&client->operations, &operation->link);
    return operation;
}

static void operation_free(void *object)
{
    struct e2b_operation *operation = object;
    if (operation->release)
        operation->release(operation);
    buffer_release(&operation->body);
    buffer_release(&operation->held);
    free(operation->failure);
    free(operation);
}

/* Off every list and out of the slot: from here on nothing of it can run. */
static struct e2b_call *detach(struct e2b_operation *operation)
{
    struct e2b_call *call = operation->call;
    link_remove(&operation->link);
    loop_defer_cancel(operation->client->loop, &operation->task);
    if (operation->exchange)
        http_exchange_cancel(TAKE(operation->exchange));
    operation->call = NULL;
    call->operation = NULL;
    return call;
}

static void tell(struct e2b_call *call, const struct done *done, const struct e2b_error *error,
                 const void *result)
{
    switch (done->kind) {
    case DONE_PLAIN:
        done->plain(call, error);
        break;
    case DONE_SANDBOX:
        done->sandbox(call, error, (struct e2b_sandbox *)result);
        break;
    case DONE_INFO:
        done->info(call, error, result);
        break;
    case DONE_PAGE:
        done->page(call, error, result);
        break;
    case DONE_CODE:
        done->code(call, error, result);
        break;
    case DONE_EXIT:
        done->exit(call, error, result);
        break;
    case DONE_FILE:
        done->file(call, error, result);
        break;
    case DONE_FILES:
        done->files(call, error, result);
        break;
    }
}

static void end(struct e2b_operation *operation, const struct e2b_error *error, const void *result)
{
    struct e2b_call *call = detach(operation);
    tell(call, &operation->done, error, result);
    operation_free(operation);
}

void operation_answered_plainly(struct e2b_operation *operation, const struct http_response *response)
{
    (void)response;
    operation_succeed(operation, NULL);
}

void operation_succeed(struct e2b_operation *operation, const void *result)
{
    end(operation, NULL, result);
}

void operation_fail(struct e2b_operation *operation, const struct e2b_error *error)
{
    end(operation, error, NULL);
}

/* ---- failing later ---- */

void operation_keep_failure(struct e2b_operation *operation, const struct e2b_error *error)
{
    if (!operation->failure)
        operation->failure = base_alloc(sizeof *operation->failure);
    *operation->failure = *error;
}

static void tell_failure(void *arg)
{
    struct e2b_operation *operation = arg;
    operation_fail(operation, operation->failure);
}

static void fail_later(struct e2b_operation *operation, const struct e2b_error *error)
{
    operation_keep_failure(operation, error);
    loop_defer(operation->client->loop, &operation->task, tell_failure, operation);
}

void operation_refuse(struct e2b_operation *operation, const char *why)
{
    struct e2b_error error;
    error_fill(&error, E2B_ERROR_INVALID, why);
    fail_later(operation, &error);
}

void operation_abort(struct e2b_operation *operation, enum e2b_error_kind kind, const char *why)
{
    struct e2b_error error;
    error_fill(&error, kind, why);
    error.undecided = true;
    error.http_status = 200;
    operation->is_aborted = true;
    if (operation->exchange)
        http_exchange_cancel(TAKE(operation->exchange));
    fail_later(operation, &error);
}

void operation_fail_nonsense(struct e2b_operation *operation, const struct http_response *response)
{
    struct e2b_error error;
    error_fill(&error, E2B_ERROR_BROKEN, "the answer makes no sense: not the JSON that was expected");
    error.http_status = response->status;
    error.undecided = true;
    operation_fail(operation, &error);
}

/* ---- a cut data-plane call: does the sandbox still live? ---- */

static void on_probed(void *arg, const struct error *transport, const struct http_response *response)
{
    struct e2b_operation *operation = arg;
    struct e2b_error probed;
    operation->exchange = NULL;
    error_of_exchange(PLACE_ENVD, transport, response, &probed);
    if (response->status / 100 != 2 && probed.kind == E2B_ERROR_GONE)
        operation->failure->kind = E2B_ERROR_GONE;
    operation_fail(operation, operation->failure);
}

/* Fails now, or once a probe has told a dead sandbox from a broken line. */
static void fail_probed(struct e2b_operation *operation, const struct e2b_error *error)
{
    bool was_cut = error->http_status == 0 || error->http_status / 100 == 2;
    int64_t left_ms = operation->deadline_ms - loop_now_ms(operation->client->loop);
    if (!operation->sandbox || error->kind != E2B_ERROR_BROKEN || !was_cut || left_ms <= 0 ||
        operation->client->is_closing) {
        operation_fail(operation, error);
        return;
    }
    operation_keep_failure(operation, error);
    struct sandbox_lines lines;
    struct buffer CLEANUP(buffer_release) url = {0};
    sandbox_route(operation->sandbox, SANDBOX_ENVD, &url, &lines);
    buffer_append_text(&url, "/health");
    struct http_request request = {.method = HTTP_GET,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .timeout_ms = MIN(left_ms, PROBE_MS),
                                   .max_body_bytes = operation->client->max_answer_bytes,
                                   .is_repeatable = true,
                                   .done = on_probed,
                                   .arg = operation};
    operation->exchange = http_start(operation->client->envd, &request);
}

/* ---- the answer ---- */

/* The stream has ended and all of it was told. */
static void conclude(struct e2b_operation *operation)
{
    if (operation->concluded(operation))
        return;
    struct e2b_error error;
    if (operation->failure) {
        error = *operation->failure;
    } else {
        error_fill(&error, E2B_ERROR_BROKEN, "the stream ended before its end was told");
        error.http_status = 200;
        error.undecided = true;
    }
    fail_probed(operation, &error);
}

static void on_answered(void *arg, const struct error *transport, const struct http_response *response)
{
    struct e2b_operation *operation = arg;
    bool is_good = !transport && response->status / 100 == 2;
    bool is_stream = operation->concluded && response->status / 100 == 2;
    operation->exchange = NULL;
    if (is_good && !is_stream) {
        operation->answered(operation, response);
        return;
    }
    struct e2b_error error;
    if (!is_good)
        error_of_exchange(operation->place, transport, response, &error);
    if (is_stream) {
        if (transport && !operation->failure)
            operation_keep_failure(operation, &error);
        operation->is_over = true;
        if (operation->held.length == 0)
            conclude(operation);
        return;
    }
    if (operation->refused && operation->refused(operation, &error))
        return;
    fail_probed(operation, &error);
}

static void on_stream_bytes(void *arg, struct bytes chunk)
{
    struct e2b_operation *operation = arg;
    if (!operation_is_live(operation))
        return;
    if (operation->body.data && http_exchange_gives_back(operation->exchange))
        buffer_release(&operation->body); /* a process may run for hours */
    if (!operation->is_paused && operation->held.length == 0) {
        operation->pump(operation, chunk);
        return;
    }
    buffer_append(&operation->held, chunk.data, chunk.length);
    if (operation->held.length > HOLD_BYTES)
        http_exchange_pause(operation->exchange);
}

void operation_send(struct e2b_operation *operation, struct http_client *pool, struct http_request *request)
{
    struct e2b_client *client = operation->client;
    if (client->is_closing || client->mistake) {
        struct e2b_error error;
        error_fill(&error, client->is_closing ? E2B_ERROR_CLOSED : E2B_ERROR_INVALID,
                   client->is_closing ? "the client is closed" : client->mistake);
        fail_later(operation, &error);
        return;
    }
    if (!request->pieces && operation->body.length > 0) {
        operation->piece = buffer_bytes(&operation->body);
        request->pieces = &operation->piece;
        request->piece_count = 1;
    }
    if (operation->deadline_ms != INT64_MAX)
        request->timeout_ms = MAX(operation->deadline_ms - loop_now_ms(client->loop), 1);
    request->max_body_bytes = client->max_answer_bytes;
    request->on_bytes = operation->pump ? on_stream_bytes : NULL;
    request->done = on_answered;
    request->arg = operation;
    operation->exchange = http_start(pool, request);
}

/* ---- the caller's side ---- */

bool e2b_call_is_active(const struct e2b_call *call)
{
    return call->operation != NULL;
}

void e2b_call_cancel(struct e2b_call *call)
{
    struct e2b_operation *operation = call->operation;
    if (!operation)
        return;
    (void)detach(operation);
    loop_reap(operation->client->loop, operation, operation_free); /* its pump may be on the stack */
}

void e2b_call_pause(struct e2b_call *call)
{
    struct e2b_operation *operation = call->operation;
    if (operation && operation->pump)
        operation->is_paused = true;
}

static void on_resumed(void *arg)
{
    struct e2b_operation *operation = arg;
    if (operation->is_aborted) {
        operation_fail(operation, operation->failure); /* it waited in the same task */
        return;
    }
    if (operation->is_paused)
        return; /* again, before this ran */
    struct buffer CLEANUP(buffer_release) held = operation->held;
    operation->held = (struct buffer){0};
    if (held.length > 0)
        operation->pump(operation, buffer_bytes(&held));
    if (!operation_is_live(operation) || operation->is_paused)
        return;
    if (operation->exchange)
        http_exchange_resume(operation->exchange);
    else if (operation->is_over && !operation->is_aborted)
        conclude(operation);
}

void e2b_call_resume(struct e2b_call *call)
{
    struct e2b_operation *operation = call->operation;
    if (!operation || !operation->is_paused)
        return;
    operation->is_paused = false;
    loop_defer(operation->client->loop, &operation->task, on_resumed, operation);
}

void operation_close_all(struct e2b_client *client)
{
    struct e2b_error error;
    error_fill(&error, E2B_ERROR_CLOSED, "the client was closed");
    while (!list_is_empty(&client->operations)) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the end of an operation takes it off the list first */
        struct e2b_operation *operation = LIST_OBJECT(client->operations.next, struct e2b_operation, link);
        error.undecided = operation->exchange != NULL; /* NOLINT(clang-analyzer-unix.Malloc): as above */
        operation_fail(operation, &error);
    }
}
