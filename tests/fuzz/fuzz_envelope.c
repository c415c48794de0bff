/* Headers and value of a record. */
#include "codec/envelope.h"
#include "record_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_text record;
    struct envelope envelope;
    struct error error;
    record_text_read((struct bytes){data, size}, &arena, &record);
    if (envelope_read(record.headers, record.count, record.value, &arena, &envelope, &error)) {
        struct envelope_headers written;
        struct envelope again;
        envelope_write(&envelope, &written);
        if (!envelope_read(written.items, written.count, envelope.data, &arena, &again, &error))
            abort();
        if (envelope.id && strcmp(envelope.id, again.id) != 0)
            abort();
    }
    arena_release(&arena);
    return 0;
}
