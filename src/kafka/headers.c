/* Headers of a record. */
#include "kafka/headers.h"

#include <stdlib.h>

size_t headers_read(struct headers *headers, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *theirs = NULL;
    if (rd_kafka_message_headers(message, &theirs) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    size_t count = rd_kafka_header_cnt(theirs); /* bounded by the record's size */
    if (count > headers->capacity) {
        headers->capacity = count;
        headers->items = base_realloc(headers->items, count * sizeof *headers->items);
    }
    for (size_t i = 0; i < count; i++) {
        struct kafka_header *header = &headers->items[i];
        *header = (struct kafka_header){0};
        (void)rd_kafka_header_get_all(theirs, i, &header->name, &header->value.data, &header->value.length);
    }
    return count;
}

void headers_release(struct headers *headers)
{
    free(headers->items);
    *headers = (struct headers){0};
}
