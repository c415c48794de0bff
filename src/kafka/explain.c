/* Kafka's error codes in our words. */
#include "kafka/explain.h"

#include <stdio.h>
#include <string.h>

enum { TROUBLE_KEPT_MS = 60000, WHAT_SIZE = 180 };

#define CREATE_IT  "create it: e2b-worker topics create"
#define CHECK_SASL "check sasl.* and security.protocol in kafka.properties"
#define CHECK_NET  "check KAFKA_BOOTSTRAP_SERVERS, the network and security.protocol in kafka.properties"

/* What is in no row passes: brokers move, coordinators load, connections break. */
static const struct row {
    rd_kafka_resp_err_t code;
    enum error_kind kind;
    bool needs_hands;
    bool is_connection;       /* a broker cannot be spoken to: a trouble may know why */
    const char *what, *to_do; /* %s: the topic; NULL: nothing but to wait */
} rows[] = {
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERROR_TRANSIENT, true, false, "Kafka has no topic \"%s\"",
     CREATE_IT},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ERROR_TRANSIENT, true, false, "Kafka has no topic \"%s\"", CREATE_IT},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ERROR_TRANSIENT, true, false,
     "a partition of topic \"%s\" is not there (any more)", "was the topic created anew?"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, ERROR_REJECTED, true, false, "\"%s\" is no legal name of a topic",
     NULL},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true, false,
     "no permission on topic \"%s\"", "grant this user Describe and Read (jobs) or Write (results) on it"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true, false,
     "no permission on the consumer group", "grant this user Read on it (kafka.group_id)"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true, false,
     "no permission on the cluster", "grant this user IdempotentWrite on it"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true, false,
     "no permission on the transactional id",
     "grant this user Write and Describe on transactional ids that begin with kafka.group_id and a dot"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERROR_TRANSIENT, true, true,
     "the broker does not accept our credentials", CHECK_SASL},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ERROR_TRANSIENT, true, true,
     "the broker does not accept our credentials", CHECK_SASL},
    {RD_KAFKA_RESP_ERR__SSL, ERROR_TRANSIENT, true, true, "TLS with the broker fails",
     "check ssl.* and security.protocol in kafka.properties"},
    {RD_KAFKA_RESP_ERR__RESOLVE, ERROR_TRANSIENT, true, true, "a broker's name does not resolve",
     "check KAFKA_BOOTSTRAP_SERVERS and the brokers' advertised names"},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERROR_TRANSIENT, false, true, "no Kafka broker answers", CHECK_NET},
    {RD_KAFKA_RESP_ERR__TRANSPORT, ERROR_TRANSIENT, false, true, "no Kafka broker answers", CHECK_NET},
    {RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, ERROR_TRANSIENT, true, false,
     "the other members of the group use another assignor", "all must have the same kafka.assignor"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, ERROR_TRANSIENT, true, false,
     "another member has our group.instance.id", "give each worker its own, or none"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERROR_REJECTED, false, false,
     "the record is larger than Kafka allows", NULL},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, ERROR_REJECTED, false, false,
     "the record is larger than Kafka allows", NULL},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, ERROR_REJECTED, false, false,
     "the record is larger than Kafka allows", NULL},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, ERROR_TIMEOUT, false, true, "Kafka did not answer in time", NULL},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERROR_TIMEOUT, false, false,
     "Kafka did not confirm the record in time", NULL},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ERROR_TIMEOUT, false, false, "Kafka did not answer in time", NULL},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, ERROR_OVERLOAD, false, false, "the producer's queue is full", NULL},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, ERROR_OVERLOAD, false, false, "Kafka's quota is used up",
     NULL},
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

/* The only place of a name, if any, is marked by %s. */
static void name_topic(const char *what, const char *topic, char *text, size_t size)
{
    const char *place = strstr(what, "%s");
    if (place)
        (void)snprintf(text, size, "%.*s%.100s%s", (int)(place - what), what, topic ? topic : "?", place + 2);
    else
        base_copy_text(text, size, what);
}

static void compose(const struct row *row, rd_kafka_resp_err_t code, const char *topic, const char *cause,
                    char text[EXPLAIN_SIZE])
{
    char what[WHAT_SIZE];
    if (!row) {
        (void)snprintf(text, EXPLAIN_SIZE, "Kafka: %s", rd_kafka_err2str(code));
        return;
    }
    name_topic(row->what, topic, what, sizeof what);
    (void)snprintf(text, EXPLAIN_SIZE, "%s%s%s%s%s%s", what, *cause ? " (" : "", cause, *cause ? ")" : "",
                   row->to_do ? "; " : "", row->to_do ? row->to_do : "");
}

void explain(rd_kafka_resp_err_t code, const char *topic, char text[EXPLAIN_SIZE])
{
    compose(find(code), code, topic, "", text);
}

/* ---- troubles ---- */

static bool is_connection(rd_kafka_resp_err_t code)
{
    const struct row *row = find(code);
    return row && row->is_connection;
}

void trouble_hear(struct trouble *trouble, int64_t now_ms, rd_kafka_resp_err_t code, const char *text)
{
    if (!is_connection(code) || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return;
    bool is_kept = trouble->code && now_ms - trouble->since_ms < TROUBLE_KEPT_MS;
    bool needs_hands = explain_needs_hands(code), needed_hands = explain_needs_hands(trouble->code);
    const char *aside = strstr(text, " (after "); /* how long it took, and how often it was the same */
    int length = aside ? (int)(aside - text) : (int)strlen(text);
    bool says_more = needs_hands == needed_hands ? length > (int)strlen(trouble->text) : needs_hands;
    trouble->heard_ms = now_ms;
    if (is_kept && !says_more)
        return;
    trouble->code = code;
    trouble->since_ms = now_ms;
    (void)snprintf(trouble->text, sizeof trouble->text, "%.*s", length, text);
}

void trouble_explain(const struct trouble *trouble, int64_t now_ms, rd_kafka_resp_err_t code,
                     const char *topic, char text[EXPLAIN_SIZE])
{
    bool is_fresh = trouble->code && now_ms - trouble->heard_ms < TROUBLE_KEPT_MS;
    if (is_connection(code) && is_fresh)
        compose(find(trouble->code), trouble->code, topic, trouble->text, text);
    else
        explain(code, topic, text);
}
