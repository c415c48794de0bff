#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H
#include "base/buffer.h"
#include "core/code.h"
#include "core/job.h"

/* What came out of a job, in memory, until it is encoded: bounded, whatever the program prints. Outputs keep
 * their head and their tail; results and artifacts are kept up to their bounds and counted beyond. Lives in
 * its flight. */

/* A stream of output within a bound: the first half of it, then the last. */
struct capture {
    int64_t limit_bytes;
    int64_t total_bytes; /* ever printed, appended or not */
    struct buffer head;
    struct buffer tail; /* a ring once full */
    size_t tail_start;  /* where the ring begins */
};
void capture_init(struct capture *capture, int64_t limit_bytes);
void capture_release(struct capture *capture);
void capture_append(struct capture *capture, struct bytes bytes);
/* So many more were printed than were ever appended: between the two halves, or last, where the second has
 * room. */
void capture_skip(struct capture *capture, int64_t count);
bool capture_is_truncated(const struct capture *capture);
/* Appends head, where something is missing a line that says how much, and tail, as valid UTF-8. */
void capture_text(const struct capture *capture, struct buffer *out);
size_t capture_memory(const struct capture *capture); /* allocated bytes */

struct rich_result {
    char *json; /* E2B's MIME bundle, one JSON object */
    size_t length;
};

struct artifact {
    char *path;
    char sha256[65];
    struct buffer content;
};

struct step_report {
    const char *name; /* borrowed from the plan */
    enum code code;
    int exit_code; /* -1: none */
    int64_t ms;
    int64_t out_bytes,
        err_bytes; /* of a process: what we have heard of it; whoever follows it again goes on there */
};

struct attempt_report {
    int64_t n;
    char sandbox_id[64]; /* "": none was created */
    enum code code;
    int64_t ms; /* of sandbox life, up to the kill request */
    int64_t nano_usd;
    bool is_adopted;
};

/* Durations, -1 where a stage was not reached. */
struct timing {
    int64_t queued_ms, permit_wait_ms, create_ms, prepare_ms, run_ms, collect_ms, total_ms;
    int64_t started_unix_ms, finished_unix_ms;
};

struct usage {
    int64_t cpu_ms, peak_memory_bytes, disk_bytes; /* -1: not measured */
    const char *source;                            /* "sandbox"; NULL: none */
};

enum { OUTCOME_ATTEMPTS_MAX = 16, OUTCOME_RESULTS_MAX = 64, OUTCOME_WARNINGS_MAX = 32 };

struct outcome {
    enum code code;
    char *stage;                                   /* the step or stage that decided; NULL: none */
    char *message;                                 /* one sentence; NULL when all went well */
    int provider_status;                           /* E2B's HTTP status behind it, 0: none */
    char *provider_code;                           /* ... and its word for it; NULL: none */
    char *user_name, *user_value, *user_traceback; /* how the user's code failed; NULL: it did not */
    int exit_code;                                 /* -1: none */
    int signal;                                    /* 0: none */
    struct capture out, err;
    struct rich_result *results;
    size_t result_count, result_bytes, results_dropped;
    int64_t result_limit_bytes; /* 1 MiB; whoever knows better sets it after outcome_init */
    struct artifact *artifacts;
    size_t artifact_count, artifacts_dropped;
    int64_t artifact_bytes;
    struct step_report *steps; /* plan->step_count of them, in the job's arena */
    size_t step_count;
    struct attempt_report *attempts; /* grow as they come: most jobs have one */
    size_t attempt_count, attempt_room;
    struct timing timing;
    struct usage usage;
    int64_t nano_usd, wasted_nano_usd, sandbox_ms;
    char **warnings; /* most jobs have none */
    size_t warning_count;
    bool possible_repeat;
};

void outcome_init(struct outcome *outcome, const struct output_limits *limits);
void outcome_release(struct outcome *outcome);
/* Forgets what one attempt brought (outputs, results, artifacts, verdict); keeps attempts, costs,
 * warnings. */
void outcome_clear_attempt(struct outcome *outcome);
/* The first cause wins: does nothing when a code stands. */
void outcome_blame(struct outcome *outcome, enum code code, const char *stage, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* What E2B said, when it was to blame. */
void outcome_blame_provider(struct outcome *outcome, int http_status, const char *code);
void outcome_warn(struct outcome *outcome, const char *format, ...) PRINTF_LIKE(2, 3);
void outcome_add_result(struct outcome *outcome, struct bytes json);
/* Of the attempt under way, which is not counted yet; zeroed at first. Returns: never NULL; borrowed until
 * the next is asked for. Past the bound each takes the last one's place. */
struct attempt_report *outcome_attempt(struct outcome *outcome) MUST_USE;
void outcome_count_attempt(struct outcome *outcome);
void outcome_set_exception(struct outcome *outcome, const char *name, const char *value,
                           const char *traceback);
/* Takes content's bytes. Returns: false when a bound was reached; it is counted as dropped then, and content
 * stays the caller's. */
bool outcome_add_artifact(struct outcome *outcome, const char *path, struct buffer *content,
                          int64_t max_bytes, int64_t max_count) MUST_USE;
static inline const char *outcome_message(const struct outcome *outcome)
{
    return outcome->message ? outcome->message : "";
}

size_t outcome_memory(const struct outcome *outcome); /* allocated bytes, for the worker's budget */

#endif
