#ifndef TESTS_FAKES_REDIS_LEDGER_INSIDE_H
#define TESTS_FAKES_REDIS_LEDGER_INSIDE_H
#include "fakes/redis/fake.h"

/* The fake ledger: ledger.c has its state and life, calls.c what is asked of it. */

struct ledger {
    struct ledger_options options;
    struct fake_redis *redis;
    struct fake_listener listener;
    char *worker;
    enum ledger_state state;
    char why[160];
    struct link queue; /* of struct ledger_request: what has been asked, in its order */
    struct link held;
    size_t background_count;
    struct timer answer_timer, pulse_timer, close_timer;
    int64_t accepted_boot_ms, lease_boot_ms;
    int epoch; /* the store's */
    unsigned epoch_number, told_epoch, asserted_epoch;
    bool is_open; /* it is not known what of what we hold is still ours */
    char *crew;   /* the workers when the ledger was last ready, "<worker>=<over, boot ms | -1> ..." */
    int64_t crew_version;
    struct ledger_call nothing;
    bool is_serving, is_closing, is_gone;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* What was asked, copied: a real body has written it into a socket by now. */
struct ledger_request {
    struct link link;
    struct ledger_call *call; /* NULL: nobody waits */
    struct arena arena;
    bool is_background;
    bool is_refused; /* there was no connection when it was asked */
    /* Does it, and calls back; is_lost: the answer is, so it fails. */
    void (*perform)(struct ledger *ledger, struct ledger_request *request, bool is_lost);
    enum ledger_answer (*word)(struct ledger *ledger, struct ledger_request *request);
    union {
        struct ledger_acquire acquire;
        struct ledger_bind bind;
        struct ledger_seal seal;
        struct ledger_assertion assertion;
    } ask;
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
void fake_ledger_pulse(struct ledger *ledger);
void fake_ledger_hold(struct ledger *ledger, const char *permit);
bool fake_ledger_let_go(struct ledger *ledger, const char *permit); /* Returns: whether it was held */
void fake_ledger_lose(struct ledger *ledger, const char *permit, enum ledger_loss loss);
void fake_ledger_finish_close(void *arg);
/* The crew's ends, moved; those that are over then are left out. Owns: the caller frees. */
char *fake_ledger_move_ends(const char *crew, int64_t by_ms);

/* calls.c */
void fake_ledger_request_free(struct ledger *ledger, struct ledger_request *request);
struct ledger_call *fake_ledger_leave(struct ledger_request *request);

#endif
