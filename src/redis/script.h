#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H
#include "base/base.h"

/* The ledger's Lua scripts, embedded when the program is built (scripts.c is generated from lua/). */

enum script_name {
    SCRIPT_PULSE,
    SCRIPT_ASSERT,
    SCRIPT_ASSERTED,
    SCRIPT_LEAD,
    SCRIPT_READY,
    SCRIPT_ACQUIRE,
    SCRIPT_BIND,
    SCRIPT_SEAL,
    SCRIPT_YIELD,
    SCRIPT_MOVED,
    SCRIPT_RELEASE,
    SCRIPT_DONE,
    SCRIPT_CANCEL,
    SCRIPT_CONDEMN,
    SCRIPT_SLOWER,
    SCRIPT_CUT,
    SCRIPT_LIMIT_SET,
    SCRIPT_SNAPSHOT,
    SCRIPT_CENSUS,
    SCRIPT_LOOK,
    SCRIPT_LOCK,
    SCRIPT_CONDITION,
    SCRIPT_COUNT,
};

struct script {
    const char *name;
    const char *sha1; /* of the text, in hex: what EVALSHA calls it by */
    const char *text;
};

extern const struct script scripts[SCRIPT_COUNT];

#endif
