#ifndef E2B_WORKER_SUBMIT_H
#define E2B_WORKER_SUBMIT_H
#include "codec/envelope.h"
#include "command.h"
#include "core/plan.h"
#include "kafka/sink.h"

/* The parts of `submit`: submit.c reads words and file, submit_prepare.c makes submissions, submit_plan.c
 * shows plans, submit_wait.c sends and follows, submit_result.c shows results. */

struct submit_options {
    const char *file;                          /* "-": standard input */
    const char *topic, *key;                   /* NULL: chosen; the job's id */
    const char *dry_run, *wait, *json, *force; /* NULL: no */
    int64_t timeout_ms, connect_timeout_ms;
    int64_t count; /* so often each job, every time under another id */
};

/* One job on its way. Texts lie in the arena of the call. */
struct submission {
    const char *job_id;    /* never NULL */
    const char *tenant_id; /* NULL: not readable; whoever answers under job_id is believed */
    const char *topic, *key;
    struct bytes value;
    struct envelope_headers headers; /* count 0: the value is a CloudEvent itself */
    enum code code;                  /* NONE: a worker with this configuration would run it */
    const char *message;             /* why not */
    bool is_unreadable;              /* it would go to the DLQ, and no result comes */
    struct job job;                  /* as decoded; whole only when is_decoded */
    bool is_decoded;
    struct plan plan; /* with code NONE */

    struct kafka_send send; /* submit_wait.c */
    bool is_sent, is_done;
};

struct submissions {
    struct submission *items;
    size_t count;
};

/* Takes the jobs out of `text`, gives ids, chooses topics, and looks at each as a worker would.
 * Returns: false when the text holds no jobs; with `force` its bytes are one submission then. */
bool submit_prepare(const struct config *config, const struct submit_options *options, struct bytes text,
                    struct arena *arena, struct submissions *ret, struct error *reterr) MUST_USE;

/* The plan of a good submission, for people or as JSON. */
void submit_print_plan(const struct submission *submission, const struct config *config, bool is_json);

/* Sends all, and follows them when asked to. Returns: the exit code of the command. */
int submit_deliver(const struct config *config, const struct submit_options *options,
                   struct submissions *submissions);

#endif
