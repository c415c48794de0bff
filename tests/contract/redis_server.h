#ifndef TESTS_CONTRACT_REDIS_SERVER_H
#define TESTS_CONTRACT_REDIS_SERVER_H
#include "base/base.h"

#include <hiredis/hiredis.h>

/* A redis-server of the test's own, on a unix socket in a new folder, and a blocking connection to it. */

struct redis_server;

struct redis_server *redis_server_new(void) MUST_USE;
void redis_server_free(struct redis_server *server);
const char *redis_server_url(const struct redis_server *server);

/* One command; fails the test on an error. Owns: the caller frees with freeReplyObject. */
redisReply *redis_server_ask(struct redis_server *server, const char *format, ...) MUST_USE;
void redis_server_tell(struct redis_server *server, const char *format, ...); /* the answer does not matter */
int64_t redis_server_ask_int(struct redis_server *server, const char *format, ...);

void redis_server_save(struct redis_server *server);  /* a snapshot, on disk */
void redis_server_stop(struct redis_server *server);  /* SIGKILL */
void redis_server_start(struct redis_server *server); /* again, with the snapshot; empty, if there is none */
void redis_server_freeze(struct redis_server *server);
void redis_server_thaw(struct redis_server *server);

#endif
