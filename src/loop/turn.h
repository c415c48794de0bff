#ifndef LOOP_TURN_H
#define LOOP_TURN_H
#include "base/base.h"

/* What waits for the end of a turn: deferred calls, hooks, objects to be freed. loop.h says what each
 * promises; the real loop and the virtual clock of the tests keep it here, so that both keep the same
 * order. */

typedef void (*task_fn)(void *arg);

struct task {
    task_fn fn;
    void *arg;
    struct task *next;
    bool is_waiting;
};

struct turn_hook {
    task_fn fn;
    void *arg;
    struct turn_hook *next;
};

struct reaped;

/* Zero is empty. Owns the reap list alone. */
struct turn {
    struct task *tasks, *last_task; /* last_task: while there are tasks */
    struct turn_hook *hooks;
    struct reaped *reaped;
};

void turn_defer(struct turn *turn, struct task *task, task_fn fn, void *arg);
void turn_defer_cancel(struct turn *turn, struct task *task);
void turn_hook_add(struct turn *turn, struct turn_hook *hook, task_fn fn, void *arg);
void turn_hook_remove(struct turn *turn, struct turn_hook *hook);
void turn_reap(struct turn *turn, void *object, void (*free_fn)(void *));

/* Returns: whether a task or an object waits; hooks do not count. */
bool turn_is_waiting(const struct turn *turn);

/* Tasks, and those they defer, too; the hooks; the tasks of the hooks; the objects. */
void turn_end(struct turn *turn);
void turn_run_tasks(struct turn *turn); /* a part of it */
void turn_run_reaps(struct turn *turn); /* likewise */

#endif
