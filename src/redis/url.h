#ifndef REDIS_URL_H
#define REDIS_URL_H
#include "base/error.h"

/* Where Redis is and how to get in: redis://[user:password@]host[:port][/db] or unix:path. A plain value;
 * texts are owned, "" when absent. User and password may be percent-encoded. */

struct url {
    char *path;            /* of a unix socket; "" for tcp */
    char *host;            /* name, IPv4 or IPv6 without brackets */
    int port;              /* 6379 by default */
    char *user, *password; /* password "": no AUTH; user "": the default user */
    int database;          /* 0 by default */
};

/* Returns: false for a text that is no such URL, or one that this build cannot serve (rediss:// without TLS
 * in hiredis). reterr never shows the text: it may hold a password. Owns: url_release frees what was
 * parsed. */
bool url_parse(const char *text, struct url *ret, struct error *reterr) MUST_USE;
void url_release(struct url *url);

#endif
