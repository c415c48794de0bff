#ifndef E2B_LOCAL_CONNECT_FRAME_H
#define E2B_LOCAL_CONNECT_FRAME_H
#include "base/base.h"
#include "base/buffer.h"
#include "base/error.h"

/* The envelope of the Connect protocol's streams: one byte of flags, four of length (big-endian), the
 * message. */

enum connect_flag { CONNECT_COMPRESSED = 1, CONNECT_END = 2 };

struct connect_frame {
    unsigned flags;
    struct bytes message; /* borrowed from what was parsed */
};

void connect_frame_append(struct buffer *out, unsigned flags, struct bytes message);

/* Takes one frame off the front of *rest.
 * Returns: false with *reterr when the bytes are no whole frame; the text is envd's own. */
bool connect_frame_parse(struct bytes *rest, struct connect_frame *ret, struct error *reterr) MUST_USE;

#endif
