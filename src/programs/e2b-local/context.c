/* Code contexts. */
#include "context.h"

#include "cell.h"
#include "child.h"
#include "http/server.h"
#include "loop/loop.h"
#include "sandbox.h"
#include "service.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEEPALIVE_MS = 5000, INTERRUPT_MS = 2000, READ_BYTES = 64 * 1024, MAX_LINE_BYTES = 64 * 1024 * 1024 };

struct run {
    struct link link;        /* in context->runs */
    struct context *context; /* borrowed */
    struct stream stream;    /* ended: the client left or the fault cut it */
    json_t *message;
    bool has_token;
};

static const char end_of_execution[] = "{\"type\": \"end_of_execution\"}\n";
static const char lost_connection[] = "{\"type\": \"error\", \"name\": \"WebSocketError\", \"value\": \"The "
                                      "connections was lost, rerun the code to get "
                                      "the results\", \"traceback\": \"\"}\n"
                                      "{\"type\": \"error\", \"name\": \"UnexpectedEndOfExecution\", "
                                      "\"value\": \"Connection to the execution was closed "
                                      "before the execution was finished\", \"traceback\": \"\"}\n";
static const char restarting[] =
    "{\"type\": \"error\", \"name\": \"ContextRestarting\", \"value\": \"Context was "
    "restarted\", \"traceback\": \"\"}\n";

static void start_next(struct context *context);

static struct loop *loop_of(const struct context *context)
{
    return context->sandbox->service->loop;
}

static struct run *first_run(struct context *context)
{
    return list_is_empty(&context->runs) ? NULL : LIST_OBJECT(context->runs.next, struct run, link);
}

static void free_run(struct run *run)
{
    link_remove(&run->link);
    json_decref(run->message);
    free(run);
}

/* ---- what the client gets ---- */

static void on_keepalive(void *arg)
{
    static const char line[] = "{\"type\": \"keepalive\"}\n";
    struct context *context = arg;
    struct run *run = first_run(context);
    if (run && context->is_running)
        (void)stream_write(&run->stream, (struct bytes){line, sizeof line - 1});
    loop_timer_start(loop_of(context), &context->keepalive, KEEPALIVE_MS, on_keepalive, context);
}

static void on_room(void *arg, struct http_exchange *exchange)
{
    (void)exchange;
    struct run *run = arg;
    if (run->context->socket_watch)
        watch_set(run->context->socket_watch, WATCH_READ);
}

static void finish_run(struct context *context, const char *last_words)
{
    struct link *link = list_pop_front(&context->runs);
    assert(link);
    struct run *run = LIST_OBJECT(link, struct run, link);
    if (last_words)
        (void)stream_write(&run->stream, (struct bytes){last_words, strlen(last_words)});
    (void)stream_write(&run->stream, (struct bytes){end_of_execution, sizeof end_of_execution - 1});
    stream_end(&run->stream);
    free_run(run);
    context->is_running = false;
    loop_timer_stop(loop_of(context), &context->keepalive);
    loop_timer_stop(loop_of(context), &context->patience);
}

/* ---- the kernel ---- */

static void close_kernel(struct context *context)
{
    if (context->socket_watch)
        watch_close(TAKE(context->socket_watch));
    if (context->exit_watch)
        watch_close(TAKE(context->exit_watch));
    if (context->socket >= 0)
        (void)close(context->socket);
    if (context->pidfd >= 0) {
        child_signal_pidfd(context->pidfd, SIGKILL);
        (void)close(context->pidfd);
    }
    context->socket = context->pidfd = -1;
    buffer_release(&context->input);
    buffer_release(&context->output);
    json_decref(TAKE(context->variables));
    if (context->is_starting) {
        cell_ready_cancel(&context->ready);
        zygote_cancel(context->sandbox->service->zygote, &context->request);
    }
    context->is_starting = false;
}

static void on_kernel_gone(struct context *context, const char *last_words)
{
    close_kernel(context);
    if (context->is_running)
        finish_run(context, last_words);
    start_next(context);
}

/* Returns: false when the client is slow. */
static bool take_line(struct context *context, struct bytes line)
{
    struct run *run = first_run(context);
    if (!run || !context->is_running)
        return true; /* output of a thread that outlived its run: as the real server, nobody hears it */
    if (line.length == sizeof end_of_execution - 1 && memcmp(line.data, end_of_execution, line.length) == 0) {
        finish_run(context, NULL);
        return true;
    }
    loop_timer_start(loop_of(context), &context->keepalive, KEEPALIVE_MS, on_keepalive, context);
    return stream_write(&run->stream, line);
}

static bool take_lines(struct context *context)
{
    size_t start = 0;
    bool has_room = true;
    struct buffer *input = &context->input;
    for (char *end;
         start < input->length && (end = memchr(input->data + start, '\n', input->length - start));) {
        size_t length = (size_t)(end + 1 - (input->data + start));
        has_room = take_line(context, (struct bytes){input->data + start, length}) && has_room;
        start += length;
    }
    buffer_drop_front(input, start);
    if (!context->is_running)
        start_next(context);
    return has_room;
}

static void send_output(struct context *context)
{
    struct buffer *output = &context->output;
    while (output->length > 0) {
        ssize_t sent = send(context->socket, output->data, output->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            break;
        buffer_drop_front(output, (size_t)sent);
    }
    watch_set(context->socket_watch, WATCH_READ | (output->length > 0 ? WATCH_WRITE : 0));
}

static void on_socket(void *arg, int events, int error)
{
    (void)error;
    struct context *context = arg;
    if (events & WATCH_WRITE)
        send_output(context);
    if (!(events & WATCH_READ))
        return;
    buffer_reserve(&context->input, READ_BYTES);
    ssize_t length =
        recv(context->socket, context->input.data + context->input.length, READ_BYTES, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || context->input.length > MAX_LINE_BYTES) {
        on_kernel_gone(context, restarting);
        return;
    }
    context->input.length += (size_t)length;
    context->input.data[context->input.length] = '\0';
    if (!take_lines(context) && context->socket_watch)
        watch_set(context->socket_watch, 0);
}

static void on_kernel_exit(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct context *context = arg;
    /* What it said last still stands in the socket; the end of the socket comes after it, unless a child
     * holds it. */
    for (int i = 0; i < 1024 && context->socket_watch; i++) {
        char byte;
        if (recv(context->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            break;
        on_socket(context, WATCH_READ, 0);
    }
    if (context->exit_watch)
        on_kernel_gone(context, restarting);
}

static void on_kernel_started(void *arg, pid_t pid, int pidfd, const char *error)
{
    struct context *context = arg;
    context->is_starting = false;
    if (pid < 0) {
        log_error(&context->sandbox->service->log, "kernel.failed", LOG_TEXT("sandbox", context->sandbox->id),
                  LOG_TEXT("why", error));
        context->is_running = !list_is_empty(&context->runs);
        on_kernel_gone(context, restarting);
        return;
    }
    struct loop *loop = loop_of(context);
    context->pidfd = pidfd;
    context->exit_watch = loop_watch_new(loop, pidfd, on_kernel_exit, context);
    watch_set(context->exit_watch, WATCH_READ);
    context->socket_watch = loop_watch_new(loop, context->socket, on_socket, context);
    watch_set(context->socket_watch, WATCH_READ);
    start_next(context);
}

static json_t *kernel_variables(const struct context *context, bool has_token)
{
    const struct sandbox *sandbox = context->sandbox;
    json_t *variables = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s}", "PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME",
        cell_home(sandbox->cell), "USER", "user", "LOGNAME", "user", "LANG", "C.UTF-8", "MPLBACKEND", "Agg");
    if (has_token) {
        json_object_update(variables, sandbox->variables);
    } else {
        /* The real server asks envd for the variables with the caller's token, and takes its refusal for the
         * answer. */
        json_object_set_new(variables, "code", json_string("401"));
        json_object_set_new(
            variables, "message",
            json_string("unauthorized access, please provide a valid access token or method signing if "
                        "supported"));
    }
    return variables;
}

static void on_cell_ready(void *arg, const struct error *error)
{
    struct context *context = arg;
    int pair[2];
    if (error || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        on_kernel_started(context, -1, -1, error ? error->text : "no socket");
        return;
    }
    context->socket = pair[0];
    const char *home = cell_home(context->sandbox->cell);
    bool is_home = !context->cwd || strcmp(context->cwd, "/home/user") == 0;
    context->request = (struct zygote_request){.cell = context->sandbox->cell,
                                               .language = context->language,
                                               .cwd = is_home ? home : context->cwd,
                                               .home = home,
                                               .variables = context->variables,
                                               .socket = pair[1],
                                               .on_started = on_kernel_started,
                                               .arg = context};
    if (strcmp(context->language, "typescript") == 0)
        context->request.language = "javascript";
    zygote_start(context->sandbox->service->zygote, &context->request);
}

static void start_kernel(struct context *context, const struct run *run)
{
    context->is_starting = true;
    context->variables = kernel_variables(context, run->has_token);
    context->ready = (struct cell_ready){0};
    cell_when_ready(context->sandbox->cell, &context->ready, on_cell_ready, context);
}

static void start_next(struct context *context)
{
    struct run *run = first_run(context);
    if (!run || context->is_running || context->is_starting)
        return;
    if (context->socket < 0) {
        start_kernel(context, run);
        return;
    }
    CLEANUP(base_freep) char *text = json_dumps(run->message, JSON_COMPACT);
    buffer_append_text(&context->output, text);
    buffer_append_byte(&context->output, '\n');
    context->is_running = true;
    context->sandbox->service->stats.executions++;
    log_info(&context->sandbox->service->journal, "code.started", LOG_TEXT("sandbox", context->sandbox->id));
    loop_timer_start(loop_of(context), &context->keepalive, KEEPALIVE_MS, on_keepalive, context);
    send_output(context);
}

/* ---- runs ---- */

static void on_patience_over(void *arg)
{
    on_kernel_gone(arg, restarting);
}

static void on_left(void *arg, struct http_exchange *exchange)
{
    (void)exchange;
    struct run *run = arg;
    struct context *context = run->context;
    stream_end(&run->stream);
    if (run == first_run(context) && context->is_running) {
        child_signal_pidfd(context->pidfd, SIGINT);
        /* Node sees a signal between two callbacks only: a loop without end gets a new kernel instead.
         * Python's code may catch the interrupt and go on, as with the real server. */
        if (strcmp(context->request.language, "javascript") == 0)
            loop_timer_start(loop_of(context), &context->patience, INTERRUPT_MS, on_patience_over, context);
        watch_set(context->socket_watch, WATCH_READ);
        return; /* the run stays in its place until the kernel says that it ended */
    }
    free_run(run);
}

void context_run(struct context *context, struct http_exchange *exchange, const struct run_request *request)
{
    struct run *run = base_alloc(sizeof *run);
    run->context = context;
    run->has_token = request->has_token;
    run->message = json_pack("{s:s,s:s}", "code", request->code, "language", context->language);
    if (request->variables)
        json_object_set(run->message, "variables", request->variables);
    list_push_back(&context->runs, &run->link);
    http_exchange_on_left(exchange, on_left, run);
    stream_start(&run->stream, context->sandbox->service, exchange, STREAM_INTERPRETER, 200, on_room, run);
    start_next(context);
}

void context_restart(struct context *context)
{
    on_kernel_gone(context, lost_connection);
}

/* ---- life cycle ---- */

const char *context_parse_language(const char *name)
{
    static const struct {
        const char *name, *language;
    } rows[] = {{"python", "python"},         {"javascript", "javascript"}, {"js", "javascript"},
                {"typescript", "typescript"}, {"ts", "typescript"},         {"bash", "bash"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].language;
    return NULL;
}

struct context *context_new(struct sandbox *sandbox, const char *language, const char *cwd, bool is_default)
{
    struct context *context = base_alloc(sizeof *context);
    context->sandbox = sandbox;
    random_uuid(&sandbox->service->random, context->id);
    context->language = language;
    context->cwd = base_strdup(cwd);
    context->is_default = is_default;
    context->socket = context->pidfd = context->request.socket = -1;
    list_init(&context->runs);
    list_push_back(&sandbox->contexts, &context->link);
    return context;
}

struct context *context_find(struct sandbox *sandbox, const char *id)
{
    LIST_EACH(&sandbox->contexts, link)
    {
        struct context *context = LIST_OBJECT(link, struct context, link);
        if (strcmp(context->id, id) == 0)
            return context;
    }
    return NULL;
}

struct context *context_find_default(struct sandbox *sandbox, const char *language)
{
    LIST_EACH(&sandbox->contexts, link)
    {
        struct context *context = LIST_OBJECT(link, struct context, link);
        if (context->is_default && strcmp(context->language, language) == 0)
            return context;
    }
    return NULL;
}

void context_free(struct context *context)
{
    close_kernel(context);
    if (context->is_running)
        finish_run(context, lost_connection);
    struct link *link;
    while ((link = list_pop_front(&context->runs))) {
        struct run *run = LIST_OBJECT(link, struct run, link);
        stream_cut(&run->stream);
        free_run(run);
    }
    loop_timer_stop(loop_of(context), &context->keepalive);
    loop_timer_stop(loop_of(context), &context->patience);
    link_remove(&context->link);
    free(context->cwd);
    free(context);
}

void contexts_end(struct sandbox *sandbox)
{
    struct link *first;
    while ((first = list_pop_front(&sandbox->contexts))) {
        struct context *context = LIST_OBJECT(first, struct context, link);
        LIST_EACH(&context->runs, link)
        {
            stream_cut(&LIST_OBJECT(link, struct run, link)->stream);
        }
        context_free(context);
    }
}
