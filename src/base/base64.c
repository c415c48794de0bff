/* Base64 by libcrypto, made strict. */
#include "base/base64.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

void base64_encode(struct bytes data, struct buffer *out)
{
    assert(data.length < INT_MAX / 2);
    size_t length = (data.length + 2) / 3 * 4;
    buffer_reserve(out, length);
    if (data.length > 0)
        (void)EVP_EncodeBlock((unsigned char *)out->data + out->length, data.data, (int)data.length);
    out->length += length;
    out->data[out->length] = '\0';
}

static bool is_standard(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* libcrypto forgives blanks around the text; RFC 4648 does not. */
static bool is_base64(const unsigned char *text, size_t length, size_t padding)
{
    for (size_t i = 0; i < length - padding; i++)
        if (!is_standard(text[i]))
            return false;
    return true;
}

bool base64_decode(struct bytes text, struct buffer *out)
{
    const unsigned char *from = text.data;
    size_t length = text.length;
    if (length == 0)
        return true;
    if (length % 4 != 0 || length > INT_MAX / 2)
        return false;
    size_t padding = (from[length - 1] == '=') + (from[length - 1] == '=' && from[length - 2] == '=');
    if (!is_base64(from, length, padding))
        return false;
    buffer_reserve(out, length / 4 * 3);
    if (EVP_DecodeBlock((unsigned char *)out->data + out->length, from, (int)length) < 0) {
        out->data[out->length] = '\0';
        return false;
    }
    out->length += length / 4 * 3 - padding;
    out->data[out->length] = '\0';
    return true;
}

void base64url_encode(struct bytes data, struct buffer *out)
{
    size_t from = out->length;
    base64_encode(data, out);
    while (out->length > from && out->data[out->length - 1] == '=')
        out->data[--out->length] = '\0';
    for (size_t i = from; i < out->length; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

bool base64url_decode(struct bytes text, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer standard = {0};
    const char *from = text.data;
    buffer_reserve(&standard, text.length + 3);
    for (size_t i = 0; i < text.length; i++) {
        if (from[i] == '+' || from[i] == '/' || from[i] == '=')
            return false;
        buffer_append_byte(&standard, (char)(from[i] == '-' ? '+' : from[i] == '_' ? '/' : from[i]));
    }
    while (standard.length % 4 != 0 && standard.length < text.length + 3)
        buffer_append_byte(&standard, '=');
    return base64_decode(buffer_bytes(&standard), out);
}
