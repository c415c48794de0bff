/* The loop on libuv: one uv_timer_t over our own queue, one uv_check_t for the end of a turn. */
#include "loop/loop.h"

#include "base/clock.h"
#include "loop/on_uv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct loop {
    uv_loop_t *uv;
    bool is_own;
    struct timers timers;
    uv_timer_t timer;
    uv_prepare_t prepare; /* before the loop sleeps: what callbacks outside a turn left behind goes out */
    uv_check_t check;     /* after I/O */
    uv_idle_t awake;      /* active while something waits for the end of a turn: the loop must not sleep */
    struct turn turn;
    bool in_turn_end;
    int open_handles;
    void (*freed)(void *);
    void *freed_arg;
};

static void must(int status, const char *what)
{
    if (status != 0)
        base_die("%s: %s", what, uv_strerror(status));
}

/* ---- turns ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void keep_awake(struct loop *loop)
{
    if (!uv_is_active((uv_handle_t *)&loop->awake))
        must(uv_idle_start(&loop->awake, on_idle), "uv_idle_start");
}

static void end_turn(struct loop *loop)
{
    assert(!loop->in_turn_end);
    loop->in_turn_end = true;
    turn_end(&loop->turn);
    loop->in_turn_end = false;
    if (!turn_is_waiting(&loop->turn))
        uv_idle_stop(&loop->awake);
}

static void on_prepare(uv_prepare_t *prepare)
{
    end_turn(prepare->data);
}

static void on_check(uv_check_t *check)
{
    end_turn(check->data);
}

/* ---- time and timers ---- */

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(loop->uv);
}

int64_t loop_boot_ms(const struct loop *loop)
{
    (void)loop;
    return clock_boot_ms();
}

int64_t loop_unix_ms(const struct loop *loop)
{
    (void)loop;
    return clock_unix_ms();
}

static void arm(struct loop *loop);

static void on_timer(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    int64_t now_ms = loop_now_ms(loop);
    struct timer *timer;
    while ((timer = timers_pop_due(&loop->timers, now_ms)))
        timer->fn(timer->arg);
    arm(loop);
}

static void arm(struct loop *loop)
{
    int64_t next_ms = timers_next_ms(&loop->timers);
    if (next_ms == INT64_MAX) {
        uv_timer_stop(&loop->timer);
        return;
    }
    int64_t delay_ms = next_ms - loop_now_ms(loop);
    if (uv_is_active((uv_handle_t *)&loop->timer) &&
        uv_timer_get_due_in(&loop->timer) == (uint64_t)MAX(delay_ms, 0))
        return;
    must(uv_timer_start(&loop->timer, on_timer, (uint64_t)MAX(delay_ms, 0), 0), "uv_timer_start");
}

void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg)
{
    int64_t old_next_ms = timers_next_ms(&loop->timers);
    timers_start(&loop->timers, timer, loop_now_ms(loop) + MAX(delay_ms, 1), fn, arg);
    if (timers_next_ms(&loop->timers) != old_next_ms)
        arm(loop);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    if (!timer_is_active(timer))
        return;
    timers_stop(&loop->timers, timer);
    if (loop->timers.heap.count == 0)
        uv_timer_stop(
            &loop->timer); /* an early wake-up for a stopped timer costs less than re-arming each time */
}

/* ---- deferred calls, hooks, reaping ---- */

void loop_defer(struct loop *loop, struct task *task, task_fn fn, void *arg)
{
    turn_defer(&loop->turn, task, fn, arg);
    keep_awake(loop);
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
    keep_awake(loop);
}

/* ---- thread jobs ---- */

struct thread_job {
    uv_work_t request;
    work_fn work, done;
    void *arg;
};

static void on_thread(uv_work_t *request)
{
    struct thread_job *job = CONTAINER_OF(request, struct thread_job, request);
    job->work(job->arg);
}

static void on_thread_done(uv_work_t *request, int status)
{
    struct thread_job *job = CONTAINER_OF(request, struct thread_job, request);
    assert(status == 0);
    (void)status;
    job->done(job->arg);
    free(job);
}

void loop_work(struct loop *loop, work_fn work, work_fn done, void *arg)
{
    struct thread_job *job = base_alloc(sizeof *job);
    job->work = work;
    job->done = done;
    job->arg = arg;
    must(uv_queue_work(loop->uv, &job->request, on_thread, on_thread_done), "uv_queue_work");
}

/* ---- wake-ups ---- */

struct wakeup {
    uv_async_t async;
    task_fn fn;
    void *arg;
};

static void on_async(uv_async_t *async)
{
    struct wakeup *wakeup = CONTAINER_OF(async, struct wakeup, async);
    wakeup->fn(wakeup->arg);
}

static void on_wakeup_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct wakeup, async));
}

struct wakeup *loop_wakeup_new(struct loop *loop, task_fn fn, void *arg)
{
    struct wakeup *wakeup = base_alloc(sizeof *wakeup);
    wakeup->fn = fn;
    wakeup->arg = arg;
    must(uv_async_init(loop->uv, &wakeup->async, on_async), "uv_async_init");
    return wakeup;
}

void wakeup_send(struct wakeup *wakeup)
{
    must(uv_async_send(&wakeup->async), "uv_async_send");
}

void wakeup_close(struct wakeup *wakeup)
{
    uv_close((uv_handle_t *)&wakeup->async, on_wakeup_closed);
}

/* ---- file descriptors ---- */

struct watch {
    uv_poll_t poll;
    watch_fn fn;
    void *arg;
    int events;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = CONTAINER_OF(poll, struct watch, poll);
    int seen = (events & UV_READABLE ? WATCH_READ : 0) | (events & UV_WRITABLE ? WATCH_WRITE : 0) |
               (events & UV_DISCONNECT ? WATCH_HANGUP : 0);
    watch->fn(watch->arg, seen, status);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct watch, poll));
}

struct watch *loop_watch_new(struct loop *loop, int fd, watch_fn fn, void *arg)
{
    struct watch *watch = base_alloc(sizeof *watch);
    watch->fn = fn;
    watch->arg = arg;
    must(uv_poll_init(loop->uv, &watch->poll, fd), "uv_poll_init");
    return watch;
}

void watch_set(struct watch *watch, int events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    if (events == 0) {
        uv_poll_stop(&watch->poll);
        return;
    }
    int wanted = (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0) |
                 (events & WATCH_HANGUP ? UV_DISCONNECT : 0);
    must(uv_poll_start(&watch->poll, wanted, on_poll), "uv_poll_start");
}

void watch_close(struct watch *watch)
{
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

/* ---- signals ---- */

struct signal_watch {
    uv_signal_t signal;
    task_fn fn;
    void *arg;
};

static void on_signal(uv_signal_t *handle, int signal)
{
    (void)signal;
    struct signal_watch *watch = CONTAINER_OF(handle, struct signal_watch, signal);
    watch->fn(watch->arg);
}

static void on_signal_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct signal_watch, signal));
}

struct signal_watch *loop_signal_new(struct loop *loop, int signal, task_fn fn, void *arg)
{
    struct signal_watch *watch = base_alloc(sizeof *watch);
    watch->fn = fn;
    watch->arg = arg;
    must(uv_signal_init(loop->uv, &watch->signal), "uv_signal_init");
    must(uv_signal_start(&watch->signal, on_signal, signal), "uv_signal_start");
    uv_unref((uv_handle_t *)&watch->signal);
    return watch;
}

void signal_watch_close(struct signal_watch *watch)
{
    uv_close((uv_handle_t *)&watch->signal, on_signal_closed);
}

/* ---- life cycle ---- */

static void open_handle(struct loop *loop, void *handle)
{
    ((uv_handle_t *)handle)->data = loop;
    loop->open_handles++;
}

struct loop *loop_new_on(uv_loop_t *uv)
{
    struct loop *loop = base_alloc(sizeof *loop);
    loop->uv = uv;
    must(uv_timer_init(uv, &loop->timer), "uv_timer_init");
    open_handle(loop, &loop->timer);
    must(uv_idle_init(uv, &loop->awake), "uv_idle_init");
    open_handle(loop, &loop->awake);
    must(uv_prepare_init(uv, &loop->prepare), "uv_prepare_init");
    open_handle(loop, &loop->prepare);
    must(uv_prepare_start(&loop->prepare, on_prepare), "uv_prepare_start");
    must(uv_check_init(uv, &loop->check), "uv_check_init");
    open_handle(loop, &loop->check);
    must(uv_check_start(&loop->check, on_check), "uv_check_start");
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    return loop;
}

struct loop *loop_new(void)
{
    uv_loop_t *uv = base_alloc(sizeof *uv);
    must(uv_loop_init(uv), "uv_loop_init");
    struct loop *loop = loop_new_on(uv);
    loop->is_own = true;
    return loop;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return loop->uv;
}

void loop_run(struct loop *loop)
{
    uv_run(loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(loop->uv);
}

static void destroy(struct loop *loop)
{
    turn_run_reaps(&loop->turn);
    timers_release(&loop->timers);
    void (*freed)(void *) = loop->freed;
    void *arg = loop->freed_arg;
    free(loop);
    if (freed)
        freed(arg);
}

static void on_own_closed(uv_handle_t *handle)
{
    struct loop *loop = handle->data;
    if (--loop->open_handles == 0 && !loop->is_own)
        destroy(loop);
}

void loop_free(struct loop *loop, void (*freed)(void *), void *arg)
{
    if (!loop)
        return;
    assert(loop->timers.heap.count == 0 && !loop->turn.hooks);
    turn_run_tasks(&loop->turn);
    loop->freed = freed;
    loop->freed_arg = arg;
    uv_close((uv_handle_t *)&loop->timer, on_own_closed);
    uv_close((uv_handle_t *)&loop->prepare, on_own_closed);
    uv_close((uv_handle_t *)&loop->check, on_own_closed);
    uv_close((uv_handle_t *)&loop->awake, on_own_closed);
    if (!loop->is_own)
        return;
    uv_loop_t *uv = loop->uv;
    uv_run(uv, UV_RUN_DEFAULT);
    must(uv_loop_close(uv), "uv_loop_close");
    destroy(loop);
    free(uv);
}
