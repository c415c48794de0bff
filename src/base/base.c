/* Allocation that cannot fail, and the one way to give up. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_BYTES = 1024 };

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

/* calloc knows which large memory is zero already, but passes by malloc's cache of small pieces. */
void *base_alloc(size_t size)
{
    if (size <= SMALL_BYTES)
        return memset(base_realloc(NULL, size), 0, size);
    void *memory = calloc(1, size);
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
    char *copy = base_realloc(NULL, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

size_t base_int_text(int64_t value, char ret[INT_TEXT_SIZE])
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t length = value < 0 ? 2 : 1;
    ret[0] = '-';
    for (uint64_t rest = size; rest >= 10; rest /= 10)
        length++;
    ret[length] = '\0';
    char *at = ret + length;
    do
        *--at = (char)('0' + size % 10);
    while ((size /= 10) > 0);
    return length;
}

void base_hex_text(uint64_t value, size_t digits, char *ret)
{
    ret[digits] = '\0';
    for (size_t i = digits; i-- > 0; value >>= 4)
        ret[i] = "0123456789abcdef"[value & 15];
}

void base_copy_text(char *ret, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(ret, text, length);
    ret[length] = '\0';
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
