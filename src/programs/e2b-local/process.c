/* Commands in sandboxes. */
#include "process.h"

#include "child.h"
#include "loop/loop.h"
#include "sandbox.h"
#include "service.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { READ_BYTES = 32 * 1024, KEEP_MS = 30000, REPORT_NO_CWD = -1 };

static struct loop *loop_of(const struct process *process)
{
    return process->sandbox->service->loop;
}

/* ---- telling ---- */

static void tell_output(struct process *process, enum process_channel channel, struct bytes data)
{
    LIST_EACH(&process->listeners, link)
    {
        struct process_listener *listener = LIST_OBJECT(link, struct process_listener, link);
        listener->on_output(listener->arg, channel, data);
    }
}

static void tell_ended(struct process *process)
{
    while (!list_is_empty(&process->listeners)) {
        struct process_listener *listener =
            LIST_OBJECT(process->listeners.next, struct process_listener, link);
        process_unlisten(listener);
        listener->on_ended(listener->arg);
    }
}

static void tell_failed(struct process *process, const char *code, const char *message)
{
    while (!list_is_empty(&process->listeners)) {
        struct process_listener *listener =
            LIST_OBJECT(process->listeners.next, struct process_listener, link);
        process_unlisten(listener);
        listener->on_failed(listener->arg, code, message);
    }
}

/* ---- the end ---- */

static void close_output(struct process *process, int i)
{
    if (process->output_watches[i])
        watch_close(TAKE(process->output_watches[i]));
    if (process->outputs[i] >= 0 && process->outputs[i] != process->input)
        (void)close(process->outputs[i]);
    process->outputs[i] = -1;
}

static void close_input(struct process *process)
{
    if (process->input >= 0)
        (void)close(process->input);
    process->input = -1;
}

static void close_report(struct process *process)
{
    if (process->report_watch)
        watch_close(TAKE(process->report_watch));
    if (process->report >= 0)
        (void)close(process->report);
    process->report = -1;
}

static void free_texts(char **list)
{
    for (char **text = list; text && *text; text++)
        free(*text);
    free(list);
}

static void free_process(struct process *process)
{
    struct loop *loop = loop_of(process);
    cell_ready_cancel(&process->ready);
    loop_timer_stop(loop, &process->timer);
    close_output(process, 0);
    close_output(process, 1);
    close_input(process);
    close_report(process);
    child_forget(process->child);
    link_remove(&process->link);
    json_decref(process->config);
    free_texts(process->argument_list);
    free_texts(process->variable_list);
    free(process->cwd);
    free(process->tag);
    free(process);
}

static void on_kept_long_enough(void *arg)
{
    free_process(arg);
}

static void fail(struct process *process, const char *code, const char *message)
{
    tell_failed(process, code, message);
    if (process->pid > 0 && !process->has_exited)
        (void)kill(process->pid, SIGKILL);
    free_process(process);
}

/* As envd: the end is the exit *and* the closing of both outputs, so a background child that holds them
 * delays it. */
static void end_when_over(struct process *process)
{
    if (!process->has_exited || process->outputs[0] >= 0 || process->outputs[1] >= 0 ||
        process->state != PROCESS_RUNNING)
        return;
    process->state = PROCESS_ENDED;
    close_input(process);
    loop_timer_start(loop_of(process), &process->timer, KEEP_MS, on_kept_long_enough, process);
    tell_ended(process);
}

static void on_exit_seen(void *arg, int wait_status)
{
    struct process *process = arg;
    process->child = NULL;
    process->has_exited = true;
    process->wait_status = wait_status;
    end_when_over(process);
}

/* ---- output ---- */

static void on_output(struct process *process, int i)
{
    char data[READ_BYTES];
    ssize_t length = read(process->outputs[i], data, sizeof data);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) { /* a terminal whose other side closed answers EIO */
        close_output(process, i);
        end_when_over(process);
        return;
    }
    enum process_channel channel = i == 0 ? PROCESS_STDOUT : PROCESS_STDERR;
    tell_output(process, process->is_terminal ? PROCESS_PTY : channel, (struct bytes){data, (size_t)length});
}

static void on_first_output(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    on_output(arg, 0);
}

static void on_second_output(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    on_output(arg, 1);
}

static void watch_outputs(struct process *process)
{
    for (int i = 0; i < 2; i++)
        if (process->output_watches[i])
            watch_set(process->output_watches[i],
                      process->hold_count == 0 && process->state == PROCESS_RUNNING ? WATCH_READ : 0);
}

void process_hold(struct process_listener *listener)
{
    if (!listener->process || listener->is_holding)
        return;
    listener->is_holding = true;
    listener->process->hold_count++;
    watch_outputs(listener->process);
}

void process_release(struct process_listener *listener)
{
    if (!listener->process || !listener->is_holding)
        return;
    listener->is_holding = false;
    listener->process->hold_count--;
    watch_outputs(listener->process);
}

/* ---- starting ---- */

/* What stands at the far ends: in the child they become its standard descriptors. */
struct far_ends {
    int input, output, error, report;
    bool is_terminal;
};

static void close_far_ends(const struct far_ends *ends)
{
    (void)close(ends->input);
    if (ends->output != ends->input)
        (void)close(ends->output);
    if (ends->error != ends->output)
        (void)close(ends->error);
    (void)close(ends->report);
}

static bool open_terminal(struct process *process, struct far_ends *ends)
{
    int near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[64];
    if (near < 0 || grantpt(near) != 0 || unlockpt(near) != 0 || ptsname_r(near, name, sizeof name) != 0)
        return false;
    struct winsize size = {.ws_col = (unsigned short)process->columns,
                           .ws_row = (unsigned short)process->rows};
    (void)ioctl(near, TIOCSWINSZ, &size);
    (void)fcntl(near, F_SETFL, O_RDWR | O_NONBLOCK);
    process->input = process->outputs[0] = near;
    ends->input = ends->output = ends->error = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ends->is_terminal = true;
    return ends->input >= 0;
}

static bool open_pipes(struct process *process, struct far_ends *ends)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 ||
        (process->has_stdin && pipe2(in, O_CLOEXEC) != 0))
        return false; /* out of descriptors: the sandbox's end closes the rest */
    if (!process->has_stdin)
        in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    else
        (void)fcntl(in[1], F_SETFL, O_WRONLY | O_NONBLOCK);
    (void)fcntl(out[0], F_SETFL, O_RDONLY | O_NONBLOCK);
    (void)fcntl(err[0], F_SETFL, O_RDONLY | O_NONBLOCK);
    process->input = in[1];
    process->outputs[0] = out[0];
    process->outputs[1] = err[0];
    ends->input = in[0];
    ends->output = out[1];
    ends->error = err[1];
    return true;
}

static void report(int fd, int64_t value)
{
    ssize_t written = write(fd, &value, sizeof value);
    (void)written;
}

static void run_child(const struct process *process, const struct far_ends *ends) NORETURN;
static void run_child(const struct process *process, const struct far_ends *ends)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (chdir(process->cwd) != 0) {
        report(ends->report, REPORT_NO_CWD);
        _exit(126);
    }
    if (ends->is_terminal)
        (void)ioctl(ends->input, TIOCSCTTY, 0);
    (void)dup2(ends->input, 0);
    (void)dup2(ends->output, 1);
    (void)dup2(ends->error, 2);
    report(ends->report, getpid());
    const char *const *arguments = (const char *const *)process->argument_list;
    environ = process->variable_list;
    execvp(arguments[0], process->argument_list);
    /* envd starts commands through nice(1), whose words these are. */
    (void)dprintf(2, "/usr/bin/nice: '%s': %s\n", arguments[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static void on_report(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct process *process = arg;
    int64_t value = 0;
    ssize_t length = read(process->report, &value, sizeof value);
    close_report(process);
    if (length != (ssize_t)sizeof value) {
        fail(process, "internal", "the process ended before it began (out of memory or processes?)");
        return;
    }
    if (value == REPORT_NO_CWD) {
        CLEANUP(base_freep) char *text = base_printf("cwd '%s' does not exist", process->cwd);
        fail(process, "invalid_argument", text);
        return;
    }
    process->inner_pid = value;
    process->state = PROCESS_RUNNING;
    LIST_EACH(&process->listeners, link)
    {
        struct process_listener *listener = LIST_OBJECT(link, struct process_listener, link);
        listener->on_started(listener->arg);
    }
    watch_outputs(process);
    end_when_over(process);
}

static void watch_descriptors(struct process *process)
{
    struct loop *loop = loop_of(process);
    static const watch_fn readers[2] = {on_first_output, on_second_output};
    process->report_watch = loop_watch_new(loop, process->report, on_report, process);
    watch_set(process->report_watch, WATCH_READ);
    for (int i = 0; i < 2; i++)
        if (process->outputs[i] >= 0)
            process->output_watches[i] = loop_watch_new(loop, process->outputs[i], readers[i], process);
}

static void on_cell_ready(void *arg, const struct error *error)
{
    struct process *process = arg;
    struct service *service = process->sandbox->service;
    struct far_ends ends = {.input = -1, .output = -1, .error = -1};
    int pair[2];
    if (error) {
        fail(process, "internal", error->text);
        return;
    }
    bool is_open = process->is_terminal ? open_terminal(process, &ends) : open_pipes(process, &ends);
    if (!is_open || pipe2(pair, O_CLOEXEC) != 0) {
        fail(process, "internal", "out of descriptors: raise the limit of open files");
        return;
    }
    process->report = pair[0];
    ends.report = pair[1];
    process->pid = cell_fork(process->sandbox->cell);
    if (process->pid == 0)
        run_child(process, &ends);
    close_far_ends(&ends);
    if (process->pid < 0) {
        fail(process, "internal", "no further process can be made");
        return;
    }
    service->stats.processes++;
    log_info(&service->journal, "process.started", LOG_TEXT("sandbox", process->sandbox->id));
    process->child = child_new(service->loop, process->pid, &service->child_count, on_exit_seen, process);
    watch_descriptors(process);
}

/* ---- requests ---- */

static char **make_arguments(const struct process_request *request)
{
    size_t count = json_array_size(request->arguments);
    char **list = base_alloc(sizeof *list * (count + 2));
    list[0] = base_strdup(request->program);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(request->arguments, i));
        list[i + 1] = base_strdup(text ? text : "");
    }
    return list;
}

static char **make_variables(const struct sandbox *sandbox, const struct process_request *request,
                             const char *home)
{
    json_auto_t *all =
        json_pack("{s:s,s:s,s:s,s:s}", "PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
                  "HOME", home, "USER", request->user, "LOGNAME", request->user);
    json_object_update(all, sandbox->variables);
    if (request->variables)
        json_object_update(all, request->variables);
    char **list = base_alloc(sizeof *list * (json_object_size(all) + 1));
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(all, name, value) if (json_is_string(value)) list[count++] =
        base_printf("%s=%s", name, json_string_value(value));
    return list;
}

static json_t *make_config(const struct process_request *request)
{
    json_t *config = json_pack("{s:s}", "cmd", request->program);
    if (json_array_size(request->arguments) > 0)
        json_object_set(config, "args", request->arguments);
    if (json_object_size(request->variables) > 0)
        json_object_set(config, "envs", request->variables);
    if (request->cwd)
        json_object_set_new(config, "cwd", json_string(request->cwd));
    return config;
}

struct process *process_new(struct sandbox *sandbox, const struct process_request *request,
                            struct process_listener *listener)
{
    struct process *process = base_alloc(sizeof *process);
    bool is_root = strcmp(request->user, "root") == 0 && cells_is_isolated(sandbox->service->cells);
    const char *home = is_root ? "/root" : cell_home(sandbox->cell);
    process->sandbox = sandbox;
    process->input = process->outputs[0] = process->outputs[1] = process->report = -1;
    process->tag = base_strdup(request->tag);
    process->config = make_config(request);
    process->argument_list = make_arguments(request);
    process->variable_list = make_variables(sandbox, request, home);
    bool is_home = !request->cwd || strcmp(request->cwd, "/home/user") == 0;
    if (is_home)
        process->cwd = base_strdup(request->cwd ? cell_home(sandbox->cell) : home);
    else
        process->cwd =
            request->cwd[0] == '/' ? base_strdup(request->cwd) : base_printf("%s/%s", home, request->cwd);
    process->has_stdin = request->has_stdin;
    process->is_terminal = request->columns > 0 && request->rows > 0;
    process->columns = request->columns;
    process->rows = request->rows;
    list_init(&process->listeners);
    list_push_back(&sandbox->processes, &process->link);
    listener->process = process;
    list_push_back(&process->listeners, &listener->link);
    cell_when_ready(sandbox->cell, &process->ready, on_cell_ready, process);
    return process;
}

void process_listen(struct process *process, struct process_listener *listener)
{
    assert(!listener->process);
    if (process->state == PROCESS_RUNNING)
        listener->on_started(listener->arg);
    if (process->state == PROCESS_ENDED) {
        listener->on_started(listener->arg);
        listener->on_ended(listener->arg);
        return;
    }
    listener->process = process;
    list_push_back(&process->listeners, &listener->link);
}

void process_unlisten(struct process_listener *listener)
{
    if (!listener->process)
        return;
    process_release(listener);
    link_remove(&listener->link);
    listener->process = NULL;
}

struct process *process_find(struct sandbox *sandbox, int64_t inner_pid, const char *tag)
{
    LIST_EACH(&sandbox->processes, link)
    {
        struct process *process = LIST_OBJECT(link, struct process, link);
        if (tag ? process->tag && strcmp(process->tag, tag) == 0
                : process->inner_pid == inner_pid && process->state != PROCESS_STARTING)
            return process;
    }
    return NULL;
}

void process_signal(struct process *process, int signal)
{
    if (process->pid > 0 && !process->has_exited)
        (void)kill(process->pid, signal);
}

void process_kill(struct process *process)
{
    process_signal(process, SIGKILL);
    if (process->state == PROCESS_STARTING)
        free_process(process);
}

bool process_write(struct process *process, struct bytes data, bool to_terminal, struct error *reterr)
{
    if (process->input < 0 || to_terminal != process->is_terminal)
        return error_set(reterr, ERROR_REJECTED, "e2b-local", 0, "error writing to %s: %s",
                         to_terminal ? "tty" : "stdin",
                         to_terminal ? "tty not assigned to process" : "stdin not enabled or closed");
    const char *bytes = data.data;
    for (size_t done = 0; done < data.length;) {
        ssize_t written = write(process->input, bytes + done, data.length - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_set(reterr, errno == EAGAIN ? ERROR_OVERLOAD : ERROR_REJECTED, "e2b-local", errno,
                             "error writing to stdin: %s", strerror(errno));
        done += (size_t)written;
    }
    return true;
}

bool process_close_input(struct process *process)
{
    if (process->input < 0 || process->is_terminal)
        return false;
    close_input(process);
    return true;
}

void process_resize(struct process *process, int columns, int rows)
{
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    if (process->is_terminal && process->outputs[0] >= 0)
        (void)ioctl(process->outputs[0], TIOCSWINSZ, &size);
}

static void tell_lost(struct process *process)
{
    LIST_EACH(&process->listeners, link)
    {
        struct process_listener *listener = LIST_OBJECT(link, struct process_listener, link);
        process_unlisten(listener);
        listener->on_lost(listener->arg);
    }
}

void processes_end(struct sandbox *sandbox)
{
    LIST_EACH(&sandbox->processes, link)
    {
        struct process *process = LIST_OBJECT(link, struct process, link);
        tell_lost(process);
        if (process->pid > 0 && !process->has_exited)
            (void)kill(-process->pid, SIGKILL); /* its session's first group; the cell finds the rest */
        free_process(process);
    }
}
