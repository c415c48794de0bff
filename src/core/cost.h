#ifndef CORE_COST_H
#define CORE_COST_H
#include "core/catalog.h"

/* What a sandbox costs, in integer nano-USD: (cores x price + GiB x price) x seconds, allocated, not used;
 * from the configured prices. Rounded up to the next nano-USD. */
int64_t cost_nano_usd(const struct template_entry *entry, int64_t ms);

#endif
