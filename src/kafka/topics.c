/* Topics made and checked by the Admin API. */
#include "kafka/topics.h"

#include "kafka/conf.h"
#include "kafka/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The cluster has answered before it is asked for its topics' settings: a mock cluster never answers that. */
enum { CONFIGS_MS = 2000 };

/* One instance of librdkafka for one call. */
struct admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    int timeout_ms;
    struct trouble trouble;
};

static void admin_close(struct admin *admin)
{
    if (admin->options)
        rd_kafka_AdminOptions_destroy(admin->options);
    if (admin->queue)
        rd_kafka_queue_destroy(admin->queue);
    if (admin->rk)
        rd_kafka_destroy(admin->rk);
}

static bool admin_open(struct admin *admin, const struct kafka_cluster *cluster, int64_t timeout_ms,
                       rd_kafka_admin_op_t operation, struct error *reterr)
{
    char text[160] = "";
    const struct conf_client client = {RD_KAFKA_PRODUCER, "e2b-worker-topics", NULL, 0};
    rd_kafka_conf_t *conf = conf_new(cluster, &client, reterr);
    if (!conf)
        return false;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    (void)rd_kafka_conf_set(conf, "log.queue", "false", NULL, 0);
    (void)rd_kafka_conf_set(conf, "log_level", "0", NULL, 0); /* the report says what went wrong */
    admin->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!admin->rk) {
        rd_kafka_conf_destroy(conf);
        return error_set(reterr, ERROR_REJECTED, "config", 0, "kafka.properties: %s", text);
    }
    admin->timeout_ms = (int)MIN(MAX(timeout_ms, 1), 300000);
    admin->queue = rd_kafka_queue_new(admin->rk);
    admin->options = rd_kafka_AdminOptions_new(admin->rk, operation);
    (void)rd_kafka_AdminOptions_set_request_timeout(admin->options, admin->timeout_ms, text, sizeof text);
    return true;
}

/* What the library said of its connections meanwhile is the cause. */
static bool admin_fail(struct admin *admin, rd_kafka_resp_err_t code, struct error *reterr)
{
    char text[EXPLAIN_SIZE];
    rd_kafka_event_t *event;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(admin->rk);
    while ((event = rd_kafka_queue_poll(queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            trouble_hear(&admin->trouble, 0, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    trouble_explain(&admin->trouble, 0, code, NULL, text);
    return error_set(reterr, explain_kind(code), "kafka", code, "%s", text);
}

/* Returns: the answer, or NULL with the reason. Owns: rd_kafka_event_destroy. */
static rd_kafka_event_t *admin_wait(struct admin *admin, struct error *reterr)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(admin->queue, admin->timeout_ms + 1000);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code)
        return event;
    (void)admin_fail(admin, code, reterr);
    if (event)
        rd_kafka_event_destroy(event);
    return NULL;
}

/* ---- check ---- */

static void report(struct kafka_topic_report *ret, enum kafka_topic_state state, int32_t partitions,
                   const char *text)
{
    ret->state = state;
    ret->partitions = partitions;
    (void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)sizeof ret->text - 1, text);
}

static void judge_partitions(const struct kafka_topic *topic, const struct rd_kafka_metadata_topic *found,
                             struct kafka_topic_report *ret)
{
    char text[EXPLAIN_SIZE] = "";
    rd_kafka_resp_err_t code = found ? found->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        explain(code, topic->name, text);
        report(ret, KAFKA_TOPIC_MISSING, 0, text);
    } else if (code) {
        explain(code, topic->name, text);
        report(ret, KAFKA_TOPIC_FAILED, 0, text);
    } else if (found->partition_cnt < topic->partitions) {
        (void)snprintf(
            text, sizeof text,
            "it has %d partitions, %d are wanted; add them with Kafka's own tools (keys will move)",
            found->partition_cnt, (int)topic->partitions);
        report(ret, KAFKA_TOPIC_DIFFERS, found->partition_cnt, text);
    } else {
        report(ret, KAFKA_TOPIC_EXISTS, found->partition_cnt, "");
    }
}

static bool read_partitions(struct admin *admin, const struct kafka_topic *topics, size_t count,
                            struct kafka_topic_report *reports, struct error *reterr)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(admin->rk, /* all_topics= */ 1, NULL, &metadata, admin->timeout_ms);
    if (code)
        return admin_fail(admin, code, reterr);
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_topic *found = NULL;
        for (int k = 0; k < metadata->topic_cnt && !found; k++)
            if (strcmp(metadata->topics[k].topic, topics[i].name) == 0)
                found = &metadata->topics[k];
        judge_partitions(&topics[i], found, &reports[i]);
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

static void judge_config(const struct kafka_topic *topic, const rd_kafka_ConfigResource_t *resource,
                         struct kafka_topic_report *ret)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (!value || strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") != 0)
            continue;
        bool is_compacted = strstr(value, "compact") != NULL;
        if (is_compacted && !topic->is_compacted)
            report(
                ret, KAFKA_TOPIC_DIFFERS, ret->partitions,
                "it is compacted, and must not be: of several records of one key only the last would stay; "
                "set cleanup.policy=delete");
        else if (!is_compacted && topic->is_compacted)
            report(ret, KAFKA_TOPIC_DIFFERS, ret->partitions,
                   "it must be compacted: set cleanup.policy=compact");
    }
}

static void judge_configs(const rd_kafka_event_t *event, const struct kafka_topic *topics, size_t count,
                          struct kafka_topic_report *reports)
{
    size_t found;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)event), &found);
    for (size_t i = 0; i < found; i++)
        for (size_t k = 0; k < count; k++)
            if (!rd_kafka_ConfigResource_error(resources[i]) &&
                strcmp(rd_kafka_ConfigResource_name(resources[i]), topics[k].name) == 0)
                judge_config(&topics[k], resources[i], &reports[k]);
}

/* Compaction is looked at where we may: without the permission, and on the mock cluster, it is
 * passed over. */
static void read_configs(struct admin *admin, const struct kafka_topic *topics, size_t count,
                         struct kafka_topic_report *reports)
{
    size_t asked = 0;
    char text[160];
    rd_kafka_ConfigResource_t **resources = base_alloc((count + 1) * sizeof(rd_kafka_ConfigResource_t *));
    admin->timeout_ms = MIN(admin->timeout_ms, CONFIGS_MS);
    (void)rd_kafka_AdminOptions_set_request_timeout(admin->options, admin->timeout_ms, text, sizeof text);
    for (size_t i = 0; i < count; i++)
        if (reports[i].state == KAFKA_TOPIC_EXISTS)
            resources[asked++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i].name);
    if (asked > 0) {
        rd_kafka_DescribeConfigs(admin->rk, resources, asked, admin->options, admin->queue);
        rd_kafka_event_t *event = admin_wait(admin, NULL);
        if (event) {
            judge_configs(event, topics, count, reports);
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_ConfigResource_destroy_array(resources, asked);
    free(resources);
}

bool kafka_topics_check(const struct kafka_cluster *cluster, const struct kafka_topic *topics, size_t count,
                        int64_t timeout_ms, struct kafka_topic_report *reports, struct error *reterr)
{
    struct admin admin = {0};
    bool is_read = admin_open(&admin, cluster, timeout_ms, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, reterr) &&
                   read_partitions(&admin, topics, count, reports, reterr);
    if (is_read)
        read_configs(&admin, topics, count, reports);
    admin_close(&admin);
    return is_read;
}

/* ---- create ---- */

static rd_kafka_NewTopic_t *new_topic(const struct kafka_topic *topic, struct kafka_topic_report *ret)
{
    char text[160] = "", retention[24];
    rd_kafka_NewTopic_t *made =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replication, text, sizeof text);
    if (!made) {
        report(ret, KAFKA_TOPIC_FAILED, 0, text);
        return NULL;
    }
    (void)snprintf(retention, sizeof retention, "%lld", (long long)topic->retention_ms);
    if (topic->retention_ms >= 0)
        (void)rd_kafka_NewTopic_set_config(made, "retention.ms", retention);
    (void)rd_kafka_NewTopic_set_config(made, "cleanup.policy", topic->is_compacted ? "compact" : "delete");
    return made;
}

static void judge_made(const rd_kafka_topic_result_t *result, const struct kafka_topic *topics, size_t count,
                       struct kafka_topic_report *reports)
{
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_topic_result_name(result), topics[i].name) != 0)
            continue;
        const char *text = rd_kafka_topic_result_error_string(result);
        if (!code)
            report(&reports[i], KAFKA_TOPIC_CREATED, topics[i].partitions, "");
        else if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            report(&reports[i], KAFKA_TOPIC_EXISTS, 0, "");
        else
            report(&reports[i], KAFKA_TOPIC_FAILED, 0, text ? text : rd_kafka_err2str(code));
    }
}

static bool make_topics(struct admin *admin, const struct kafka_topic *topics, size_t count,
                        struct kafka_topic_report *reports, struct error *reterr)
{
    size_t asked = 0, answered = 0;
    bool is_done = true;
    rd_kafka_NewTopic_t **wanted = base_alloc((count + 1) * sizeof(rd_kafka_NewTopic_t *));
    for (size_t i = 0; i < count; i++)
        if ((wanted[asked] = new_topic(&topics[i], &reports[i])))
            asked++;
    if (asked > 0) {
        rd_kafka_CreateTopics(admin->rk, wanted, asked, admin->options, admin->queue);
        rd_kafka_event_t *event = admin_wait(admin, reterr);
        is_done = event != NULL;
        const rd_kafka_topic_result_t **results =
            event ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &answered)
                  : NULL;
        for (size_t i = 0; i < answered; i++)
            judge_made(results[i], topics, count, reports);
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_NewTopic_destroy_array(wanted, asked);
    free(wanted);
    return is_done;
}

bool kafka_topics_create(const struct kafka_cluster *cluster, const struct kafka_topic *topics, size_t count,
                         int64_t timeout_ms, struct kafka_topic_report *reports, struct error *reterr)
{
    struct admin admin = {0};
    memset(reports, 0, count * sizeof *reports);
    bool is_done = admin_open(&admin, cluster, timeout_ms, RD_KAFKA_ADMIN_OP_CREATETOPICS, reterr);
    if (is_done) {
        /* The controller answers when the topics are there, so that whoever reads them next finds them. */
        char text[160];
        (void)rd_kafka_AdminOptions_set_operation_timeout(admin.options, admin.timeout_ms, text, sizeof text);
        is_done = make_topics(&admin, topics, count, reports, reterr);
    }
    admin_close(&admin);
    /* What was there before is judged as a check would. */
    for (size_t i = 0; is_done && i < count; i++)
        if (reports[i].state == KAFKA_TOPIC_EXISTS)
            is_done = kafka_topics_check(cluster, &topics[i], 1, timeout_ms, &reports[i], reterr);
    return is_done;
}
