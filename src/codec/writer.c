/* JSON out: escaping, commas, and the repair of what is no UTF-8. */
#include "codec/writer.h"
#include "base/base64.h"
#include "base/utf8.h"

#include <string.h>

static void before_value(struct writer *writer)
{
    if (writer->needs_comma)
        buffer_append_byte(writer->out, ',');
    writer->needs_comma = true;
}

static void begin(struct writer *writer, char bracket)
{
    before_value(writer);
    buffer_append_byte(writer->out, bracket);
    writer->needs_comma = false;
}

static void end(struct writer *writer, char bracket)
{
    buffer_append_byte(writer->out, bracket);
    writer->needs_comma = true;
}

void writer_begin_object(struct writer *writer)
{
    begin(writer, '{');
}

void writer_end_object(struct writer *writer)
{
    end(writer, '}');
}

void writer_begin_array(struct writer *writer)
{
    begin(writer, '[');
}

void writer_end_array(struct writer *writer)
{
    end(writer, ']');
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

/* Bits where a byte of the word is 0. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}

static uint64_t word_at(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Whether eight bytes need no escape: none below 0x20, no quote, no backslash. */
static bool is_plain(uint64_t word)
{
    uint64_t controls = (word - 0x2020202020202020u) & ~word & 0x8080808080808080u;
    return !(controls | zero_bytes(word ^ 0x2222222222222222u) | zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cu));
}

/* Whether all of it stands for itself, as most of what is written does: ASCII without controls, quotes and
 * backslashes. */
static bool is_plain_ascii(struct bytes text)
{
    const unsigned char *p = text.data;
    size_t i = 0;
    for (; text.length - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t word = word_at(p + i);
        if ((word & 0x8080808080808080u) || !is_plain(word))
            return false;
    }
    for (; i < text.length; i++)
        if (p[i] < 0x20 || p[i] >= 0x80 || p[i] == '"' || p[i] == '\\')
            return false;
    return true;
}

/* `text` is valid UTF-8 without NUL. */
static void append_quoted(struct buffer *out, struct bytes text)
{
    const unsigned char *p = text.data;
    size_t plain = 0; /* start of the run that needs no escape */
    buffer_reserve(out, text.length + 2);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        while (text.length - i > 8 && is_plain(word_at(p + i)))
            i += 8;
        if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
            continue;
        buffer_append(out, p + plain, i - plain);
        append_escape(out, p[i]);
        plain = i + 1;
    }
    if (text.length > plain)
        buffer_append(out, p + plain, text.length - plain);
    buffer_append_byte(out, '"');
}

void writer_bytes(struct writer *writer, struct bytes text)
{
    before_value(writer);
    if (is_plain_ascii(text)) {
        buffer_append_byte(writer->out, '"');
        buffer_append(writer->out, text.data, text.length);
        buffer_append_byte(writer->out, '"');
        return;
    }
    if (!memchr(text.data, '\0', text.length) && utf8_is_valid(text)) {
        append_quoted(writer->out, text);
        return;
    }
    CLEANUP(buffer_release) struct buffer repaired = {0};
    utf8_append_repaired(&repaired, text);
    append_quoted(writer->out, buffer_bytes(&repaired));
}

void writer_text(struct writer *writer, const char *text)
{
    if (text)
        writer_bytes(writer, (struct bytes){text, strlen(text)});
    else
        writer_null(writer);
}

void writer_key(struct writer *writer, const char *key)
{
    writer_text(writer, key);
    buffer_append_byte(writer->out, ':');
    writer->needs_comma = false;
}

void writer_null(struct writer *writer)
{
    before_value(writer);
    buffer_append_text(writer->out, "null");
}

void writer_bool(struct writer *writer, bool value)
{
    before_value(writer);
    buffer_append_text(writer->out, value ? "true" : "false");
}

void writer_int(struct writer *writer, int64_t value)
{
    before_value(writer);
    buffer_append_int(writer->out, value);
}

void writer_milli(struct writer *writer, int64_t milli)
{
    uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
    unsigned rest = (unsigned)(size % 1000);
    char decimals[] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
    before_value(writer);
    if (milli < 0)
        buffer_append_byte(writer->out, '-');
    buffer_append_int(writer->out, (int64_t)(size / 1000));
    buffer_append(writer->out, decimals, rest == 0 ? 0 : rest % 100 == 0 ? 2 : rest % 10 == 0 ? 3 : 4);
}

void writer_base64(struct writer *writer, struct bytes data)
{
    before_value(writer);
    buffer_append_byte(writer->out, '"');
    base64_encode(data, writer->out);
    buffer_append_byte(writer->out, '"');
}

void writer_raw(struct writer *writer, struct bytes json)
{
    before_value(writer);
    buffer_append(writer->out, json.data, json.length);
}

void writer_field_text(struct writer *writer, const char *key, const char *text)
{
    writer_key(writer, key);
    writer_text(writer, text);
}

void writer_field_int(struct writer *writer, const char *key, int64_t value)
{
    writer_key(writer, key);
    writer_int(writer, value);
}

void writer_field_count(struct writer *writer, const char *key, int64_t value)
{
    writer_key(writer, key);
    if (value < 0)
        writer_null(writer);
    else
        writer_int(writer, value);
}

void writer_field_bool(struct writer *writer, const char *key, bool value)
{
    writer_key(writer, key);
    writer_bool(writer, value);
}

void writer_field_null(struct writer *writer, const char *key)
{
    writer_key(writer, key);
    writer_null(writer);
}
