#ifndef KAFKA_TOPICS_H
#define KAFKA_TOPICS_H
#include "kafka/client.h"

/* Topics as an operator sees them: made, checked, and a broker of librdkafka's mock cluster for trying things
 * out on one host. These calls block: for command-line programs only. */

struct kafka_topic {
    const char *name;
    int32_t partitions;
    int16_t replication;  /* -1: the cluster's default */
    int64_t retention_ms; /* -1: the cluster's default */
    bool is_compacted;
};

enum kafka_topic_state {
    KAFKA_TOPIC_CREATED = 1,
    KAFKA_TOPIC_EXISTS, /* as asked, or larger */
    KAFKA_TOPIC_MISSING,
    KAFKA_TOPIC_DIFFERS, /* too few partitions, or compacted where it must not be */
    KAFKA_TOPIC_FAILED,
};

struct kafka_topic_report {
    enum kafka_topic_state state;
    int32_t partitions; /* found or made */
    char text[200];     /* what to know or do, "" when all is well */
};

/* Fills reports[count]. Returns: false when the cluster could not be asked at all. */
bool kafka_topics_create(const struct kafka_cluster *cluster, const struct kafka_topic *topics, size_t count,
                         int64_t timeout_ms, struct kafka_topic_report *reports,
                         struct error *reterr) MUST_USE;
bool kafka_topics_check(const struct kafka_cluster *cluster, const struct kafka_topic *topics, size_t count,
                        int64_t timeout_ms, struct kafka_topic_report *reports,
                        struct error *reterr) MUST_USE;

/* librdkafka's mock cluster on 127.0.0.1: in memory, no transactions, at most 100,000 messages a partition.
 * Returns: NULL on failure. Owns: kafka_mock_free. */
struct kafka_mock;
struct kafka_mock *kafka_mock_new(int brokers, const struct kafka_topic *topics, size_t count,
                                  struct error *reterr) MUST_USE;
const char *kafka_mock_bootstrap(const struct kafka_mock *mock);
void kafka_mock_free(struct kafka_mock *mock);

#endif
