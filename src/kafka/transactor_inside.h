#ifndef KAFKA_TRANSACTOR_INSIDE_H
#define KAFKA_TRANSACTOR_INSIDE_H
#include "kafka/delivery.h"
#include "kafka/facts.h"
#include "kafka/transaction.h"
#include "kafka/transactor.h"

/* The transactor's parts know each other: transactor.c (life, transactions), transactor_instance.c,
 * transactor_batch.c (records, their reports and answers), and the source knows them: see source_inside.h.
 * Private to the layer.
 *
 *   STARTING ──▶ (READING ──▶) IDLE ──▶ BEGINNING ──▶ ENDING ──▶ IDLE
 *      ▲                        ▲           │           │  └──▶ REBUILDING, the batch in doubt
 *      └── REBUILDING           └─────── ABORTING ◀─────┘ */

enum transactor_phase {
    TRANSACTOR_STARTING,   /* the instance ends or undoes what an earlier one left open */
    TRANSACTOR_READING,    /* what became of the batch is read back */
    TRANSACTOR_IDLE,       /* records are gathered */
    TRANSACTOR_BEGINNING,  /* a transaction is begun, and has nothing in it yet */
    TRANSACTOR_ENDING,     /* the batch is with librdkafka, offsets and commit follow it */
    TRANSACTOR_ABORTING,   /* nothing of the batch will be committed */
    TRANSACTOR_REBUILDING, /* the instance was of no use any more */
    TRANSACTOR_ENDED,      /* closing: the instance is destroyed */
};

enum { TRANSACTOR_BATCH_MAX = 500 };

struct kafka_transactor {
    struct loop *loop; /* borrowed */
    struct log log;
    void *arg;
    kafka_state_fn on_state;
    rd_kafka_conf_t *conf;
    int64_t interval_ms;
    struct kafka_source *source; /* NULL once it is gone */
    enum transactor_phase phase;
    bool is_closing;

    struct handle *handle; /* NULL while REBUILDING */
    struct handle *ending; /* the last one, while it is destroyed; it frees itself */
    rd_kafka_queue_t *queue;
    struct wakeup *wakeup;
    struct timer tick, rebuild, again; /* again: STARTING and READING, the next try */
    int64_t rebuild_delay_ms, rebuilt_at_ms;
    struct transaction_call *call; /* the call under way */
    struct facts *facts;           /* ... or the question */

    struct link all;      /* every struct kafka_delivery */
    struct link gathered; /* for the next transaction, in order; so is each of the others */
    struct link alone;    /* each in a transaction of its own: perhaps too large */
    struct link batch;    /* of the transaction under way, or in doubt */
    struct link committed, disowned, refused; /* to be answered */
    struct kafka_delivery *flying[TRANSACTOR_BATCH_MAX];
    size_t flying_count;
    unsigned losses;   /* of the source, when the batch was filled */
    unsigned sequence; /* of the transaction: a late report of an earlier one counts for nothing */
    struct task answer;
    struct timer interval, rest;
    int64_t rest_ms;
    size_t bytes, gathered_count; /* of all; of gathered */
    bool is_wanted;               /* offsets alone are to be committed */

    bool is_usable, needs_hands;
    char trouble_why[EXPLAIN_SIZE], why[EXPLAIN_SIZE];

    struct timer deadline;
    void (*closed)(void *arg);
    void *closed_arg;

    struct kafka_transactor_stats stats;
};

/* transactor.c: for the source. */
void transactor_flush(struct kafka_transactor *transactor); /* something changed: commit it soon */
/* Begins a last transaction where there is something for one. Returns: whether one is under way;
 * source_on_committed follows. */
bool transactor_settle(struct kafka_transactor *transactor);
void transactor_source_gone(struct kafka_transactor *transactor);
/* ... and for transactor_batch.c: there is one more record. */
void transactor_gathered(struct kafka_transactor *transactor);

void transactor_judge(struct kafka_transactor *transactor); /* is it usable? */
void transactor_be_idle(struct kafka_transactor *transactor);
void transactor_on_call(void *arg, struct transaction_call *call);

/* transactor_instance.c */
rd_kafka_conf_t *transactor_conf(const struct kafka_transactor_options *options, struct error *reterr);
bool transactor_open(struct kafka_transactor *transactor, struct error *reterr);
void transactor_close_handle(struct kafka_transactor *transactor, void (*destroyed)(void *arg));
void transactor_start(struct kafka_transactor *transactor, enum transactor_phase phase,
                      enum transaction_step kind);
void transactor_init_later(struct kafka_transactor *transactor);
/* What was committed of the batch, nobody knows: it stays where it is until it is read back. */
void transactor_rebuild(struct kafka_transactor *transactor, const char *why);
void transactor_read_back(void *arg);

/* transactor_batch.c */
/* Answers what is not ours or committed already; the rest stays. Returns: whether any can be sent now. */
bool transactor_sort(struct kafka_transactor *transactor);
/* Fills the transaction that was begun. Returns: the offsets that go with it; NULL: there is nothing. */
rd_kafka_topic_partition_list_t *transactor_fill(struct kafka_transactor *transactor);
void transactor_on_reports(struct kafka_transactor *transactor, rd_kafka_event_t *event);
/* The end of the batch: all of it was committed, nothing was, or what the group's offsets say. */
void transactor_batch_committed(struct kafka_transactor *transactor);
void transactor_batch_again(struct kafka_transactor *transactor);
void transactor_batch_judged(struct kafka_transactor *transactor,
                             const rd_kafka_topic_partition_list_t *committed);
void transactor_answer_soon(struct kafka_transactor *transactor);
void transactor_silence(struct kafka_transactor *transactor); /* frees what is left */

/* For tests: the instance itself. */
rd_kafka_t *transactor_librdkafka(const struct kafka_transactor *transactor);

#endif
