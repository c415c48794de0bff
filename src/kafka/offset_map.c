/* Finished offsets of one partition as sorted runs, and their text in the metadata of a committed offset.
 *
 * The text: "e1." (ours, version 1), then in base64url: a CRC-32, then varints: seen - base, and for each run
 * the hole before it and its length, both less one, since neither can be empty. The checksum covers the base
 * too, so that a map cannot be read back over another base. */
#include "kafka/offset_map.h"

#include "base/base64.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char MARK[] = "e1.";
enum { MARK_LENGTH = 3, CHECKSUM_BYTES = 4, VARINT_MAX_BYTES = 10 };

/* ---- life cycle ---- */

void offset_map_init(struct offset_map *map, int64_t base)
{
    assert(base >= 0);
    *map = (struct offset_map){.base = base, .seen = base};
}

void offset_map_release(struct offset_map *map)
{
    free(map->runs);
    *map = (struct offset_map){.base = map->base, .seen = map->base};
}

void offset_map_copy(const struct offset_map *map, struct offset_map *ret)
{
    *ret = *map;
    ret->runs = NULL;
    ret->capacity = map->count;
    if (map->count == 0)
        return;
    ret->runs = base_alloc(map->count * sizeof *map->runs);
    memcpy(ret->runs, map->runs, map->count * sizeof *map->runs);
}

/* ---- runs ---- */

/* Returns: the first run that ends at or above `offset`; count when there is none. */
static size_t find_run(const struct offset_map *map, int64_t offset)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->runs[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_runs(struct offset_map *map, size_t first, size_t end)
{
    memmove(map->runs + first, map->runs + end, (map->count - end) * sizeof *map->runs);
    map->count -= end - first;
}

static void insert_run(struct offset_map *map, size_t place, struct offset_run run)
{
    if (map->count == map->capacity) {
        map->capacity = MAX(map->capacity * 2, (size_t)8);
        map->runs = base_realloc(map->runs, map->capacity * sizeof *map->runs);
    }
    memmove(map->runs + place + 1, map->runs + place, (map->count - place) * sizeof *map->runs);
    map->runs[place] = run;
    map->count++;
}

static void advance_base(struct offset_map *map, int64_t base)
{
    size_t swallowed = 0;
    map->base = base;
    while (swallowed < map->count && map->runs[swallowed].first <= map->base) {
        map->base = MAX(map->base, map->runs[swallowed].end);
        swallowed++;
    }
    if (swallowed > 0)
        remove_runs(map, 0, swallowed);
}

void offset_map_finish(struct offset_map *map, int64_t first, int64_t end)
{
    assert(first <= end);
    if (first == end)
        return;
    map->seen = MAX(map->seen, end);
    if (end <= map->base)
        return;
    if (first <= map->base) {
        advance_base(map, end);
        return;
    }
    /* Every run that overlaps or touches the new one becomes part of it. */
    size_t place = find_run(map, first), after = place;
    struct offset_run run = {.first = first, .end = end};
    while (after < map->count && map->runs[after].first <= end) {
        run.first = MIN(run.first, map->runs[after].first);
        run.end = MAX(run.end, map->runs[after].end);
        after++;
    }
    if (after == place) {
        insert_run(map, place, run);
        return;
    }
    map->runs[place] = run;
    if (after > place + 1)
        remove_runs(map, place + 1, after);
}

void offset_map_see(struct offset_map *map, int64_t offset)
{
    map->seen = MAX(map->seen, offset + 1);
}

bool offset_map_is_finished(const struct offset_map *map, int64_t offset)
{
    if (offset < map->base)
        return true;
    size_t place = find_run(map, offset + 1);
    return place < map->count && map->runs[place].first <= offset;
}

int64_t offset_map_open_count(const struct offset_map *map, int64_t end)
{
    if (end <= map->base)
        return 0;
    int64_t open = end - map->base;
    for (size_t i = 0; i < map->count && map->runs[i].first < end; i++)
        open -= MIN(map->runs[i].end, end) - map->runs[i].first;
    return open;
}

/* ---- text ---- */

static uint32_t checksum(uint32_t crc, const unsigned char *data, size_t length)
{
    /* CRC-32 (IEEE 802.3) by half bytes: 16 numbers are enough for texts of this size. */
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static uint32_t checksum_over(int64_t base, const char *body, size_t length)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((uint64_t)base >> (8 * i));
    return checksum(checksum(0, bytes, sizeof bytes), (const unsigned char *)body, length);
}

static size_t varint_length(int64_t value)
{
    size_t length = 1;
    for (uint64_t rest = (uint64_t)value >> 7; rest; rest >>= 7)
        length++;
    return length;
}

static void append_varint(struct buffer *out, int64_t value)
{
    uint64_t rest = (uint64_t)value;
    while (rest >= 0x80) {
        buffer_append_byte(out, (char)(0x80 | (rest & 0x7f)));
        rest >>= 7;
    }
    buffer_append_byte(out, (char)rest);
}

size_t offset_map_text_length(const struct offset_map *map)
{
    size_t bytes = CHECKSUM_BYTES + varint_length(map->seen - map->base);
    int64_t end = map->base;
    for (size_t i = 0; i < map->count; i++) {
        bytes += varint_length(map->runs[i].first - end - 1);
        bytes += varint_length(map->runs[i].end - map->runs[i].first - 1);
        end = map->runs[i].end;
    }
    return MARK_LENGTH + (bytes * 4 + 2) / 3;
}

void offset_map_encode(const struct offset_map *map, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer body = {0};
    append_varint(&body, map->seen - map->base);
    int64_t end = map->base;
    for (size_t i = 0; i < map->count; i++) {
        append_varint(&body, map->runs[i].first - end - 1);
        append_varint(&body, map->runs[i].end - map->runs[i].first - 1);
        end = map->runs[i].end;
    }
    uint32_t crc = checksum_over(map->base, body.data, body.length);
    CLEANUP(buffer_release) struct buffer bytes = {0};
    for (int shift = 0; shift < 32; shift += 8)
        buffer_append_byte(&bytes, (char)(crc >> shift));
    buffer_append(&bytes, body.data, body.length);
    buffer_append_text(out, MARK);
    base64url_encode(buffer_bytes(&bytes), out);
}

/* ---- reading back ---- */

struct reader {
    const unsigned char *next, *end;
};

/* Returns: -1 when there is none, or one that encode would not have written. */
static int64_t read_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (int i = 0; i < VARINT_MAX_BYTES && reader->next < reader->end; i++) {
        uint64_t byte = *reader->next++;
        if (i == VARINT_MAX_BYTES - 1)
            return -1; /* ten bytes would be more than 63 bits */
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return byte == 0 && i > 0 ? -1 : (int64_t)value;
    }
    return -1;
}

static bool read_runs(struct reader *reader, int64_t high, struct offset_map *map, struct error *reterr)
{
    static const char beyond[] = "it speaks of offsets above the end of the partition, which is %lld";
    int64_t ahead = read_varint(reader), end = map->base;
    if (ahead < 0)
        return error_set(reterr, ERROR_REJECTED, "kafka", 0, "it is cut off");
    if (ahead > high - map->base)
        return error_set(reterr, ERROR_REJECTED, "kafka", OFFSET_MAP_BEYOND, beyond, (long long)high);
    int64_t seen = map->base + ahead;
    while (reader->next < reader->end) {
        int64_t hole = read_varint(reader), length = read_varint(reader);
        if (hole < 0 || length < 0)
            return error_set(reterr, ERROR_REJECTED, "kafka", 0, "it is cut off");
        /* In this order nothing overflows: each side is below the room that is left. */
        if (hole >= seen - end || length >= seen - end - hole - 1)
            return error_set(reterr, ERROR_REJECTED, "kafka", 0, "a run lies above what was ever pulled");
        struct offset_run run = {.first = end + hole + 1};
        run.end = run.first + length + 1;
        insert_run(map, map->count, run);
        end = run.end;
    }
    map->seen = seen;
    return true;
}

static bool is_checksum_right(uint32_t crc, int64_t base, const struct buffer *bytes)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)crc;
    (void)base;
    (void)bytes;
    return true;
#else
    return crc == checksum_over(base, bytes->data + CHECKSUM_BYTES, bytes->length - CHECKSUM_BYTES);
#endif
}

static bool open_text(struct bytes text, int64_t base, struct buffer *ret, struct error *reterr)
{
    if (text.length < MARK_LENGTH || memcmp(text.data, MARK, MARK_LENGTH) != 0)
        return error_set(reterr, ERROR_REJECTED, "kafka", 0, "it is not ours or of another version");
    struct bytes body = {(const char *)text.data + MARK_LENGTH, text.length - MARK_LENGTH};
    if (text.length > OFFSET_MAP_TEXT_MAX || !base64url_decode(body, ret) || ret->length <= CHECKSUM_BYTES)
        return error_set(reterr, ERROR_REJECTED, "kafka", 0, "it is cut off or not base64url");
    uint32_t crc = 0;
    for (size_t i = 0; i < CHECKSUM_BYTES; i++)
        crc |= (uint32_t)(unsigned char)ret->data[i] << (8 * i);
    if (!is_checksum_right(crc, base, ret))
        return error_set(reterr, ERROR_REJECTED, "kafka", 0, "its checksum is wrong for this offset");
    return true;
}

bool offset_map_decode(struct bytes text, int64_t base, int64_t high, struct offset_map *ret,
                       struct error *reterr)
{
    CLEANUP(buffer_release) struct buffer bytes = {0};
    offset_map_init(ret, base);
    if (!open_text(text, base, &bytes, reterr))
        return false;
    struct reader reader = {.next = (const unsigned char *)bytes.data + CHECKSUM_BYTES,
                            .end = (const unsigned char *)bytes.data + bytes.length};
    if (read_runs(&reader, high, ret, reterr))
        return true;
    offset_map_release(ret);
    return false;
}
