#ifndef CODEC_READER_H
#define CODEC_READER_H
#include "base/arena.h"
#include "core/code.h"
#include "core/job.h"

#include <jansson.h>

/* Reads the fields of JSON objects by tables, within bounds. Knows at every moment where it is, so that each
 * failure names its JSON pointer. The first failure stands; unknown fields become warnings, with the known
 * name that was probably meant, and a required field that is absent is told with the unknown one that is
 * probably it; null counts as absent. Private to codec/. */

enum { READER_DEPTH_MAX = 6, READER_WARNINGS_MAX = 20 };

struct reader {
    struct arena *arena;
    const char *root;     /* what a failure of the whole is said of; NULL: the job */
    bool rejects_unknown; /* unknown fields are failures */
    struct {
        const char *name; /* NULL: an element of an array */
        size_t index;
    } path[READER_DEPTH_MAX];
    size_t depth;
    enum code code; /* NONE: no failure so far */
    const char *message;
    const char *unsupported; /* the first thing that is understood but does not work yet, as a sentence */
    const char *warnings[READER_WARNINGS_MAX];
    size_t warning_count, warnings_dropped;
};

enum field_type {
    FIELD_CUSTOM,  /* .read does it */
    FIELD_TEXT,    /* const char *; at most .max bytes, no control characters */
    FIELD_NAME,    /* const char *; the alphabet of ids */
    FIELD_INTEGER, /* int64_t; .min to .max */
    FIELD_BOOLEAN, /* bool */
    FIELD_TIME,    /* int64_t; RFC 3339 */
};

/* Returns: false when the reader has failed. */
typedef bool (*field_read_fn)(struct reader *reader, json_t *value, void *target);

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in the target; not for CUSTOM */
    int64_t min, max;
    field_read_fn read;
    bool is_required; /* absent is a failure of the object */
};

/* Where the reader is. A name is borrowed until the way back. */
void reader_enter(struct reader *reader, const char *name, size_t index);
void reader_leave(struct reader *reader);

/* Notes a failure at the place where the reader is: "/files/0/path: " and the sentence.
 * Returns: false always. */
bool reader_fail(struct reader *reader, enum code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* "... must be <expected>, found <the value>". Returns: false always. */
bool reader_mismatch(struct reader *reader, const json_t *value, const char *expected);
void reader_warn(struct reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
/* Notes that what stands here does not work yet; reading goes on, since a mistake elsewhere comes first. */
void reader_unsupported(struct reader *reader, const char *what);

/* Reads an object's members by the table. Returns: false when the reader has failed. */
bool reader_object(struct reader *reader, json_t *value, const struct field *fields, size_t count,
                   void *target) MUST_USE;

/* What an unknown member of `object` says about the absent one called `name`: "; there is "nam": did you mean
 * "name"?", or "" when none of them is near it. */
const char *reader_misspelt(struct reader *reader, const json_t *object, const struct field *fields,
                            size_t count, const char *name);

/* Single values at the place where the reader is. */
bool reader_text(struct reader *reader, json_t *value, size_t max_bytes, struct bytes *ret) MUST_USE;
bool reader_line(struct reader *reader, json_t *value, size_t max_bytes, const char **ret) MUST_USE;
bool reader_name(struct reader *reader, json_t *value, const char **ret) MUST_USE;
bool reader_integer(struct reader *reader, const json_t *value, int64_t min, int64_t max,
                    int64_t *ret) MUST_USE;
bool reader_boolean(struct reader *reader, const json_t *value, bool *ret) MUST_USE;
bool reader_time(struct reader *reader, const json_t *value, int64_t *ret_unix_ms) MUST_USE;
/* One of `names`. *ret is its index. `code`: what a text that is none of them means. */
bool reader_choice(struct reader *reader, json_t *value, const char *const *names, size_t count,
                   enum code code, size_t *ret) MUST_USE;
/* Whether it is an array of at most max_count elements. */
bool reader_array(struct reader *reader, const json_t *value, size_t max_count) MUST_USE;
/* A list of texts of one line each. */
bool reader_lines(struct reader *reader, json_t *value, size_t max_count, size_t max_bytes,
                  struct text_list *ret) MUST_USE;

#endif
