#ifndef KAFKA_SINK_INSIDE_H
#define KAFKA_SINK_INSIDE_H
#include "kafka/delivery.h"
#include "kafka/explain.h"
#include "kafka/facts.h"
#include "kafka/handle.h"
#include "kafka/sink.h"

/* The sink's parts know each other: sink.c (life, state, instances), sink_send.c (records and their reports).
 * Private to the layer. */

enum sink_phase {
    SINK_RUNNING,
    SINK_REBUILDING, /* a fatal error: the old instance gives the records back, then a new one takes them */
    SINK_PURGING,    /* closing, out of time: librdkafka lets go of borrowed values */
    SINK_ENDING,     /* closing: the instance is destroyed */
};

struct kafka_sink {
    struct loop *loop; /* borrowed */
    struct log log;
    void *arg;
    kafka_state_fn on_state;
    rd_kafka_conf_t *conf;
    rd_kafka_topic_partition_list_t *topics;
    size_t max_bytes;
    enum sink_phase phase;
    bool is_closing;

    struct handle *handle; /* NULL while a new one cannot be had */
    struct handle *ending; /* the last one, while it is destroyed; it frees itself */
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t **kept_topics; /* keep their metadata warm */
    struct wakeup *wakeup;
    struct timer tick, rebuild;
    int64_t rebuilt_at_ms;
    bool was_rebuilt;

    struct link all; /* every struct kafka_delivery until its good report */
    struct link waiting, alone, refused;
    struct task answer;
    size_t bytes; /* of records that are with us or with librdkafka */
    int flying, troubled;
    bool is_full; /* librdkafka's queue: until the next report */

    struct facts *probe;
    bool needs_probe;
    int ticks;
    bool is_usable;
    char probe_why[EXPLAIN_SIZE], trouble_why[EXPLAIN_SIZE], why[EXPLAIN_SIZE];

    struct timer deadline;
    void (*closed)(void *arg);
    void *closed_arg;

    struct kafka_sink_stats stats;
};

/* sink.c */
void sink_judge(struct kafka_sink *sink); /* is it usable? */
void sink_rebuild(struct kafka_sink *sink, const char *why);

/* sink_send.c */
void sink_pump(struct kafka_sink *sink);
void sink_on_reports(struct kafka_sink *sink, rd_kafka_event_t *event);
void sink_requeue(
    struct kafka_sink *sink); /* everything unacknowledged, in order; nothing is flying any more */
void sink_silence(struct kafka_sink *sink); /* frees what is left */

/* For tests: the instance itself. */
rd_kafka_t *sink_librdkafka(const struct kafka_sink *sink);

#endif
