#ifndef E2B_WORKER_SHOW_H
#define E2B_WORKER_SHOW_H
#include "base/buffer.h"
#include "codec/event_view.h"
#include "redis/ledger.h"

/* How values look to people: one place, so that submit, watch and doctor look alike. All of them append. */

enum { SHOW_NANO_PER_USD = 1000000000 };

void show_duration(int64_t ms, struct buffer *out);   /* "12 ms", "3.40 s", "2 min 5 s"; negative: "-" */
void show_cost(int64_t nano_usd, struct buffer *out); /* "$0.000012" */
void show_size(int64_t bytes, struct buffer *out);    /* "512 B", "64.0 KiB" */

/* What stands in the ledger's way: "the ledger is being rebuilt, for 12.00 s now; 2 workers have not said yet
 * what they hold". Nothing when it grants. */
void show_condition(const struct ledger_condition *condition, struct buffer *out);

/* What happened, in a line without its end: control characters of foreign texts become spaces. */
void show_event(const struct event_view *view, struct buffer *out);

#endif
