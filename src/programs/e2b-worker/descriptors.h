#ifndef E2B_WORKER_DESCRIPTORS_H
#define E2B_WORKER_DESCRIPTORS_H
#include "config/config.h"

#include <sys/resource.h>

/* What a worker needs open files for. A job has one connection to its sandbox at a time: of its own to the
 * interpreter, and to envd where HTTP/2 is not spoken (a second one while its process is stopped). What it
 * used before may be kept for the next job. */

struct descriptors {
    size_t max_active;    /* as worker_options have them; 0: the usual */
    int idle_connections; /* likewise */
};

enum { DESCRIPTORS_BESIDE = 200 }; /* of Kafka, Redis, the control plane and logs */

/* The least: a connection for every job, and a quarter more. */
static inline rlim_t descriptors_needed(const struct config *config)
{
    rlim_t jobs = (rlim_t)config->max_in_flight;
    return jobs + jobs / 4 + DESCRIPTORS_BESIDE;
}

/* With twice as many everything has its room. With less, a quarter of what there is beyond a connection for
 * every job is for runs that dead workers left, the rest for connections that wait for their next request. */
static inline struct descriptors descriptors_share(const struct config *config, rlim_t allowed)
{
    rlim_t jobs = (rlim_t)config->max_in_flight;
    if (allowed >= 2 * jobs + DESCRIPTORS_BESIDE || allowed < jobs + DESCRIPTORS_BESIDE)
        return (struct descriptors){0};
    rlim_t spare = allowed - DESCRIPTORS_BESIDE - jobs;
    return (struct descriptors){.max_active = (size_t)(jobs + spare / 4),
                                .idle_connections = (int)(spare - spare / 4)};
}

#endif
