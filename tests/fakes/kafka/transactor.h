#ifndef TESTS_FAKES_KAFKA_TRANSACTOR_H
#define TESTS_FAKES_KAFKA_TRANSACTOR_H
#include "fakes/kafka/world.h"
#include "kafka/transactor.h"

/* The transactor of the world in memory. What is gathered is committed after the interval while the world is
 * up and the source is a member that was not expelled. */

/* Called after each transaction, when all of it was answered. */
void kafka_world_on_committed(struct kafka_transactor *transactor, void (*committed)(void *arg), void *arg);

#endif
