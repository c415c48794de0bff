#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H
#include "base/base.h"

#include <string.h>

/* Bytes that grow. Zero is an empty buffer. `data` is NULL or holds `length` bytes and a NUL behind them, so
 * that text may be read as a string; whoever appends input bounds it first. */

struct buffer {
    char *data;
    size_t length;
    size_t capacity; /* bytes allocated, the NUL included */
};

/* Life cycle. */
void buffer_release(struct buffer *buffer); /* frees; the buffer is empty and reusable */
void buffer_clear(struct buffer *buffer);   /* forgets the bytes, keeps the memory */
char *
buffer_take(struct buffer *buffer) MUST_USE; /* Owns: the caller, free(3); never NULL. The buffer is empty */

/* Use. */
void buffer_grow(struct buffer *buffer, size_t more);         /* for buffer_reserve */
void buffer_append_int(struct buffer *buffer, int64_t value); /* in decimal */
void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_drop_front(struct buffer *buffer,
                       size_t length); /* the first `length` bytes go, the rest moves down */

/* Room for `more` further bytes without another allocation. */
static inline void buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->length <= more)
        buffer_grow(buffer, more);
}

/* Inline, since most of what is appended is a few bytes for which there is room. */
static inline void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    buffer_reserve(buffer, length);
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

static inline void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

/* Inspect. */
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){.data = buffer->data, .length = buffer->length};
}

#endif
