#ifndef TESTS_FAKES_KAFKA_INSIDE_H
#define TESTS_FAKES_KAFKA_INSIDE_H
#include "base/list.h"
#include "fakes/kafka/world.h"
#include "fakes/loop/virtual.h"
#include "kafka/partition.h"

/* The fake's parts know each other. The cluster (world.c, group.c) lives on the world's loop, a source and a
 * sink on that of their worker, the sink's sending on that of its process's other threads. What they say to
 * each other are parcels. */

struct world_partition {
    struct kafka_record **records; /* at index = offset */
    int64_t *stamps;               /* when each came, unix ms */
    int64_t count, capacity, low;
};

struct world_topic {
    struct link link;
    char *name;
    struct world_partition *partitions;
    int32_t count;
};

/* What a group has committed of one partition. */
struct world_offset {
    struct link link;
    char *group, *topic, *metadata;
    int32_t partition;
    int64_t committed;
};

struct group {
    struct link link; /* world->groups */
    char *name;
    struct link members; /* of struct member, in the order of joining */
    int generation;
    bool is_preparing; /* everybody gives back and joins anew */
};

struct member {
    struct link link;
    struct group *group;
    struct kafka_source *source;
    bool is_ready;           /* joined the generation that is being prepared */
    int64_t silent_since_ms; /* 0: it is not */
};

/* Told at once, so that a test can judge it. */
struct kafka_world_eye {
    void *arg;
    void (*on_record)(void *arg, const char *topic, int32_t partition, int64_t offset,
                      const struct kafka_record *record);
    /* About to replace what was committed (text NULL: nothing was). */
    void (*on_commit)(void *arg, const char *topic, int32_t partition, const struct world_offset *before,
                      const struct offset_map *map);
    void (*on_delivered)(void *arg, const struct kafka_source *source, const struct kafka_message *message);
};

struct kafka_world {
    struct loop *loop;
    char address[32];
    struct link topics, offsets, sources, sinks, groups;
    struct timer heartbeats;
    struct random *random; /* NULL: delays are what they are */
    int64_t most_ms, session_ms;
    bool is_up;
    char why[120];
    int64_t report_delay_ms;
    int failing;
    bool is_failing_written;
    size_t record_max;
    const struct kafka_world_eye *eye;
};

enum parcel_kind {
    PARCEL_JOIN, /* there */
    PARCEL_LEAVE,
    PARCEL_COMMIT, /* ... and back */
    PARCEL_FACTS,
    PARCEL_REVOKE, /* back */
    PARCEL_ASSIGN,
    PARCEL_LOST,
    PARCEL_STATE,
};

struct parcel_item {
    char *topic, *metadata;
    int32_t number;
    int64_t change;
    int64_t committed, low, high;
};

struct parcel {
    struct link link;
    enum parcel_kind kind;
    int64_t due_ms;
    int generation;
    bool is_refused, is_up;
    char why[120];
    struct parcel_item *items;
    size_t count;
};

struct kafka_source {
    struct link link;
    struct kafka_world *world;
    struct loop *loop;
    struct kafka_source_events events;
    char *group;
    char **topics;
    size_t topic_count;
    struct partition **partitions;
    size_t count, turn;
    bool is_held, is_expelled, is_delivering, has_joined, is_committing;
    int generation;
    struct member *member;        /* the cluster's; NULL: not any more, or not yet */
    struct link outgoing, coming; /* parcels */
    struct timer sending;         /* the world's */
    struct timer arrival, waking; /* ours, from outside */
    struct task deliver;
    struct timer tick, next, due;
    struct timer closing;
    void (*closed)(void *arg);
    void *closed_arg;
    struct kafka_source_stats stats;
};

struct kafka_delivery {
    struct link link;
    struct kafka_sink *sink;
    struct kafka_send *send; /* NULL: nobody waits any more */
    kafka_sent_fn sent;
    struct kafka_record *record; /* key and headers copied, value borrowed */
    struct kafka_record *copy;   /* as it was sent; NULL: it was not yet */
    int64_t since_ms, bytes;
    int32_t partition;
    int64_t offset;
    bool is_refused;
    struct timer leaving; /* of the threads */
    struct timer writing; /* the world's */
    struct timer report;  /* ours, from outside */
};

struct kafka_sink {
    struct link link;
    struct kafka_world *world;
    struct loop *loop, *threads;
    void *arg;
    kafka_state_fn on_state;
    struct link deliveries;
    size_t bytes, max_bytes;
    bool is_closing;
    struct timer state, deadline, look;
    void (*closed)(void *arg);
    void *closed_arg;
    struct kafka_sink_stats stats;
};

/* world.c */
struct kafka_world *world_at(const char *address);
struct world_topic *world_topic(const struct kafka_world *world, const char *name); /* NULL: none */
const struct world_offset *world_offset(const struct kafka_world *world, const char *group, const char *topic,
                                        int32_t partition);
void world_commit(struct kafka_world *world, const char *group, const char *topic, int32_t number,
                  int64_t committed, char *metadata); /* takes metadata */
int64_t world_delay(struct kafka_world *world, int64_t usual_ms);
/* One block: struct, headers, texts; the value only when is_value_copied. Owns: free(3). */
struct kafka_record *world_copy(const struct kafka_record *record, bool is_value_copied);

/* group.c */
void world_rebalance(struct kafka_world *world); /* of all groups */
void group_forget(struct kafka_source *source);  /* no member any more; the others share anew */
void group_watch(struct kafka_world *world);     /* members that fall silent */
void groups_free(struct kafka_world *world);
/* The cluster's end of a source's parcels. */
void group_take(struct kafka_source *source, struct parcel *parcel); /* takes it */

/* parcel.c */
struct parcel *parcel_new(enum parcel_kind kind);
void parcel_free(struct parcel *parcel);
struct parcel_item *parcel_add(struct parcel *parcel, const char *topic, int32_t number);
void parcel_send(struct kafka_source *source, struct parcel *parcel);    /* to the cluster */
void parcel_deliver(struct kafka_source *source, struct parcel *parcel); /* to the source */
void parcels_init(struct kafka_source *source);
void parcels_stop(struct kafka_source *source);

/* source.c */
struct partition *fake_source_find(const struct kafka_source *source, const char *topic, int32_t number);
void fake_source_take(struct kafka_source *source, struct parcel *parcel); /* borrows it */
void fake_source_wake(struct kafka_source *source, const char *topic, int32_t number);
bool fake_source_wants(const struct kafka_source *source, const char *topic);
void fake_source_tell_state(struct kafka_source *source);

/* sink.c */
void fake_sink_tell_state(struct kafka_sink *sink);

#endif
