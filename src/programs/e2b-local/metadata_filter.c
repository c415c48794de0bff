/* Matching metadata. */
#include "metadata_filter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return tolower((unsigned char)digit) - 'a' + 10;
}

static char *decode(const char *text, size_t length)
{
    char *decoded = base_alloc(length + 1);
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '%' && i + 2 < length && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            decoded[n++] = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            decoded[n++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

static bool has_pair(const json_t *metadata, const char *key, const char *value)
{
    const char *found = json_string_value(json_object_get(metadata, key));
    return found && strcmp(found, value) == 0;
}

/* The SDKs encode keys and values once more than E2B's specification says: both forms are taken. */
static bool pair_matches(const char *pair, size_t length, const json_t *metadata)
{
    const char *equals = memchr(pair, '=', length);
    size_t key_length = equals ? (size_t)(equals - pair) : length;
    CLEANUP(base_freep) char *key = decode(pair, key_length);
    CLEANUP(base_freep) char *value = equals ? decode(equals + 1, length - key_length - 1) : base_strdup("");
    CLEANUP(base_freep) char *key_again = decode(key, strlen(key));
    CLEANUP(base_freep) char *value_again = decode(value, strlen(value));
    return has_pair(metadata, key, value) || has_pair(metadata, key_again, value_again);
}

bool metadata_filter_matches(const char *filter, const json_t *metadata)
{
    while (*filter) {
        size_t length = strcspn(filter, "&");
        if (length > 0 && !pair_matches(filter, length, metadata))
            return false;
        filter += length;
        if (*filter == '&')
            filter++;
    }
    return true;
}
