#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/buffer.h"

/* Base64 of RFC 4648, standard alphabet with padding (libcrypto), and its URL-safe form without padding for
 * places that take text only. */

void base64_encode(struct bytes data, struct buffer *out);    /* appends */
void base64url_encode(struct bytes data, struct buffer *out); /* appends */

/* Strict: right alphabet, right padding, nothing else. Appends.
 * Returns: false, *out as it was, when the text is no base64. */
bool base64_decode(struct bytes text, struct buffer *out) MUST_USE;
bool base64url_decode(struct bytes text, struct buffer *out) MUST_USE;

#endif
