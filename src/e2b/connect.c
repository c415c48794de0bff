/* Connect's frames. */
#include "e2b/connect.h"

#include <assert.h>
#include <string.h>

enum { HEAD = 5 };

void connect_release(struct connect_frames *frames)
{
    buffer_release(&frames->rest);
    frames->chunk = (struct bytes){0};
}

void connect_feed(struct connect_frames *frames, struct bytes chunk)
{
    assert(frames->chunk.length == 0);
    frames->chunk = chunk;
}

static size_t length_in(const void *head)
{
    const unsigned char *bytes = head;
    return (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
}

static void drop_front(struct bytes *bytes, size_t length)
{
    bytes->data = (const char *)bytes->data + length;
    bytes->length -= length;
}

/* Moves bytes over until `rest` has `wanted`. Returns: whether it has. */
static bool gather(struct connect_frames *frames, size_t wanted)
{
    if (frames->rest.length < wanted) {
        size_t take = MIN(wanted - frames->rest.length, frames->chunk.length);
        buffer_append(&frames->rest, frames->chunk.data, take);
        drop_front(&frames->chunk, take);
    }
    return frames->rest.length >= wanted;
}

static void tell(const void *head, struct connect_frame *ret_frame)
{
    *ret_frame = (struct connect_frame){
        .flags = *(const unsigned char *)head,
        .payload = {.data = (const char *)head + HEAD, .length = length_in(head)},
    };
}

enum decoded connect_next(struct connect_frames *frames, struct connect_frame *ret_frame)
{
    if (frames->is_rest_told)
        buffer_release(&frames->rest); /* streams are mostly silent: keep nothing */
    frames->is_rest_told = false;
    if (frames->rest.length == 0 && frames->chunk.length >= HEAD) {
        size_t length = length_in(frames->chunk.data);
        if (length > frames->max_frame_bytes)
            return DECODED_TOO_LARGE;
        if (frames->chunk.length - HEAD >= length) {
            tell(frames->chunk.data, ret_frame);
            drop_front(&frames->chunk, HEAD + length);
            return DECODED_ONE;
        }
    }
    if (frames->chunk.length == 0 || !gather(frames, HEAD))
        return DECODED_NONE;
    size_t length = length_in(frames->rest.data);
    if (length > frames->max_frame_bytes)
        return DECODED_TOO_LARGE;
    if (!gather(frames, HEAD + length))
        return DECODED_NONE;
    tell(frames->rest.data, ret_frame);
    frames->is_rest_told = true;
    return DECODED_ONE;
}

void connect_begin(struct buffer *out)
{
    assert(out->length == 0);
    buffer_append(out, "\0\0\0\0\0", HEAD);
}

void connect_finish(struct buffer *out, size_t elsewhere)
{
    size_t length = out->length - HEAD + elsewhere;
    assert(out->length >= HEAD && length <= UINT32_MAX);
    for (int i = 0; i < 4; i++)
        out->data[1 + i] = (char)(length >> (24 - 8 * i) & 0xff);
}
