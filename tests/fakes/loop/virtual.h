#ifndef TESTS_FAKES_LOOP_VIRTUAL_H
#define TESTS_FAKES_LOOP_VIRTUAL_H
#include "loop/loop.h"

/* The loop of the tests: loop.h on a virtual clock. Nothing sleeps; time moves when it is told to, or in
 * loop_run from one timer to the next. Thread jobs run inline in the next turn, wake-ups likewise. There are
 * no file descriptors and no signals: asking for one ends the test. */

/* Time starts at 1,000,000 ms (unix: 2026-11-21T00:00:00Z). Owns: virtual_loop_free, when all timers are
 * stopped. */
struct loop *virtual_loop_new(void) MUST_USE;
void virtual_loop_free(struct loop *loop);

/* Time passes, turn by turn: each timer runs at its own time. */
void virtual_loop_advance(struct loop *loop, int64_t ms);
/* Turns until nothing waits for the end of a turn; time stands still. */
void virtual_loop_run_until_idle(struct loop *loop);

/* The process is stopped (SIGSTOP) for ms, now: all clocks jump and nothing runs meanwhile. From inside a
 * callback only loop_boot_ms shows it before the next turn, as on a real loop. */
void virtual_loop_stop_process(struct loop *loop, int64_t ms);
/* CLOCK_BOOTTIME is ahead of the monotonic clock by ms more: the machine slept. */
void virtual_loop_set_boot_gap(struct loop *loop, int64_t ms);

#endif
