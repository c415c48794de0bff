#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include "base/base.h"

/* A failure as a plain value: what the caller should do about it (kind), what really happened (origin, code),
 * and one sentence for a person (text). Never allocated, never logged by whoever fills it in: the one who
 * decides logs. */

enum error_kind {
    ERROR_TRANSIENT = 1, /* the same may succeed later */
    ERROR_REJECTED,      /* the other side understood and refused; the same will fail again */
    ERROR_TIMEOUT,       /* not done in time; it may have happened */
    ERROR_CANCELED,      /* whoever asked no longer wants it */
    ERROR_OVERLOAD,      /* a bound of ours or theirs is reached: wait, then the same */
    ERROR_INTERNAL,      /* our own mistake */
};

struct error {
    enum error_kind kind;
    const char *origin; /* a literal: "kafka", "redis", "http", "e2b", "config", "job"; never NULL once set */
    long code;          /* the origin's own number, 0 where it has none */
    char text[400];     /* always terminated; cut when too long */
};

/* Fills *reterr. reterr may be NULL.
 * Returns: false always, so that a failing function ends `return error_set(reterr, ...)`. */
bool error_set(struct error *reterr, enum error_kind kind, const char *origin, long code, const char *format,
               ...) PRINTF_LIKE(5, 6);

/* Returns: "TRANSIENT", "REJECTED", ... */
const char *error_kind_name(enum error_kind kind);

#endif
