#ifndef E2B_WORKER_DLQ_H
#define E2B_WORKER_DLQ_H
#include "dlq_read.h"

/* The parts of `dlq`: dlq.c reads words, dlq_read.c the topic, dlq_record.c knows what a record says,
 * dlq_list.c shows, dlq_requeue.c sends back. */

struct dlq_options {
    struct dlq_wish wish;
    bool is_json, is_dry_run, is_sure; /* is_sure: nobody is asked */
};

/* Both return the exit code of the command. */
int dlq_show(const struct config *config, const struct dlq_options *options);
int dlq_requeue(const struct config *config, const struct dlq_options *options);

/* "e2b.jobs.general/0/17", "?" where it is not said. */
void dlq_show_origin(const struct dlq_record *record, struct buffer *out);

#endif
