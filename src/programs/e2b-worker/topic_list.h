#ifndef E2B_WORKER_TOPIC_LIST_H
#define E2B_WORKER_TOPIC_LIST_H
#include "config/config.h"
#include "kafka/topics.h"

/* What the configuration says about Kafka, as the kafka layer wants it: the cluster, and every topic that the
 * worker reads or writes. Everything lies in the arena. */

struct topic_shape {
    int64_t partitions;  /* of jobs, retries and results; the others need no more than a few */
    int64_t replication; /* -1: the cluster's default */
    int64_t retention_ms;
    struct text_list task_types; /* empty: those of the catalogue */
};

struct topic_list {
    struct kafka_topic *items; /* each name once */
    size_t count;
    struct text_list unmatched; /* patterns of topics.jobs for which no topic's name is known */
};

struct kafka_cluster cluster_of(const struct config *config, struct arena *arena);

/* Topics of jobs: what topics.jobs names, and for a pattern the names <prefix><task type> that it matches. */
struct topic_list topic_list_of(const struct config *config, const struct topic_shape *shape,
                                struct arena *arena);
/* One more, shaped as topics of jobs are; nothing when it is there. */
void topic_list_add(struct topic_list *list, const char *name, const struct topic_shape *shape,
                    struct arena *arena);

/* Whether an item of topics.jobs, a name or a pattern that begins with '^', means this topic. */
bool topic_matches(const char *item, const char *name) MUST_USE;

/* "a,b,c" -> a list. */
struct text_list split_list(const char *text, struct arena *arena);

#endif
