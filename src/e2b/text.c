/* JSON and percent-encoding, written straight into buffers. */
#include "e2b/text.h"

#include "base/utf8.h"

#include <string.h>

static bool needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

static void append_escaped(struct buffer *out, unsigned char byte)
{
    switch (byte) {
    case '"':
        buffer_append(out, "\\\"", 2);
        break;
    case '\\':
        buffer_append(out, "\\\\", 2);
        break;
    case '\n':
        buffer_append(out, "\\n", 2);
        break;
    case '\t':
        buffer_append(out, "\\t", 2);
        break;
    default:
        buffer_append_format(out, "\\u%04x", byte);
    }
}

void text_append_json(struct buffer *out, const char *text)
{
    size_t length = strlen(text), start = 0;
    buffer_reserve(out, length + 2);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (!needs_escape(byte))
            continue;
        buffer_append(out, text + start, i - start);
        append_escaped(out, byte);
        start = i + 1;
    }
    buffer_append(out, text + start, length - start);
    buffer_append_byte(out, '"');
}

void text_append_json_map(struct buffer *out, const struct e2b_pairs *pairs)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        text_append_json(out, pairs->items[i].name);
        buffer_append_byte(out, ':');
        text_append_json(out, pairs->items[i].value);
    }
    buffer_append_byte(out, '}');
}

void text_append_json_list(struct buffer *out, const char *const *items, size_t count)
{
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        text_append_json(out, items[i]);
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
