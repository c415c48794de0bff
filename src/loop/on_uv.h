#ifndef LOOP_ON_UV_H
#define LOOP_ON_UV_H
#include "loop/loop.h"

/* The real loop: loop.h on libuv. Only programs and libe2b include this. */

struct uv_loop_s;

/* A loop of its own. Owns: loop_free. */
struct loop *loop_new(void) MUST_USE;
/* On a loop of somebody else, who runs it; loop_run and loop_stop are not for this one. It holds no reference
 * on that loop while no timer, task, thread job, watch or wake-up of ours is active. */
struct loop *loop_new_on(struct uv_loop_s *uv) MUST_USE;
struct uv_loop_s *loop_uv(struct loop *loop);

/* Closes what the loop itself opened, then calls back (may be NULL) and frees. A loop of its own is run until
 * all is closed, and the call returns after that; on somebody else's loop it returns at once and closes in
 * later turns. All timers, watches, wake-ups and signals must have been stopped and closed before. */
void loop_free(struct loop *loop, void (*freed)(void *arg), void *arg);

#endif
