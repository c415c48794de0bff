#ifndef E2B_WORKER_DLQ_READ_H
#define E2B_WORKER_DLQ_READ_H
#include "command.h"
#include "dlq_record.h"

/* The dead-letter topic read to its end, for `dlq list` and `dlq requeue`. Blocks: it runs a loop of its
 * own. */

enum { DLQ_BYTES_MAX = 256 * 1024 * 1024 };

struct dlq_wish {
    struct dlq_selection selection;
    int64_t since_ms; /* what came so long ago at most; -1: all */
    int64_t timeout_ms, connect_timeout_ms;
    size_t max_count;   /* the newest so many are kept */
    bool without_value; /* who only looks needs no bytes: values are empty, value_bytes tells their length */
};

struct dlq_entry {
    struct dlq_record record;
    size_t value_bytes;
    struct arena arena; /* of the record */
};

struct dlq_list {
    struct dlq_entry **items; /* oldest first */
    size_t count;
    size_t matched;      /* so many were meant, kept or not */
    bool is_over_budget; /* what is meant is larger than DLQ_BYTES_MAX; it was not read to the end */
};

/* Returns: EXIT_OK, or another exit code after saying what is wrong. Owns: dlq_list_release, also then. */
int dlq_read(const struct config *config, const struct dlq_wish *wish, struct dlq_list *ret) MUST_USE;
void dlq_list_release(struct dlq_list *list);

#endif
