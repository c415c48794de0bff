/* loop.h on a virtual clock. */
#include "fakes/loop/fiber.h"
#include "fakes/loop/virtual.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

/* The clock, and who stands on it; the world's loop first. */
struct virtual_time {
    int64_t now_ms; /* the true time */
    struct loop **loops;
    size_t count;
};

struct loop {
    struct virtual_time *time;
    struct loop *main; /* of its process; itself, usually */
    int64_t now_ms;    /* as read at the beginning of the turn */
    int64_t boot_gap_ms;
    struct timers timers, arrivals;
    struct turn turn;
    struct thread_job *jobs, **jobs_tail;
    struct wakeup *wakeups;
    bool is_ended, in_turn; /* ended: by loop_stop */

    bool is_stopped, is_dead; /* the process; of main */
    unsigned places;          /* to the one where it stops; 0: none */
    struct fiber *fiber;      /* its turn can be interrupted; NULL: it runs on the caller's stack */
    struct random *random;    /* while it catches up after a stop; NULL: in order */
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

/* In order; a process that catches up serves its sockets before or after its timers, as it happens. */
static struct timer *pop_due(struct loop *loop)
{
    int64_t timer_ms = timers_next_ms(&loop->timers), arrival_ms = timers_next_ms(&loop->arrivals);
    bool is_open = loop->random && timer_ms <= loop->now_ms && arrival_ms <= loop->now_ms;
    bool is_timer = is_open ? random_below(loop->random, 2) == 0 : timer_ms <= arrival_ms;
    return timers_pop_due(is_timer ? &loop->timers : &loop->arrivals, loop->now_ms);
}

static void run_turn(void *arg)
{
    struct loop *loop = arg;
    assert(!loop->in_turn);
    loop->in_turn = true;
    loop->now_ms = loop->time->now_ms;
    struct timer *timer;
    while ((timer = pop_due(loop))) {
        timer->fn(timer->arg);
        if (loop->random && random_below(loop->random, 4) == 0)
            break;
    }
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

static int64_t next_ms(const struct loop *loop)
{
    return MIN(timers_next_ms(&loop->timers), timers_next_ms(&loop->arrivals));
}

/* Something would run in a turn at this very time. */
static bool is_busy(const struct loop *loop)
{
    return turn_is_waiting(&loop->turn) || loop->jobs || has_wakeup(loop) ||
           next_ms(loop) <= loop->time->now_ms || (loop->fiber && loop->in_turn);
}

static bool can_run(const struct loop *loop)
{
    return !loop->main->is_stopped && !loop->main->is_dead;
}

static void free_fiber(struct loop *loop)
{
    fiber_free(TAKE(loop->fiber));
}

/* On a stack of its own while it may have to stop somewhere inside. */
static void run(struct loop *loop)
{
    if (loop->places > 0 && !loop->fiber)
        loop->fiber = fiber_new(run_turn, loop);
    if (!loop->fiber)
        run_turn(loop);
    else if (fiber_resume(loop->fiber))
        free_fiber(loop);
    if (loop->random && next_ms(loop) > loop->time->now_ms)
        loop->random = NULL;
}

/* Returns: whether anybody ran. */
static bool run_busy(struct virtual_time *time)
{
    bool has_run = false;
    for (size_t i = 0; i < time->count; i++) {
        struct loop *loop = time->loops[i];
        if (!can_run(loop) || !is_busy(loop))
            continue;
        run(loop);
        has_run = true;
    }
    return has_run;
}

/* One turn at least: a test may have called into what lives on the only loop, and its hooks have something to
 * do. With several, a turn without a cause would make a difference of how often somebody looks. */
static void run_once(struct virtual_time *time)
{
    if (time->count == 1 && can_run(time->loops[0]))
        run(time->loops[0]);
}

static int64_t next_of_all_ms(const struct virtual_time *time)
{
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < time->count; i++)
        if (can_run(time->loops[i]))
            first_ms = MIN(first_ms, next_ms(time->loops[i]));
    return first_ms;
}

/* ---- the test's side ---- */

static struct loop *add_loop(struct virtual_time *time, struct loop *main)
{
    struct loop *loop = base_alloc(sizeof *loop);
    loop->time = time;
    loop->main = main ? main : loop;
    loop->now_ms = time->now_ms;
    loop->jobs_tail = &loop->jobs;
    time->loops = base_realloc(time->loops, (time->count + 1) * sizeof(struct loop *));
    time->loops[time->count++] = loop;
    return loop;
}

struct loop *virtual_loop_new(void)
{
    struct virtual_time *time = base_alloc(sizeof *time);
    time->now_ms = START_MS;
    return add_loop(time, NULL);
}

struct loop *virtual_loop_join(struct loop *other)
{
    return add_loop(other->time, NULL);
}

struct loop *virtual_loop_join_thread(struct loop *main)
{
    return add_loop(main->time, main);
}

struct loop *virtual_loop_thread(struct loop *main)
{
    for (size_t i = 0; i < main->time->count; i++)
        if (main->time->loops[i]->main == main && main->time->loops[i] != main)
            return main->time->loops[i];
    return main;
}

static void leave_time(struct loop *loop)
{
    struct virtual_time *time = loop->time;
    for (size_t i = 0; i < time->count; i++)
        if (time->loops[i] == loop) {
            memmove(&time->loops[i], &time->loops[i + 1], (time->count - i - 1) * sizeof(struct loop *));
            time->count--;
            break;
        }
    if (time->count > 0)
        return;
    free(time->loops);
    free(time);
}

/* What a killed process was about to do is forgotten. */
static void forget_all(struct loop *loop)
{
    loop->timers.heap.count = loop->arrivals.heap.count = 0;
}

void virtual_loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->main->is_dead)
        forget_all(loop);
    else
        virtual_loop_run_until_idle(loop);
    assert(loop->timers.heap.count == 0 && loop->arrivals.heap.count == 0);
    assert(loop->main->is_dead || (!loop->turn.hooks && !loop->wakeups));
    timers_release(&loop->timers);
    timers_release(&loop->arrivals);
    free_fiber(loop);
    leave_time(loop);
    free(loop);
}

void virtual_loop_run_until_idle(struct loop *loop)
{
    run_once(loop->time);
    while (run_busy(loop->time))
        continue;
}

void virtual_loop_advance(struct loop *loop, int64_t ms)
{
    struct virtual_time *time = loop->time;
    int64_t end_ms = time->now_ms + ms;
    virtual_loop_run_until_idle(loop);
    for (int64_t at_ms; (at_ms = next_of_all_ms(time)) <= end_ms;) {
        time->now_ms = MAX(time->now_ms, at_ms);
        while (run_busy(time))
            continue;
    }
    time->now_ms = MAX(time->now_ms, end_ms);
    virtual_loop_run_until_idle(loop);
}

void virtual_loop_stop_process(struct loop *loop, int64_t ms)
{
    loop->time->now_ms += ms;
}

void virtual_loop_set_boot_gap(struct loop *loop, int64_t ms)
{
    loop->boot_gap_ms = ms;
}

/* ---- processes ---- */

void virtual_loop_stop(struct loop *main)
{
    main->is_stopped = true;
    main->places = 0;
}

/* Whatever came meanwhile lies in sockets of equal rank. */
static void shuffle_arrivals(struct loop *loop, struct random *random)
{
    size_t count = 0;
    struct timer **due = NULL, *timer;
    while ((timer = timers_pop_due(&loop->arrivals, loop->time->now_ms))) {
        due = base_realloc(due, (count + 1) * sizeof *due);
        due[count++] = timer;
    }
    for (size_t left = count; left > 0; left--) {
        size_t i = random_below(random, left);
        timers_start(&loop->arrivals, due[i], loop->time->now_ms, due[i]->fn, due[i]->arg);
        due[i] = due[left - 1];
    }
    free(due);
}

void virtual_loop_continue(struct loop *main, struct random *random)
{
    struct virtual_time *time = main->time;
    main->is_stopped = false;
    for (size_t i = 0; random && i < time->count; i++)
        if (time->loops[i]->main == main && next_ms(time->loops[i]) <= time->now_ms) {
            time->loops[i]->random = random;
            shuffle_arrivals(time->loops[i], random);
        }
}

void virtual_loop_kill(struct loop *main)
{
    main->is_dead = true;
}

bool virtual_loop_is_stopped(const struct loop *main)
{
    return main->is_stopped;
}

bool virtual_loop_is_idle(const struct loop *loop)
{
    return loop->timers.heap.count == 0 && loop->arrivals.heap.count == 0 && !turn_is_waiting(&loop->turn) &&
           !loop->turn.hooks && !loop->jobs && !loop->wakeups;
}

bool virtual_loop_is_running(const struct loop *main)
{
    return can_run(main);
}

void virtual_loop_stop_at(struct loop *main, unsigned places)
{
    assert(main->main == main);
    main->places = places;
}

void virtual_place(struct loop *loop)
{
    if (loop->places == 0 || !loop->fiber || !loop->in_turn || --loop->places > 0)
        return;
    loop->is_stopped = true;
    fiber_pause(loop->fiber);
}

void virtual_arrive(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg)
{
    timers_start(&loop->arrivals, timer, loop->time->now_ms + MAX(delay_ms, 0), fn, arg);
}

void virtual_arrive_cancel(struct loop *loop, struct timer *timer)
{
    timers_stop(&loop->arrivals, timer);
}

/* ---- loop.h ---- */

void loop_run(struct loop *loop)
{
    loop->is_ended = false;
    for (;;) {
        run_once(loop->time);
        if (loop->is_ended)
            return;
        while (!loop->is_ended && run_busy(loop->time))
            continue;
        if (loop->is_ended)
            return;
        int64_t at_ms = next_of_all_ms(loop->time);
        if (at_ms == INT64_MAX)
            base_die("virtual loop: nothing is left that could stop loop_run");
        loop->time->now_ms = at_ms;
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_ended = true;
}

/* Outside its turns, a call comes from the test or from the world: they know the time. */
int64_t loop_now_ms(const struct loop *loop)
{
    return loop->in_turn ? loop->now_ms : loop->time->now_ms;
}

int64_t loop_boot_ms(const struct loop *loop)
{
    return loop->time->now_ms + loop->boot_gap_ms;
}

int64_t loop_unix_ms(const struct loop *loop)
{
    return start_unix_ms + loop->time->now_ms - START_MS;
}

void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg)
{
    timers_start(&loop->timers, timer, loop_now_ms(loop) + MAX(delay_ms, 1), fn, arg);
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
