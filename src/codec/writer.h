#ifndef CODEC_WRITER_H
#define CODEC_WRITER_H
#include "base/buffer.h"

/* Writes JSON straight into a buffer, compact, in the order of the calls. It sets commas and escapes; that
 * what is begun is ended is the caller's duty. Texts may be any bytes: what is no UTF-8 is repaired. */

struct writer {
    struct buffer *out; /* borrowed */
    bool needs_comma;
};

/* Values: the next element of an array, or what stands behind writer_key. */
void writer_begin_object(struct writer *writer);
void writer_end_object(struct writer *writer);
void writer_begin_array(struct writer *writer);
void writer_end_array(struct writer *writer);
void writer_key(struct writer *writer, const char *key);
void writer_null(struct writer *writer);
void writer_bool(struct writer *writer, bool value);
void writer_int(struct writer *writer, int64_t value);
void writer_milli(struct writer *writer, int64_t milli);   /* 1500 -> 1.5 */
void writer_text(struct writer *writer, const char *text); /* NULL: null */
void writer_bytes(struct writer *writer, struct bytes text);
void writer_base64(struct writer *writer, struct bytes data);
void writer_raw(struct writer *writer, struct bytes json); /* already valid JSON */

/* Members of an object. */
void writer_field_text(struct writer *writer, const char *key, const char *text);
void writer_field_int(struct writer *writer, const char *key, int64_t value);
void writer_field_count(struct writer *writer, const char *key, int64_t value); /* negative: null */
void writer_field_bool(struct writer *writer, const char *key, bool value);
void writer_field_null(struct writer *writer, const char *key);

#endif
