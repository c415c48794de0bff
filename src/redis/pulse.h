#ifndef REDIS_PULSE_H
#define REDIS_PULSE_H
#include "redis/command.h"
#include "redis/connection.h"
#include "redis/replies.h"

/* This worker's heartbeat in the ledger, one at a time: every 3 s, and at the end of a turn in which
 * something is to be extended. It keeps this worker's own view of its lease: valid for 20 s from the sending
 * of the last answered pulse, and not valid while it is open which permits are still ours: after a lapse, and
 * in a new epoch until they were asserted. And it remembers who the other workers are. */

struct pulse;

struct pulse_options {
    struct loop *loop;             /* borrowed */
    struct connection *connection; /* borrowed */
    const char *prefix, *worker;   /* borrowed */
    void *arg;
    /* An answer that was understood; `doubt` among them. Extensions have been called back before. */
    void (*on_answer)(void *arg, const struct pulse_answer *answer);
    void (*on_lost)(void *arg, const char *permit, enum ledger_loss loss);
    /* It is open what is still ours: the owner names what it holds, by pulse_check, before this returns. */
    void (*name_permits)(void *arg);
    /* While the ledger is rebuilt: the check of a permit that is not there stays open, for it will be
     * asserted. */
    bool (*will_assert)(void *arg, const char *permit);
};

struct pulse *pulse_new(const struct pulse_options *options) MUST_USE;
void pulse_free(struct pulse *pulse); /* what is not answered fails, at the latest at the end of this turn */

void pulse_start(struct pulse *pulse); /* the connection can take a pulse: sends one now */
void pulse_stop(struct pulse *pulse);  /* ... and cannot any more: waiting extensions fail */
void pulse_now(struct pulse *pulse);   /* at the end of this turn; while stopped nothing */

/* Returns: false while stopped; nothing is called then. Calls back: once, never from inside. */
typedef void (*pulse_extend_fn)(void *arg, const struct error *error, enum ledger_answer answer);
bool pulse_extend(struct pulse *pulse, const char *permit, int64_t horizon_ms, pulse_extend_fn fn,
                  void *arg) MUST_USE;
/* Asks whether the permit still names us; on_lost when not. Kept over a break of the connection. */
void pulse_check(struct pulse *pulse, const char *permit);

/* The epoch that the last accepted pulse told, "": there was none; and which one it is, counted by us. */
const char *pulse_epoch(const struct pulse *pulse);
unsigned pulse_epoch_number(const struct pulse *pulse);
/* The workers in the ledger when it was last ready: [worker, ms left | -1]..., into a command. */
void pulse_write_crew(const struct pulse *pulse, struct command *command);

bool pulse_lease_is_valid(const struct pulse *pulse);

#endif
