/* Cost in nano-USD, in 128 bits so that no rounding happens before the last step. */
#include "core/cost.h"

enum { MILLI_PER_CORE = 1000, MB_PER_GIB = 1024, MS_PER_S = 1000 };

__extension__ typedef unsigned __int128 wide;

static wide positive(int64_t value)
{
    return value > 0 ? (wide)value : 0;
}

/* Saturates: a price that overflows is a mistake in the configuration, and no cheap one. */
static wide times(wide a, wide b)
{
    wide product;
    return __builtin_mul_overflow(a, b, &product) ? (wide)-1 : product;
}

static wide plus(wide a, wide b)
{
    wide sum;
    return __builtin_add_overflow(a, b, &sum) ? (wide)-1 : sum;
}

int64_t cost_nano_usd(const struct template_entry *entry, int64_t ms)
{
    const wide divisor = (wide)MILLI_PER_CORE * MB_PER_GIB * MS_PER_S;
    wide cores = times(times(positive(entry->cpu_milli), positive(entry->nano_usd_per_vcpu_s)), MB_PER_GIB);
    wide memory =
        times(times(positive(entry->memory_mb), positive(entry->nano_usd_per_gib_s)), MILLI_PER_CORE);
    wide total = times(plus(cores, memory), positive(ms));
    wide cost = total / divisor + (total % divisor > 0 ? 1 : 0);
    return cost > INT64_MAX ? INT64_MAX : (int64_t)cost;
}
