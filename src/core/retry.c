/* Waits between tries. */
#include "core/retry.h"

#include <assert.h>

int64_t retry_delay_ms(struct random *random, int64_t attempt, int64_t first_ms, int64_t most_ms,
                       int64_t asked_ms)
{
    assert(attempt >= 1 && first_ms >= 0 && most_ms >= 0);
    int64_t delay_ms = MIN(first_ms, most_ms);
    for (int64_t i = 1; i < attempt && delay_ms > 0 && delay_ms < most_ms; i++)
        delay_ms = delay_ms > most_ms / 2 ? most_ms : delay_ms * 2;
    int64_t jittered_ms = random_jitter_ms(random, MAX(delay_ms, asked_ms));
    /* What falls short of the request is mirrored, not cut: many who were asked the same must not return at
     * the same moment. */
    return jittered_ms < asked_ms ? asked_ms + (asked_ms - jittered_ms) : jittered_ms;
}

const struct retry_tier retry_tiers[RETRY_TIER_COUNT] = {{"1m", 60000}, {"10m", 600000}, {"1h", 3600000}};

const struct retry_tier *retry_tier_of(int64_t delay_ms)
{
    size_t i = RETRY_TIER_COUNT - 1;
    while (i > 0 && retry_tiers[i].ms > delay_ms)
        i--;
    return &retry_tiers[i];
}
