#ifndef CODEC_JOB_H
#define CODEC_JOB_H
#include "codec/envelope.h"
#include "core/code.h"
#include "core/job.h"

struct hop;

/* The bytes of one record -> a job, or why it is none. Input is hostile: sizes are bounded, texts checked,
 * nothing is believed. Also the cleaning of code before it is judged. */

struct job_record {
    const char *topic;
    int32_t partition;
    int64_t offset, timestamp_unix_ms;
    const struct header *headers;
    size_t header_count;
    struct bytes value;
    const struct hop *hop; /* what its headers say as a copy in a retry topic; NULL: it is none */
};

struct job_rules {
    const char *cluster_id;      /* part of derived ids */
    const char *task_type;       /* what the topic's name says; NULL: nothing */
    const char *tenant_of_topic; /* fixed by the configuration; NULL: the job's own word counts */
    size_t max_value_bytes, max_code_bytes;
    int64_t now_unix_ms; /* no job starts later than JOB_NOT_BEFORE_MAX_MS from now */
};

static const int64_t JOB_NOT_BEFORE_MAX_MS = 31LL * 24 * 60 * 60 * 1000;

enum job_verdict {
    JOB_ACCEPTED, /* *ret is whole */
    JOB_REJECTED, /* *ret has its identity and what else could be read; code and message say why: a result is
                     owed */
    JOB_UNREADABLE, /* no identity can be had (neither JSON nor ce_id, or no readable tenant): DLQ only */
};

/* Everything in *ret lies in the arena. Fills ret->from whatever the verdict.
 * *ret_message: a sentence that names the field's JSON pointer, what was found and what is allowed. */
enum job_verdict job_decode(const struct job_record *record, const struct job_rules *rules,
                            struct arena *arena, struct job *ret, enum code *ret_code,
                            const char **ret_message) MUST_USE;

/* Removes one surrounding Markdown fence, a byte-order mark and carriage returns before newlines.
 * Returns: what is left, in the arena; *ret_removed says what went, as texts for warnings. */
const char *code_clean(const char *code, size_t length, struct arena *arena, size_t *ret_length,
                       struct text_list *ret_removed);

#endif
