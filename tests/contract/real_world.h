#ifndef TESTS_CONTRACT_REAL_WORLD_H
#define TESTS_CONTRACT_REAL_WORLD_H
#include "contract/redis_server.h"
#include "contract/world.h"

/* For tests that know that they stand on a real Redis. */

struct redis_server *world_server(struct world *world);

#define WORLD_PREFIX "{e2b:default}:"

#endif
