/* Lines out of chunks. */
#include "e2b/ndjson.h"

#include <assert.h>
#include <string.h>

void ndjson_release(struct ndjson *lines)
{
    buffer_release(&lines->rest);
    lines->chunk = (struct bytes){0};
}

void ndjson_feed(struct ndjson *lines, struct bytes chunk)
{
    assert(lines->chunk.length == 0);
    lines->chunk = chunk;
}

static struct bytes take_front(struct bytes *bytes, size_t length)
{
    struct bytes front = {.data = bytes->data, .length = length};
    bytes->data = (const char *)bytes->data + length;
    bytes->length -= length;
    return front;
}

static bool fits(const struct ndjson *lines, size_t more)
{
    return lines->rest.length + more <= lines->max_line_bytes;
}

enum decoded ndjson_next(struct ndjson *lines, struct bytes *ret_line)
{
    if (lines->is_rest_told)
        buffer_release(&lines->rest); /* streams are mostly silent: keep nothing */
    lines->is_rest_told = false;
    while (lines->chunk.length > 0) {
        const char *end = memchr(lines->chunk.data, '\n', lines->chunk.length);
        size_t length = end ? (size_t)(end - (const char *)lines->chunk.data) : lines->chunk.length;
        if (!fits(lines, length))
            return DECODED_TOO_LARGE;
        struct bytes line = take_front(&lines->chunk, length);
        if (!end || lines->rest.length > 0)
            buffer_append(&lines->rest, line.data, line.length);
        if (!end)
            return DECODED_NONE;
        (void)take_front(&lines->chunk, 1);
        if (lines->rest.length > 0) {
            line = buffer_bytes(&lines->rest);
            lines->is_rest_told = true;
        }
        if (line.length > 0 && ((const char *)line.data)[line.length - 1] == '\r')
            line.length--;
        if (line.length > 0) {
            *ret_line = line;
            return DECODED_ONE;
        }
        if (lines->is_rest_told)
            buffer_release(&lines->rest);
        lines->is_rest_told = false;
    }
    return DECODED_NONE;
}
