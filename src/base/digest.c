/* SHA-256 by libcrypto. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *context;
};

static void to_hex(const unsigned char *bytes, size_t count, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

static void sha256(struct bytes data, unsigned char out[32])
{
    if (EVP_Digest(data.data, data.length, out, NULL, EVP_sha256(), NULL) != 1)
        base_die("libcrypto cannot compute SHA-256");
}

void digest_sha256_hex(struct bytes data, char hex[DIGEST_HEX_SIZE])
{
    unsigned char out[32];
    sha256(data, out);
    to_hex(out, 32, hex);
}

void digest_sha256_hex128(struct bytes data, char hex[DIGEST_HEX128_SIZE])
{
    unsigned char out[32];
    sha256(data, out);
    to_hex(out, 16, hex);
}

struct digest *digest_new(void)
{
    struct digest *digest = base_alloc(sizeof *digest);
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1)
        base_die("libcrypto cannot start SHA-256");
    return digest;
}

static void feed(struct digest *digest, const void *data, size_t length)
{
    if (EVP_DigestUpdate(digest->context, data, length) != 1)
        base_die("libcrypto cannot go on with SHA-256");
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
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1)
        base_die("libcrypto cannot finish SHA-256");
    EVP_MD_CTX_free(digest->context);
    free(digest);
    uint64_t first;
    memcpy(&first, out, sizeof first);
    return first;
}
