#ifndef KAFKA_TRANSACTOR_H
#define KAFKA_TRANSACTOR_H
#include "kafka/sink.h"
#include "kafka/source.h"

/* Results and offsets in one transaction: a reader that sees only what is committed sees each result once,
 * whoever died meanwhile. It takes the source's commits over: base and map of every partition that changed go
 * with the results that changed them, and nothing else commits while it lives.
 *
 * Records are gathered for `interval_ms`; then one transaction is begun, filled and ended at once, so that
 * none is ever open for longer than its calls take. Those calls block: they run in a thread, one at a time,
 * while the next records are gathered. Only the owner of an offset may send its record; one whose partition
 * went meanwhile comes back DISOWNED and is for the next owner to publish. A revocation is answered after the
 * transaction under way has ended, or 5 s later: what is late is fenced by the group's generation.
 *
 * What became of a transaction whose end was not heard is read back: the same transactional.id is initialised
 * once more, which ends or undoes it, and the committed offset and map of each record say which of the two. A
 * fatal error, and being fenced by a namesake, is such a case. A record is never dropped here. */

struct kafka_transactor;

struct kafka_transactor_options {
    struct loop *loop; /* borrowed, as are log and texts until the return of new */
    const struct log *log;
    struct kafka_cluster cluster;
    const char *client_id;
    const char *transactional_id; /* this process's alone: two that share one fence each other off */
    struct kafka_source *source;  /* borrowed, of no other transactor; closed first: what is sent or waits
                                     after  that is DISOWNED */
    int64_t interval_ms;          /* 100 to 500 */
    void *arg;
    kafka_state_fn
        on_state; /* not usable: no transaction could be ended for 10 s, or a permission is missing */
};

/* Returns: NULL when a property is unknown or has no such value. */
struct kafka_transactor *kafka_transactor_new(const struct kafka_transactor_options *options,
                                              struct error *reterr) MUST_USE;

/* For doctor: whether this id may be used, and transactions can be had at all. Blocks for timeout_ms at most,
 * and for what the library needs to end. */
bool kafka_transactions_check(const struct kafka_cluster *cluster, const char *transactional_id,
                              int64_t timeout_ms, struct error *reterr) MUST_USE;

/* error.code of a record that is not for us to send, or not any more: its place's partition is another's now,
 * or was meanwhile, and its owner finished it, by this result or by sending the record on. */
enum { KAFKA_DISOWNED = 1 };

/* As kafka_sink_send: answered by `sent` once it is committed, together with `place`, which is where the
 * record stands whose offset it finishes. key, headers and place are copied, `value` is borrowed until
 * `sent`. Of a transaction whose end was read back the result's own partition and offset may not be known:
 * -1. Errors: REJECTED (too large), TRANSIENT (DISOWNED). */
void kafka_transactor_send(struct kafka_transactor *transactor, struct kafka_send *send,
                           const struct kafka_record *record, const struct kafka_place *place,
                           kafka_sent_fn sent);

/* Whether to start work that will need it. */
bool kafka_transactor_has_room(const struct kafka_transactor *transactor);

/* Ends what is gathered, at most `grace_ms`, calls back, frees. Slots still waiting fall silent. NULL:
 * nothing. */
void kafka_transactor_close(struct kafka_transactor *transactor, int64_t grace_ms, void (*closed)(void *arg),
                            void *arg);

struct kafka_transactor_stats {
    int64_t sent, waiting, committed, aborted, rebuilt, disowned; /* committed, aborted: transactions */
};
void kafka_transactor_stats(const struct kafka_transactor *transactor, struct kafka_transactor_stats *ret);

#endif
