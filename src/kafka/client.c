/* Configuration that source, sink and topics share, and the library's version. */
#include "kafka/client.h"

#include "kafka/conf.h"

#include <string.h>

/* Longer client ids have crashed librdkafka (fixed in 2.5), and nobody reads them. */
enum { CLIENT_ID_MAX = 128 };

/* For operators they are closed: a promise rests on each of them. */
static const char *const ours[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "group.id",
    "group.protocol",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "transactional.id",
    "partitioner",
    "log.queue",
    "plugin.library.paths",
};

const char *kafka_library_version(void)
{
    return rd_kafka_version_str();
}

static bool set(rd_kafka_conf_t *conf, const struct kafka_property *property, struct error *reterr)
{
    char text[160] = "";
    switch (rd_kafka_conf_set(conf, property->name, property->value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
        return true;
    case RD_KAFKA_CONF_UNKNOWN:
        return error_set(reterr, ERROR_REJECTED, "config", 0,
                         "kafka.properties: librdkafka %s has no property \"%s\"", kafka_library_version(),
                         property->name);
    case RD_KAFKA_CONF_INVALID:
        break;
    }
    return error_set(reterr, ERROR_REJECTED, "config", 0, "kafka.properties: %s", text);
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_property *properties, size_t count,
                    struct error *reterr)
{
    for (size_t i = 0; i < count; i++)
        if (!set(conf, &properties[i], reterr))
            return false;
    return true;
}

static bool check_allowed(const struct kafka_cluster *cluster, struct error *reterr)
{
    for (size_t i = 0; i < cluster->property_count; i++)
        for (size_t k = 0; k < ARRAY_LENGTH(ours); k++)
            if (strcmp(cluster->properties[i].name, ours[k]) == 0)
                return error_set(reterr, ERROR_REJECTED, "config", 0,
                                 "kafka.properties: \"%s\" is set by the worker itself; remove it", ours[k]);
    return true;
}

rd_kafka_conf_t *conf_new(const struct kafka_cluster *cluster, const char *client_id,
                          const struct kafka_property *wanted, size_t wanted_count, struct error *reterr)
{
    if (strlen(client_id) > CLIENT_ID_MAX) {
        error_set(reterr, ERROR_REJECTED, "config", 0, "the Kafka client id is longer than %d characters",
                  CLIENT_ID_MAX);
        return NULL;
    }
    const struct kafka_property common[] = {
        {"bootstrap.servers", cluster->bootstrap_servers},
        {"client.id", client_id},
        {"log.queue", "true"},
        {"log.connection.close", "false"}, /* brokers close idle connections as a matter of course */
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
        {"reconnect.backoff.max.ms", "2000"},
        {"topic.metadata.refresh.interval.ms", "30000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (check_allowed(cluster, reterr) && set_all(conf, common, ARRAY_LENGTH(common), reterr) &&
        set_all(conf, wanted, wanted_count, reterr) &&
        set_all(conf, cluster->properties, cluster->property_count, reterr))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}
