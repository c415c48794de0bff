/* Memory given back all at once. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    max_align_t data[];
};

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = base_realloc(NULL, sizeof *chunk + size);
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    arena->bytes += sizeof *chunk + size;
    return chunk;
}

void arena_init(struct arena *arena, size_t first_bytes)
{
    *arena = (struct arena){0};
    if (first_bytes > 0)
        (void)add_chunk(arena, first_bytes);
}

void arena_release(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks; chunk;) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct arena){0};
}

static void *reserve(struct arena *arena, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size_t aligned = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < aligned)
        chunk = add_chunk(arena, MAX(aligned, chunk ? MIN(arena->bytes / 4, CHUNK_BYTES) : CHUNK_BYTES));
    void *memory = (char *)chunk->data + chunk->used;
    chunk->used += aligned;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(reserve(arena, size), 0, size);
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *memory = reserve(arena, size);
    if (size > 0)
        memcpy(memory, data, size);
    return memory;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = reserve(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *arena_join(struct arena *arena, const char *const *texts, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += strlen(texts[i]);
    char *joined = reserve(arena, length + 1), *at = joined;
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, texts[i]);
    *at = '\0'; /* of none */
    return joined;
}

/* Mostly there is room in the chunk: it is written once then. */
char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    struct arena_chunk *chunk = arena->chunks;
    size_t room = chunk ? chunk->size - chunk->used : 0;
    va_start(args, format);
    int length = vsnprintf(room > 0 ? (char *)chunk->data + chunk->used : NULL, room, format, args);
    va_end(args);
    assert(length >= 0);
    bool is_written = (size_t)length < room;
    char *text = reserve(arena, (size_t)length + 1);
    if (is_written && arena->chunks == chunk)
        return text;
    va_start(args, format);
    (void)vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}
