/* getaddrinfo as a thread job. */
#include "redis/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct resolve {
    struct loop *loop;
    char *host;
    unsigned turn;
    resolve_fn fn; /* NULL: cancelled */
    void *arg;
    struct task task;
    char address[NI_MAXHOST];
    char why[160];
};

static void destroy(struct resolve *resolve)
{
    free(resolve->host);
    free(resolve);
}

/* On a pool thread. */
static void look_up(void *arg)
{
    struct resolve *resolve = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int status = getaddrinfo(resolve->host, NULL, &hints, &list);
    if (status != 0) {
        snprintf(resolve->why, sizeof resolve->why, "cannot resolve Redis's host name: %s",
                 gai_strerror(status));
        return;
    }
    unsigned count = 0;
    for (struct addrinfo *each = list; each; each = each->ai_next)
        count++;
    struct addrinfo *chosen = list;
    for (unsigned i = count > 0 ? resolve->turn % count : 0; chosen && i > 0; i--)
        chosen = chosen->ai_next;
    if (!chosen || getnameinfo(chosen->ai_addr, chosen->ai_addrlen, resolve->address, sizeof resolve->address,
                               NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(resolve->why, sizeof resolve->why, "cannot read the address of Redis's host");
    freeaddrinfo(list);
}

static void on_looked_up(void *arg)
{
    struct resolve *resolve = arg;
    if (resolve->fn)
        resolve->fn(resolve->arg, resolve->why[0] == '\0' ? resolve->address : NULL, resolve->why);
    destroy(resolve);
}

struct resolve *resolve_new(struct loop *loop, const char *host, unsigned turn, resolve_fn fn, void *arg)
{
    struct resolve *resolve = base_alloc(sizeof *resolve);
    *resolve = (struct resolve){.loop = loop, .host = base_strdup(host), .turn = turn, .fn = fn, .arg = arg};
    unsigned char binary[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1) {
        base_copy_text(resolve->address, sizeof resolve->address, host);
        loop_defer(loop, &resolve->task, on_looked_up, resolve);
    } else {
        loop_work(loop, look_up, on_looked_up, resolve);
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve)
        return;
    resolve->fn = NULL; /* a thread may be at work in it: it ends by itself */
}
