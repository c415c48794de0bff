#ifndef E2B_WORKER_DLQ_RECORD_H
#define E2B_WORKER_DLQ_RECORD_H
#include "codec/envelope.h"
#include "config/config.h"

/* A record of the dead-letter topic, as worker/divert.h writes it: a record that came from somewhere, its
 * bytes and headers, and behind them why it is here. Nothing of it is believed: its headers were anybody's,
 * and the topic may hold what others put there. Pure. */

#define DLQ_REQUEUED "x-requeued-from" /* header: "<dlq topic>/<partition>/<offset>" */

struct dlq_record {
    int64_t unix_ms; /* when it came here; -1: not known */
    int32_t partition;
    int64_t offset; /* here */
    /* Where it came from; NULL and -1: not said. */
    const char *from_topic;
    int32_t from_partition;
    int64_t from_offset;
    const char *code, *message; /* NULL: not said */
    const char *job_id;         /* as far as one can be read; NULL */
    const char *key_text;       /* the key, made printable; NULL: none */
    struct bytes key, value;
    struct header *headers; /* without those that say why */
    size_t header_count;
};

/* Everything lies in the arena; key and value are borrowed. */
void dlq_record_read(const struct header *headers, size_t count, struct bytes key, struct bytes value,
                     struct arena *arena, struct dlq_record *ret);

/* Which records are meant; what is NULL or negative leaves the choice open. */
struct dlq_selection {
    const char *topic; /* that it came from, as partition and offset */
    int64_t partition, offset;
    const char *job_id; /* or the key, where no id can be read */
    const char *code;
};
bool dlq_selection_has(const struct dlq_selection *selection, const struct dlq_record *record);

/* Where a record would go, and with which headers. */
struct dlq_way {
    const char *topic;
    struct header *headers;
    size_t header_count;
};
/* A copy out of a retry topic goes to the topic that its job came from. Everything lies in the arena or is
 * borrowed from the record. Returns: false for a record that cannot go back, and *ret_why. */
bool dlq_way_back(const struct dlq_record *record, const struct config *config, struct arena *arena,
                  struct dlq_way *ret, const char **ret_why) MUST_USE;

#endif
