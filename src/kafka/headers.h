#ifndef KAFKA_HEADERS_H
#define KAFKA_HEADERS_H
#include "kafka/client.h"

#include <librdkafka/rdkafka.h>

/* A record's headers as librdkafka gives them, in an array that is used again for the next record. Private to
 * the layer. */

struct headers {
    struct kafka_header *items;
    size_t capacity;
};

/* Returns: how many there are; names and values are borrowed from the message. */
size_t headers_read(struct headers *headers, const rd_kafka_message_t *message);
void headers_release(struct headers *headers);

#endif
