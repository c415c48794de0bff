#ifndef E2B_NDJSON_H
#define E2B_NDJSON_H
#include "base/buffer.h"
#include "e2b/decoded.h"

/* Lines out of bytes that come in any chunks. A line that came whole is borrowed from the chunk; only one
 * that was cut is put together here. Zero and a bound is a fresh decoder. Private to libe2b. */

struct ndjson {
    size_t max_line_bytes;
    struct bytes chunk; /* what is left of it; borrowed from the feeder */
    struct buffer rest; /* the beginning of a line whose end has not come */
    bool is_rest_told;  /* `rest` was the line told last */
};

void ndjson_release(struct ndjson *lines);
/* The next chunk; borrowed until ndjson_next has said DECODED_NONE. */
void ndjson_feed(struct ndjson *lines, struct bytes chunk);
/* The next line without its end; empty ones are skipped. Borrowed until the next call. */
enum decoded ndjson_next(struct ndjson *lines, struct bytes *ret_line) MUST_USE;

#endif
