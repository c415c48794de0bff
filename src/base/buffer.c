/* Growing bytes. */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64 };

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

char *buffer_take(struct buffer *buffer)
{
    buffer_reserve(buffer, 0);
    char *data = buffer->data;
    *buffer = (struct buffer){0};
    return data;
}

void buffer_grow(struct buffer *buffer, size_t more)
{
    assert(more < SIZE_MAX / 4 && buffer->length < SIZE_MAX / 4);
    size_t needed = buffer->length + more + 1;
    size_t capacity = MAX(buffer->capacity * 2, MAX(needed, SMALLEST));
    buffer->data = base_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
    buffer->data[buffer->length] = '\0';
}

void buffer_append_int(struct buffer *buffer, int64_t value)
{
    buffer_reserve(buffer, INT_TEXT_SIZE);
    buffer->length += base_int_text(value, buffer->data + buffer->length);
}

/* Mostly there is room: it is written once then. */
void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    buffer_reserve(buffer, 0);
    size_t room = buffer->capacity - buffer->length;
    va_start(args, format);
    int length = vsnprintf(buffer->data + buffer->length, room, format, args);
    va_end(args);
    assert(length >= 0);
    if ((size_t)length >= room) {
        buffer->data[buffer->length] = '\0';
        buffer_reserve(buffer, (size_t)length);
        va_start(args, format);
        (void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, args);
        va_end(args);
    }
    buffer->length += (size_t)length;
}

void buffer_drop_front(struct buffer *buffer, size_t length)
{
    assert(length <= buffer->length);
    if (length == 0)
        return;
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    buffer->length -= length;
    buffer->data[buffer->length] = '\0';
}
