/* A record that somebody waits for: its memory, and how it is handed to librdkafka. */
#include "kafka/delivery.h"

#include "kafka/conf.h"
#include "kafka/explain.h"

#include <assert.h>
#include <string.h>

enum { OWN_MAX = 4 };

rd_kafka_conf_t *delivery_conf(const struct kafka_cluster *cluster, const char *client_id,
                               const struct kafka_property *own, size_t own_count, struct error *reterr)
{
    static const struct kafka_property shared[] = {
        {"partitioner", "murmur2_random"},
        {"compression.codec", "lz4"},
        {"linger.ms",
         "0"}, /* a result leaves at once; under load, what waits for the socket is batched anyway */
        {"batch.size", "262144"},
        {"topic.metadata.propagation.max.ms", "5000"},
    };
    struct kafka_property wanted[ARRAY_LENGTH(shared) + OWN_MAX];
    assert(own_count <= OWN_MAX);
    memcpy(wanted, shared, sizeof shared);
    memcpy(wanted + ARRAY_LENGTH(shared), own, own_count * sizeof *own);
    const struct conf_client client = {RD_KAFKA_PRODUCER, client_id, wanted,
                                       ARRAY_LENGTH(shared) + own_count};
    rd_kafka_conf_t *conf = conf_new(cluster, &client, reterr);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    return conf;
}

size_t delivery_bytes(const struct kafka_record *record)
{
    return record->key.length + record->value.length;
}

static void *put(char **place, const void *data, size_t length)
{
    if (!data)
        return NULL;
    void *copy = *place;
    if (length > 0)
        memcpy(copy, data, length);
    *place += length;
    return copy;
}

/* One block: the struct, its headers' table, then all texts. */
struct kafka_delivery *delivery_new(const struct kafka_record *record, const struct kafka_place *from)
{
    size_t topic_size = strlen(record->topic) + 1, from_size = from ? strlen(from->topic) + 1 : 0;
    size_t size = topic_size + from_size + record->key.length;
    for (size_t i = 0; i < record->header_count; i++)
        size += strlen(record->headers[i].name) + 1 + record->headers[i].value.length;
    size_t table = record->header_count * sizeof(struct kafka_header);
    struct kafka_delivery *delivery = base_alloc(sizeof *delivery + table + size);
    struct kafka_header *headers = (struct kafka_header *)(delivery + 1);
    char *place = (char *)headers + table;
    delivery->record = *record;
    delivery->record.headers = headers;
    delivery->record.topic = put(&place, record->topic, topic_size);
    delivery->record.key.data = put(&place, record->key.data, record->key.length);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        headers[i].name = put(&place, header->name, strlen(header->name) + 1);
        headers[i].value.length = header->value.length;
        headers[i].value.data = put(&place, header->value.data, header->value.length);
    }
    if (from) {
        delivery->place = *from;
        delivery->place.topic = put(&place, from->topic, from_size);
    }
    delivery->landed = (struct kafka_place){.partition = -1, .offset = -1};
    return delivery;
}

static rd_kafka_headers_t *make_headers(const struct kafka_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        (void)rd_kafka_header_add(headers, header->name, -1, header->value.data,
                                  (ssize_t)header->value.length);
    }
    return headers;
}

rd_kafka_resp_err_t delivery_produce(rd_kafka_t *rk, const struct kafka_record *record, int flags,
                                     void *opaque)
{
    rd_kafka_headers_t *headers = make_headers(record);
    rd_kafka_resp_err_t code =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(record->topic), RD_KAFKA_V_MSGFLAGS(flags),
                          RD_KAFKA_V_KEY(record->key.data, record->key.length),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.length),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code)
        rd_kafka_headers_destroy(headers); /* they became the library's only by success */
    return code;
}

bool delivery_is_too_large(rd_kafka_resp_err_t code)
{
    return explain_kind(code) == ERROR_REJECTED && code != RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
}

void delivery_explain_too_large(const struct kafka_record *record, struct error *reterr)
{
    error_set(reterr, ERROR_REJECTED, "kafka", RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
              "the record of %zu bytes is larger than Kafka allows (message.max.bytes)",
              delivery_bytes(record));
}
