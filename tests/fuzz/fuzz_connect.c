/* A process's stream. The first byte says in which chunks the rest comes. */
#include "e2b/connect.h"
#include "e2b/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connect_frames frames = {.max_frame_bytes = 4096};
    struct connect_frame frame;
    struct event event;
    enum decoded decoded = DECODED_NONE;
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
    for (size_t at = 1; at < size && decoded != DECODED_TOO_LARGE; at += step) {
        connect_feed(&frames, (struct bytes){.data = data + at, .length = MIN(step, size - at)});
        while ((decoded = connect_next(&frames, &frame)) == DECODED_ONE)
            if (frame.flags & CONNECT_END ? event_of_stream_end(frame.payload, &event)
                                          : event_of_process(frame.payload, &event))
                event_release(&event);
    }
    connect_release(&frames);
    return 0;
}
