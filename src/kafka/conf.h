#ifndef KAFKA_CONF_H
#define KAFKA_CONF_H
#include "kafka/client.h"

#include <librdkafka/rdkafka.h>

/* librdkafka's configuration, built in layers: what every client of ours has, what the module wants, what the
 * operator passes through. Settings on which the promises rest cannot be passed through. The operator writes
 * one list for consumers and producers: each gets what it takes, and all of it is checked. Private to the
 * layer. */

struct conf_client {
    rd_kafka_type_t type;
    const char *id;
    const struct kafka_property *wanted; /* by the module */
    size_t wanted_count;
};

/* Returns: NULL when a property is unknown, has no such value, or is ours. Owns: rd_kafka_conf_destroy. */
rd_kafka_conf_t *conf_new(const struct kafka_cluster *cluster, const struct conf_client *client,
                          struct error *reterr) MUST_USE;

#endif
