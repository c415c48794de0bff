/* A record of the control topic: what is taken can be written and taken again. */
#include "codec/control.h"
#include "core/job.h"
#include "record_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_text record;
    struct control control, again;
    struct error error;
    record_text_read((struct bytes){data, size}, &arena, &record);
    if (control_decode(record.headers, record.count, record.value, &arena, &control, &error)) {
        struct buffer out = {0};
        require(job_is_name(control.job_id) && job_is_name(control.tenant_id));
        control_encode(&control, &out);
        require(control_decode(NULL, 0, buffer_bytes(&out), &arena, &again, &error));
        require(strcmp(control.job_id, again.job_id) == 0 && strcmp(control.tenant_id, again.tenant_id) == 0);
        buffer_release(&out);
    }
    arena_release(&arena);
    return 0;
}
