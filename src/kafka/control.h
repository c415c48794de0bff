#ifndef KAFKA_CONTROL_H
#define KAFKA_CONTROL_H
#include "kafka/handle.h"

/* The calls that begin and end a transaction: they block, so each is a thread job, one at a time. Delivery
 * reports must be polled on the loop meanwhile, or a commit waits for ever. Private to the layer. */

enum control_kind {
    CONTROL_INIT,  /* ends or undoes what an earlier instance of the same transactional.id left open */
    CONTROL_BEGIN, /* begins one */
    CONTROL_END,   /* the offsets into it, then commits */
    CONTROL_ABORT,
};

enum control_outcome {
    CONTROL_DONE,
    CONTROL_AGAIN,     /* INIT: not in time; nothing has changed, ask again */
    CONTROL_ABORTABLE, /* the transaction cannot be committed: ABORT it */
    CONTROL_BROKEN,    /* the instance is of no use any more, or END was called off: nobody knows the end */
};

struct control {
    struct handle *handle;
    enum control_kind kind;
    rd_kafka_topic_partition_list_t *offsets; /* END: with their metadata */
    rd_kafka_consumer_group_metadata_t *member;
    enum control_outcome outcome;
    rd_kafka_resp_err_t code; /* of the last error */
    char text[200];
    void (*done)(void *arg, struct control *control);
    void *arg;
    atomic_bool is_cancelled;
};

/* Takes offsets and member (both NULL unless END). done runs once, always, also after control_cancel; what it
 * is given is freed after its return. Errors that pass are tried again, without end, until cancelled.
 * Returns: borrowed until done. */
struct control *control_start(struct handle *handle, enum control_kind kind,
                              rd_kafka_topic_partition_list_t *offsets,
                              rd_kafka_consumer_group_metadata_t *member,
                              void (*done)(void *arg, struct control *control), void *arg);
/* The thread tries nothing again. NULL: nothing. */
void control_cancel(struct control *control);
/* ... and nobody is told. NULL: nothing. */
void control_forget(struct control *control);

#endif
