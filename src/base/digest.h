#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H
#include "base/base.h"

/* SHA-256 (OpenSSL's libcrypto), whole or streamed, as lower-case hex. */

enum { DIGEST_HEX_SIZE = 65, DIGEST_HEX128_SIZE = 33 };

void digest_sha256_hex(struct bytes data, char hex[DIGEST_HEX_SIZE]);

/* The first 128 bits: enough to tell two payloads apart. */
void digest_sha256_hex128(struct bytes data, char hex[DIGEST_HEX128_SIZE]);

/* A digest of several parts. Each part is fed with its length, so that no two lists of parts run together. */
struct digest;
struct digest *digest_new(void) MUST_USE;
void digest_add(struct digest *digest, struct bytes part);
void digest_add_text(struct digest *digest, const char *text); /* NULL differs from "" */
void digest_add_int(struct digest *digest, int64_t value);
/* Returns: the first 64 bits. Owns: frees the digest. */
uint64_t digest_finish64(struct digest *digest) MUST_USE;

#endif
