#ifndef E2B_LOCAL_STREAM_H
#define E2B_LOCAL_STREAM_H
#include "faults.h"

/* A streamed answer that the fault "cut_stream" may break off. As an exchange, it is ended once. */

struct http_exchange;
struct service;

struct stream {
    struct http_exchange *exchange; /* NULL: ended, or not begun */
    int64_t budget;                 /* bytes until the cut; -1: no cut */
};

void stream_start(struct stream *stream, struct service *service, struct http_exchange *exchange,
                  enum stream_plane plane, unsigned status,
                  void (*on_room)(void *arg, struct http_exchange *exchange), void *arg);
/* Returns: false when the client is slow: wait for on_room. When the cut happened, the stream has ended. */
bool stream_write(struct stream *stream, struct bytes data);
void stream_end(struct stream *stream); /* nothing when ended */
void stream_cut(struct stream *stream); /* nothing when ended */
static inline bool stream_is_open(const struct stream *stream)
{
    return stream->exchange != NULL;
}

#endif
