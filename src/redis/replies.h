#ifndef REDIS_REPLIES_H
#define REDIS_REPLIES_H
#include "redis/ledger.h"
#include "redis/script.h"

/* Redis's replies to the scripts, decoded. Pure, and suspicious: a reply is bytes from outside, and whatever
 * does not have the form that the script promises is an error, never a guess. What is decoded borrows from
 * the reply. */

struct redisReply;

struct pulse_answer {
    bool is_ready, is_in_doubt, has_lapsed;
    const char *epoch, *crew_version;
    /* Arrays of texts: replies_text. Permits that name another, and that are not there; jobs. */
    const struct redisReply *others, *gone, *cancelled;
    const struct redisReply *crew; /* replies_crew; empty when crew_version is the one that was asked with */
};

/* Returns: false with an INTERNAL reterr for a malformed reply, *ret untouched. */
bool replies_pulse(const struct redisReply *reply, struct pulse_answer *ret, struct error *reterr) MUST_USE;
bool replies_acquire(const struct redisReply *reply, struct ledger_acquired *ret,
                     struct error *reterr) MUST_USE;
/* The scripts that answer with a word, each with words of its own. */
bool replies_word(const struct redisReply *reply, enum script_name script, enum ledger_answer *ret,
                  struct error *reterr) MUST_USE;
bool replies_lead(const struct redisReply *reply, struct ledger_lead *ret, struct error *reterr) MUST_USE;
bool replies_claim(const struct redisReply *reply, struct ledger_claim *ret, struct error *reterr) MUST_USE;
bool replies_condition(const struct redisReply *reply, struct ledger_condition *ret,
                       struct error *reterr) MUST_USE;
/* Owns: free(3) *ret; NULL when *ret_count is 0. */
bool replies_snapshot(const struct redisReply *reply, struct ledger_usage **ret, size_t *ret_count,
                      struct error *reterr) MUST_USE;
bool replies_census(const struct redisReply *reply, struct ledger_permit **ret, size_t *ret_count,
                    struct error *reterr) MUST_USE;

/* Whether it answers so many operations of the script at once: an array, each of whose elements is an answer
 * or an error. */
bool replies_group(const struct redisReply *reply, enum script_name script, size_t count,
                   struct error *reterr) MUST_USE;

/* The i-th text of an array that replies_pulse has accepted; NULL beyond its end. */
const char *replies_text(const struct redisReply *array, size_t i);

/* The i-th worker of a crew, i < count, and for how long creates of it may come; -1: it is alive. */
size_t replies_crew_count(const struct redisReply *crew);
const char *replies_crew(const struct redisReply *crew, size_t i, int64_t *ret_left_ms);

/* The value of one line of INFO, copied into `text`; false when it is not there or does not fit. */
bool replies_info(const struct redisReply *reply, const char *name, char *text, size_t size) MUST_USE;

#endif
