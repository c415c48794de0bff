#ifndef TESTS_FAKES_REDIS_LEDGER_INSIDE_H
#define TESTS_FAKES_REDIS_LEDGER_INSIDE_H
#include "fakes/loop/virtual.h"
#include "fakes/redis/fake.h"

/* The fake ledger: ledger.c has its state and life, wire.c its connection, pulse.c the heartbeat, calls.c
 * what is asked of it. Each has two sides: the client's runs on the loop of its worker, and stops and dies
 * with it; Redis's runs on the world's. */

struct ledger {
    struct ledger_options options;
    struct fake_redis *redis;
    struct link link; /* redis->ledgers */
    char *worker;
    enum ledger_state state;
    char why[160];

    /* wire.c */
    struct link unsent;   /* asked; leaves at the end of the turn */
    struct link sent;     /* on its way to Redis, or waiting there */
    struct link answered; /* on its way back */
    struct link backlog;  /* of the background, while there is no connection */
    struct link hints;    /* of pub/sub, on their way */
    struct task flush;
    struct timer wire;             /* the world's: the next of `sent` is at Redis */
    struct timer arrival, hinting; /* ours: the next of `answered`, of `hints` */
    struct timer broken;           /* ours: the connection is gone */
    struct timer connecting, deadline;
    size_t background_count;
    bool is_dead; /* its process was killed */
    bool is_cut;  /* Redis cannot be reached from here */
    bool is_connected, is_late;
    bool is_serving; /* the first pulse was answered */

    /* pulse.c */
    struct timer pulse_timer;
    struct task pulse_task;
    struct link waiting; /* of struct extension: for the next pulse */
    struct link open;    /* checks that the last could not answer */
    size_t check_count;
    bool is_pulsing; /* one is under way */
    int64_t accepted_boot_ms, lease_boot_ms;
    int epoch; /* the store's */
    unsigned epoch_number, told_epoch, asserted_epoch;
    char *crew; /* the workers when the ledger was last ready, "<worker>=<over, boot ms | -1> ..." */
    int64_t crew_version;
    struct ledger_call nothing;

    struct link held; /* permits */
    struct timer close_timer;
    bool is_closing, is_leaving, is_gone;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One permit that rides on a pulse. */
struct extension {
    struct link link;
    char *permit;
    int64_t horizon_ms;
    struct ledger_request *request; /* NULL: a check */
    enum ledger_answer answer;
    bool is_failed;
};

/* What was asked, copied: a real body has written it into a socket by now. */
struct ledger_request {
    struct link link;
    struct ledger *ledger;
    struct ledger_call *call; /* NULL: nobody waits */
    struct arena arena;
    bool is_background, is_operation; /* operation: not the client's own */
    bool is_failed;                   /* there is no answer; else what is in `is` */
    int64_t sent_ms;                  /* by the loop of the client */
    int64_t due_ms;                   /* at Redis; then: back here */
    struct task failing;              /* it was not sent at all */
    /* Redis's side. */
    void (*perform)(struct ledger *ledger, struct ledger_request *request);
    enum ledger_answer (*word)(struct ledger *ledger, struct ledger_request *request);
    /* The client's side, before the callback; NULL: nothing. */
    void (*settle)(struct ledger *ledger, struct ledger_request *request);
    union {
        struct ledger_acquire acquire;
        struct ledger_bind bind;
        struct ledger_seal seal;
        struct ledger_assertion assertion;
        struct {
            int64_t since_ms, boot_ms;
            bool has_crew;
            int64_t crew_version;
            struct link extensions;
        } pulse;
    } ask;
    union {
        enum ledger_answer word;
        struct ledger_acquired acquired;
        struct ledger_lead lead;
        struct ledger_condition condition;
        struct ledger_claim claim;
        struct {
            struct ledger_usage *items;
            size_t count;
        } usage;
        struct {
            struct ledger_permit *items;
            size_t count;
        } census;
        struct {
            struct store_pulse answer;
            char **cancelled;
            size_t cancelled_count;
            char *crew; /* as store_workers says it; NULL: as the caller knows it */
        } pulse;
    } is;
    const char *job, *permit, *status, *limit;
    int64_t partition, offset, amount, ms; /* as the operation has it */
    int what, epoch;
    unsigned epoch_number;
    ledger_acquired_fn on_acquired;
    ledger_answer_fn on_answer;
    ledger_usage_fn on_usage;
    ledger_census_fn on_census;
    ledger_claim_fn on_claim;
    ledger_lead_fn on_lead;
    ledger_condition_fn on_condition;
};

/* ledger.c */
void fake_ledger_set_state(struct ledger *ledger, enum ledger_state state, const char *why);
void fake_ledger_hold(struct ledger *ledger, const char *permit);
bool fake_ledger_let_go(struct ledger *ledger, const char *permit); /* Returns: whether it was held */
bool fake_ledger_holds(const struct ledger *ledger, const char *permit);
void fake_ledger_each_held(struct ledger *ledger, void (*fn)(struct ledger *ledger, const char *permit));
void fake_ledger_lose(struct ledger *ledger, const char *permit, enum ledger_loss loss);
/* The crew's ends, moved; those that are over then are left out. Owns: the caller frees. */
char *fake_ledger_move_ends(const char *crew, int64_t by_ms);
void fake_ledger_on_quiet(struct ledger *ledger); /* the background is empty */
void fake_ledger_on_left(struct ledger *ledger);

/* wire.c */
typedef void (*perform_fn)(struct ledger *ledger, struct ledger_request *request);
struct ledger_request *fake_wire_new(struct ledger *ledger, struct ledger_call *call, perform_fn perform);
void fake_wire_send(struct ledger_request *request);
struct ledger_call *fake_wire_leave(struct ledger_request *request); /* its slot is idle */
void fake_wire_free(struct ledger_request *request);
void fake_wire_open(struct ledger *ledger);  /* begins to connect */
void fake_wire_serve(struct ledger *ledger); /* the first pulse was answered */
void fake_wire_close(struct ledger *ledger); /* what was sent is done; nothing comes back */
/* Redis's side: the connection breaks now. */
void fake_wire_drop(struct ledger *ledger);
void fake_wire_resume(struct ledger *ledger); /* Redis goes on to serve it */
void fake_wire_perform_late(struct ledger_request *orphan);
void fake_wire_hint(struct ledger *ledger, const char *kind, const char *text);

/* calls.c */
void fake_ledger_deliver(struct ledger_request *request);
void fake_ledger_fail(struct ledger_request *request);

/* pulse.c */
void fake_pulse_init(struct ledger *ledger);
void fake_pulse_start(struct ledger *ledger);
void fake_pulse_now(struct ledger *ledger);
void fake_pulse_stop(struct ledger *ledger);
void fake_pulse_release(struct ledger *ledger);
void fake_pulse_fail(struct ledger_request *request);    /* one that was under way */
void fake_pulse_clear(struct ledger_request *request);   /* ... its contents, of nobody's any more */
void fake_pulse_silence(struct ledger_request *request); /* whoever rides on it */
void fake_pulse_leave(struct ledger *ledger);            /* gives the lease back */
bool fake_pulse_is(const struct ledger_request *request);

#endif
