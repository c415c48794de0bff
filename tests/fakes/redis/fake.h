#ifndef TESTS_FAKES_REDIS_FAKE_H
#define TESTS_FAKES_REDIS_FAKE_H
#include "fakes/redis/store.h"

/* The fake ledger's Redis: what several fake ledgers of one test share, and what a test does to it.
 * redis/ledger.h is implemented over it with the answers a real Redis gives, each a millisecond after the
 * asking, on the loop's clock (the virtual one, usually). */

struct fake_redis;

struct fake_redis *fake_redis_new(struct loop *loop) MUST_USE;
void fake_redis_free(struct fake_redis *redis); /* after its ledgers were closed */

/* For ledger_options.url; valid while the fake lives. */
const char *fake_redis_url(const struct fake_redis *redis);

/* The records, to look at and to reach into. */
struct store *fake_redis_store(struct fake_redis *redis);
int64_t fake_redis_now_ms(const struct fake_redis *redis); /* its own clock */

/* What happens to a Redis: it is emptied; it restarts with what it knew when it was last saved (or empty, if
 * never); its clock steps. Its ledgers find out by their next pulse. */
void fake_redis_empty(struct fake_redis *redis);
void fake_redis_save(struct fake_redis *redis);
void fake_redis_restore(struct fake_redis *redis);
void fake_redis_step_clock(struct fake_redis *redis, int64_t ms); /* forward; back when negative */

/* Not there: everything fails TRANSIENT, ledgers are CONNECTING and look again every 100 ms. */
void fake_redis_set_reachable(struct fake_redis *redis, bool is_reachable);
/* The next `count` awaited operations are done, but their answers are lost: they fail TRANSIENT. */
void fake_redis_lose_answers(struct fake_redis *redis, int count);
/* The awaited operation after the next `skip` fails TRANSIENT; is_done: and was done nevertheless. */
void fake_redis_fail_later(struct fake_redis *redis, int skip, bool is_done);
bool fake_redis_has_failed(const struct fake_redis *redis); /* what fail_later asked for has come */
/* Operations done so far, pulses aside. */
int64_t fake_redis_count(const struct fake_redis *redis);

/* Pub/sub, for the fake ledgers. */
struct fake_listener {
    struct link link;
    void *arg;
    void (*on_hint)(void *arg, const char *kind, const char *text);
};
void fake_redis_listen(struct fake_redis *redis, struct fake_listener *listener);
void fake_redis_announce(struct fake_redis *redis, const char *kind, const char *text);
/* Returns: NULL for a url that is no fake's. */
struct fake_redis *fake_redis_find(const char *url);
bool fake_redis_is_reachable(const struct fake_redis *redis);
bool fake_redis_take_lost_answer(struct fake_redis *redis);
bool fake_redis_take_failure(struct fake_redis *redis);
void fake_redis_count_one(struct fake_redis *redis);

#endif
