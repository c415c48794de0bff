#ifndef E2B_LOCAL_BUBBLEWRAP_H
#define E2B_LOCAL_BUBBLEWRAP_H
#include "base/base.h"

#include <sys/types.h>

/* The bubblewrap process that holds a cell's namespaces open: it shows `root` as /, with the machine's system
 * folders read-only, and sleeps. Others enter its namespaces. */

struct bubblewrap {
    pid_t pid;
    int ready_fd; /* readable with one byte when all is mounted; at its end when it failed */
    int info_fd;
};

/* Starts it inside the control groups whose descriptors are given; `group_folder`, which may be NULL, is to
 * be seen inside where it is outside. Returns: false with errno. */
bool bubblewrap_start(const char *root, const char *const *extra_folders, const char *group_folder,
                      const int *group_fds, int group_count, struct bubblewrap *ret) MUST_USE;
/* Returns: process 1 of its namespace, as we see it; only once it is ready. */
pid_t bubblewrap_read_first(const struct bubblewrap *bubblewrap);

/* Tries it in `root`, which it makes and removes. Blocks for some ms: at the start only. */
bool bubblewrap_probe(const char *root) MUST_USE;

#endif
