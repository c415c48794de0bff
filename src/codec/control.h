#ifndef CODEC_CONTROL_H
#define CODEC_CONTROL_H
#include "codec/envelope.h"

/* What somebody asks of the workers, over the control topic: bytes to values and back. As jobs are, it is
 * bare JSON or a CloudEvent (binary or structured); schemas/control.v1.json. The key of the record should be
 * the job's id. Unknown members are ignored, unknown actions are not: whoever asks for more than this version
 * can do is to hear of it. */

#define CONTROL_TYPE "e2b-worker.control.v1" /* of the event */

enum { CONTROL_BYTES_MAX = 64 * 1024 };

enum control_action {
    CONTROL_CANCEL, /* nobody wants the job's result any more */
};

struct control {
    enum control_action action;
    const char *job_id;
    const char *tenant_id; /* NULL to be written: "default" */
};

/* Everything in *ret lies in the arena. Returns: false with reterr REJECTED, a sentence that names the
 * place. */
bool control_decode(const struct header *headers, size_t count, struct bytes value, struct arena *arena,
                    struct control *ret, struct error *reterr) MUST_USE;

/* Appends the data of the event, which is the whole value of a bare record. */
void control_encode(const struct control *control, struct buffer *out);

#endif
