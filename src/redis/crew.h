#ifndef REDIS_CREW_H
#define REDIS_CREW_H
#include "redis/command.h"
#include "redis/replies.h"

/* The workers of a ledger, as this one was last told them when the ledger was ready: of those that are gone,
 * when the last create that they may have sent is over. An emptied Redis is told by them who was there. Zero
 * is empty: no ledger was ever ready in our time. */

struct crew {
    char *version; /* NULL: none */
    struct crew_member *members;
    size_t count;
};

void crew_release(struct crew *crew);

const char *crew_version(const struct crew *crew); /* "": none */
/* Takes the list of a pulse's answer, if there is a new one. */
void crew_take(struct crew *crew, const struct pulse_answer *answer, int64_t boot_ms);
/* Adds [worker, ms left | -1]... to a command; those whose time is over are left out. */
void crew_write(const struct crew *crew, int64_t boot_ms, struct command *command);

#endif
