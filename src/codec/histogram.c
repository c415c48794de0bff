/* Log-bucket histograms of durations: four buckets per doubling, so that a quantile is at most 19 % too
 * high. */
#include "codec/event.h"

#include <math.h>

static const int64_t LARGEST_MS = 1LL << 30; /* its fourth power still fits into 128 bits */

/* floor(4 * log2(ms)) is floor(log2(ms^4)): exact, without floating point. */
static size_t bucket_of(int64_t ms)
{
    unsigned __int128 square = (unsigned __int128)ms * (unsigned __int128)ms, fourth = square * square;
    uint64_t high = (uint64_t)(fourth >> 64), low = (uint64_t)fourth;
    int bits = high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(low);
    return MIN((size_t)bits, (size_t)HISTOGRAM_BUCKETS - 1);
}

void histogram_add(struct histogram *histogram, int64_t ms)
{
    int64_t clamped = MIN(MAX(ms, 0), LARGEST_MS);
    histogram->counts[clamped < 1 ? 0 : bucket_of(clamped)]++;
    histogram->count++;
    histogram->sum_ms += (uint64_t)clamped;
    histogram->max_ms = MAX(histogram->max_ms, (uint64_t)clamped);
}

int64_t histogram_quantile(const struct histogram *histogram, double q)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)histogram->count), seen = 0;
    rank = MAX(rank, 1);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen < rank)
            continue;
        bool is_open = i + 1 == HISTOGRAM_BUCKETS; /* the last one has no upper bound but the largest value */
        int64_t upper = (int64_t)ceil(exp2((double)(i + 1) / 4));
        return is_open ? (int64_t)histogram->max_ms : MIN(upper, (int64_t)MAX(histogram->max_ms, 1));
    }
    return (int64_t)histogram->max_ms;
}

uint64_t histogram_count_up_to(const struct histogram *histogram, int64_t ms)
{
    if (ms < 1)
        return 0;
    uint64_t seen = 0;
    size_t bucket =
        bucket_of(MIN(ms, LARGEST_MS)); /* holds values above ms, too: what lies below it is sure */
    for (size_t i = 0; i < bucket; i++)
        seen += histogram->counts[i];
    return seen;
}
