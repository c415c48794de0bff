#ifndef KAFKA_OFFSET_MAP_H
#define KAFKA_OFFSET_MAP_H
#include "base/buffer.h"
#include "base/error.h"

/* Which records of one partition are finished: everything below the base, and runs of offsets above it. Pure;
 * it knows neither Kafka nor time. Runs are few (one for each straggler), so they are a sorted array.
 *
 * As text it travels in the metadata of the committed offset: version, checksum, `seen` and the runs,
 * base64url, at most OFFSET_MAP_TEXT_MAX characters, since a broker refuses more than 4,096 and librdkafka
 * cuts at a NUL. */

enum { OFFSET_MAP_TEXT_MAX = 4000 };
/* error.code of a text that is whole but speaks of offsets that the partition does not have: another
 * incarnation of the topic wrote it, so the base is as wrong as the map. */
enum { OFFSET_MAP_BEYOND = 1 };

struct offset_run {
    int64_t first, end; /* [first, end) is finished */
};

struct offset_map {
    int64_t base;
    int64_t seen;            /* one above the highest offset ever pulled; >= base */
    struct offset_run *runs; /* sorted, disjoint, not touching, all above base */
    size_t count, capacity;
};

/* Life cycle. */
void offset_map_init(struct offset_map *map, int64_t base);
void offset_map_release(struct offset_map *map);
void offset_map_copy(const struct offset_map *map, struct offset_map *ret); /* as init: to be released */

/* Use. */
void offset_map_finish(struct offset_map *map, int64_t first,
                       int64_t end);                         /* [first, end); below base: nothing */
void offset_map_see(struct offset_map *map, int64_t offset); /* pulled */
bool offset_map_is_finished(const struct offset_map *map, int64_t offset);
/* Returns: how many offsets in [base, end) are not finished. */
int64_t offset_map_open_count(const struct offset_map *map, int64_t end);

/* Text. */
/* Returns: characters that the text needs; above OFFSET_MAP_TEXT_MAX it cannot be committed and pulling must
 * rest. */
size_t offset_map_text_length(const struct offset_map *map);
void offset_map_encode(const struct offset_map *map, struct buffer *out); /* appends */
/* Reads what encode wrote for the same base. Checks version, checksum, order, and that nothing lies above
 * `high`, the partition's end. Returns: false, *ret an initialised map that holds the base alone, when the
 * text is foreign. */
bool offset_map_decode(struct bytes text, int64_t base, int64_t high, struct offset_map *ret,
                       struct error *reterr) MUST_USE;

#endif
