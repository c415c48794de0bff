/* A mock or a real cluster, seen through librdkafka alone. */
#include "kafka_cluster.h"

#include "kafka/mock_inside.h"
#include "test.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct cluster {
    struct kafka_mock *mock;
    char *bootstrap;
    rd_kafka_t *producer;
    int names;
};

enum { WAIT_MS = 20000 };

static rd_kafka_t *connect_to(const struct cluster *cluster, rd_kafka_type_t type, const char *group)
{
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", cluster->bootstrap, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text);
    if (group)
        (void)rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
    else /* or a retry may reorder what the tests count on */
        (void)rd_kafka_conf_set(conf, "enable.idempotence", "true", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    assert_non_null(rk);
    return rk;
}

struct cluster *cluster_new(bool is_real)
{
    struct cluster *cluster = base_alloc(sizeof *cluster);
    struct error error = {0};
    if (!is_real) {
        cluster->mock = kafka_mock_new(1, NULL, 0, &error);
        assert_non_null(cluster->mock);
    }
    cluster->bootstrap = base_strdup(is_real ? getenv("E2BW_KAFKA") : kafka_mock_bootstrap(cluster->mock));
    cluster->producer = connect_to(cluster, RD_KAFKA_PRODUCER, NULL);
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    rd_kafka_destroy(cluster->producer);
    kafka_mock_free(cluster->mock);
    free(cluster->bootstrap);
    free(cluster);
}

rd_kafka_mock_cluster_t *cluster_mock(struct cluster *cluster)
{
    return cluster->mock ? mock_cluster(cluster->mock) : NULL;
}

struct kafka_cluster cluster_address(const struct cluster *cluster)
{
    /* The mock waits for members as long as their session, so that is short. */
    static const struct kafka_property quick[] = {{"session.timeout.ms", "6000"},
                                                  {"heartbeat.interval.ms", "300"},
                                                  {"topic.metadata.refresh.interval.ms", "2000"}};
    return (struct kafka_cluster){
        .bootstrap_servers = cluster->bootstrap, .properties = quick, .property_count = ARRAY_LENGTH(quick)};
}

void cluster_name(struct cluster *cluster, const char *name, char unique[CLUSTER_NAME_SIZE])
{
    (void)snprintf(unique, CLUSTER_NAME_SIZE, "t%ld.%d.%d.%s", (long)time(NULL), (int)getpid(),
                   cluster->names++, name);
}

void cluster_make(struct cluster *cluster, const char *topic, int partitions)
{
    if (cluster->mock) {
        assert_int_equal(rd_kafka_mock_topic_create(cluster_mock(cluster), topic, partitions, 1), 0);
        return;
    }
    struct kafka_cluster address = {.bootstrap_servers = cluster->bootstrap};
    struct kafka_topic wanted = {
        .name = topic, .partitions = partitions, .replication = -1, .retention_ms = 3600000};
    struct kafka_topic_report report;
    struct error error = {0};
    if (!kafka_topics_create(&address, &wanted, 1, WAIT_MS, &report, &error))
        fail_msg("%s", error.text);
    assert_text(report.text, "");
    assert_int_equal(report.state, KAFKA_TOPIC_CREATED);
}

void cluster_topic(struct cluster *cluster, const char *name, int partitions, char topic[CLUSTER_NAME_SIZE])
{
    cluster_name(cluster, name, topic);
    cluster_make(cluster, topic, partitions);
}

void cluster_fill(struct cluster *cluster, const char *topic, int partitions, int count)
{
    for (int i = 0; i < count; i++)
        for (int32_t partition = 0; partition < partitions; partition++) {
            char value[32];
            int length = snprintf(value, sizeof value, "%d", i);
            rd_kafka_resp_err_t code =
                rd_kafka_producev(cluster->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK),
                                  RD_KAFKA_V_VALUE(value, (size_t)length),
                                  RD_KAFKA_V_HEADER("number", value, length), RD_KAFKA_V_END);
            assert_int_equal(code, 0);
        }
    assert_int_equal(rd_kafka_flush(cluster->producer, WAIT_MS), 0);
}

void cluster_fill_transaction(struct cluster *cluster, const char *topic, int count, bool is_committed)
{
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", cluster->bootstrap, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "transactional.id", topic, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    assert_null(rd_kafka_init_transactions(rk, WAIT_MS));
    assert_null(rd_kafka_begin_transaction(rk));
    int64_t first = cluster_end(cluster, topic, 0);
    for (int i = 0; i < count; i++) {
        char value[32];
        int length = snprintf(value, sizeof value, "%lld", (long long)first + i);
        rd_kafka_resp_err_t code = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE(value, (size_t)length), RD_KAFKA_V_HEADER("number", value, length),
            RD_KAFKA_V_END);
        assert_int_equal(code, 0);
    }
    assert_int_equal(rd_kafka_flush(rk, WAIT_MS), 0);
    if (is_committed)
        assert_null(rd_kafka_commit_transaction(rk, WAIT_MS));
    else
        assert_null(rd_kafka_abort_transaction(rk, WAIT_MS));
    rd_kafka_destroy(rk);
}

void cluster_delete_below(struct cluster *cluster, const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(cluster->producer);
    rd_kafka_DeleteRecords(cluster->producer, &records, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(records);
    rd_kafka_topic_partition_list_destroy(list);
}

int64_t cluster_end(struct cluster *cluster, const char *topic, int32_t partition)
{
    int64_t low = 0, high = 0;
    assert_int_equal(
        rd_kafka_query_watermark_offsets(cluster->producer, topic, partition, &low, &high, WAIT_MS), 0);
    return high;
}

int64_t cluster_committed(struct cluster *cluster, const char *group, const char *topic, int32_t partition,
                          struct offset_map *ret_map)
{
    rd_kafka_t *rk = connect_to(cluster, RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(list, topic, partition);
    assert_int_equal(rd_kafka_committed(rk, list, WAIT_MS), 0);
    int64_t committed = element->offset >= 0 ? element->offset : -1;
    offset_map_init(ret_map, MAX(committed, 0));
    if (committed >= 0 && element->metadata_size > 0) {
        struct error error = {0};
        struct bytes text = {element->metadata, element->metadata_size};
        if (!offset_map_decode(text, committed, INT64_MAX, ret_map, &error))
            fail_msg("%s", error.text);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return committed;
}

void cluster_commit(struct cluster *cluster, const char *group, const char *topic, int32_t partition,
                    int64_t offset, const char *metadata)
{
    rd_kafka_t *rk = connect_to(cluster, RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(list, topic, partition);
    element->offset = offset;
    element->metadata = base_strdup(metadata);
    element->metadata_size = strlen(metadata);
    assert_int_equal(rd_kafka_commit(rk, list, /* async= */ 0), 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
}
