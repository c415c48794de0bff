#ifndef E2B_LOCAL_PATH_H
#define E2B_LOCAL_PATH_H
#include "base/base.h"

#include <sys/types.h>

/* Paths as a sandbox's files API gives them, resolved inside the sandbox's own tree: links that stand in it
 * cannot lead out of it (openat2, RESOLVE_IN_ROOT). Without isolation, paths outside /home/user are the
 * machine's. */

struct sandbox;

/* Returns: the path as the sandbox sees it: absolute, without "." and "..". Relative ones and "~/" start at
 * the home. Owns: the caller. */
char *path_normalize(const char *path) MUST_USE;

/* All take normalized paths, and answer as open(2), mkdir(2) do: -1 or false with errno. */
int path_open(struct sandbox *sandbox, const char *path, int flags, mode_t mode) MUST_USE;
/* The folder that holds `path`; *ret_name is the last part, borrowed from path. */
int path_open_parent(struct sandbox *sandbox, const char *path, const char **ret_name) MUST_USE;
/* Makes the folder and those above it. Returns: true also when it is there; *ret_is_new (may be NULL) says
 * which. */
bool path_make_folders(struct sandbox *sandbox, const char *path, bool *ret_is_new) MUST_USE;

#endif
