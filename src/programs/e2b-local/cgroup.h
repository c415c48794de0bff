#ifndef E2B_LOCAL_CGROUP_H
#define E2B_LOCAL_CGROUP_H
#include "base/base.h"

#include <sys/types.h>

/* One control group per sandbox, in version 1 or version 2 hierarchies, whatever this machine lets us write.
 * It limits memory, processes and CPU, finds every process of a sandbox (daemons too), and can freeze them.
 * Where nothing is writable the object exists and does nothing. */

struct cgroups;

struct cgroup_limits {
    int64_t memory_bytes;
    int64_t process_count;
    int cpu_percent; /* of one CPU */
};

enum { CGROUP_MAX_HIERARCHIES = 4 };

/* Ends the processes in the groups that dead predecessors left, frozen ones too, and removes these.
 * Blocks. */
void cgroups_sweep(void);

/* Probes. Never NULL. */
struct cgroups *cgroups_new(void) MUST_USE;
void cgroups_free(struct cgroups *cgroups); /* all groups must have been removed; may be NULL */

/* Returns: whether sandboxes get groups at all. */
bool cgroups_is_on(const struct cgroups *cgroups);
const char *cgroups_kind(const struct cgroups *cgroups); /* "v1", "v2", "none" */

void cgroups_make(struct cgroups *cgroups, const char *name, const struct cgroup_limits *limits);
/* Opens what a process must write "0" to in order to enter. Returns: how many; the caller closes. */
int cgroups_open(struct cgroups *cgroups, const char *name, int ret_fds[CGROUP_MAX_HIERARCHIES]);
/* The folder in which the kernel counts what it kills in the group for memory. NULL: there is none. */
char *cgroups_memory_folder(struct cgroups *cgroups, const char *name) MUST_USE;
void cgroups_freeze(struct cgroups *cgroups, const char *name);
void cgroups_thaw(struct cgroups *cgroups, const char *name);
/* Signals every process. Returns: how many there were. */
int cgroups_signal(struct cgroups *cgroups, const char *name, int signal);
/* Returns: false while processes are still in it. A group that is not there is removed. */
bool cgroups_remove(struct cgroups *cgroups, const char *name);

#endif
