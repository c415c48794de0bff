/* A rich result as the sandbox gave it: what is found valid can be read by others, too. */
#include "base/utf8.h"
#include "codec/bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes json = {data, size};
    struct bundle bundle = bundle_inspect(json);
    if (bundle.is_valid && !utf8_is_valid(json))
        abort();
    return 0;
}
