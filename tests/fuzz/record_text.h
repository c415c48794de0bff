#ifndef FUZZ_RECORD_TEXT_H
#define FUZZ_RECORD_TEXT_H
#include "codec/envelope.h"

#include <string.h>

/* A record as a fuzzer can write it: "name<tab>value" lines for the headers, a blank line, the value. */

enum { RECORD_HEADERS_MAX = 16 };

struct record_text {
    struct header headers[RECORD_HEADERS_MAX];
    size_t count;
    struct bytes value;
};

static inline struct bytes record_text_line(const char **at, const char *end)
{
    const char *start = *at, *newline = memchr(start, '\n', (size_t)(end - start));
    *at = newline ? newline + 1 : end;
    return (struct bytes){start, (size_t)((newline ? newline : end) - start)};
}

/* Names lie in the arena, the rest in the input. */
static inline void record_text_read(struct bytes input, struct arena *arena, struct record_text *ret)
{
    const char *at = input.data, *end = at + input.length;
    ret->count = 0;
    while (at < end && ret->count < RECORD_HEADERS_MAX) {
        struct bytes line = record_text_line(&at, end);
        const char *tab = line.length > 0 ? memchr(line.data, '\t', line.length) : NULL;
        if (!tab)
            break;
        size_t name_length = (size_t)(tab - (const char *)line.data);
        ret->headers[ret->count++] = (struct header){arena_strndup(arena, line.data, name_length),
                                                     {tab + 1, line.length - name_length - 1}};
    }
    ret->value = (struct bytes){at, (size_t)(end - at)};
}

#endif
