#ifndef KAFKA_TRANSACTION_H
#define KAFKA_TRANSACTION_H
#include "kafka/handle.h"

/* The calls that begin and end a transaction: they block, so each is a thread job, one at a time. Delivery
 * reports must be polled on the loop meanwhile, or a commit waits for ever. Private to the layer. */

enum transaction_step {
    TRANSACTION_INIT,  /* ends or undoes what an earlier instance of the same transactional.id left open */
    TRANSACTION_BEGIN, /* begins one */
    TRANSACTION_END,   /* the offsets into it, then commits */
    TRANSACTION_ABORT,
};

enum transaction_outcome {
    TRANSACTION_DONE,
    TRANSACTION_AGAIN,     /* INIT: not in time; nothing has changed, ask again */
    TRANSACTION_ABORTABLE, /* the transaction cannot be committed: ABORT it */
    TRANSACTION_BROKEN, /* the instance is of no use any more, or END was called off: nobody knows the end */
};

struct transaction_call {
    struct handle *handle;
    enum transaction_step kind;
    rd_kafka_topic_partition_list_t *offsets; /* END: with their metadata */
    rd_kafka_consumer_group_metadata_t *member;
    enum transaction_outcome outcome;
    rd_kafka_resp_err_t code; /* of the last error */
    char text[200];
    void (*done)(void *arg, struct transaction_call *call);
    void *arg;
    atomic_bool is_cancelled;
};

/* Takes offsets and member (both NULL unless END). done runs once, always, also after
 * transaction_call_cancel; what it is given is freed after its return. Errors that pass are tried again,
 * without end, until cancelled. Returns: borrowed until done. */
struct transaction_call *transaction_call_start(struct handle *handle, enum transaction_step kind,
                                                rd_kafka_topic_partition_list_t *offsets,
                                                rd_kafka_consumer_group_metadata_t *member,
                                                void (*done)(void *arg, struct transaction_call *call),
                                                void *arg);
/* The thread tries nothing again. NULL: nothing. */
void transaction_call_cancel(struct transaction_call *call);
/* ... and nobody is told. NULL: nothing. */
void transaction_call_forget(struct transaction_call *call);

#endif
