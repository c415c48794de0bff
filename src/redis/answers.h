#ifndef REDIS_ANSWERS_H
#define REDIS_ANSWERS_H
#include "redis/ledger.h"

/* Redis's replies to the scripts, decoded. Pure, and suspicious: a reply is bytes from outside, and whatever
 * does not have the form that the script promises is an error, never a guess. What is decoded borrows from
 * the reply. */

struct redisReply;

struct pulse_answer {
    bool is_ready, is_in_doubt, has_lapsed;
    const char *epoch;
    const struct redisReply *not_mine, *cancelled; /* arrays of texts: answers_text */
};

/* Returns: false with an INTERNAL reterr for a malformed reply, *ret untouched. */
bool answers_pulse(const struct redisReply *reply, struct pulse_answer *ret, struct error *reterr) MUST_USE;
bool answers_acquire(const struct redisReply *reply, struct ledger_acquired *ret,
                     struct error *reterr) MUST_USE;
/* bind and seal. "not_ready" from bind is a TRANSIENT reterr: its port has no such answer. */
bool answers_bind(const struct redisReply *reply, enum ledger_answer *ret, struct error *reterr) MUST_USE;
bool answers_seal(const struct redisReply *reply, enum ledger_answer *ret, struct error *reterr) MUST_USE;
bool answers_ready(const struct redisReply *reply, enum ledger_answer *ret, struct error *reterr) MUST_USE;
/* Owns: free(3) *ret; NULL when *ret_count is 0. */
bool answers_snapshot(const struct redisReply *reply, struct ledger_usage **ret, size_t *ret_count,
                      struct error *reterr) MUST_USE;

/* The i-th text of an array that answers_pulse has accepted; NULL beyond its end. */
const char *answers_text(const struct redisReply *array, size_t i);

/* The value of one line of INFO, copied into `text`; false when it is not there or does not fit. */
bool answers_info(const struct redisReply *reply, const char *name, char *text, size_t size) MUST_USE;

#endif
