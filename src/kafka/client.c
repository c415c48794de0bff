/* Configuration that source, sink and topics share, and the library's version. */
#include "kafka/client.h"

#include "kafka/conf.h"
#include "kafka/properties.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    "transaction.timeout.ms",
    "isolation.level",
    "partitioner",
    "log.queue",
    "plugin.library.paths",
};

const char *kafka_library_version(void)
{
    return rd_kafka_version_str();
}

bool kafka_library_is_cooperative(void)
{
    return rd_kafka_version() >= 0x020a0000; /* KAFKA_COOPERATIVE_SINCE; its change #4908 */
}

static bool fail_unknown(const char *name, const struct properties *known, struct error *reterr)
{
    const char *near = properties_near(known, name);
    return error_set(reterr, ERROR_REJECTED, "config", 0,
                     "kafka.properties: librdkafka %s has no property \"%s\"%s%s%s", kafka_library_version(),
                     name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool set(rd_kafka_conf_t *conf, const struct kafka_property *property, const struct properties *known,
                struct error *reterr)
{
    char text[160] = "";
    switch (rd_kafka_conf_set(conf, property->name, property->value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
        return true;
    case RD_KAFKA_CONF_UNKNOWN:
        return fail_unknown(property->name, known, reterr);
    case RD_KAFKA_CONF_INVALID:
        break;
    }
    return error_set(reterr, ERROR_REJECTED, "config", 0, "kafka.properties: %s: %s", property->name, text);
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_property *properties, size_t count,
                    struct error *reterr)
{
    const struct properties none = {0};
    for (size_t i = 0; i < count; i++)
        if (!set(conf, &properties[i], &none, reterr))
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

/* What the other kind of client takes is checked, and left out: librdkafka would warn of it at
 * every start. */
static bool pass_through(rd_kafka_conf_t *conf, rd_kafka_type_t type, const struct kafka_cluster *cluster,
                         struct error *reterr)
{
    if (cluster->property_count == 0)
        return true;
    enum property_scope others = type == RD_KAFKA_CONSUMER ? PROPERTY_PRODUCER : PROPERTY_CONSUMER;
    CLEANUP(properties_release) struct properties known;
    properties_init(&known);
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    bool is_set = true;
    for (size_t i = 0; i < cluster->property_count && is_set; i++) {
        const struct kafka_property *property = &cluster->properties[i];
        bool is_others = properties_find(&known, property->name) == others;
        is_set = set(is_others ? scratch : conf, property, &known, reterr);
    }
    rd_kafka_conf_destroy(scratch);
    return is_set;
}

/* Cyrus SASL, which librdkafka begins with its first client, loads all the plugins that it finds: half a MiB,
 * for Kerberos alone (the other mechanisms are librdkafka's own). Where nobody asked for that, it finds none.
 */
static void spare_sasl_plugins(const rd_kafka_conf_t *conf)
{
    char protocol[32] = "", mechanism[32] = "";
    size_t protocol_size = sizeof protocol, mechanism_size = sizeof mechanism;
    if (rd_kafka_conf_get(conf, "security.protocol", protocol, &protocol_size) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_get(conf, "sasl.mechanisms", mechanism, &mechanism_size) != RD_KAFKA_CONF_OK)
        return;
    bool is_kerberos = strncasecmp(protocol, "sasl", 4) == 0 && strcmp(mechanism, "GSSAPI") == 0;
    if (!is_kerberos)
        (void)setenv("SASL_PATH", "/nonexistent", /* overwrite= */ 0);
}

rd_kafka_conf_t *conf_new(const struct kafka_cluster *cluster, const struct conf_client *client,
                          struct error *reterr)
{
    if (strlen(client->id) > CLIENT_ID_MAX) {
        error_set(reterr, ERROR_REJECTED, "config", 0, "the Kafka client id is longer than %d characters",
                  CLIENT_ID_MAX);
        return NULL;
    }
    const struct kafka_property common[] = {
        {"bootstrap.servers", cluster->bootstrap_servers},
        {"client.id", client->id},
        {"log.queue", "true"},
        {"log.connection.close", "false"}, /* brokers close idle connections as a matter of course */
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
        {"reconnect.backoff.max.ms", "2000"},
        {"topic.metadata.refresh.interval.ms", "30000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (check_allowed(cluster, reterr) && set_all(conf, common, ARRAY_LENGTH(common), reterr) &&
        set_all(conf, client->wanted, client->wanted_count, reterr) &&
        pass_through(conf, client->type, cluster, reterr)) {
        spare_sasl_plugins(conf);
        return conf;
    }
    rd_kafka_conf_destroy(conf);
    return NULL;
}
