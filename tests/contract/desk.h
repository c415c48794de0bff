#ifndef TESTS_CONTRACT_DESK_H
#define TESTS_CONTRACT_DESK_H
#include "contract/world.h"

/* A worker as the tests drive it: a ledger and what it said, with every call waited for. */

enum { DESK_TEXT = 160 };

/* An answer of acquire, copied. */
struct heard {
    bool is_error;
    struct ledger_acquired answer; /* its texts point into this struct */
    char texts[10][DESK_TEXT];
    char record[4096];
};

struct desk {
    struct world *world;
    struct ledger *ledger;
    struct ledger_call call;
    struct random random;
    bool is_answered, is_error, is_closed, is_ready;
    struct error error;
    enum ledger_answer answer;
    struct heard heard;
    struct ledger_usage usage[32];
    char usage_names[32][DESK_TEXT];
    size_t usage_count;
    struct ledger_permit permits[32]; /* of a census; texts in permit_texts */
    char permit_texts[32][4][DESK_TEXT];
    size_t permit_count;
    struct ledger_claim claim; /* of a look; texts in claim_texts */
    char claim_texts[8][DESK_TEXT];
    struct ledger_lead lead;
    struct ledger_condition condition; /* its text in condition_why */
    char condition_why[DESK_TEXT];
    enum ledger_state state;
    /* A worker with nothing to assert says so at once, unless the test wants to. */
    bool is_silent;
    struct ledger_call asserted_call;
    /* Events, the last and how many. */
    char lost[DESK_TEXT], cancelled[DESK_TEXT], freed[DESK_TEXT], done[DESK_TEXT],
        turns[DESK_TEXT]; /* "limit>tenant " each */
    enum ledger_loss loss;
    int lost_count, cancelled_count, free_count, done_count, rebuild_count;
    bool has_lost, has_cancelled, has_free, has_turn, has_done, has_rebuild;
};

/* What acquire asks for when a test says nothing else. */
struct ledger_acquire desk_wish(const char *job, const char *permit);

void desk_open(struct desk *desk, struct world *world, const char *name);
void desk_open_onlooker(struct desk *desk, struct world *world); /* and waits until it may ask */
void desk_close(struct desk *desk);
/* Opens the ledger for everybody: waits for the pulse, makes the rebuild old, says ready, ends the hold. */
void desk_make_ready(struct desk *desk);
void desk_pulse(struct desk *desk); /* ... now, and its answer */
void desk_wait_ready(struct desk *desk);
void desk_wait_gone(struct desk *desk);    /* its connection is down */
void desk_wait_serving(struct desk *desk); /* ... is up */

const struct ledger_acquired *desk_acquire(struct desk *desk, const struct ledger_acquire *acquire);
const struct ledger_acquired *desk_ask(struct desk *desk, const char *job, const char *permit);
/* ... for the record that stands there. */
const struct ledger_acquired *desk_ask_at(struct desk *desk, const char *job, const char *permit,
                                          const char *place);
enum ledger_answer desk_bind(struct desk *desk, const char *job, const char *permit);
enum ledger_answer desk_seal(struct desk *desk, const char *job, const char *permit, const char *record);
/* ... for the record that stands there. */
enum ledger_answer desk_seal_at(struct desk *desk, const char *job, const char *permit, const char *record,
                                const char *place);
enum ledger_answer desk_extend(struct desk *desk, const char *permit, int64_t horizon_ms);
enum ledger_answer desk_adopt(struct desk *desk, const char *job,
                              const char *permit); /* bind, of an adoption */
enum ledger_answer desk_yield(struct desk *desk, const char *job, const char *permit);
enum ledger_answer desk_moved(struct desk *desk, const char *job, const char *place);
enum ledger_answer desk_cancel(struct desk *desk, const char *job);
enum ledger_answer desk_condemn(struct desk *desk, const char *permit);
enum ledger_answer desk_lock(struct desk *desk, const char *what, int64_t ttl_ms);
enum ledger_answer desk_limit_set(struct desk *desk, const char *limit, int64_t max);

/* What a worker asserts when a test says nothing else: a bound, running job. */
struct ledger_assertion desk_claim(const char *job, const char *permit);
enum ledger_answer desk_assert(struct desk *desk, const struct ledger_assertion *assertion);
enum ledger_answer desk_asserted(struct desk *desk);
const struct ledger_lead *desk_lead(struct desk *desk);
enum ledger_answer desk_ready(struct desk *desk, int64_t listed);

void desk_snapshot(struct desk *desk);
const struct ledger_usage *desk_usage(struct desk *desk, const char *limit); /* NULL: not in the snapshot */
void desk_census(struct desk *desk);
const struct ledger_claim *desk_look(struct desk *desk, const char *job);
const struct ledger_claim *desk_peek(struct desk *desk, const char *job);
const struct ledger_condition *desk_condition(struct desk *desk);

void desk_release(struct desk *desk, const char *permit, const char *job, int what); /* and waits for it */
void desk_done(struct desk *desk, const char *job);
void desk_leave_sealed(struct desk *desk, const char *job);
void desk_park(struct desk *desk, const char *permit, const char *job, int64_t hop);
void desk_flush(struct desk *desk); /* until the background is empty */

#endif
