/* loop.h on a virtual clock. */
#include "fakes/loop/virtual.h"

#include <assert.h>
#include <stdlib.h>

enum { START_MS = 1000000 };
static const int64_t start_unix_ms = 1795219200000;

struct thread_job {
    struct thread_job *next;
    work_fn work, done;
    void *arg;
};

struct wakeup {
    struct loop *loop;
    struct wakeup *next;
    task_fn fn;
    void *arg;
    bool is_sent, is_closed;
};

struct loop {
    int64_t clock_ms; /* the true time */
    int64_t now_ms;   /* ... as read at the beginning of the turn */
    int64_t boot_gap_ms;
    struct timers timers;
    struct turn turn;
    struct thread_job *jobs, **jobs_tail;
    struct wakeup *wakeups;
    bool is_stopped, in_turn;
};

/* ---- one turn ---- */

/* Those that were there when the turn began; what they start belongs to the next. */
static void run_jobs(struct loop *loop)
{
    struct thread_job *job = loop->jobs;
    loop->jobs = NULL;
    loop->jobs_tail = &loop->jobs;
    while (job) {
        struct thread_job *next = job->next;
        job->work(job->arg);
        job->done(job->arg);
        free(job);
        job = next;
    }
}

static void run_wakeups(struct loop *loop)
{
    for (struct wakeup *wakeup = loop->wakeups; wakeup; wakeup = wakeup->next)
        if (wakeup->is_sent && !wakeup->is_closed) {
            wakeup->is_sent = false;
            wakeup->fn(wakeup->arg);
        }
    for (struct wakeup **place = &loop->wakeups; *place;) {
        struct wakeup *wakeup = *place;
        if (!wakeup->is_closed) {
            place = &wakeup->next;
            continue;
        }
        *place = wakeup->next;
        free(wakeup);
    }
}

static void run_turn(struct loop *loop)
{
    assert(!loop->in_turn);
    loop->in_turn = true;
    loop->now_ms = loop->clock_ms;
    struct timer *timer;
    while ((timer = timers_pop_due(&loop->timers, loop->now_ms)))
        timer->fn(timer->arg);
    run_jobs(loop);
    run_wakeups(loop);
    turn_end(&loop->turn);
    loop->in_turn = false;
}

static bool has_wakeup(const struct loop *loop)
{
    for (const struct wakeup *wakeup = loop->wakeups; wakeup; wakeup = wakeup->next)
        if (wakeup->is_sent || wakeup->is_closed)
            return true;
    return false;
}

/* Something would run in a turn at this very time. */
static bool is_busy(const struct loop *loop)
{
    return turn_is_waiting(&loop->turn) || loop->jobs || has_wakeup(loop) ||
           timers_next_ms(&loop->timers) <= loop->clock_ms;
}

/* ---- the test's side ---- */

struct loop *virtual_loop_new(void)
{
    struct loop *loop = base_alloc(sizeof *loop);
    loop->clock_ms = loop->now_ms = START_MS;
    loop->jobs_tail = &loop->jobs;
    return loop;
}

void virtual_loop_free(struct loop *loop)
{
    if (!loop)
        return;
    virtual_loop_run_until_idle(loop);
    assert(loop->timers.heap.count == 0 && !loop->turn.hooks && !loop->wakeups);
    timers_release(&loop->timers);
    free(loop);
}

void virtual_loop_run_until_idle(struct loop *loop)
{
    do
        run_turn(loop);
    while (is_busy(loop));
}

void virtual_loop_advance(struct loop *loop, int64_t ms)
{
    int64_t end_ms = loop->clock_ms + ms;
    virtual_loop_run_until_idle(loop);
    while (timers_next_ms(&loop->timers) <= end_ms) {
        loop->clock_ms = MAX(loop->clock_ms, timers_next_ms(&loop->timers));
        virtual_loop_run_until_idle(loop);
    }
    loop->clock_ms = MAX(loop->clock_ms, end_ms);
    virtual_loop_run_until_idle(loop);
}

void virtual_loop_stop_process(struct loop *loop, int64_t ms)
{
    loop->clock_ms += ms;
}

void virtual_loop_set_boot_gap(struct loop *loop, int64_t ms)
{
    loop->boot_gap_ms = ms;
}

/* ---- loop.h ---- */

void loop_run(struct loop *loop)
{
    loop->is_stopped = false;
    for (;;) {
        run_turn(loop);
        if (loop->is_stopped)
            return;
        if (is_busy(loop))
            continue;
        int64_t next_ms = timers_next_ms(&loop->timers);
        if (next_ms == INT64_MAX)
            base_die("virtual loop: nothing is left that could stop loop_run");
        loop->clock_ms = next_ms;
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_boot_ms(const struct loop *loop)
{
    return loop->clock_ms + loop->boot_gap_ms;
}

int64_t loop_unix_ms(const struct loop *loop)
{
    return start_unix_ms + loop->clock_ms - START_MS;
}

void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg)
{
    timers_start(&loop->timers, timer, loop->now_ms + MAX(delay_ms, 1), fn, arg);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    timers_stop(&loop->timers, timer);
}

void loop_defer(struct loop *loop, struct task *task, task_fn fn, void *arg)
{
    turn_defer(&loop->turn, task, fn, arg);
}

void loop_defer_cancel(struct loop *loop, struct task *task)
{
    turn_defer_cancel(&loop->turn, task);
}

void loop_hook_add(struct loop *loop, struct turn_hook *hook, task_fn fn, void *arg)
{
    turn_hook_add(&loop->turn, hook, fn, arg);
}

void loop_hook_remove(struct loop *loop, struct turn_hook *hook)
{
    turn_hook_remove(&loop->turn, hook);
}

void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *))
{
    turn_reap(&loop->turn, object, free_fn);
}

void loop_work(struct loop *loop, work_fn work, work_fn done, void *arg)
{
    struct thread_job *job = base_alloc(sizeof *job);
    *job = (struct thread_job){.work = work, .done = done, .arg = arg};
    *loop->jobs_tail = job;
    loop->jobs_tail = &job->next;
}

struct wakeup *loop_wakeup_new(struct loop *loop, task_fn fn, void *arg)
{
    struct wakeup *wakeup = base_alloc(sizeof *wakeup);
    *wakeup = (struct wakeup){.loop = loop, .next = loop->wakeups, .fn = fn, .arg = arg};
    loop->wakeups = wakeup;
    return wakeup;
}

void wakeup_send(struct wakeup *wakeup)
{
    wakeup->is_sent = true;
}

void wakeup_close(struct wakeup *wakeup)
{
    wakeup->is_closed = true;
}

struct watch *loop_watch_new(struct loop *loop, int fd, watch_fn fn, void *arg)
{
    (void)loop;
    (void)fn;
    (void)arg;
    base_die("virtual loop: a watch on descriptor %d was asked for; there are none here", fd);
}

void watch_set(struct watch *watch, int events)
{
    (void)watch;
    base_die("virtual loop: events %d of a watch; there are none here", events);
}

void watch_close(struct watch *watch)
{
    (void)watch;
    base_die("virtual loop: a watch is closed; there are none here");
}

struct signal_watch *loop_signal_new(struct loop *loop, int signal, task_fn fn, void *arg)
{
    (void)loop;
    (void)fn;
    (void)arg;
    base_die("virtual loop: a watch on signal %d was asked for; there are none here", signal);
}

void signal_watch_close(struct signal_watch *watch)
{
    (void)watch;
    base_die("virtual loop: a signal watch is closed; there are none here");
}
