#ifndef E2B_LOCAL_CONTEXT_H
#define E2B_LOCAL_CONTEXT_H
#include "base/base.h"
#include "base/buffer.h"
#include "base/list.h"
#include "cell.h"
#include "loop/timers.h"
#include "stream.h"
#include "zygote.h"

#include <jansson.h>
#include <sys/types.h>

/* A code context: a kernel process, started when its first run comes, and the queue of its runs, one at a
 * time. The kernel writes the events of the wire itself; this file passes lines on, adds keepalives, and says
 * what happened when a kernel dies. */

struct sandbox;

enum { CONTEXT_ID_SIZE = 37 };

struct context {
    struct link link;        /* in sandbox->contexts */
    struct sandbox *sandbox; /* borrowed */
    char id[CONTEXT_ID_SIZE];
    const char *language; /* "python", "javascript", "typescript", "bash" */
    char *cwd;
    bool is_default;
    struct link runs; /* struct run; the first is running once the kernel is up */
    bool is_starting, is_running;
    struct cell_ready ready;
    struct zygote_request request;
    json_t *variables; /* of the kernel that is up or starting */
    int socket, pidfd;
    struct watch *socket_watch, *exit_watch;
    struct buffer input;              /* from the kernel, up to the next line's end */
    struct buffer output;             /* to the kernel, not yet taken */
    struct timer keepalive, patience; /* patience: after an interrupt that a kernel may not be able to see */
};

struct run_request {
    const char *code;
    json_t *variables; /* borrowed; NULL: none */
    bool has_token;    /* the caller may see the sandbox's variables */
};

/* Returns: the context; owned by the sandbox. cwd NULL: the home folder. */
struct context *context_new(struct sandbox *sandbox, const char *language, const char *cwd, bool is_default);
/* The default context of a language, made when missing; NULL when it was deleted or the language is
 * unknown. */
struct context *context_find_default(struct sandbox *sandbox, const char *language);
struct context *context_find(struct sandbox *sandbox, const char *id);
/* Returns: the language's own name ("js" is "javascript"), or NULL for one that no kernel speaks. */
const char *context_parse_language(const char *name);

/* Starts the answer at once and runs when it is the run's turn. Takes the exchange. */
void context_run(struct context *context, struct http_exchange *exchange, const struct run_request *request);
/* Ends the kernel; what runs is told so. The next run gets a new one. */
void context_restart(struct context *context);
void context_free(struct context *context);

/* The sandbox ends: cuts every stream, kills every kernel. */
void contexts_end(struct sandbox *sandbox);

#endif
