#ifndef BASE_QUOTED_H
#define BASE_QUOTED_H
#include "base/buffer.h"

/* Texts as JSON strings, with their quotes. Any bytes may come: NULs and what is no UTF-8 become U+FFFD. */

void quoted_append(struct buffer *out, struct bytes text);
void quoted_append_text(struct buffer *out, const char *text);

#endif
