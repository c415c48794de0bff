#ifndef WORKER_FLIGHT_ATTEMPT_H
#define WORKER_FLIGHT_ATTEMPT_H
#include "e2b/e2b.h"

/* One attempt of a flight: its sandbox (in a custody), the claim's bind, its run (an execution), its books.
 * It is the flight's own from EXECUTE or ATTACH until it was dropped. */

struct flight_runner;

/* What the flight's machine orders. */
void flight_attempt_execute(struct flight_runner *runner);
void flight_attempt_attach(struct flight_runner *runner);
/* Silence of run and bind; the sandbox stays. No attempt: nothing. */
void flight_attempt_drop(struct flight_runner *runner);
/* The sandbox is needed no more: it is killed, unless the permit is another's. No sandbox: nothing. */
void flight_attempt_let_sandbox_go(struct flight_runner *runner);

/* Returns: how much of the clock is used up of the run that acquire answered ADOPT about. */
int64_t flight_attempt_found_ran_ms(const struct flight_runner *runner);
/* Returns: the sandbox of the last attempt that ended with one, whether it lives or not; "" for none. */
const char *flight_attempt_last_sandbox(const struct flight_runner *runner);
/* Its program began in a sandbox where whoever takes the claim over finds how it went, or learns that it must
 * not begin again. */
bool flight_attempt_leaves_a_trace(const struct flight_runner *runner);

#endif
