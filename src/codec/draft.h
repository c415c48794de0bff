#ifndef CODEC_DRAFT_H
#define CODEC_DRAFT_H
#include "base/arena.h"
#include "base/error.h"

/* Jobs as somebody wrote them, before they are sent: taken out of a file and given their ids. Whether they
 * are good jobs is not looked at here: that is codec/job.h, as in the worker. */

struct draft {
    struct bytes value;                         /* one JSON object */
    const char *job_id, *tenant_id, *task_type; /* NULL: not said, or no text */
    bool has_id;                                /* job_id is there, whatever it is */
    bool is_structured;                         /* a CloudEvent with the job inside: sent without headers */
};

/* `text` holds one job, an array of jobs, or several one after the other (JSON lines). A job that is alone
 * keeps its bytes. Everything lies in the arena; values may be borrowed from `text`.
 * Returns: false with line and column, or which element is no object. */
bool drafts_read(struct bytes text, struct arena *arena, struct draft **ret, size_t *ret_count,
                 struct error *reterr) MUST_USE;

/* The same job under another id. */
struct draft draft_with_id(const struct draft *draft, const char *job_id, struct arena *arena);

#endif
