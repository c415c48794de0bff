#ifndef E2B_LOCAL_MULTIPART_H
#define E2B_LOCAL_MULTIPART_H
#include "base/base.h"

/* multipart/form-data (RFC 7578), of a body that is whole in memory. */

struct multipart_part {
    char *name, *filename; /* owned by whoever got the part: multipart_part_release; NULL where not given */
    struct bytes data;     /* borrowed from the body */
};

void multipart_part_release(struct multipart_part *part);

/* Takes the boundary out of a Content-Type. Returns: NULL when it has none. Owns: the caller. */
char *multipart_boundary(const char *content_type) MUST_USE;

/* Takes the next part off the front of *rest. Returns: false when no whole part is left. */
bool multipart_next(struct bytes *rest, const char *boundary, struct multipart_part *ret) MUST_USE;

#endif
