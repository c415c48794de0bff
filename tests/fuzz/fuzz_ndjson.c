/* The interpreter's stream. The first byte says in which chunks the rest comes. */
#include "e2b/events.h"
#include "e2b/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ndjson lines = {.max_line_bytes = 4096};
    struct bytes line;
    struct event event;
    enum decoded decoded = DECODED_NONE;
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
    for (size_t at = 1; at < size && decoded != DECODED_TOO_LARGE; at += step) {
        ndjson_feed(&lines, (struct bytes){.data = data + at, .length = MIN(step, size - at)});
        while ((decoded = ndjson_next(&lines, &line)) == DECODED_ONE)
            if (event_of_code(line, &event))
                event_release(&event);
    }
    ndjson_release(&lines);
    return 0;
}
