#ifndef KAFKA_READER_LOOK_H
#define KAFKA_READER_LOOK_H
#include "kafka/handle.h"

/* What a reader must ask before it reads: how many partitions the topic has, where each is to begin, where it
 * ended when it was asked. Asked in a thread job, answered on the loop. Private to the layer. */

struct look_partition {
    int32_t number;
    int64_t next; /* the offset to read next */
    int64_t end;  /* one above the last record there was */
};

struct look {
    struct handle *handle;
    char *topic;
    int32_t known;        /* partitions below this number need no answer */
    int64_t from_unix_ms; /* KAFKA_READER_FROM_END, or a time, for all that is asked */
    rd_kafka_resp_err_t error;
    struct look_partition *found;
    size_t found_count;
    void (*done)(void *arg, const struct look *look);
    void *arg;
    atomic_bool is_cancelled; /* the thread asks nothing more */
};

/* done runs once, unless cancelled; the look is freed after its return. Returns: borrowed until then. */
struct look *look_start(struct handle *handle, const char *topic, int32_t known, int64_t from_unix_ms,
                        void (*done)(void *arg, const struct look *look), void *arg);
/* NULL: nothing. The thread ends after the question that is under way; its answer is dropped. */
void look_cancel(struct look *look);

#endif
