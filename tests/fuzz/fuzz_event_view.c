/* An event as submit and watch read it back; the topic may hold anything. */
#include "codec/event_view.h"
#include "record_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_text record;
    struct event_view view;
    struct error error;
    record_text_read((struct bytes){data, size}, &arena, &record);
    (void)!event_view_read(record.headers, record.count, record.value, &arena, &view, &error);
    arena_release(&arena);
    return 0;
}
