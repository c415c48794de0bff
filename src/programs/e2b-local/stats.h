#ifndef E2B_LOCAL_STATS_H
#define E2B_LOCAL_STATS_H
#include "base/base.h"

/* What happened since the start or the last reset: GET /__stats, POST /__stats/reset. Tests judge a worker by
 * these. */

struct http_exchange;
struct service;

struct stats {
    int64_t create_requests, created, killed, expired, lost, max_live;
    int64_t kill_requests, executions, processes, files_written, files_read, refused;
};

void stats_handle(struct service *service, struct http_exchange *exchange);

#endif
