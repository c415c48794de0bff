#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "base/base.h"
#include "loop/timers.h"
#include "loop/turn.h"

/* One thread's event loop as the rest of the program sees it: time, deadlines, deferred calls, the end of a
 * turn, thread jobs, wake-ups from other threads, file descriptors, signals. The body sits on libuv
 * (on_uv.h); the fake of the tests is a virtual clock with the same header. It is no scheduler: whatever
 * runs, runs to its end on the loop's thread.
 *
 * Everywhere in this program: loop thread only, nothing blocks, no argument is NULL, unless a header says
 * otherwise.
 *
 * A turn: events and timers run, then deferred calls (those they defer, too), then the turn hooks, then the
 * reap list. */

struct loop;

/* Time, in ms. now: monotonic, read once a turn. boot: CLOCK_BOOTTIME, read at the call (a stop of the
 * process inside one callback shows). unix: wall time, for messages only. */
int64_t loop_now_ms(const struct loop *loop);
int64_t loop_boot_ms(const struct loop *loop);
int64_t loop_unix_ms(const struct loop *loop);

/* Deadlines. `timer` is yours (timers.h), zeroed before its first start. fn runs once, never from inside
 * start; after stop it does not run. A delay of 0 or less means: in the next turn. */
void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* Deferred calls: fn runs later in this turn or early in the next, once. `task` is yours, zeroed before its
 * first use; deferring it again before it ran does nothing. */
void loop_defer(struct loop *loop, struct task *task, task_fn fn, void *arg);
void loop_defer_cancel(struct loop *loop, struct task *task);

/* Turn hooks: fn runs at the end of every turn, in the order of adding; what was gathered in the turn goes
 * out here (pipelines, flushes). `hook` is yours until removed. */
void loop_hook_add(struct loop *loop, struct turn_hook *hook, task_fn fn, void *arg);
void loop_hook_remove(struct loop *loop, struct turn_hook *hook);

/* Frees `object` by `free_fn` at the end of this turn, when none of its callbacks can be on the stack. Takes
 * it. */
void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *));

/* Thread jobs, for calls that block. work runs on a pool thread and must touch nothing but arg; done runs on
 * the loop's thread afterwards, always, once. */
typedef void (*work_fn)(void *arg);
void loop_work(struct loop *loop, work_fn work, work_fn done, void *arg);

/* Wake-ups: fn runs on the loop's thread after one or more sends. send may be called from any thread until
 * close, and does nothing else. Owns: close frees. */
struct wakeup;
struct wakeup *loop_wakeup_new(struct loop *loop, task_fn fn, void *arg) MUST_USE;
void wakeup_send(struct wakeup *wakeup);
void wakeup_close(struct wakeup *wakeup);

/* File descriptors: fn runs when fd is readable or writable as asked; change what is asked at any time (0:
 * nothing for now). fd stays yours: close the watch first. Owns: close frees. */
enum watch_events { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_HANGUP = 4 };
typedef void (*watch_fn)(void *arg, int events, int error);
struct watch;
struct watch *loop_watch_new(struct loop *loop, int fd, watch_fn fn, void *arg) MUST_USE;
void watch_set(struct watch *watch, int events);
void watch_close(struct watch *watch);

/* Signals: fn runs on the loop's thread. Owns: close frees. */
struct signal_watch;
struct signal_watch *loop_signal_new(struct loop *loop, int signal, task_fn fn, void *arg) MUST_USE;
void signal_watch_close(struct signal_watch *watch);

/* Runs until stop is called. Returns after the turn that called it. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
