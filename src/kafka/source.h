#ifndef KAFKA_SOURCE_H
#define KAFKA_SOURCE_H
#include "kafka/client.h"

/* The jobs' way in: one member of a consumer group. Every partition has its own queue, pulled only when the
 * user has room; records finish in any order. Per partition it keeps the base (all below is finished) and a
 * run-length map of what is finished above it, commits both (every second or 500 records, one commit in
 * flight, never backwards, only for partitions owned now) and reads both back on assignment, so that a record
 * that was finished is not delivered again. It starts at explicit offsets: the committed base, else the
 * earliest record. It knows no job: a record is bytes. */

struct kafka_source;

struct kafka_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_unix_ms; /* -1: none */
    struct bytes key, value;
    const struct kafka_header *headers;
    size_t header_count;
    /* An earlier owner (or we, before a restart) pulled it and did not finish it: somebody may still be
     * running it. Delivered at once after the assignment, without asking for room (but see has_memory), so
     * that its claim is looked at. */
    bool was_pulled;
};

struct kafka_source_events {
    void *arg;
    /* Asked before every record that was not pulled before: is there room for one more of this topic? After
     * false, pulling of its partition rests until kafka_source_pull. */
    bool (*has_room)(void *arg, const char *topic);
    /* Asked before every other record: those may be what several dead members had, and more than one can
     * hold. After false, as above. NULL: there always is. */
    bool (*has_memory)(void *arg);
    /* Asked before has_room: for how long shall it stay where it is? 0: not at all. It, and what stands
     * behind it in its partition, wait at no cost, and are asked about again in time, once a minute at least.
     * NULL: nothing waits. */
    int64_t (*wait_ms)(void *arg, const struct kafka_message *message);
    /* A record, in offset order within its partition. All of it is borrowed until the return: copy at once.
     * Each is to be finished by kafka_source_finish sooner or later, or left unfinished for whoever owns the
     * partition next. */
    void (*on_message)(void *arg, const struct kafka_message *message);
    /* The partition is another's from now on (lost: it was so before we knew). Its records go on or are
     * forgotten as the user likes; finishing them does nothing any more, unless the partition comes back. */
    void (*on_revoked)(void *arg, const char *topic, int32_t partition, bool is_lost);
    void (*on_assigned)(void *arg, const char *topic, int32_t partition);
    kafka_state_fn on_state;
};

struct kafka_source_options {
    struct loop *loop; /* borrowed, as are log and texts until the return of new */
    const struct log *log;
    struct kafka_cluster cluster;
    const char *group_id;
    const char *const *topics; /* names, or patterns that begin with '^' */
    size_t topic_count;
    const char *assignor; /* "eager" | "cooperative-sticky"; the latter: kafka_library_is_cooperative */
    const char *client_id;
    struct kafka_source_events events;
};

/* Joins the group in the background; an absent cluster is no error but a state.
 * Returns: NULL when a property is unknown or has no such value (reterr names it). */
struct kafka_source *kafka_source_new(const struct kafka_source_options *options,
                                      struct error *reterr) MUST_USE;

/* There is room again. */
void kafka_source_pull(struct kafka_source *source);
/* Takes no more records, keeps the membership. false: goes on. */
void kafka_source_hold(struct kafka_source *source, bool is_held);

/* This record needs no more work here: its result is in Kafka, or it never needed one. Any order; twice does
 * nothing. */
void kafka_source_finish(struct kafka_source *source, const char *topic, int32_t partition, int64_t offset);
bool kafka_source_owns(const struct kafka_source *source, const char *topic, int32_t partition);

/* Where a record stands. */
struct kafka_place {
    const char *topic;
    int32_t partition;
    int64_t offset;
};

/* Your slot for one question about a place; zeroed is idle. */
struct kafka_place_request;
struct kafka_place_call {
    void *arg;
    struct kafka_place_request *request; /* ours; NULL: idle */
};
/* error: the group's offsets could not be read. */
typedef void (*kafka_place_fn)(struct kafka_place_call *call, const struct error *error, bool is_finished);
/* Whether the group has committed this record as finished, whoever owns its partition: as Kafka has it, once
 * no transaction is open on it. `done` runs once, unless cancelled, never from inside. */
void kafka_source_ask_place(struct kafka_source *source, struct kafka_place_call *call,
                            const struct kafka_place *place, kafka_place_fn done);
void kafka_place_cancel(struct kafka_place_call *call); /* idle: nothing */

/* Stops pulling, commits, leaves the group, calls back, frees. At most `grace_ms`. NULL: nothing. */
void kafka_source_close(struct kafka_source *source, int64_t grace_ms, void (*closed)(void *arg), void *arg);

/* The cluster's id, "" until it is known; no record is delivered before. */
const char *kafka_source_cluster_id(const struct kafka_source *source);

struct kafka_source_stats {
    bool has_joined;    /* an empty assignment is fine */
    int32_t partitions; /* assigned now */
    int64_t in_flight;  /* delivered, not finished, in partitions owned now */
    int64_t backlog;    /* not finished yet up to the high watermark: the autoscaler's number */
    int64_t deferred;   /* no part of it: records behind one that waits (wait_ms), it included */
    int64_t commits, commit_failures, rebalances, overtaken; /* overtaken: bases that retention had passed */
};
void kafka_source_stats(const struct kafka_source *source, struct kafka_source_stats *ret);

#endif
