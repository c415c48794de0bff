#ifndef E2B_WORKER_SUBMIT_RESULT_H
#define E2B_WORKER_SUBMIT_RESULT_H
#include "codec/event_view.h"

/* A result as submit --wait shows it. */

/* What the job printed to standard output and standard error, the value of its last expression, its
 * traceback; then, on standard error, a closing line and what there is to know. With is_json: the event's
 * JSON alone, as a line. */
void submit_show_result(const struct event_view *view, bool is_json);

/* Returns: EXIT_OK for a success, the program's own exit code where it is between 1 and 63,
 * else EXIT_FAILED. */
int submit_exit_code(const struct event_view *view) MUST_USE;

#endif
