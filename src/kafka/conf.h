#ifndef KAFKA_CONF_H
#define KAFKA_CONF_H
#include "kafka/client.h"

#include <librdkafka/rdkafka.h>

/* librdkafka's configuration, built in layers: what every client of ours has, what the module wants, what the
 * operator passes through. Settings on which the promises rest cannot be passed through. Private to the
 * layer. */

/* Returns: NULL when a property is unknown, has no such value, or is ours. Owns: rd_kafka_conf_destroy. */
rd_kafka_conf_t *conf_new(const struct kafka_cluster *cluster, const char *client_id,
                          const struct kafka_property *wanted, size_t wanted_count,
                          struct error *reterr) MUST_USE;

#endif
