#ifndef WORKER_DIVERT_H
#define WORKER_DIVERT_H
#include "kafka/sink.h"
#include "worker/context.h"

/* Records that can never become a job go to the DLQ, with their bytes and headers and the cause beside them;
 * then their offset is finished. No result is owed, since nobody can be named who waits for one. */

/* Why a record is there, for its `__connect.errors.*` headers. */
struct divert_cause {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *code, *message;
    bool without_value; /* the record is too large for the DLQ: its headers alone go there */
};

/* Sends the packed record (codec/envelope.h, record_pack) to the DLQ. `raw` and what is unpacked into `arena`
 * are borrowed until `sent`. Returns: false when there is no such record any more; `sent` does not run
 * then. */
bool divert_send(struct worker *worker, struct kafka_send *send, struct arena *arena, struct bytes raw,
                 struct bytes key, const struct divert_cause *cause, kafka_sent_fn sent) MUST_USE;

/* The whole way for a record without identity. */
void divert_record(struct worker *worker, const struct kafka_message *message, const char *code,
                   const char *text);

#endif
