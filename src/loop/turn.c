/* The end of a turn. */
#include "loop/turn.h"

#include <stdlib.h>

struct reaped {
    struct reaped *next;
    void *object;
    void (*free_fn)(void *);
};

void turn_defer(struct turn *turn, struct task *task, task_fn fn, void *arg)
{
    if (task->is_waiting)
        return;
    *task = (struct task){.fn = fn, .arg = arg, .is_waiting = true};
    if (turn->tasks)
        turn->last_task->next = task;
    else
        turn->tasks = task;
    turn->last_task = task;
}

void turn_defer_cancel(struct turn *turn, struct task *task)
{
    if (!task->is_waiting)
        return;
    struct task *previous = NULL;
    for (struct task **place = &turn->tasks; *place; place = &(*place)->next) {
        if (*place == task) {
            *place = task->next;
            if (turn->last_task == task)
                turn->last_task = previous;
            break;
        }
        previous = *place;
    }
    task->next = NULL;
    task->is_waiting = false;
}

void turn_hook_add(struct turn *turn, struct turn_hook *hook, task_fn fn, void *arg)
{
    *hook = (struct turn_hook){.fn = fn, .arg = arg};
    struct turn_hook **place = &turn->hooks;
    while (*place)
        place = &(*place)->next;
    *place = hook;
}

void turn_hook_remove(struct turn *turn, struct turn_hook *hook)
{
    for (struct turn_hook **place = &turn->hooks; *place; place = &(*place)->next)
        if (*place == hook) {
            *place = hook->next;
            break;
        }
    hook->next = NULL;
}

void turn_reap(struct turn *turn, void *object, void (*free_fn)(void *))
{
    struct reaped *dead = base_alloc(sizeof *dead);
    *dead = (struct reaped){.next = turn->reaped, .object = object, .free_fn = free_fn};
    turn->reaped = dead;
}

bool turn_is_waiting(const struct turn *turn)
{
    return turn->tasks || turn->reaped;
}

void turn_run_tasks(struct turn *turn)
{
    while (turn->tasks) {
        struct task *task = turn->tasks;
        turn->tasks = task->next;
        task->next = NULL;
        task->is_waiting = false;
        task->fn(task->arg);
    }
}

static void run_hooks(struct turn *turn)
{
    for (struct turn_hook *hook = turn->hooks, *next; hook; hook = next) {
        next = hook->next;
        hook->fn(hook->arg);
    }
}

void turn_run_reaps(struct turn *turn)
{
    while (turn->reaped) {
        struct reaped *dead = turn->reaped;
        turn->reaped = dead->next;
        dead->free_fn(dead->object);
        free(dead);
    }
}

void turn_end(struct turn *turn)
{
    turn_run_tasks(turn);
    run_hooks(turn);
    turn_run_tasks(turn);
    turn_run_reaps(turn);
}
