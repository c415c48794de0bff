/* Streams that can be told to break. */
#include "stream.h"

#include "http/server.h"

void stream_start(struct stream *stream, struct service *service, struct http_exchange *exchange,
                  enum stream_plane plane, unsigned status,
                  void (*on_room)(void *arg, struct http_exchange *exchange), void *arg)
{
    *stream = (struct stream){.exchange = exchange, .budget = faults_stream_budget(service, plane)};
    http_exchange_start(exchange, status, on_room, arg);
}

bool stream_write(struct stream *stream, struct bytes data)
{
    if (!stream->exchange)
        return true;
    if (stream->budget < 0)
        return http_exchange_write(stream->exchange, data);
    size_t allowed = MIN((size_t)stream->budget, data.length);
    (void)http_exchange_write(stream->exchange, (struct bytes){data.data, allowed});
    stream->budget -= (int64_t)allowed;
    if (stream->budget == 0)
        stream_cut(stream);
    return true;
}

void stream_end(struct stream *stream)
{
    if (stream->exchange)
        http_exchange_end(TAKE(stream->exchange));
}

void stream_cut(struct stream *stream)
{
    if (stream->exchange)
        http_exchange_cut(TAKE(stream->exchange));
}
