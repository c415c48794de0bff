#ifndef E2B_TEXTS_H
#define E2B_TEXTS_H
#include "base/base.h"
#include "base/list.h"

/* Long words that many requests have in common, a script above all, as JSON: encoded once, and sent from
 * where they lie, however many requests are under way. Private to libe2b. */

struct texts {
    struct link items; /* last used first */
    size_t count;
};

struct shared_text {
    struct link link;
    unsigned users, uses; /* now; ever */
    size_t length;
    char *text;        /* as it was given */
    struct bytes json; /* a string, with its quotes */
};

enum { TEXTS_LEAST_BYTES = 4096 }; /* of one that is worth sharing */

void texts_init(struct texts *texts);
/* None of them is in use. */
void texts_release(struct texts *texts);

/* `text` is UTF-8. Returns: never NULL, valid until it is let go. */
struct shared_text *texts_use(struct texts *texts, const char *text, size_t length) MUST_USE;
void texts_let_go(struct texts *texts, struct shared_text *shared);

#endif
