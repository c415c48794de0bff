#ifndef CORE_LIMIT_H
#define CORE_LIMIT_H
#include "base/arena.h"

/* The limits that bound how many sandboxes live at once, and the two names that each has. The ledger's is
 * short, for every permit in Redis carries it: "g", "n:acme". Whoever looks from outside (events, statistics,
 * metrics, logs, what a command prints) reads the other: "global", "tenant:acme". That one is contract. */

enum limit_kind {
    LIMIT_GLOBAL,
    LIMIT_TENANT,
    LIMIT_TEMPLATE,
    LIMIT_CLASS,   /* of priority */
    LIMIT_SESSION, /* of the jobs of one session, one runs at a time */
    LIMIT_RESERVE, /* counts nothing: so many places under the global limit are kept from all other classes */
    LIMIT_CREATE_RATE, /* sandboxes created per second */
};

/* Their names in the ledger, for those that stand alone. */
#define LIMIT_KEY_GLOBAL      "g"
#define LIMIT_KEY_CREATE_RATE "rate"

struct limit {
    enum limit_kind kind;
    const char *of; /* tenant, template, class or session; "" for the two that stand alone */
};

/* The ledger's name: LIMIT_TENANT, "acme" gives "n:acme". From the arena. */
const char *limit_key(enum limit_kind kind, const char *of, struct arena *arena);
/* Reads the ledger's name; ret->of points into it.
 * Returns: false for a limit that this version does not know. */
bool limit_parse(const char *key, struct limit *ret) MUST_USE;
/* Reads the name for the outside, likewise. */
bool limit_parse_name(const char *name, struct limit *ret) MUST_USE;
/* The name for the outside: "n:acme" gives "tenant:acme"; what is not known stays as it is. From the
 * arena. */
const char *limit_name(const char *key, struct arena *arena);

/* What the ledger answered instead of a grant, and what it was asked under. */
struct limit_answer {
    const char *key;          /* the limit that denied */
    int64_t used, open;       /* places taken, and places open to this job; a rate: open is 1000 times it */
    int64_t max;              /* of the global limit, without reserves */
    const char *reserved_for; /* the class that others keep places of it for; NULL: none */
};

/* The same, as it is told. */
struct limit_denial {
    const char *limit;           /* for the outside; "reserve:<class>" where only that is in the way */
    int64_t used, max, reserved; /* places taken, there at all, kept for others; -1: it has no places */
    const char *message;         /* a sentence */
};

/* Texts from the arena, or literals. */
struct limit_denial limit_explain(const struct limit_answer *answer, struct arena *arena);

#endif
