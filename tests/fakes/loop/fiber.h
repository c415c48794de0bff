#ifndef TESTS_FAKES_LOOP_FIBER_H
#define TESTS_FAKES_LOOP_FIBER_H
#include "base/base.h"

/* A stack of its own, so that a process of the simulation can be stopped in the middle of a callback while
 * the others go on; what is never resumed keeps its stack, and with it whatever only that refers to. */

struct fiber;

/* fn runs at the first resume. */
struct fiber *fiber_new(void (*fn)(void *arg), void *arg) MUST_USE;
/* Runs until fn returns or pauses. Returns: whether fn has returned. */
bool fiber_resume(struct fiber *fiber);
/* From inside fn. */
void fiber_pause(struct fiber *fiber);
void fiber_free(struct fiber *fiber); /* also in the middle; NULL: nothing */

#endif
