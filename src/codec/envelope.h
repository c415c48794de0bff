#ifndef CODEC_ENVELOPE_H
#define CODEC_ENVELOPE_H
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

/* CloudEvents 1.0 over Kafka: binary mode is written (ce_* headers, content-type, traceparent); binary,
 * structured and bare JSON are read. An envelope and its data, nothing of jobs. */

struct header {
    const char *name;
    struct bytes value;
};

struct envelope {
    const char *id, *source, *type, *subject, *trace_parent, *trace_state; /* NULL where absent */
    int64_t time_unix_ms;                                                  /* -1: absent or unreadable */
    struct bytes data; /* the JSON inside; borrowed from the record or from the arena */
};

/* Reads a record of any of the three modes. Unreadable ce_* headers of a bare record are no error; a
 * structured record that is no JSON object is one. Returns: false with reterr REJECTED. */
bool envelope_read(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                   struct envelope *ret, struct error *reterr) MUST_USE;

/* The headers of an event to be written. All texts borrowed; what is NULL is left out. */
enum { ENVELOPE_HEADERS_MAX = 12 };
struct envelope_headers {
    struct header items[ENVELOPE_HEADERS_MAX];
    size_t count;
    char time[32];
};
void envelope_write(const struct envelope *envelope, struct envelope_headers *ret);

/* Headers and value as one text-safe blob and back: what is sealed in the ledger is published by others as it
 * is. Unpacked, the headers lie in the arena and the value is borrowed from the blob. */
void record_pack(const struct header *headers, size_t count, struct bytes value, struct buffer *out);
bool record_unpack(struct bytes blob, struct header *headers, size_t max_headers, struct arena *arena,
                   size_t *ret_count, struct bytes *ret_value, struct error *reterr) MUST_USE;

#endif
