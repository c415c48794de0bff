/* Lists and maps of JSON, and percent-encoding, written straight into buffers. */
#include "e2b/text.h"

#include "base/quoted.h"
#include "base/utf8.h"

#include <string.h>

void text_append_json_map(struct buffer *out, const struct e2b_pairs *pairs)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        quoted_append_text(out, pairs->items[i].name);
        buffer_append_byte(out, ':');
        quoted_append_text(out, pairs->items[i].value);
    }
    buffer_append_byte(out, '}');
}

void text_append_json_list(struct buffer *out, const char *const *items, size_t count)
{
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        quoted_append_text(out, items[i]);
    }
    buffer_append_byte(out, ']');
}

static bool is_plain(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           strchr("-._~", byte);
}

void text_append_percent(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (is_plain(byte))
            buffer_append_byte(out, *text);
        else
            buffer_append_format(out, "%%%02X", byte);
    }
}

bool text_is_good(const char *text)
{
    return text && utf8_is_valid((struct bytes){.data = text, .length = strlen(text)});
}

bool text_are_good(const struct e2b_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (!text_is_good(pairs->items[i].name) || !text_is_good(pairs->items[i].value))
            return false;
    return true;
}

bool text_is_header_safe(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}
