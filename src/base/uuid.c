/* Name-based UUIDs by libuuid. */
#include "base/uuid.h"

#include <uuid/uuid.h>

void uuid_from_name(const char *name, size_t length, char text[UUID_TEXT_SIZE])
{
    /* The project's namespace: a random UUID, drawn once and fixed for ever. */
    static const uuid_t namespace = {0x5b, 0x0e, 0x8b, 0x6c, 0x1f, 0x1c, 0x4d, 0x0a,
                                     0x9c, 0x39, 0x6d, 0x2e, 0x55, 0x7c, 0x11, 0xa7};
    uuid_t id;
    uuid_generate_sha1(id, namespace, name, length);
    uuid_unparse_lower(id, text);
}
