#ifndef KAFKA_FACTS_H
#define KAFKA_FACTS_H
#include "kafka/handle.h"

/* What must be asked of the cluster by calls that block: committed offsets with their metadata, watermarks,
 * the cluster's id, whether topics are there. Asked in a thread job, answered on the loop. Private to the
 * layer. */

enum facts_questions {
    FACTS_COMMITTED = 1,
    FACTS_WATERMARKS = 2,
    FACTS_CLUSTER_ID = 4,
    FACTS_TOPICS = 8, /* the partitions of the list do not matter, only the topics' names */
};

struct facts_watermarks {
    int64_t low, high;
};

struct facts {
    struct handle *handle;
    int questions;
    rd_kafka_resp_err_t error;             /* nothing could be asked, or the first topic that is not usable */
    rd_kafka_topic_partition_list_t *list; /* each with its own err, offset and metadata */
    struct facts_watermarks *watermarks;   /* of each element without err */
    char *cluster_id;                      /* NULL: not asked or not known */
    const char *failed_topic;              /* of FACTS_TOPICS; in `list` */
    void (*done)(void *arg, struct facts *facts);
    void *arg;
    atomic_bool is_cancelled; /* the thread asks nothing more */
};

/* Takes `list`. done runs once, unless cancelled; what it is given is freed after its return.
 * Returns: borrowed until done; for facts_cancel. */
struct facts *facts_ask(struct handle *handle, rd_kafka_topic_partition_list_t *list, int questions,
                        void (*done)(void *arg, struct facts *facts), void *arg);
/* NULL: nothing. The thread ends after the question that is under way; its answer is dropped. */
void facts_cancel(struct facts *facts);

#endif
