#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/base.h"

/* Memory that is given back all at once: what is fixed about a job (its fields, its plan) lives in one arena.
 * Chunks are malloc'ed; the first is as large as the caller expects to need, so that a usual job costs one
 * malloc. Zero is an empty arena. It cannot give back a part: what grows belongs into a buffer. */

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t bytes;               /* allocated from malloc, for budgets */
};

/* Life cycle. */
void arena_init(struct arena *arena, size_t first_bytes);
void arena_release(struct arena *arena);

/* Use. All return zeroed or filled memory aligned for any type, valid until arena_release. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;
void *arena_copy(struct arena *arena, const void *data, size_t size) MUST_USE;
char *arena_strdup(struct arena *arena, const char *text) MUST_USE; /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t length) MUST_USE;
/* Several texts, one after another: arena_printf costs five times as much. */
#define ARENA_JOIN(arena, ...)                                                                               \
    arena_join((arena), (const char *const[]){__VA_ARGS__},                                                  \
               ARRAY_LENGTH(((const char *const[]){__VA_ARGS__})))
char *arena_join(struct arena *arena, const char *const *texts, size_t count) MUST_USE;
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) MUST_USE;

#define ARENA_NEW(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

#endif
