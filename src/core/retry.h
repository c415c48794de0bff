#ifndef CORE_RETRY_H
#define CORE_RETRY_H
#include "base/random.h"

/* How long to wait before the same is tried again, and where: in memory for seconds, in a tier of the retry
 * topics for longer. */

/* Doubling from `first_ms` to `most_ms`, with jitter, and never less than the other side asked for. attempt
 * counts from 1. */
int64_t retry_delay_ms(struct random *random, int64_t attempt, int64_t first_ms, int64_t most_ms,
                       int64_t asked_ms);

/* One retry topic each: "<topics.retry><name>". Every record of a tier waits for as long, so that the first
 * one that is written is the first one due; what has to wait longer goes through as many as it takes. */
struct retry_tier {
    const char *name;
    int64_t ms;
};
enum { RETRY_TIER_COUNT = 3 };
extern const struct retry_tier retry_tiers[RETRY_TIER_COUNT]; /* shortest first */

/* Returns: the longest that is not longer than the delay, else the shortest. */
const struct retry_tier *retry_tier_of(int64_t delay_ms);

#endif
