#ifndef E2B_LOCAL_SERVICE_H
#define E2B_LOCAL_SERVICE_H
#include "base/base.h"
#include "base/list.h"
#include "base/log.h"
#include "base/random.h"
#include "cell.h"
#include "faults.h"
#include "stats.h"

/* What all parts of e2b-local share: one struct, made by main.c, open to the files of this program only.
 *
 * Where it knowingly differs from the real E2B: everything in a sandbox runs as one Linux user without
 * capabilities
 * ("user" and "root" differ in HOME and the variables only); a run that follows an abandoned one waits for
 * its end, where the real server may swallow it; folders are not watched; files are not compressed; fork,
 * snapshots, network rules and template builds are not there; a paused sandbox stays in memory; languages are
 * Python, JavaScript, TypeScript as far as Node takes it, and bash. Without root there are no namespaces: see
 * cell.h. */

struct loop;
struct http_server;
struct http_exchange;
struct zygote;

struct template
{
    struct template *next;
    char *name;
    char id[21]; /* 20 of [a-z0-9], from the name */
    int cpu_percent;
    int memory_mb;
};

struct service {
    struct loop *loop;
    struct log log;
    struct log journal; /* --journal: what became of every create and every sandbox */
    struct random random;
    struct http_server *server;
    struct cells *cells;
    struct zygote *zygote;
    struct template *templates;
    const char *api_key; /* NULL: any key of the right form */
    const char *node;    /* the program for JavaScript contexts */
    int max_sandboxes;
    struct link sandboxes;  /* alive, in the order of creation */
    int sandbox_count;      /* on that list */
    int dying_count;        /* being removed */
    int child_count;        /* processes of ours that were not reaped yet */
    struct link remembered; /* idempotency keys, oldest first */
    int remembered_count;
    struct faults faults;
    struct stats stats;
};

enum { PORT_ENVD = 49983, PORT_INTERPRETER = 49999 };
#define ENVD_VERSION "0.6.13" /* the version whose recordings this program imitates */

/* Every request comes in here; it is told apart into control plane, sandbox and test switches. */
void router_handle(void *arg, struct http_exchange *exchange); /* arg: the service */

#endif
