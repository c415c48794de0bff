/* The headers of a copy in a retry topic: what was read of any headers is read again of the next copy's. */
#include "codec/hop.h"
#include "record_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_text record;
    struct hop hop, again;
    struct header *headers;
    record_text_read((struct bytes){data, size}, &arena, &record);
    hop_read(record.headers, record.count, &hop);
    size_t count = hop_write(&hop, record.headers, record.count, &arena, &headers);
    require(count <= record.count + HOP_HEADERS_MAX);
    hop_read(headers, count, &again);
    require(hop.number == again.number && hop.not_before_unix_ms == again.not_before_unix_ms &&
            hop.wake_unix_ms == again.wake_unix_ms && hop.first_seen_unix_ms == again.first_seen_unix_ms);
    require(strcmp(hop.job_id, again.job_id) == 0 && strcmp(hop.origin, again.origin) == 0 &&
            strcmp(hop.topic, again.topic) == 0);
    arena_release(&arena);
    return 0;
}
