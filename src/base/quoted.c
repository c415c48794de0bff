/* Escaping, eight bytes at a time. */
#include "base/quoted.h"

#include "base/utf8.h"

#include <string.h>

enum { WORD = sizeof(uint64_t) };

static uint64_t word_at(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;

/* Whether eight bytes need no escape: none below 0x20, no quote, no backslash. A byte that is, or that is 0
 * after the xor, borrows from its highest bit. */
static bool is_plain(uint64_t word)
{
    uint64_t quotes = word ^ '"' * ones, slashes = word ^ '\\' * ones;
    uint64_t borrowed =
        ((word - 0x20 * ones) & ~word) | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes);
    return !(borrowed & highs);
}

static bool is_plain_ascii_word(uint64_t word)
{
    return !(word & highs) && is_plain(word);
}

static bool needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* Whether all of it stands for itself, as most of what is written does: ASCII without controls, quotes and
 * backslashes. The last word may overlap the one before. */
static bool is_plain_ascii(const unsigned char *p, size_t length)
{
    if (length >= WORD) {
        for (size_t i = 0; length - i > WORD; i += WORD)
            if (!is_plain_ascii_word(word_at(p + i)))
                return false;
        return is_plain_ascii_word(word_at(p + length - WORD));
    }
    for (size_t i = 0; i < length; i++)
        if (needs_escape(p[i]) || p[i] >= 0x80)
            return false;
    return true;
}

static void append_escape(struct buffer *out, unsigned char byte)
{
    static const char shorts[][2] = {{'\n', 'n'}, {'"', '"'}, {'\\', '\\'}, {'\t', 't'}, {'\r', 'r'}};
    for (size_t i = 0; i < ARRAY_LENGTH(shorts); i++)
        if (shorts[i][0] == (char)byte) {
            buffer_append(out, (const char[]){'\\', shorts[i][1]}, 2);
            return;
        }
    buffer_append_format(out, "\\u%04x", byte);
}

/* `text` is valid UTF-8 without NUL. */
static void append_escaped(struct buffer *out, struct bytes text)
{
    const unsigned char *p = text.data;
    size_t plain = 0; /* start of the run that needs no escape */
    buffer_reserve(out, text.length + 2);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        while (text.length - i > WORD && is_plain(word_at(p + i)))
            i += WORD;
        if (!needs_escape(p[i]))
            continue;
        buffer_append(out, p + plain, i - plain);
        append_escape(out, p[i]);
        plain = i + 1;
    }
    if (text.length > plain)
        buffer_append(out, p + plain, text.length - plain);
    buffer_append_byte(out, '"');
}

void quoted_append(struct buffer *out, struct bytes text)
{
    if (is_plain_ascii(text.data, text.length)) {
        buffer_reserve(out, text.length + 2);
        buffer_append_byte(out, '"');
        buffer_append(out, text.data, text.length);
        buffer_append_byte(out, '"');
        return;
    }
    if (!memchr(text.data, '\0', text.length) && utf8_is_valid(text)) {
        append_escaped(out, text);
        return;
    }
    CLEANUP(buffer_release) struct buffer repaired = {0};
    utf8_append_repaired(&repaired, text);
    append_escaped(out, buffer_bytes(&repaired));
}

void quoted_append_text(struct buffer *out, const char *text)
{
    quoted_append(out, (struct bytes){.data = text, .length = strlen(text)});
}
