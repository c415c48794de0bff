/* Metadata of a committed offset is anybody's text: whatever it is, decoding ends, and what it accepts is
 * sound and is written again as the same text. */
#include "kafka/offset_map.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct offset_map *map, struct bytes text, int64_t high)
{
    CLEANUP(buffer_release) struct buffer again = {0};
    int64_t end = map->base;
    for (size_t i = 0; i < map->count; i++) {
        if (map->runs[i].first <= end || map->runs[i].end <= map->runs[i].first)
            abort();
        end = map->runs[i].end;
    }
    if (map->seen < end || map->seen > high)
        abort();
    offset_map_encode(map, &again);
    if (again.length != offset_map_text_length(map) || again.length != text.length)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t bases[] = {0, 1000, INT64_MAX / 2};
    /* As it comes (this build does not look at the checksum, which chance would never find); and as a recipe
     * for a map. */
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        struct bytes text = {data, size};
        struct offset_map map;
        if (offset_map_decode(text, bases[i], INT64_MAX, &map, NULL))
            check(&map, text, INT64_MAX);
        offset_map_release(&map);
    }
    struct offset_map map;
    offset_map_init(&map, 1000);
    for (size_t i = 0; i + 2 < size && i < 3000; i += 3) {
        int64_t first = 1000 + data[i] * 256 + data[i + 1];
        offset_map_finish(&map, first, first + data[i + 2]);
    }
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_encode(&map, &text);
    struct offset_map back;
    if (text.length <= OFFSET_MAP_TEXT_MAX) {
        if (!offset_map_decode(buffer_bytes(&text), map.base, map.seen, &back, NULL))
            abort();
        check(&back, buffer_bytes(&text), map.seen);
        offset_map_release(&back);
    }
    offset_map_release(&map);
    return 0;
}
