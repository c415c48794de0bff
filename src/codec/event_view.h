#ifndef CODEC_EVENT_VIEW_H
#define CODEC_EVENT_VIEW_H
#include "codec/envelope.h"
#include "core/job.h"

/* Events read back for people: what submit and watch show of a result or of a lifecycle event. It believes
 * nothing (the topic may hold anything), and what is absent or of another type is NULL, 0 or -1 as said. The
 * whole truth is the event itself. */

enum event_kind {
    EVENT_KIND_OTHER, /* none of ours, or of a later version */
    EVENT_KIND_SUBMITTED,
    EVENT_KIND_STARTED,
    EVENT_KIND_WAITING,
    EVENT_KIND_RETRYING,
    EVENT_KIND_FINISHED,
    EVENT_KIND_DUPLICATE,
    EVENT_KIND_REAPED,
    EVENT_KIND_STATS,
};

struct text_view {
    struct bytes text;
    int64_t bytes_total;
    bool is_truncated;
};

struct event_view {
    enum event_kind kind;
    const char *type;                              /* as it came; NULL: no envelope */
    int64_t time_unix_ms;                          /* -1 */
    struct bytes data;                             /* the JSON */
    const char *job_id, *tenant_id, *task_type;    /* NULL */
    const char *worker_id, *sandbox_id, *run_mode; /* STARTED; the first two of REAPED; NULL */
    const char *template_name;                     /* STARTED, FINISHED, REAPED; NULL */
    int64_t attempt, max_attempts, delay_ms;       /* STARTED, RETRYING; FINISHED: how many there were; -1 */
    const char *reason, *limit;                    /* WAITING; the first of REAPED; NULL */
    int64_t used, max, waited_ms, retry_ms;        /* WAITING; -1 */
    const char *code;                              /* RETRYING, FINISHED, DUPLICATE; NULL */
    const char *message;                           /* WAITING, RETRYING, FINISHED; NULL */
    const char *first_status;                      /* DUPLICATE; NULL */
    int64_t first_partition, first_offset;         /* DUPLICATE; -1 */
    int64_t age_ms;                                /* REAPED; -1 */
    int64_t nano_usd;                              /* FINISHED, REAPED; -1 */

    /* FINISHED */
    const char *status, *stage, *hint, *traceback; /* NULL */
    struct bytes main_result;                      /* the text of the main rich result; length 0 */
    struct text_view out, err;
    int64_t exit_code, signal;                                      /* -1 */
    int64_t queued_ms, permit_wait_ms, create_ms, run_ms, total_ms; /* -1 */
    int64_t vcpu_milli, memory_mb, artifact_count;                  /* -1 */
    struct text_list warnings;

    /* STATS */
    int64_t in_flight, queued, backlog; /* -1 */
    const char *mode;                   /* NULL */
};

/* Everything lies in the arena. Returns: false for what is no JSON object or no readable envelope. */
bool event_view_read(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                     struct event_view *ret, struct error *reterr) MUST_USE;

const char *event_kind_name(enum event_kind kind); /* "finished" */
bool event_kind_parse(const char *name, enum event_kind *ret) MUST_USE;

#endif
