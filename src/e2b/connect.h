#ifndef E2B_CONNECT_H
#define E2B_CONNECT_H
#include "base/buffer.h"
#include "e2b/decoded.h"

/* Connect's framing: a byte of flags, four of length, that many of JSON. Frames out of bytes that come in any
 * chunks; zero and a bound is a fresh decoder. Private to libe2b. */

enum { CONNECT_END = 2, CONNECT_COMPRESSED = 1 };

struct connect_frames {
    size_t max_frame_bytes;
    struct bytes chunk; /* what is left of it; borrowed from the feeder */
    struct buffer rest; /* the beginning of a frame whose end has not come */
    bool is_rest_told;  /* `rest` was the frame told last */
};

struct connect_frame {
    unsigned flags;
    struct bytes payload;
};

void connect_release(struct connect_frames *frames);
/* The next chunk; borrowed until connect_next has said DECODED_NONE. */
void connect_feed(struct connect_frames *frames, struct bytes chunk);
/* The next frame, borrowed until the next call. */
enum decoded connect_next(struct connect_frames *frames, struct connect_frame *ret_frame) MUST_USE;

/* Writes a frame's head in front of its payload: reserved first, filled in when `out` holds the payload, but
 * for `elsewhere` bytes of it. */
void connect_begin(struct buffer *out);
void connect_finish(struct buffer *out, size_t elsewhere);

#endif
