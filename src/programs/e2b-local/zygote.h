#ifndef E2B_LOCAL_ZYGOTE_H
#define E2B_LOCAL_ZYGOTE_H
#include "base/base.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"

#include <jansson.h>
#include <sys/types.h>

/* The Python process that forks kernels (helpers/zygote.py). It is started at once, restarted when it dies,
 * and asked for one kernel at a time per request; requests wait in a list while it is busy. */

struct cell;
struct loop;
struct zygote;

struct zygote_options {
    const char *python, *node; /* borrowed */
    const char *directory;     /* borrowed: where helper files are written */
};

/* Writes the helper files, starts the process and waits (some 100 ms, blocking, at the start of the program)
 * until it has told which folders an interpreter needs. */
struct zygote *zygote_new(struct loop *loop, const struct log *log, const struct zygote_options *options,
                          struct error *reterr) MUST_USE;
void zygote_free(struct zygote *zygote);                        /* all requests ended; may be NULL */
const char *const *zygote_folders(const struct zygote *zygote); /* NULL-ended */

/* A kernel to be started; yours, zeroed, until on_started ran or zygote_cancel returned. */
struct zygote_request {
    struct link link;
    int64_t id;
    struct cell *cell; /* borrowed; ready */
    const char *language, *cwd, *home;
    json_t *variables; /* borrowed */
    int socket;        /* the kernel's end; the zygote closes it */
    /* pid < 0: not started, see error. Takes pidfd. */
    void (*on_started)(void *arg, pid_t pid, int pidfd, const char *error);
    void *arg;
};
void zygote_start(struct zygote *zygote, struct zygote_request *request);
void zygote_cancel(struct zygote *zygote, struct zygote_request *request);

#endif
