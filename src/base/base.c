/* Allocation that cannot fail, and the one way to give up. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void base_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("e2b-worker: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(70);
}

void *base_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        base_die("out of memory: %zu bytes", size);
    return memory;
}

void *base_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size ? size : 1);
    if (!moved)
        base_die("out of memory: %zu bytes", size);
    return moved;
}

char *base_strdup(const char *text)
{
    return text ? base_strndup(text, strlen(text)) : NULL;
}

char *base_strndup(const char *text, size_t length)
{
    char *copy = base_alloc(length + 1);
    memcpy(copy, text, length);
    return copy;
}

size_t base_int_text(int64_t value, char ret[INT_TEXT_SIZE])
{
    char digits[INT_TEXT_SIZE];
    char *first = digits + sizeof digits - 1;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *first = '\0';
    do
        *--first = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--first = '-';
    size_t length = (size_t)(digits + sizeof digits - 1 - first);
    memcpy(ret, first, length + 1);
    return length;
}

char *base_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        base_die("out of memory: formatting a string");
    return text;
}

void base_freep(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}
