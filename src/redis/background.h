#ifndef REDIS_BACKGROUND_H
#define REDIS_BACKGROUND_H
#include "base/log.h"
#include "redis/connection.h"

/* Commands that nobody waits for, kept and sent again, in their order, until Redis has answered each. Their
 * scripts may run twice without harm. */

struct background;

enum {
    BACKGROUND_LIMIT = 65536
}; /* operations kept; beyond it new ones are lost, with an error in the log */

struct background *background_new(struct connection *connection, const struct log *log,
                                  void (*on_empty)(void *arg), void *arg) MUST_USE;
void background_free(struct background *background); /* after the connection has failed all that was sent */

/* Owns: takes command.data. `what` is for the log; a literal. operations: in this command. */
void background_add(struct background *background, const char *what, struct bytes command, size_t operations);
/* Sends what was not answered; to be called when the connection serves again. Before the first call, and
 * after a break, commands wait. */
void background_open(struct background *background);
void background_shut(struct background *background);

size_t background_count(const struct background *background); /* operations */

#endif
