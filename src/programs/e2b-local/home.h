#ifndef E2B_LOCAL_HOME_H
#define E2B_LOCAL_HOME_H
#include "base/base.h"
#include "base/error.h"
#include "base/log.h"

/* The program's own directory, e2b-local.XXXXXX below a base, with everything that its sandboxes write. It is
 * locked while the program lives; so the next one with this base knows what belongs to the dead, and removes
 * it: a program that was killed could not. */

struct home;

/* Makes the directory, after sweeping what dead predecessors left below `base` (NULL: /tmp): first the
 * processes of their sandboxes, then their files. Blocks. Owns: home_free. */
struct home *home_new(const char *base, const struct log *log, struct error *reterr) MUST_USE;
/* Removes the directory and what is in it; may be NULL. */
void home_free(struct home *home);

const char *home_path(const struct home *home);

#endif
