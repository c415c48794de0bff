#ifndef WORKER_CONTEXT_H
#define WORKER_CONTEXT_H
#include "base/list.h"
#include "core/crowd.h"
#include "core/queue.h"
#include "core/retry.h"
#include "e2b/e2b.h"
#include "kafka/sink.h"
#include "kafka/source.h"
#include "kafka/transactor.h"
#include "redis/ledger.h"
#include "worker/worker.h"

/* What the runners of one worker share. Private to worker/: everybody here may read it; who writes a field is
 * said. */

/* What a worker depends on. Logs, /readyz and metrics call them by one name. */
enum part { PART_E2B, PART_REDIS, PART_KAFKA_JOBS, PART_KAFKA_RESULTS, PART_COUNT };

enum worker_phase { WORKER_RUNNING, WORKER_DRAINING, WORKER_CLOSING, WORKER_STOPPED };

struct flight_runner;

/* What the source is asked for; intake.c. */
struct intake {
    char *retry_topics[RETRY_TIER_COUNT];
    const char **topics; /* all that are subscribed to */
    size_t topic_count;
    struct crowd crowd; /* tenants with more in the queue than their part of it */
};

struct worker {
    struct worker_options options;
    struct kafka_property *properties; /* of worker_cluster */
    struct loop *loop;
    const struct config *config;
    struct log log, kafka_log, redis_log;
    struct random *random;

    struct ledger *ledger;               /* NULL once closed */
    struct kafka_source *source;         /* NULL once the group was left */
    struct kafka_sink *sink;             /* this and the next: results.c */
    struct kafka_transactor *transactor; /* of results, with their offsets; NULL: they go by the sink */
    void (*results_closed)(void *arg);
    struct e2b_client *e2b;
    struct provider *provider; /* whether E2B can be used */
    struct account *account;   /* how much of it others leave */
    struct reaper *reaper;     /* of what dead workers left */
    struct rebuild *rebuild;
    struct rebuild_leader *rebuild_leader;
    struct observe *observe;
    struct queue *queue; /* of flights that wait for their turn */
    struct {
        char *limit, *tenant; /* NULL: none */
        int64_t told_ms;
    } early_turn; /* the last that came to nobody: a hint may overtake the denial that it follows */
    struct intake intake;
    struct plan_rules rules;

    enum worker_phase phase; /* worker.c */
    struct link flights;     /* every struct flight_runner; flight_runner.c */
    size_t flight_count;
    size_t active_count;   /* of them ACQUIRING to PUBLISHING: what max_in_flight bounds */
    size_t bytes;          /* charged by arenas and outcomes: what max_bytes bounds */
    struct link custodies; /* every struct custody_runner; custody_runner.c */
    size_t custody_count;
    struct link gated;      /* every struct gate_wait in line; gate.c */
    struct link diversions; /* records on their way to the DLQ without a job; divert.c */
    size_t diversion_count;
    struct link orders; /* of the control topic, not answered yet; control.c */
    size_t order_count;
    struct flight_runner *suspect; /* runs here, and may have killed a worker before; NULL: none */
    /* CLOCK_BOOTTIME; gate.c */
    int64_t steady_since_boot_ms; /* this process was not stopped for seconds since then */
    int64_t awake_since_boot_ms;  /* it has turned without a second's pause since then, and nobody waited at
                                     the gate */
    int64_t paused_boot_ms, resumed_boot_ms; /* its last such pause: from when, at least, until when */
    int64_t ticked_boot_ms;

    struct turn_hook pump;
    struct timer drain_timer, tick_timer;
    unsigned ticks;
    bool is_pump_wanted, is_source_closing;
    bool is_abandoned; /* it could not begin: what was opened is closed again */
    bool source_is_usable, sink_is_usable, transactor_is_usable;
    char source_why[500], sink_why[500], transactor_why[500];
    char why[2048]; /* of the last worker_is_ready */
};

enum {
    WORKER_ASKING_MAX = 8 /* flights that ask for one full limit at a time; the rest waits behind them */
};

/* One job that may have killed its worker runs at a time; others of the kind wait behind this name. */
#define WORKER_SUSPECT_LIMIT "suspect"
void worker_enter_suspect(struct worker *worker, struct flight_runner *runner); /* no suspect: nothing */
void worker_leave_suspect(struct worker *worker, struct flight_runner *runner);
bool worker_is_suspect_busy(const struct worker *worker, const struct flight_runner *runner);

/* The cluster, as every client of it is made; borrowed until the next call. */
struct kafka_cluster worker_cluster(struct worker *worker);

const char *part_name(enum part part); /* "kafka_jobs" */
/* Why it keeps jobs from being taken; "" when it does not. */
const char *worker_part_why(const struct worker *worker, enum part part);
/* There may be something to start, or room to pull: looked at once, at the end of this turn. */
void worker_poke(struct worker *worker);
/* A denial by this limit was heard: if the turn came before it, it asks again. */
void worker_take_early_turn(struct worker *worker, const char *limit);
/* A flight became or ceased to be active (*is_counted: whether it is counted already). */
void worker_count_active(struct worker *worker, bool *is_counted, bool is_active);
/* Whether what is another's, or was, may be asked for out of turn: a run that its worker left needs nothing
 * created, but somebody who extends its sandbox in time. So neither a free place is waited for nor E2B; twice
 * max_in_flight is the most. */
bool worker_may_take_up(const struct worker *worker);
bool worker_is_overfull(const struct worker *worker); /* it has the most */
/* Something ended: a drain that waits for the last of them goes on. */
void worker_ended(struct worker *worker);

#endif
