#ifndef REDIS_PERMITS_H
#define REDIS_PERMITS_H
#include "base/base.h"

/* The permits that this worker believes to hold: granted or adopted, not yet released or lost. After a lapsed
 * lease each of them is asked about. A set of texts, on libc's search tree. Zero is empty. */

struct permits {
    void *root;
    size_t count;
};

void permits_add(struct permits *permits, const char *permit);
bool permits_remove(struct permits *permits, const char *permit); /* Returns: whether it was there */
bool permits_has(const struct permits *permits, const char *permit);
void permits_release(struct permits *permits);

void permits_each(const struct permits *permits, void (*fn)(void *arg, const char *permit), void *arg);

#endif
