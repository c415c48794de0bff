/* Headers and value of a record: "name<tab>value" lines, a blank line, the value. */
#include "codec/envelope.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes line_of(const char **at, const char *end)
{
    const char *start = *at, *newline = memchr(start, '\n', (size_t)(end - start));
    *at = newline ? newline + 1 : end;
    return (struct bytes){start, (size_t)((newline ? newline : end) - start)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    struct arena arena = {0};
    struct header headers[HEADERS_MAX];
    size_t count = 0;
    while (at < end && count < HEADERS_MAX) {
        struct bytes line = line_of(&at, end);
        const char *tab = line.length > 0 ? memchr(line.data, '\t', line.length) : NULL;
        if (!tab)
            break;
        size_t name_length = (size_t)(tab - (const char *)line.data);
        headers[count++] = (struct header){arena_strndup(&arena, line.data, name_length),
                                           {tab + 1, line.length - name_length - 1}};
    }
    struct envelope envelope;
    struct error error;
    if (envelope_read(headers, count, (struct bytes){at, (size_t)(end - at)}, &arena, &envelope, &error)) {
        struct envelope_headers written;
        struct envelope again;
        envelope_write(&envelope, &written);
        if (!envelope_read(written.items, written.count, envelope.data, &arena, &again, &error))
            abort();
        if (envelope.id && strcmp(envelope.id, again.id) != 0)
            abort();
    }
    arena_release(&arena);
    return 0;
}
