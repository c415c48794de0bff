#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include "base/buffer.h"

/* UTF-8 (RFC 3629): what a program prints is bytes, what a message holds must be text. */

bool utf8_is_valid(struct bytes text) MUST_USE;

/* Appends `text` with every byte that is part of no valid character replaced by U+FFFD, and NUL by U+FFFD
 * too. */
void utf8_append_repaired(struct buffer *out, struct bytes text);

/* Returns: the largest n <= limit such that text[0..n) does not cut a character in two. */
size_t utf8_prefix(struct bytes text, size_t limit) MUST_USE;

#endif
