#ifndef TESTS_FAKES_KAFKA_INSIDE_H
#define TESTS_FAKES_KAFKA_INSIDE_H
#include "base/list.h"
#include "fakes/kafka/world.h"
#include "kafka/partition.h"

/* The fake's parts know each other. */

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

struct kafka_world {
    struct loop *loop;
    char address[32];
    struct link topics, offsets, sources, sinks;
    struct task rebalance;
    bool is_up;
    char why[120];
    int64_t report_delay_ms;
    int failing;
    bool is_failing_written;
    size_t record_max;
};

struct kafka_source {
    struct link link;
    struct kafka_world *world;
    struct kafka_source_events events;
    char *group;
    char **topics;
    size_t topic_count;
    struct partition **partitions;
    size_t count, turn;
    bool is_held, is_expelled, is_delivering, has_joined;
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
    struct kafka_send *send;
    kafka_sent_fn sent;
    struct kafka_record *record; /* key and headers copied, value borrowed */
    int64_t since_ms;
    struct timer timer;
};

struct kafka_sink {
    struct link link;
    struct kafka_world *world;
    void *arg;
    kafka_state_fn on_state;
    struct link deliveries;
    size_t bytes, max_bytes;
    bool is_closing;
    struct task state;
    struct timer deadline, look;
    void (*closed)(void *arg);
    void *closed_arg;
    struct kafka_sink_stats stats;
};

/* world.c */
struct kafka_world *world_at(const char *address);
struct world_topic *world_topic(const struct kafka_world *world, const char *name); /* NULL: none */
const struct world_offset *world_offset(const struct kafka_world *world, const char *group, const char *topic,
                                        int32_t partition);
void world_commit(struct kafka_world *world, const char *group, const struct partition *partition);
void world_rebalance_soon(struct kafka_world *world);
/* One block: struct, headers, texts; the value only when is_value_copied. Owns: free(3). */
struct kafka_record *world_copy(const struct kafka_record *record, bool is_value_copied);

/* source.c */
void fake_source_deliver_soon(struct kafka_source *source);
void fake_source_revoke(struct kafka_source *source, struct partition *partition, bool is_lost);
void fake_source_on_state(struct kafka_source *source);
bool fake_source_wants(const struct kafka_source *source, const char *topic);
struct partition *fake_source_find(const struct kafka_source *source, const char *topic, int32_t number);

/* sink.c */
void fake_sink_on_state(struct kafka_sink *sink);

#endif
