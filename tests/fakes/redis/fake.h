#ifndef TESTS_FAKES_REDIS_FAKE_H
#define TESTS_FAKES_REDIS_FAKE_H
#include "fakes/redis/store.h"

/* The fake ledger's Redis: what several fake ledgers of one test share, and what a test does to it.
 * redis/ledger.h is implemented over it with the answers a real Redis gives, each a millisecond after the
 * asking. Redis lives on the world's loop, each ledger on the one that its options name. */

struct fake_redis;

struct fake_redis *fake_redis_new(struct loop *loop) MUST_USE;
void fake_redis_free(struct fake_redis *redis); /* after its ledgers were closed */

/* For ledger_options.url; valid while the fake lives. */
const char *fake_redis_url(const struct fake_redis *redis);

/* The records, to look at and to reach into. */
struct store *fake_redis_store(struct fake_redis *redis);
int64_t fake_redis_now_ms(const struct fake_redis *redis); /* its own clock */

/* From now on each way takes up to most_ms, as random decides. */
void fake_redis_vary(struct fake_redis *redis, struct random *random, int64_t most_ms);

/* What happens to a Redis: it is emptied; it restarts with what it knew when it was last saved (or empty, if
 * never); its clock steps. Its ledgers find out by their next pulse. */
void fake_redis_empty(struct fake_redis *redis);
void fake_redis_save(struct fake_redis *redis);
void fake_redis_restore(struct fake_redis *redis);
void fake_redis_step_clock(struct fake_redis *redis, int64_t ms); /* forward; back when negative */

/* Not there: connections break, everything fails TRANSIENT, ledgers are CONNECTING and look again every 100
 * ms. */
void fake_redis_set_reachable(struct fake_redis *redis, bool is_reachable);
/* ... for the ledgers on one loop. */
void fake_redis_set_reachable_from(struct fake_redis *redis, struct loop *loop, bool is_reachable);
/* The process of this loop was killed: what it had sent is done. */
void fake_redis_kill(struct fake_redis *redis, struct loop *loop);
/* All connections break, once. */
void fake_redis_break(struct fake_redis *redis);
/* ... that of the ledgers on one loop, after `count` more commands were done: their answers are lost. */
void fake_redis_break_after(struct fake_redis *redis, struct loop *loop, int count);
/* SIGSTOP and SIGCONT: connections stay, nothing is answered. keeps_orphans: what was sent by whoever has
 * given up meanwhile is done all the same, late. */
void fake_redis_set_frozen(struct fake_redis *redis, bool is_frozen, bool keeps_orphans);

/* The next `count` awaited operations are done, but their answers are lost: they fail TRANSIENT. */
void fake_redis_lose_answers(struct fake_redis *redis, int count);
/* The awaited operation after the next `skip` fails TRANSIENT; is_done: and was done nevertheless. */
void fake_redis_fail_later(struct fake_redis *redis, int skip, bool is_done);
bool fake_redis_has_failed(const struct fake_redis *redis); /* what fail_later asked for has come */
/* Operations done so far, pulses aside. */
int64_t fake_redis_count(const struct fake_redis *redis);

/* ---- For the fake ledgers ---- */

struct ledger;
struct ledger_request;

/* Returns: NULL for a url that is no fake's. */
struct fake_redis *fake_redis_find(const char *url);
struct loop *fake_redis_loop(const struct fake_redis *redis);
struct link *fake_redis_ledgers(struct fake_redis *redis); /* struct ledger, the killed ones too */
void fake_redis_join(struct fake_redis *redis, struct ledger *ledger);
void fake_redis_announce(struct fake_redis *redis, const char *kind, const char *text);
int64_t fake_redis_delay_there(struct fake_redis *redis);
int64_t fake_redis_delay_back(struct fake_redis *redis);
bool fake_redis_is_reachable(const struct fake_redis *redis);
bool fake_redis_is_frozen(const struct fake_redis *redis);
bool fake_redis_keeps_orphans(const struct fake_redis *redis);
/* Whoever asked has given up; it will be done. Takes its contents. */
void fake_redis_adopt(struct fake_redis *redis, struct ledger_request *request);
void fake_redis_disown(struct fake_redis *redis, const struct ledger *ledger);
bool fake_redis_breaks_now(struct fake_redis *redis, const struct ledger *ledger);
bool fake_redis_take_lost_answer(struct fake_redis *redis);
bool fake_redis_take_failure(struct fake_redis *redis); /* Returns: true when it is not done, either */
void fake_redis_count_one(struct fake_redis *redis);

#endif
