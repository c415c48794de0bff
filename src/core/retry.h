#ifndef CORE_RETRY_H
#define CORE_RETRY_H
#include "base/random.h"

/* How long to wait before the same is tried again: doubling from `first_ms` to `most_ms`, with jitter, and
 * never less than the other side asked for. attempt counts from 1. */
int64_t retry_delay_ms(struct random *random, int64_t attempt, int64_t first_ms, int64_t most_ms,
                       int64_t asked_ms);

#endif
