/* A sealed record from Redis: refused, or packed again into the same bytes but for leading zeros of its
 * lengths. */
#include "codec/envelope.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct header headers[HEADERS_MAX], again[HEADERS_MAX];
    size_t count, again_count;
    struct bytes value, again_value;
    struct error error;
    if (record_unpack((struct bytes){data, size}, headers, HEADERS_MAX, &arena, &count, &value, &error)) {
        CLEANUP(buffer_release) struct buffer blob = {0};
        record_pack(headers, count, value, &blob);
        if (!record_unpack(buffer_bytes(&blob), again, HEADERS_MAX, &arena, &again_count, &again_value,
                           &error) ||
            again_count != count || again_value.length != value.length)
            abort();
    }
    arena_release(&arena);
    return 0;
}
