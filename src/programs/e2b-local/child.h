#ifndef E2B_LOCAL_CHILD_H
#define E2B_LOCAL_CHILD_H
#include "base/base.h"

#include <sys/types.h>

/* A process of ours to be waited for, through a pidfd: one watch each, no SIGCHLD, no scanning. */

struct loop;
struct child;

typedef void (*child_fn)(void *arg, int wait_status);

/* fn runs once, when the process ended and was reaped. `count` (may be NULL) is one higher until then.
 * Owns: itself, until the process ended. */
struct child *child_new(struct loop *loop, pid_t pid, int *count, child_fn fn, void *arg) MUST_USE;
/* It is still reaped, but fn will not run. */
void child_forget(struct child *child);
pid_t child_pid(const struct child *child);

/* Returns: a descriptor that is readable when the process ended. */
int child_open_pidfd(pid_t pid);
void child_signal_pidfd(int pidfd, int signal);

#endif
