#ifndef TESTS_FAKES_LOOP_VIRTUAL_H
#define TESTS_FAKES_LOOP_VIRTUAL_H
#include "base/random.h"
#include "loop/loop.h"

/* The loop of the tests: loop.h on a virtual clock. Nothing sleeps; time moves when it is told to, or in
 * loop_run from one timer to the next. Thread jobs run inline in the next turn, wake-ups likewise. There are
 * no file descriptors and no signals: asking for one ends the test. */

/* Time starts at 1,000,000 ms (unix: 2026-11-21T00:00:00Z). Owns: virtual_loop_free, when all timers are
 * stopped. */
struct loop *virtual_loop_new(void) MUST_USE;
void virtual_loop_free(struct loop *loop);

/* Time passes for all loops on the clock, turn by turn: each timer runs at its own time. */
void virtual_loop_advance(struct loop *loop, int64_t ms);
/* Turns of all loops until nothing waits for the end of a turn; time stands still. */
void virtual_loop_run_until_idle(struct loop *loop);

/* The only process is stopped (SIGSTOP) for ms, now: all clocks jump and nothing runs meanwhile, nor does the
 * world. From inside a callback only loop_boot_ms shows it before the next turn, as on a real loop. */
void virtual_loop_stop_process(struct loop *loop, int64_t ms);
/* CLOCK_BOOTTIME is ahead of the monotonic clock by ms more: the machine slept. */
void virtual_loop_set_boot_gap(struct loop *loop, int64_t ms);

/* ---- Several processes ----
 * Loops that were joined stand on one clock: the first is the world's (servers, and the test itself), each
 * further one a process of its own, which can be stopped and killed while the others go on. */

/* Another process on the clock of `other`. */
struct loop *virtual_loop_join(struct loop *other) MUST_USE;
/* Another thread of the process of `main`: stopped, continued and killed with it. */
struct loop *virtual_loop_join_thread(struct loop *main) MUST_USE;
/* Returns: the first such; where there is none, `main` itself. */
struct loop *virtual_loop_thread(struct loop *main);

/* SIGSTOP and SIGCONT: in between nothing of it runs. What became due meanwhile comes late: timers in their
 * order, arrivals and the rest in any, as `random` decides (NULL: as they would have come). */
void virtual_loop_stop(struct loop *main);
void virtual_loop_continue(struct loop *main, struct random *random);
/* SIGKILL: nothing of it runs any more. Its memory stays; virtual_loop_free frees the loop's own. */
void virtual_loop_kill(struct loop *main);
bool virtual_loop_is_stopped(const struct loop *main);
bool virtual_loop_is_idle(const struct loop *loop);    /* no timer, nothing that waits, no hook */
bool virtual_loop_is_running(const struct loop *main); /* neither stopped nor killed */

/* SIGSTOP at the n-th place from now (1: the next) where this process calls the world, or has called it: in
 * the middle of a callback. 0: not any more. */
void virtual_loop_stop_at(struct loop *main, unsigned places);

/* ---- For fakes ---- */

/* Such a place. No lock of the fake may be held, so to speak: the world goes on meanwhile. */
void virtual_place(struct loop *loop);

/* Something comes from outside, delay_ms from now, as by a socket: like a timer of the process, but its delay
 * counts from the true time, whatever the loop's last turn knew, and its order after a stop is open. */
void virtual_arrive(struct loop *loop, struct timer *timer, int64_t delay_ms, timer_fn fn, void *arg);
void virtual_arrive_cancel(struct loop *loop, struct timer *timer);

#endif
