/* Cells: directories, control groups, and the bubblewrap process that holds the namespaces. */
#include "cell.h"

#include "bubblewrap.h"
#include "loop/loop.h"
#include "strays.h"
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOLDER_START_MS = 20000, EMPTY_POLL_MS = 5, EMPTY_POLLS = 2000, LAST_CAPABILITY = 63 };

struct cells {
    struct loop *loop;     /* borrowed */
    const struct log *log; /* borrowed */
    struct cells_options options;
    struct cgroups *cgroups;
    bool is_isolated;
    int own_pid_namespace;
};

enum cell_state { CELL_IDLE, CELL_STARTING, CELL_READY, CELL_FAILED, CELL_DYING };

struct cell {
    struct cells *cells; /* borrowed */
    char *name, *path, *home;
    struct cgroup_limits limits;
    enum cell_state state;
    bool has_group, was_used; /* was_used: a process may be in it */
    int root_fd;
    struct link waiting; /* cell_ready */
    struct task ready_task;
    struct error error;
    struct bubblewrap holder;
    pid_t first; /* process 1 inside */
    struct watch *holder_watch, *ready_watch;
    int holder_pidfd;
    int namespaces[CELL_NAMESPACE_COUNT];
    struct timer timer;
    int polls;
    void (*on_destroyed)(void *arg);
    void *on_destroyed_arg;
};

static const struct {
    int kind;
    const char *name;
} namespace_kinds[CELL_NAMESPACE_COUNT] = {
    {CLONE_NEWPID, "pid"}, {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWNS, "mnt"}};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void join_groups(const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        ssize_t written = write(fds[i], "0", 1);
        (void)written;
    }
}

static void close_all(int *fds, int count)
{
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
}

/* ---- starting the holder ---- */

static void tell_ready(void *arg)
{
    struct cell *cell = arg;
    while (!list_is_empty(&cell->waiting)) {
        struct cell_ready *ready = LIST_OBJECT(list_pop_front(&cell->waiting), struct cell_ready, link);
        ready->fn(ready->arg, cell->state == CELL_READY ? NULL : &cell->error);
    }
}

static void enter_state(struct cell *cell, enum cell_state state)
{
    cell->state = state;
    if (!list_is_empty(&cell->waiting))
        loop_defer(cell->cells->loop, &cell->ready_task, tell_ready, cell);
}

static void stop_waiting_for_holder(struct cell *cell)
{
    if (cell->ready_watch)
        watch_close(TAKE(cell->ready_watch));
    close_fd(&cell->holder.ready_fd);
    close_fd(&cell->holder.info_fd);
    loop_timer_stop(cell->cells->loop, &cell->timer);
}

static void fail(struct cell *cell, const char *what)
{
    (void)error_set(&cell->error, ERROR_INTERNAL, "e2b-local", errno, "sandbox cannot start processes: %s",
                    what);
    log_error(cell->cells->log, "cell.failed", LOG_TEXT("sandbox", cell->name),
              LOG_TEXT("why", cell->error.text));
    stop_waiting_for_holder(cell);
    enter_state(cell, CELL_FAILED);
}

static void on_holder_late(void *arg)
{
    fail(arg, "bubblewrap was not ready in time");
}

static void on_holder_ready(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct cell *cell = arg;
    char byte;
    if (read(cell->holder.ready_fd, &byte, 1) != 1) {
        fail(cell, "bubblewrap ended; its reason stands on standard error");
        return;
    }
    cell->first = bubblewrap_read_first(&cell->holder);
    for (int i = 0; i < CELL_NAMESPACE_COUNT; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%ld/ns/%s", (long)cell->first, namespace_kinds[i].name);
        cell->namespaces[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (cell->namespaces[i] < 0) {
            fail(cell, "its namespaces cannot be opened");
            return;
        }
    }
    stop_waiting_for_holder(cell);
    enter_state(cell, CELL_READY);
}

static void on_holder_exit(void *arg, int events, int error);

static void start_holder(struct cell *cell)
{
    struct cells *cells = cell->cells;
    int groups[CGROUP_MAX_HIERARCHIES];
    int group_count = cgroups_open(cells->cgroups, cell->name, groups);
    CLEANUP(base_freep) char *group_folder = cgroups_memory_folder(cells->cgroups, cell->name);
    bool is_started = bubblewrap_start(cell->path, cells->options.extra_folders, group_folder, groups,
                                       group_count, &cell->holder);
    close_all(groups, group_count);
    if (!is_started) {
        fail(cell, "no further process can be made");
        return;
    }
    cell->holder_pidfd = (int)syscall(SYS_pidfd_open, cell->holder.pid, 0);
    if (cell->holder_pidfd < 0) {
        fail(cell, "no descriptor for the process");
        return;
    }
    cell->holder_watch = loop_watch_new(cells->loop, cell->holder_pidfd, on_holder_exit, cell);
    watch_set(cell->holder_watch, WATCH_READ);
    cell->ready_watch = loop_watch_new(cells->loop, cell->holder.ready_fd, on_holder_ready, cell);
    watch_set(cell->ready_watch, WATCH_READ);
    loop_timer_start(cells->loop, &cell->timer, HOLDER_START_MS, on_holder_late, cell);
}

void cell_when_ready(struct cell *cell, struct cell_ready *ready,
                     void (*fn)(void *arg, const struct error *error), void *arg)
{
    assert(cell->state != CELL_DYING && !link_is_on_list(&ready->link));
    ready->fn = fn;
    ready->arg = arg;
    list_push_back(&cell->waiting, &ready->link);
    if (cell->state == CELL_STARTING)
        return;
    if (cell->state != CELL_IDLE) {
        loop_defer(cell->cells->loop, &cell->ready_task, tell_ready, cell);
        return;
    }
    cell->was_used = true;
    cell->has_group = cgroups_is_on(cell->cells->cgroups);
    cgroups_make(cell->cells->cgroups, cell->name, &cell->limits);
    if (!cell->cells->is_isolated) {
        enter_state(cell, CELL_READY);
        return;
    }
    cell->state = CELL_STARTING;
    start_holder(cell);
}

void cell_ready_cancel(struct cell_ready *ready)
{
    link_remove(&ready->link);
}

/* ---- entering ---- */

static void drop_privileges(void)
{
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

pid_t cell_fork(struct cell *cell)
{
    assert(cell->state == CELL_READY);
    struct cells *cells = cell->cells;
    int groups[CGROUP_MAX_HIERARCHIES];
    int group_count = cgroups_open(cells->cgroups, cell->name, groups);
    /* The namespace of processes applies to children only: ours is set for the fork and put back after it. */
    if (cells->is_isolated && setns(cell->namespaces[0], CLONE_NEWPID) != 0) {
        close_all(groups, group_count);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        join_groups(groups, group_count);
        for (int i = 1; cells->is_isolated && i < CELL_NAMESPACE_COUNT; i++)
            if (setns(cell->namespaces[i], namespace_kinds[i].kind) != 0)
                _exit(126);
        (void)setsid();
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0,
                    0); /* what it starts itself is the next start's to sweep */
        drop_privileges();
        return 0;
    }
    int saved = errno;
    if (cells->is_isolated && setns(cells->own_pid_namespace, CLONE_NEWPID) != 0)
        base_die("cannot return to the own process namespace: %s", strerror(errno));
    close_all(groups, group_count);
    errno = saved;
    return pid;
}

int cell_open_groups(struct cell *cell, int ret_fds[CGROUP_MAX_HIERARCHIES])
{
    return cgroups_open(cell->cells->cgroups, cell->name, ret_fds);
}

int cell_namespaces(const struct cell *cell, int ret_fds[CELL_NAMESPACE_COUNT],
                    int ret_kinds[CELL_NAMESPACE_COUNT])
{
    if (!cell->cells->is_isolated)
        return 0;
    for (int i = 0; i < CELL_NAMESPACE_COUNT; i++) {
        ret_fds[i] = cell->namespaces[i];
        ret_kinds[i] = namespace_kinds[i].kind;
    }
    return CELL_NAMESPACE_COUNT;
}

void cell_freeze(struct cell *cell)
{
    if (cell->has_group)
        cgroups_freeze(cell->cells->cgroups, cell->name);
}

void cell_thaw(struct cell *cell)
{
    if (cell->has_group)
        cgroups_thaw(cell->cells->cgroups, cell->name);
}

const char *cell_home(const struct cell *cell)
{
    return cell->cells->is_isolated ? "/home/user" : cell->home;
}

int cell_root_fd(struct cell *cell)
{
    if (cell->root_fd < 0)
        cell->root_fd = open(cell->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return cell->root_fd;
}

/* ---- life and death ---- */

struct cell *cell_new(struct cells *cells, const char *name, const struct cgroup_limits *limits,
                      struct error *reterr)
{
    static const char *const folders[] = {"", "/home", "/home/user", "/tmp", "/root"};
    struct cell *cell = base_alloc(sizeof *cell);
    cell->cells = cells;
    cell->name = base_strdup(name);
    cell->path = base_printf("%s/%s", cells->options.directory, name);
    cell->home = base_printf("%s/home/user", cell->path);
    cell->limits = *limits;
    cell->root_fd = cell->holder_pidfd = cell->holder.ready_fd = cell->holder.info_fd = -1;
    for (int i = 0; i < CELL_NAMESPACE_COUNT; i++)
        cell->namespaces[i] = -1;
    list_init(&cell->waiting);
    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
        CLEANUP(base_freep) char *path = base_printf("%s%s", cell->path, folders[i]);
        if (mkdir(path, 0755) != 0) {
            (void)error_set(reterr, ERROR_INTERNAL, "e2b-local", errno, "cannot make %s: %s", path,
                            strerror(errno));
            cell_destroy(cell, NULL, NULL);
            return NULL;
        }
    }
    CLEANUP(base_freep) char *tmp = base_printf("%s/tmp", cell->path);
    (void)chmod(tmp, 01777);
    return cell;
}

static void free_cell(void *arg)
{
    struct cell *cell = arg;
    void (*on_destroyed)(void *) = cell->on_destroyed;
    void *on_destroyed_arg = cell->on_destroyed_arg;
    free(cell->name);
    free(cell->path);
    free(cell->home);
    free(cell);
    if (on_destroyed)
        on_destroyed(on_destroyed_arg);
}

static void remove_traces(void *arg)
{
    struct cell *cell = arg;
    (void)tree_remove(cell->path);
    /* The kernel may need a moment after the last exit before it lets a group go. */
    for (int i = 0; cell->has_group && i < 200 && !cgroups_remove(cell->cells->cgroups, cell->name); i++)
        (void)usleep(5000);
}

static void bury(struct cell *cell)
{
    close_fd(&cell->root_fd);
    for (int i = 0; i < CELL_NAMESPACE_COUNT; i++)
        close_fd(&cell->namespaces[i]);
    loop_work(cell->cells->loop, remove_traces, free_cell, cell);
}

static int signal_all(const struct cell *cell)
{
    if (cell->has_group)
        return cgroups_signal(cell->cells->cgroups, cell->name, SIGKILL);
    return cell->cells->is_isolated || !cell->was_used ? 0 : strays_kill(cell->name);
}

/* Without namespaces there is no process whose end means that all ended: look until none is found. */
static void wait_until_empty(void *arg)
{
    struct cell *cell = arg;
    bool is_empty = signal_all(cell) == 0;
    if (is_empty || ++cell->polls > EMPTY_POLLS) {
        if (!is_empty)
            log_error(cell->cells->log, "cell.not_empty", LOG_TEXT("sandbox", cell->name));
        bury(cell);
        return;
    }
    cell_thaw(cell);
    loop_timer_start(cell->cells->loop, &cell->timer, EMPTY_POLL_MS, wait_until_empty, cell);
}

static void on_holder_exit(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct cell *cell = arg;
    int status = 0;
    if (waitpid(cell->holder.pid, &status, WNOHANG) == 0)
        return;
    cell->holder.pid = cell->first = 0;
    watch_close(TAKE(cell->holder_watch));
    close_fd(&cell->holder_pidfd);
    if (cell->state == CELL_DYING)
        wait_until_empty(cell);
    else if (cell->state == CELL_READY)
        fail(cell, "its process 1 ended (killed for lack of memory?)");
}

void cell_destroy(struct cell *cell, void (*on_destroyed)(void *arg), void *arg)
{
    assert(cell->state != CELL_DYING && list_is_empty(&cell->waiting));
    cell->on_destroyed = on_destroyed;
    cell->on_destroyed_arg = arg;
    stop_waiting_for_holder(cell);
    loop_defer_cancel(cell->cells->loop, &cell->ready_task);
    cell->state = CELL_DYING;
    if (cell->first > 0)
        (void)kill(cell->first, SIGKILL);
    else if (cell->holder.pid > 0)
        (void)kill(cell->holder.pid, SIGKILL);
    if (cell->has_group) {
        (void)cgroups_signal(cell->cells->cgroups, cell->name, SIGKILL);
        cell_thaw(cell);
    }
    if (!cell->holder_watch)
        wait_until_empty(cell);
}

/* ---- all cells ---- */

struct cells *cells_new(struct loop *loop, const struct log *log, const struct cells_options *options,
                        struct error *reterr)
{
    struct cells *cells = base_alloc(sizeof *cells);
    cells->loop = loop;
    cells->log = log;
    cells->options = *options;
    cells->cgroups = cgroups_new();
    cells->own_pid_namespace = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    CLEANUP(base_freep) char *probe = base_printf("%s/probe", options->directory);
    cells->is_isolated = options->isolation != ISOLATION_NONE && bubblewrap_probe(probe);
    if (options->isolation == ISOLATION_BUBBLEWRAP && !cells->is_isolated) {
        (void)error_set(
            reterr, ERROR_REJECTED, "e2b-local", 0,
            "bubblewrap does not work here (it needs root and the program bwrap): install it, or say "
            "--isolation none");
        cells_free(cells);
        return NULL;
    }
    return cells;
}

void cells_free(struct cells *cells)
{
    if (!cells)
        return;
    cgroups_free(cells->cgroups);
    close_fd(&cells->own_pid_namespace);
    free(cells);
}

bool cells_is_isolated(const struct cells *cells)
{
    return cells->is_isolated;
}

const char *cells_isolation_name(const struct cells *cells)
{
    return cells->is_isolated ? "bubblewrap" : "none";
}

const char *cells_cgroup_kind(const struct cells *cells)
{
    return cgroups_kind(cells->cgroups);
}
