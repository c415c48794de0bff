/* SHA-256 by libcrypto. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING_BYTES = 128 };

struct digest {
    EVP_MD_CTX *context;
    size_t pending_count;
    unsigned char pending[PENDING_BYTES]; /* parts are short: libcrypto gets many at once */
};

static EVP_MD *sha256; /* fixed once fetched: libcrypto would search for it each time */

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256)
        base_die("libcrypto has no SHA-256");
}

static const EVP_MD *algorithm(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
    return sha256;
}

static void to_hex(const unsigned char *bytes, size_t count, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

static void compute(struct bytes data, unsigned char out[32])
{
    if (EVP_Digest(data.data, data.length, out, NULL, algorithm(), NULL) != 1)
        base_die("libcrypto cannot compute SHA-256");
}

void digest_sha256_hex(struct bytes data, char hex[DIGEST_HEX_SIZE])
{
    unsigned char out[32];
    compute(data, out);
    to_hex(out, 32, hex);
}

void digest_sha256_hex128(struct bytes data, char hex[DIGEST_HEX128_SIZE])
{
    unsigned char out[32];
    compute(data, out);
    to_hex(out, 16, hex);
}

struct digest *digest_new(void)
{
    struct digest *digest = base_alloc(sizeof *digest);
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, algorithm(), NULL) != 1)
        base_die("libcrypto cannot start SHA-256");
    return digest;
}

static void update(struct digest *digest, const void *data, size_t length)
{
    if (EVP_DigestUpdate(digest->context, data, length) != 1)
        base_die("libcrypto cannot go on with SHA-256");
}

static void flush(struct digest *digest)
{
    update(digest, digest->pending, digest->pending_count);
    digest->pending_count = 0;
}

static void feed(struct digest *digest, const void *data, size_t length)
{
    if (length > PENDING_BYTES - digest->pending_count)
        flush(digest);
    if (length > PENDING_BYTES) {
        update(digest, data, length);
        return;
    }
    memcpy(digest->pending + digest->pending_count, data, length);
    digest->pending_count += length;
}

void digest_add(struct digest *digest, struct bytes part)
{
    uint64_t length = part.length;
    feed(digest, &length, sizeof length);
    if (part.length > 0)
        feed(digest, part.data, part.length);
}

void digest_add_text(struct digest *digest, const char *text)
{
    if (text)
        digest_add(digest, (struct bytes){.data = text, .length = strlen(text)});
    else
        digest_add_int(digest, -1);
}

void digest_add_int(struct digest *digest, int64_t value)
{
    feed(digest, &value, sizeof value);
}

uint64_t digest_finish64(struct digest *digest)
{
    unsigned char out[32];
    flush(digest);
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1)
        base_die("libcrypto cannot finish SHA-256");
    EVP_MD_CTX_free(digest->context);
    free(digest);
    uint64_t first;
    memcpy(&first, out, sizeof first);
    return first;
}
