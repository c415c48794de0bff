#ifndef CODEC_RESULT_H
#define CODEC_RESULT_H
#include "codec/envelope.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/plan.h"

/* Core values -> the bytes of e2b-worker.job.finished.v1 (schemas/job.finished.v1.json): one value per
 * job. */

struct result_source {
    const struct job *job;
    const struct plan *plan; /* NULL: rejected before there was one */
    const struct outcome *outcome;
    const char *worker_id, *worker_version, *price_version;
};

/* What had to be left out to fit, in this order: bodies of artifacts, then of rich results (largest first),
 * then stdout and stderr to a quarter each time, then tracebacks, labels. Never the verdict. */
enum result_cut { RESULT_WHOLE, RESULT_CUT };

/* Appends at most max_bytes (>= 4,096). Returns: whether anything was left out (the value says so in warnings
 * too). */
enum result_cut result_encode(const struct result_source *source, size_t max_bytes, struct buffer *out);

#endif
