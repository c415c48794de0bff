#ifndef TESTS_FAKES_KAFKA_WORLD_H
#define TESTS_FAKES_KAFKA_WORLD_H
#include "base/random.h"
#include "kafka/sink.h"
#include "kafka/source.h"

/* A Kafka cluster in memory, for tests: kafka/source.h and kafka/sink.h without librdkafka, in virtual time.
 * Several sources and sinks may share one world; they find it by its address, given as their cluster's
 * bootstrap_servers. Each lives on the loop of its options, the cluster on the world's. Groups rebalance,
 * eagerly, when a member joins, leaves, or has been silent for 45 s; what is finished is committed each
 * second, as text, and read back, as by the real source. */

struct kafka_world;

/* Life cycle. Sources and sinks are to be closed or killed before. */
struct kafka_world *kafka_world_new(struct loop *loop) MUST_USE;
void kafka_world_free(struct kafka_world *world);
const char *kafka_world_address(const struct kafka_world *world);

/* The log. Topics are also made by the first record. */
void kafka_world_add_topic(struct kafka_world *world, const char *topic, int32_t partitions);
/* Returns: its offset. Everything is copied. */
int64_t kafka_world_push(struct kafka_world *world, int32_t partition, const struct kafka_record *record);
int64_t kafka_world_end(const struct kafka_world *world, const char *topic, int32_t partition);
/* Returns: borrowed; NULL when there is none. */
const struct kafka_record *kafka_world_record(const struct kafka_world *world, const char *topic,
                                              int32_t partition, int64_t offset);
/* Retention: what lies below `low` is gone. */
void kafka_world_expire(struct kafka_world *world, const char *topic, int32_t partition, int64_t low);

/* Groups. */
/* By what the group has committed. */
bool kafka_world_is_finished(const struct kafka_world *world, const char *group, const char *topic,
                             int32_t partition, int64_t offset);
int64_t kafka_world_committed(const struct kafka_world *world, const char *group, const char *topic,
                              int32_t partition);     /* -1: nothing */
void kafka_world_commit(struct kafka_source *source); /* now, instead of at the next second */
/* By hand; the next rebalance deals anew. */
void kafka_world_revoke(struct kafka_source *source, const char *topic, int32_t partition, bool is_lost);
void kafka_world_assign(struct kafka_source *source, const char *topic, int32_t partition);
/* The group gave its partitions to others, and it does not know: it goes on, its commits are refused. `tell`
 * ends that: everything is lost, and it joins again. */
void kafka_world_expel(struct kafka_source *source);
void kafka_world_tell(struct kafka_source *source);
/* The process of this loop was killed: its members fall silent, what its threads had sent is in the log. */
void kafka_world_kill(struct kafka_world *world, struct loop *loop);
/* As by kill -9: no commit, no callback, memory freed; the group notices at once. Slots fall silent. */
void kafka_world_kill_source(struct kafka_source *source);
void kafka_world_kill_sink(struct kafka_sink *sink);

/* From now on each way takes up to most_ms, as random decides. */
void kafka_world_vary(struct kafka_world *world, struct random *random, int64_t most_ms);

/* Faults. */
/* Down: no record comes, no report, no commit; all are told `why`. */
void kafka_world_set_up(struct kafka_world *world, bool is_up, const char *why);
/* A report comes so much later than the sending (default 1 ms); the record is in the log before. */
void kafka_world_delay_reports(struct kafka_world *world, int64_t ms);
/* The next `count` sendings fail at first and go again; when is_written, the first copy is in the log. */
void kafka_world_fail_reports(struct kafka_world *world, int count, bool is_written);
/* Larger values are refused. */
void kafka_world_set_record_max(struct kafka_world *world, size_t bytes);

#endif
