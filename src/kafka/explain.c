/* Kafka's error codes in our words. */
#include "kafka/explain.h"

#include <stdio.h>

/* What is in no row passes: brokers move, coordinators load, connections break. */
static const struct row {
    rd_kafka_resp_err_t code;
    enum error_kind kind;
    bool needs_hands;
    const char *text; /* %s: the topic */
} rows[] = {
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERROR_TRANSIENT, true,
     "Kafka has no topic \"%s\"; create it: e2b-worker topics create"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ERROR_TRANSIENT, true,
     "Kafka has no topic \"%s\"; create it: e2b-worker topics create"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ERROR_TRANSIENT, true,
     "a partition of topic \"%s\" is not there (any more); was the topic created anew?"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, ERROR_REJECTED, true, "\"%s\" is no legal name of a topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true,
     "no permission on topic \"%s\"; grant this user Describe and Read (jobs) or Write (results) on it"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true,
     "no permission on the consumer group; grant this user Read on it (kafka.group_id)"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true,
     "no permission on the cluster; grant this user IdempotentWrite on it"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERROR_TRANSIENT, true,
     "the broker does not accept our credentials; check sasl.* and security.protocol in kafka.properties"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ERROR_TRANSIENT, true,
     "the broker does not accept our credentials; check sasl.* and security.protocol in kafka.properties"},
    {RD_KAFKA_RESP_ERR__SSL, ERROR_TRANSIENT, true,
     "TLS with the broker fails; check ssl.* and security.protocol in kafka.properties"},
    {RD_KAFKA_RESP_ERR__RESOLVE, ERROR_TRANSIENT, true,
     "a broker's name does not resolve; check KAFKA_BOOTSTRAP_SERVERS and the brokers' advertised names"},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERROR_TRANSIENT, false,
     "no Kafka broker answers; check KAFKA_BOOTSTRAP_SERVERS and the network"},
    {RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, ERROR_TRANSIENT, true,
     "the other members of the group use another assignor; all must have the same kafka.assignor"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, ERROR_TRANSIENT, true,
     "another member has our group.instance.id; give each worker its own, or none"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERROR_REJECTED, false, "the record is larger than Kafka allows"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, ERROR_REJECTED, false, "the record is larger than Kafka allows"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, ERROR_REJECTED, false,
     "the record is larger than Kafka allows"},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, ERROR_TIMEOUT, false, "Kafka did not answer in time"},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERROR_TIMEOUT, false, "Kafka did not confirm the record in time"},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ERROR_TIMEOUT, false, "Kafka did not answer in time"},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, ERROR_OVERLOAD, false, "the producer's queue is full"},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, ERROR_OVERLOAD, false, "Kafka's quota is used up"},
};

static const struct row *find(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

enum error_kind explain_kind(rd_kafka_resp_err_t code)
{
    const struct row *row = find(code);
    return row ? row->kind : ERROR_TRANSIENT;
}

bool explain_needs_hands(rd_kafka_resp_err_t code)
{
    const struct row *row = find(code);
    return row && row->needs_hands;
}

void explain(rd_kafka_resp_err_t code, const char *topic, char text[EXPLAIN_SIZE])
{
    const struct row *row = find(code);
    if (!row) {
        (void)snprintf(text, EXPLAIN_SIZE, "Kafka: %s", rd_kafka_err2str(code));
        return;
    }
    int length = 0; /* the only place of a name, if any, is marked; the rest is copied as it stands */
    for (const char *c = row->text; *c && length < EXPLAIN_SIZE - 1; c++) {
        if (c[0] == '%' && c[1] == 's') {
            length += snprintf(text + length, (size_t)(EXPLAIN_SIZE - length), "%.100s", topic ? topic : "?");
            c++;
        } else {
            text[length++] = *c;
        }
    }
    text[MIN(length, EXPLAIN_SIZE - 1)] = '\0';
}
