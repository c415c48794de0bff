#ifndef BASE_BASE_H
#define BASE_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What every file may need: attributes, small macros, and an allocation that cannot fail. It knows nothing of
 * jobs. */

#define MUST_USE              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NORETURN              __attribute__((noreturn))
#define CLEANUP(fn)           __attribute__((cleanup(fn)))

#define ARRAY_LENGTH(array)                 (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define MIN(a, b)                           ((a) < (b) ? (a) : (b))
#define MAX(a, b)                           ((a) > (b) ? (a) : (b))

/* Hands an owned pointer over: the value, and NULL stays behind. */
#define TAKE(pointer)                                                                                        \
    ({                                                                                                       \
        __typeof__(pointer) taken_ = (pointer);                                                              \
        (pointer) = NULL;                                                                                    \
        taken_;                                                                                              \
    })

/* Borrowed bytes: no owner here, no terminating NUL promised. */
struct bytes {
    const void *data;
    size_t length;
};

/* Memory. Out of memory ends the process with a line: a supervisor restarts it and Kafka redelivers. Every
 * size that input controls is therefore bounded by whoever reads it. Owns: the caller frees with free(3). */
void *base_alloc(size_t size) MUST_USE; /* zeroed */
void *base_realloc(void *memory, size_t size) MUST_USE;
char *base_strdup(const char *text) MUST_USE; /* NULL gives NULL */
char *base_strndup(const char *text, size_t length) MUST_USE;
enum { INT_TEXT_SIZE = 21 };
/* In decimal, with a NUL. Returns: the length. */
size_t base_int_text(int64_t value, char ret[INT_TEXT_SIZE]);
/* The last `digits` hexadecimal digits, with a NUL. */
void base_hex_text(uint64_t value, size_t digits, char *ret);
/* As much of it as fits, with a NUL. */
void base_copy_text(char *ret, size_t size, const char *text);
char *base_printf(const char *format, ...) PRINTF_LIKE(1, 2) MUST_USE;

/* For locals that own: CLEANUP(base_freep) char *text = ...; */
void base_freep(void *pointer_to_pointer);

/* Prints one line to standard error and ends the process with status 70 (EX_SOFTWARE). */
void base_die(const char *format, ...) PRINTF_LIKE(1, 2) NORETURN;

#endif
