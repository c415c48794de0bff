#ifndef WORKER_FLIGHT_RUNNER_H
#define WORKER_FLIGHT_RUNNER_H
#include "base/arena.h"
#include "base/list.h"
#include "codec/job.h"
#include "core/flight.h"
#include "core/outcome.h"
#include "core/queue.h"
#include "kafka/sink.h"
#include "worker/context.h"
#include "worker/execution_runner.h"
#include "worker/gate.h"

/* Carries out what core/flight.h orders for one job: queue, acquire, run, seal, publish, finish. It owns
 * everything of its job: what is fixed lies in the arena, what grows in the outcome; everyone else borrows.
 * It frees itself at the end. */

struct custody_runner;

enum {
    FLIGHT_SEALED_UNTIL_MS = 360000, /* librdkafka's delivery timeout, and a minute */
};

enum park_reason { PARK_NOT_BEFORE, PARK_TENANT_SHARE };

struct flight_runner {
    struct link link; /* worker->flights */
    struct worker *worker;
    struct flight flight;
    struct arena arena;
    struct job job;
    struct plan plan;
    bool has_plan;
    struct outcome outcome;
    struct queue_entry entry;
    struct timer timer;
    struct ledger_call ledger_call; /* acquire, seal; peek while it waits */
    struct ledger_call bind_call;
    struct kafka_place_call place_call; /* FOUND_SEALED for another record: is that one finished? */
    const char *found_place; /* ... which is this, as the ledger has it; in the arena; NULL: none */
    const char *own_place;   /* of this record, likewise; NULL: not said yet */
    struct gate_wait gate;   /* to publish */
    struct kafka_send send;
    struct custody_runner *custody;                         /* borrowed; NULL: none */
    struct execution_runner *run;                           /* owned; NULL: no attempt under way */
    char permit[RANDOM_UUID_SIZE];                          /* of the claim that is asked for or held */
    char found_permit[RANDOM_UUID_SIZE], found_sandbox[64]; /* ADOPT */
    struct buffer raw;     /* the record as it came, packed: for the DLQ and for hops; empty once an attempt
                              began, unless it may still be parked */
    struct buffer value;   /* the result as it is published */
    struct buffer sealed;  /* packed headers and value as the ledger keeps them */
    const char *denied_by; /* the limit, in the arena; NULL: none */
    const char *first_status; /* FOUND_DONE */
    int64_t first_partition, first_offset;
    bool is_giving_way;   /* the claim went back for another record of the job: no hint wakes this one */
    bool is_other_record; /* FOUND_DONE: of another record than this one */
    bool is_bound, is_diverted;
    bool is_found;        /* what is published was sealed by another */
    bool is_permit_given; /* a custody answers for the permit */
    bool is_permit_idle;  /* granted, and no custody answers for it */
    bool was_asked;       /* the acquire was sent: without an answer it may have been granted */
    bool is_permit_lost;  /* it names another worker: hands off the sandbox */
    bool is_attached;     /* the attempt is a run that a predecessor left */
    bool is_proven;       /* ... and it has not killed us for a lease */
    bool has_begun;       /* some attempt here: the job's code may have */
    bool is_suspect;      /* a worker died over it before; runs beside no other such */
    bool is_counted;      /* in worker->active_count */
    int64_t crashes;      /* of the claim, when it was granted or taken over */
    int64_t received_ms, queued_since_ms, granted_ms, acquire_boot_ms, wait_ms;
    int64_t run_began_ms, collect_began_ms;
    int64_t bind_asked_ms;
    int64_t found_run_left_ms; /* ADOPT */
    unsigned sealed_epoch;     /* of the ledger, when it sealed */
    int64_t sealing_since_ms;  /* 0: not yet */
    int64_t retry_after_ms;    /* asked for by whoever refused the create */
    int64_t create_mark;       /* of provider_create_code; -1: its last create did not fail */
    int64_t waiting_notes;     /* waiting events so far */
    int64_t asked_ms;          /* when the ledger was last asked about the job, or the record came */
    int64_t park_ms;           /* how long it is not to run, and why */
    enum park_reason park_reason;
    bool was_pulled; /* by an earlier owner of the partition, or its claim is another's: it may be running */
    bool is_in_turn; /* what is asked for comes from the queue, where there was room for it */
    unsigned heard_epoch; /* of the ledger that last told while it waited whether somebody has it; 0: none */
    size_t charged_bytes;
};

/* Takes the record in: decodes, plans, queues, or rejects. Borrows it for the call. */
void flight_runner_begin(struct worker *worker, const struct kafka_message *message);
/* One step of the machine, and what it orders. For the parts of the flight itself. */
void flight_runner_advance(struct flight_runner *runner, const struct flight_event *event);
/* Its turn in the queue. */
void flight_runner_turn(struct flight_runner *runner);
/* Somebody has it, or had: asked for now, wherever it stands in the queue. */
void flight_runner_take_up(struct flight_runner *runner);
/* Why it must not run any more; NONE: it may. The outcome says it, too. */
enum code flight_runner_overdue(struct flight_runner *runner);
/* A hint that whatever it waits for may have come. */
void flight_runner_wake(struct flight_runner *runner);
void flight_runner_leave(struct flight_runner *runner);
/* No grace any more: what has no verdict is given back. */
void flight_runner_give_up(struct flight_runner *runner);
void flight_runner_cancel(struct flight_runner *runner);
/* The claim is another worker's; on_lost: so is the permit, or there is none any more. */
void flight_runner_superseded(struct flight_runner *runner);
void flight_runner_on_lost(struct flight_runner *runner, enum ledger_loss loss);
/* E2B says that the sandbox is no more. */
void flight_runner_on_gone(struct flight_runner *runner);

/* From the custody: the sandbox is there (error NULL), or will not be. */
void flight_runner_on_sandbox(struct flight_runner *runner, const struct e2b_error *error);
/* From the run. */
void flight_runner_note_stage(struct flight_runner *runner, enum execution_state from,
                              enum execution_state to, bool is_new_step);
void flight_runner_on_run_ended(struct flight_runner *runner);
/* The job's code may have begun, and must not begin again. */
bool flight_runner_has_begun_for_good(const struct flight_runner *runner);
/* Memory grew or shrank. */
void flight_runner_charge(struct flight_runner *runner);

static inline struct flight_runner *flight_runner_of_entry(struct queue_entry *entry)
{
    return CONTAINER_OF(entry, struct flight_runner, entry);
}

#endif
