#ifndef KAFKA_CLIENT_H
#define KAFKA_CLIENT_H
#include "base/error.h"
#include "base/log.h"
#include "loop/loop.h"

/* What source and sink have in common: how to reach a cluster, and what a record looks like. */

struct kafka_property {
    const char *name, *value; /* any librdkafka property */
};

struct kafka_cluster {
    const char *bootstrap_servers;
    const struct kafka_property
        *properties; /* applied over our defaults; ours that safety depends on are refused */
    size_t property_count;
};

struct kafka_header {
    const char *name;
    struct bytes value;
};

/* How usable the cluster is for this client; `why` is a sentence for /readyz and the log, "" when fine. */
typedef void (*kafka_state_fn)(void *arg, bool is_usable, const char *why);

/* Returns: "2.0.2", librdkafka's version at run time. */
const char *kafka_library_version(void);
/* Whether it can rebalance cooperatively: before this version a commit that meets such a rebalance loses the
 * whole assignment. */
#define KAFKA_COOPERATIVE_SINCE "2.10"
bool kafka_library_is_cooperative(void);

#endif
