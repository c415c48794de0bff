#ifndef KAFKA_SINK_H
#define KAFKA_SINK_H
#include "kafka/client.h"

/* The results' way out: an idempotent producer, acks of all replicas. A record that somebody waits for is
 * sent until its delivery report is good: failed reports, full queues and a producer that died for good (a
 * fatal error: a new one is built and everything unacknowledged goes again) are the sink's business, so a
 * result is never dropped here. The only answer that is no success is "too large". Records are partitioned by
 * key as Java's default partitioner does. */

struct kafka_sink;

struct kafka_record {
    const char *topic;
    struct bytes key, value;
    const struct kafka_header *headers;
    size_t header_count;
};

/* Your slot for one awaited record; zeroed is idle. */
struct kafka_delivery;
struct kafka_send {
    void *arg;
    struct kafka_delivery *delivery; /* ours; NULL: idle */
};

/* error: NULL once it is in the log of all replicas; REJECTED when the broker finds it too large (send a
 * smaller one). partition and offset: where it is; -1 on failure. */
typedef void (*kafka_sent_fn)(struct kafka_send *send, const struct error *error, int32_t partition,
                              int64_t offset);

struct kafka_sink_options {
    struct loop *loop; /* borrowed, as are log and texts until the return of new */
    const struct log *log;
    struct kafka_cluster cluster;
    const char *client_id;
    const char *const
        *topics; /* whose metadata is fetched at the start, so that the first record does not wait */
    size_t topic_count;
    size_t max_bytes; /* of the producer's queue; 0: 64 MiB */
    void *arg;
    kafka_state_fn on_state; /* not usable: a record could not be delivered for 10 s, or a topic or permission
                                is missing */
};

/* Returns: NULL when a property is unknown or has no such value. */
struct kafka_sink *kafka_sink_new(const struct kafka_sink_options *options, struct error *reterr) MUST_USE;

/* Awaited. key and headers are copied; `value` is borrowed until `sent`, which runs once, never
 * from inside. */
void kafka_sink_send(struct kafka_sink *sink, struct kafka_send *send, const struct kafka_record *record,
                     kafka_sent_fn sent);

/* Best effort: copied whole; dropped and counted when the queue is full or its delivery fails. */
void kafka_sink_post(struct kafka_sink *sink, const struct kafka_record *record);

/* Whether to start work that will need the sink: its queue is less than half full and it is usable. */
bool kafka_sink_has_room(const struct kafka_sink *sink);

/* Waits for what is under way, at most `grace_ms`, calls back, frees. Slots still waiting fall silent. NULL:
 * nothing. */
void kafka_sink_close(struct kafka_sink *sink, int64_t grace_ms, void (*closed)(void *arg), void *arg);

struct kafka_sink_stats {
    int64_t sent, posted, dropped, failed_reports, rebuilt, waiting; /* waiting: awaited, not delivered yet */
};
void kafka_sink_stats(const struct kafka_sink *sink, struct kafka_sink_stats *ret);

#endif
