#ifndef REDIS_INSPECT_H
#define REDIS_INSPECT_H
#include "base/error.h"

/* A Redis as an operator sees it. This call blocks: for command-line programs only. */

struct redis_facts {
    char version[32], mode[16];    /* "7.0.15"; "standalone", "cluster", "sentinel" */
    char role[16];                 /* "master", "slave" */
    char memory_policy[32];        /* maxmemory-policy */
    int64_t used_bytes, max_bytes; /* max 0: no bound */
    int64_t replicas;              /* connected to it */
    bool has_append_file;          /* it survives a restart with what it acknowledged (fsync aside) */
    int64_t last_save_age_ms;      /* of the newest snapshot; -1: not said */
    int64_t clock_ahead_ms;        /* its clock before ours; within half a round trip */
    int64_t round_trip_ms;
};

/* Connects, logs in, asks, leaves. Returns: false when it cannot be reached or refuses us; reterr never shows
 * a password. */
bool redis_inspect(const char *url, int64_t timeout_ms, struct redis_facts *ret,
                   struct error *reterr) MUST_USE;

#endif
