/* librdkafka's mock cluster with a handle of its own. */
#include "kafka/mock_inside.h"

#include <stdlib.h>

struct kafka_mock {
    rd_kafka_t *rk; /* only hosts the cluster */
    rd_kafka_mock_cluster_t *cluster;
};

rd_kafka_mock_cluster_t *mock_cluster(const struct kafka_mock *mock)
{
    return mock->cluster;
}

static bool add_topics(struct kafka_mock *mock, int brokers, const struct kafka_topic *topics, size_t count,
                       struct error *reterr)
{
    for (size_t i = 0; i < count; i++) {
        int replication = topics[i].replication > 0 ? topics[i].replication : 1;
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(
            mock->cluster, topics[i].name, topics[i].partitions, MIN(replication, brokers));
        if (code)
            return error_set(reterr, ERROR_REJECTED, "kafka", code, "mock cluster: topic %s: %s",
                             topics[i].name, rd_kafka_err2str(code));
    }
    return true;
}

struct kafka_mock *kafka_mock_new(int brokers, const struct kafka_topic *topics, size_t count,
                                  struct error *reterr)
{
    char text[160] = "";
    struct kafka_mock *mock = base_alloc(sizeof *mock);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "log_level", "3", NULL,
                            0); /* that it has no brokers of its own is meant so */
    mock->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    mock->cluster = mock->rk ? rd_kafka_mock_cluster_new(mock->rk, brokers) : NULL;
    if (!mock->rk)
        rd_kafka_conf_destroy(conf);
    if (!mock->cluster)
        error_set(reterr, ERROR_INTERNAL, "kafka", 0, "the mock cluster does not start: %s", text);
    else if (add_topics(mock, brokers, topics, count, reterr))
        return mock;
    kafka_mock_free(mock);
    return NULL;
}

const char *kafka_mock_bootstrap(const struct kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

void kafka_mock_free(struct kafka_mock *mock)
{
    if (!mock)
        return;
    if (mock->cluster)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->rk)
        rd_kafka_destroy(mock->rk);
    free(mock);
}
