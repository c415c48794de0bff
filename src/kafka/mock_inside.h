#ifndef KAFKA_MOCK_INSIDE_H
#define KAFKA_MOCK_INSIDE_H
#include "kafka/topics.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/* For tests: what is behind the mock cluster, to inject faults. Private to the layer. */
rd_kafka_mock_cluster_t *mock_cluster(const struct kafka_mock *mock);

#endif
