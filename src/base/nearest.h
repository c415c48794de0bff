#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H
#include "base/base.h"

/* The name that somebody probably meant: for messages about unknown keys, templates and packages. */

/* Returns: the name of `names` nearest to `word` (a slip in every third character at most; else the shortest
 * that begins with `word`; case aside, the first of equals), borrowed; NULL when none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count) MUST_USE;

#endif
