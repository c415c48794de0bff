#ifndef CODEC_JOB_FIELDS_H
#define CODEC_JOB_FIELDS_H
#include "codec/reader.h"

/* The fields of a job but its identity (codec/job.c has that). Private to codec/. */

struct job_draft {
    struct job *job; /* what is made */
    size_t max_code_bytes;
    int64_t now_unix_ms;
    const char *task_type; /* the job's own word */
    bool has_code, has_commands, has_agent, has_session;
    enum run_mode run_mode; /* the job's own word */
};

/* Reads all of `root` into draft->job, and checks what concerns several fields. The reader knows of
 * failures. */
void job_fields_read(struct reader *reader, json_t *root, struct job_draft *draft);

/* `files`, `artifacts` (codec/job_files.c), for the table of fields. The target is a struct job_draft. */
bool job_files_read(struct reader *reader, json_t *value, void *target);
bool job_artifacts_read(struct reader *reader, json_t *value, void *target);

/* What is understood and checked, but does not work yet (codec/job_later.c). */
bool job_commands_read(struct reader *reader, json_t *value, void *target);
bool job_agent_read(struct reader *reader, json_t *value, void *target);
bool job_secrets_read(struct reader *reader, json_t *value, void *target);
bool job_session_read(struct reader *reader, json_t *value, void *target);
bool job_stream_read(struct reader *reader, json_t *value, void *target);
bool job_cache_read(struct reader *reader, json_t *value, void *target);
bool job_validation_read(struct reader *reader, json_t *value, void *target);
bool job_batch_id_read(struct reader *reader, json_t *value, void *target);
bool job_batch_size_read(struct reader *reader, json_t *value, void *target);
bool job_network_read(struct reader *reader, json_t *value, void *target);

#endif
