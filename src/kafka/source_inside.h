#ifndef KAFKA_SOURCE_INSIDE_H
#define KAFKA_SOURCE_INSIDE_H
#include "kafka/explain.h"
#include "kafka/facts.h"
#include "kafka/handle.h"
#include "kafka/headers.h"
#include "kafka/partition.h"
#include "kafka/source.h"
#include "kafka/transactor_inside.h"

/* The source's parts know each other: source.c (beginning, events, state), source_close.c, source_group.c
 * partitions), source_commit.c, source_deliver.c, source_places.c. Private to the layer. */

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
    unsigned losses; /* partitions that went, so far: whoever had them may have finished what was ours */
    struct timer revoke_deadline;
    char *cluster_id;

    /* Commits. */
    bool is_frozen; /* a rebalance is going on */
    bool is_committing;
    struct kafka_transactor *transactor; /* commits in our place; NULL: none */
    bool is_commit_resting;              /* one failed: until the next tick */
    int64_t finished;                    /* since the last commit */

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
bool source_finish(struct kafka_source *source, const struct kafka_place *place);
struct partition *source_find(const struct kafka_source *source, const char *topic, int32_t number);
void source_state(struct kafka_source *source, bool is_usable, const char *why);
void source_rebuild(struct kafka_source *source, const char *why);

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
/* Base and map as the offset to be committed of this partition; what a commit would say now is under way. */
void source_add_offset(rd_kafka_topic_partition_list_t *list, struct partition *partition,
                       const struct offset_map *map);
void source_shorten(struct partition *partition, size_t refused_length);
bool source_has_dirty(const struct kafka_source *source);

/* source_deliver.c */
void source_deliver(struct kafka_source *source);

/* source_places.c: what the transactor needs of the source. With one attached the source commits nothing by
 * itself: it asks transactor_flush, and a revocation and the end wait for transactor_settle. */
void source_attach(struct kafka_source *source,
                   struct kafka_transactor *transactor);   /* NULL: none any more */
bool source_may_commit(const struct kafka_source *source); /* there is a membership, and no rebalance */
bool source_is_revoking(const struct kafka_source *source);

enum source_judgement {
    SOURCE_PLACE_OWNED,    /* ours, and not finished yet */
    SOURCE_PLACE_LATER,    /* ours, but what is committed is being read */
    SOURCE_PLACE_FINISHED, /* ours, and finished: by a result, or because a copy of it goes on elsewhere */
    SOURCE_PLACE_GONE,     /* another's */
};
enum source_judgement source_judge(const struct kafka_source *source, const struct kafka_place *place);

/* Base and map of every partition that changed, as they will be when the places of the batch (a list of
 * struct kafka_delivery) are finished; the maps themselves do not change. Marks is_held_back where a map
 * would be too long with it. Returns: NULL when there is nothing to commit. */
rd_kafka_topic_partition_list_t *source_offsets(struct kafka_source *source, struct link *batch);
rd_kafka_consumer_group_metadata_t *source_member(const struct kafka_source *source);
/* What source_offsets said is committed, or refused by a broker. */
void source_offsets_kept(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                         struct link *batch);
void source_offsets_refused(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                            rd_kafka_resp_err_t code);
void source_place_kept(struct kafka_source *source, const struct kafka_place *place);

/* Takes `list`. Returns: as facts_ask; NULL while there is no instance to ask by. */
struct facts *source_ask_committed(struct kafka_source *source, rd_kafka_topic_partition_list_t *list,
                                   void (*done)(void *arg, struct facts *facts), void *arg);
bool source_has_committed(const rd_kafka_topic_partition_t *element, int64_t offset);

/* For tests: the instance itself. */
rd_kafka_t *source_librdkafka(const struct kafka_source *source);

#endif
