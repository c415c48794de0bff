#ifndef KAFKA_EXPLAIN_H
#define KAFKA_EXPLAIN_H
#include "base/error.h"

#include <librdkafka/rdkafka.h>

/* What an error of Kafka means for us: the one place that maps its codes. Private to the layer. */

enum error_kind explain_kind(rd_kafka_resp_err_t code);

/* Whether somebody has to do something (create, permit, configure), or waiting is enough. */
bool explain_needs_hands(rd_kafka_resp_err_t code);

enum { EXPLAIN_SIZE = 200 };
/* A sentence: what happened and what to do. `topic` may be NULL. */
void explain(rd_kafka_resp_err_t code, const char *topic, char text[EXPLAIN_SIZE]);

#endif
