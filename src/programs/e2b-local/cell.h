#ifndef E2B_LOCAL_CELL_H
#define E2B_LOCAL_CELL_H
#include "base/base.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "cgroup.h"

#include <sys/types.h>

/* Where the processes of one sandbox live: a directory tree, a control group and, with bubblewrap,
 * namespaces. The namespaces are held open by one bubblewrap process per sandbox, started when the first
 * process needs it; all others enter them (setns), so that they see the same files and each other. A cell
 * knows nothing of E2B.
 *
 * Inside: / is the cell's own tree, writable, with the machine's /usr, /lib, /bin and /etc read-only, an own
 * /proc, /dev and /tmp. Without isolation, /home/user alone is the cell's: HOME and the working directory
 * point at it. */

struct loop;
struct cells;
struct cell;

enum isolation { ISOLATION_AUTO, ISOLATION_BUBBLEWRAP, ISOLATION_NONE };

struct cells_options {
    const char *directory; /* borrowed; exists */
    enum isolation isolation;
    const char *const
        *extra_folders; /* borrowed; shown read-only inside (an interpreter outside /usr); NULL-ended */
};

/* All cells. Probes bubblewrap and control groups, and logs what is used.
 * Returns: NULL with *reterr when isolation was demanded and is not to be had. */
struct cells *cells_new(struct loop *loop, const struct log *log, const struct cells_options *options,
                        struct error *reterr) MUST_USE;
void cells_free(struct cells *cells); /* all cells destroyed; may be NULL */
bool cells_is_isolated(const struct cells *cells);
const char *cells_isolation_name(const struct cells *cells);
const char *cells_cgroup_kind(const struct cells *cells);

/* Makes the directories, nothing else. Owns: cell_destroy. */
struct cell *cell_new(struct cells *cells, const char *name, const struct cgroup_limits *limits,
                      struct error *reterr) MUST_USE;

/* Kills every process, then removes control group and directories, then calls back. Takes the cell. */
void cell_destroy(struct cell *cell, void (*on_destroyed)(void *arg), void *arg);

/* `ready` waits on the cell; it is yours, zeroed, and may be cancelled. fn runs later, once; error is NULL
 * when processes may enter. */
struct cell_ready {
    struct link link;
    void (*fn)(void *arg, const struct error *error);
    void *arg;
};
void cell_when_ready(struct cell *cell, struct cell_ready *ready,
                     void (*fn)(void *arg, const struct error *error), void *arg);
void cell_ready_cancel(struct cell_ready *ready);

/* As fork(2), the child inside the cell: its group, its namespaces, an own session, no privileges. Only when
 * ready. */
pid_t cell_fork(struct cell *cell) MUST_USE;

/* For a helper that forks on our behalf: what its child must write "0" to, and then enter, in this order with
 * the kinds in ret_kinds (CLONE_NEW*). The namespace descriptors stay the cell's; the group descriptors the
 * caller closes. */
enum { CELL_NAMESPACE_COUNT = 4 };
int cell_open_groups(struct cell *cell, int ret_fds[CGROUP_MAX_HIERARCHIES]);
int cell_namespaces(const struct cell *cell, int ret_fds[CELL_NAMESPACE_COUNT],
                    int ret_kinds[CELL_NAMESPACE_COUNT]);

void cell_freeze(struct cell *cell);
void cell_thaw(struct cell *cell);

/* Inspect. home: what a process inside calls its home. root_fd: the tree (O_PATH), for the files service. */
const char *cell_home(const struct cell *cell);
int cell_root_fd(struct cell *cell);

#endif
