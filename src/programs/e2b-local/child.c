/* Waiting for one process. */
#include "child.h"

#include "loop/loop.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    pid_t pid;
    int pidfd;
    int *count; /* borrowed */
    struct watch *watch;
    child_fn fn;
    void *arg;
};

int child_open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

void child_signal_pidfd(int pidfd, int signal)
{
    (void)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static void on_exit_seen(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct child *child = arg;
    int status = 0;
    if (waitpid(child->pid, &status, WNOHANG) == 0)
        return;
    watch_close(child->watch);
    (void)close(child->pidfd);
    if (child->count)
        (*child->count)--;
    if (child->fn)
        child->fn(child->arg, status);
    free(child);
}

struct child *child_new(struct loop *loop, pid_t pid, int *count, child_fn fn, void *arg)
{
    struct child *child = base_alloc(sizeof *child);
    *child = (struct child){.pid = pid, .count = count, .fn = fn, .arg = arg};
    child->pidfd = child_open_pidfd(pid);
    if (child->pidfd < 0)
        base_die("no descriptor for process %ld: raise the limit of open files", (long)pid);
    child->watch = loop_watch_new(loop, child->pidfd, on_exit_seen, child);
    watch_set(child->watch, WATCH_READ);
    if (count)
        (*count)++;
    return child;
}

void child_forget(struct child *child)
{
    if (child)
        child->fn = NULL;
}

pid_t child_pid(const struct child *child)
{
    return child->pid;
}
