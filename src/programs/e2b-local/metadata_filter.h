#ifndef E2B_LOCAL_METADATA_FILTER_H
#define E2B_LOCAL_METADATA_FILTER_H
#include "base/base.h"

#include <jansson.h>

/* The `metadata` argument of the lists: "k=v&k2=v2", each key and value percent-encoded (the whole was
 * encoded once more as a query argument, which HTTP has taken off already). */

/* Returns: whether every pair of the filter stands in `metadata` (string -> string). An empty filter matches
 * all. */
bool metadata_filter_matches(const char *filter, const json_t *metadata) MUST_USE;

#endif
