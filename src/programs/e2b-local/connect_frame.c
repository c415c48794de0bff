/* Connect's envelope. */
#include "connect_frame.h"

enum { HEAD_BYTES = 5 };

void connect_frame_append(struct buffer *out, unsigned flags, struct bytes message)
{
    const char head[HEAD_BYTES] = {(char)flags, (char)(message.length >> 24), (char)(message.length >> 16),
                                   (char)(message.length >> 8), (char)message.length};
    buffer_append(out, head, sizeof head);
    buffer_append(out, message.data, message.length);
}

bool connect_frame_parse(struct bytes *rest, struct connect_frame *ret, struct error *reterr)
{
    const unsigned char *bytes = rest->data;
    if (rest->length < HEAD_BYTES)
        return error_set(reterr, ERROR_REJECTED, "connect", 0,
                         "protocol error: incomplete envelope: unexpected EOF");
    size_t length = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
    size_t there = rest->length - HEAD_BYTES;
    if (there < length)
        return error_set(reterr, ERROR_REJECTED, "connect", 0,
                         "protocol error: promised %zu bytes in enveloped message, got %zu bytes", length,
                         there);
    if (bytes[0] & CONNECT_COMPRESSED)
        return error_set(reterr, ERROR_REJECTED, "connect", 0,
                         "protocol error: sent compressed message without compression support");
    *ret = (struct connect_frame){.flags = bytes[0], .message = {bytes + HEAD_BYTES, length}};
    rest->data = bytes + HEAD_BYTES + length;
    rest->length = there - length;
    return true;
}
