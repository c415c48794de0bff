/* JSON out: commas and brackets. */
#include "codec/writer.h"
#include "base/base64.h"
#include "base/quoted.h"

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

void writer_bytes(struct writer *writer, struct bytes text)
{
    before_value(writer);
    quoted_append(writer->out, text);
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
