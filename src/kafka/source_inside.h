#ifndef KAFKA_SOURCE_INSIDE_H
#define KAFKA_SOURCE_INSIDE_H
#include "kafka/explain.h"
#include "kafka/facts.h"
#include "kafka/handle.h"
#include "kafka/headers.h"
#include "kafka/partition.h"
#include "kafka/source.h"

/* The source's parts know each other: source.c (beginning, events, state), source_close.c, source_group.c
 * partitions), source_commit.c, source_deliver.c. Private to the layer. */

enum source_phase {
    SOURCE_RUNNING,
    SOURCE_COMMITTING, /* closing: the last commits */
    SOURCE_LEAVING,    /* closing: out of the group */
    SOURCE_ENDING,     /* closing: librdkafka goes */
};

struct kafka_source {
    struct loop *loop; /* borrowed */
    struct log log;
    struct kafka_source_events events;
    rd_kafka_conf_t *conf;
    rd_kafka_topic_partition_list_t *subscription;
    bool is_cooperative;
    enum source_phase phase;

    /* The instance of librdkafka; NULL between a fatal error and the next try. */
    struct handle *handle;
    rd_kafka_queue_t *queue, *close_queue;
    struct wakeup *wakeup;
    struct timer tick, rebuild;
    int64_t rebuild_delay_ms;

    /* Membership. */
    struct partition **partitions;
    size_t count, capacity;
    bool has_joined;
    bool owes_assign;    /* librdkafka waits for our answer to its last assignment */
    struct facts *facts; /* the question under way */
    struct timer retry;  /* ... and when the next one is due */
    int64_t retry_delay_ms;
    rd_kafka_topic_partition_list_t *revoked; /* a revocation that waits for the commit under way */
    bool is_revoked_lost;
    struct timer revoke_deadline;
    char *cluster_id;

    /* Commits. */
    bool is_frozen; /* a rebalance is going on */
    bool is_committing;
    bool is_commit_resting; /* one failed: until the next tick */
    int64_t finished;       /* since the last commit */

    /* Delivery. */
    size_t turn; /* whose turn it is */
    bool is_held, is_delivering;
    struct task deliver;
    struct timer due;       /* of the first partition whose head waits */
    struct headers headers; /* of the record that is delivered */

    /* State. */
    bool is_usable;
    char why[EXPLAIN_SIZE];
    struct facts *probe;
    int ticks;

    /* Closing. */
    struct timer deadline, commit_deadline;
    struct handle *ending; /* the last instance, while it is destroyed; it frees itself */
    void (*closed)(void *arg);
    void *closed_arg;

    int64_t commits, commit_failures, rebalances, overtaken;
};

/* source.c */
struct partition *source_find(const struct kafka_source *source, const char *topic, int32_t number);
void source_state(struct kafka_source *source, bool is_usable, const char *why);
void source_rebuild(struct kafka_source *source, const char *why);

void source_on_queue(rd_kafka_t *rk, void *arg); /* on librdkafka's threads */
void source_tick(void *arg);
void source_close_handle(struct kafka_source *source, void (*destroyed)(void *arg));
void source_free(void *object);

/* source_close.c */
void source_go_on_closing(struct kafka_source *source);

/* source_group.c */
void source_on_rebalance(struct kafka_source *source, rd_kafka_event_t *event);
void source_restart(struct kafka_source *source, struct partition *partition);
void source_on_committed(struct kafka_source *source); /* a commit was answered: a revocation may go on */
void source_close_queue(struct partition *partition);
void source_drop_all(struct kafka_source *source);
void source_lose_all(struct kafka_source *source);
void source_away_too_long(struct kafka_source *source);
void source_group_cancel(struct kafka_source *source);

/* source_commit.c */
void source_commit(struct kafka_source *source);
void source_on_commit_event(struct kafka_source *source, rd_kafka_event_t *event);
bool source_has_dirty(const struct kafka_source *source);

/* source_deliver.c */
void source_deliver(struct kafka_source *source);

/* For tests: the instance itself. */
rd_kafka_t *source_librdkafka(const struct kafka_source *source);

#endif
