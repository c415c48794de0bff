#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H
#include "base/base.h"

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
void buffer_reserve(struct buffer *buffer,
                    size_t more); /* room for `more` further bytes without another allocation */
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_int(struct buffer *buffer, int64_t value); /* in decimal */
void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_drop_front(struct buffer *buffer,
                       size_t length); /* the first `length` bytes go, the rest moves down */

/* Inspect. */
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){.data = buffer->data, .length = buffer->length};
}

#endif
