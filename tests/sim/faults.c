/* What goes wrong: one thing at a time, and the next when the world has recovered; or, in double mode, when
 * it likes. */
#include "sim/sim.h"

#include "fakes/redis/store_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 500,
    NOTICED_MS = LEDGER_PULSE_MS + 1000, /* by everybody, also what only a pulse finds */
    QUIET_MOST_MS = 10000,
    RECOVERED_MOST_MS = 120 * 60000, /* longer, and it never does */
    MENDS_MAX = 16,
};

struct mend {
    struct timer timer;
    struct sim *sim;
    void (*fn)(struct sim *sim);
};

struct faults {
    struct sim *sim;
    struct timer next;
    enum fault_kind kind; /* the last */
    int64_t began_ms;
    bool is_recovering, is_over;
    struct mend mends[MENDS_MAX];
};

static const char *const names[FAULT_KIND_COUNT] = {
    [FAULT_KILL] = "kill",
    [FAULT_KILL_INSIDE] = "kill_inside",
    [FAULT_STOP_SHORT] = "stop_short",
    [FAULT_STOP_LONG] = "stop_long",
    [FAULT_STOP_INSIDE] = "stop_inside",
    [FAULT_DRAIN] = "drain",
    [FAULT_DRAIN_TWICE] = "drain_twice",
    [FAULT_SCALE] = "scale",
    [FAULT_EXPEL] = "expel",
    [FAULT_REDIS_EMPTY] = "redis_empty",
    [FAULT_REDIS_OLD] = "redis_old",
    [FAULT_REDIS_AWAY] = "redis_away",
    [FAULT_REDIS_AWAY_ONE] = "redis_away_one",
    [FAULT_REDIS_FROZEN] = "redis_frozen",
    [FAULT_REDIS_BREAK] = "redis_break",
    [FAULT_REDIS_ANSWERS] = "redis_answers",
    [FAULT_REDIS_CLOCK] = "redis_clock",
    [FAULT_KAFKA_DOWN] = "kafka_down",
    [FAULT_KAFKA_LATE] = "kafka_late",
    [FAULT_KAFKA_FAILING] = "kafka_failing",
    [FAULT_E2B_CALL] = "e2b_call",
    [FAULT_E2B_DOWN] = "e2b_down",
    [FAULT_E2B_CREATE_LATE] = "e2b_create_late",
    [FAULT_E2B_KEEP_LATE] = "e2b_keep_late",
    [FAULT_E2B_VANISH] = "e2b_vanish",
    [FAULT_E2B_QUOTA] = "e2b_quota",
    [FAULT_LIMIT] = "limit",
    [FAULT_POISON] = "poison",
};

const char *fault_name(enum fault_kind kind)
{
    return names[kind];
}

/* ---- mending ---- */

static void on_mend(void *arg)
{
    struct mend *mend = arg;
    void (*fn)(struct sim * sim) = TAKE(mend->fn);
    fn(mend->sim);
}

void faults_mend_in(struct sim *sim, int64_t ms, void (*fn)(struct sim *sim))
{
    struct mend *mend = sim->faults->mends;
    while (mend < sim->faults->mends + MENDS_MAX && mend->fn)
        mend++;
    assert(mend < sim->faults->mends + MENDS_MAX);
    mend->sim = sim;
    mend->fn = fn;
    loop_timer_start(sim->loop, &mend->timer, ms, on_mend, mend);
}

bool faults_are_mended(struct sim *sim)
{
    for (size_t i = 0; i < MENDS_MAX; i++)
        if (sim->faults->mends[i].fn)
            return false;
    return true;
}

/* ---- whether all is well again ---- */

static bool are_claims_owned(struct sim *sim)
{
    const struct store *store = fake_redis_store(sim->redis);
    LIST_EACH(&store->claims, link)
    {
        const struct claim *claim = LIST_OBJECT(link, struct claim, link);
        bool is_held = claim->state == CLAIM_RUNNING || claim->state == CLAIM_SEALED;
        if (is_held && (!claim->owner || !seat_of_owner(sim, claim->owner)))
            return false;
    }
    LIST_EACH(&sim->e2b->sandboxes, link)
    {
        const struct place *place = LIST_OBJECT(link, struct place, link);
        const struct permit *permit = store_find_permit((struct store *)(uintptr_t)store, place->permit);
        if (!permit || !seat_of_owner(sim, permit->worker))
            return false;
    }
    return true;
}

static bool is_kafka_quiet(const struct sim *sim)
{
    LIST_EACH(&sim->kafka->groups, link)
    {
        const struct group *group = LIST_OBJECT(link, struct group, link);
        if (group->is_preparing)
            return false;
    }
    for (int i = 0; i < sim->seat_count; i++) {
        const struct kafka_source *source = seat_source(&sim->seats[i]);
        if (source && (!source->member || !source->has_joined ||
                       source->member->group->generation != source->generation))
            return false;
    }
    return true;
}

/* A call that E2B will still carry out, though nobody listens. */
static bool is_e2b_quiet(const struct sim *sim)
{
    LIST_EACH(&sim->e2b->requests, link)
    {
        const struct e2b_request *request = LIST_OBJECT(link, struct e2b_request, link);
        if (!request->operation && timer_is_active(&request->timer))
            return false;
    }
    return e2b_world_faults_left(sim->e2b) == 0;
}

static bool is_recovered(struct sim *sim)
{
    struct store *store = fake_redis_store(sim->redis);
    int64_t now_ms = fake_redis_now_ms(sim->redis);
    const struct sim_job *job = jobs_poison(sim);
    if (!faults_are_mended(sim) || !seats_are_well(sim) || (job && job->results == 0))
        return false;
    return !store_not_ready(store, now_ms) && store->hold_ms <= now_ms && is_kafka_quiet(sim) &&
           is_e2b_quiet(sim) && are_claims_owned(sim);
}

/* ---- one after the other ---- */

static void on_next(void *arg);

static void look_later(struct faults *faults)
{
    loop_timer_start(faults->sim->loop, &faults->next, LOOK_MS, on_next, faults);
}

static void strike(struct faults *faults)
{
    faults->began_ms = sim_now_ms(faults->sim);
    faults->is_recovering = true;
    faults->kind = harm_some(faults->sim);
}

static void on_next(void *arg)
{
    struct faults *faults = arg;
    struct sim *sim = faults->sim;
    if (faults->is_recovering && !sim->options.is_double) {
        if (sim_now_ms(sim) - faults->began_ms < NOTICED_MS || !is_recovered(sim)) {
            if (sim_now_ms(sim) - faults->began_ms > RECOVERED_MOST_MS)
                sim_breach(sim, names[faults->kind], "two hours after '%s' all is not well again",
                           names[faults->kind]);
            look_later(faults);
            return;
        }
        sim_trace(sim, NULL, "all is well again");
        faults->is_recovering = false;
        harm_forget_single(sim);
        loop_timer_start(sim->loop, &faults->next, sim_between(sim, 1, QUIET_MOST_MS), on_next, faults);
        return;
    }
    if (faults->is_over || jobs_are_submitted(sim)) {
        faults->is_over = true;
        return;
    }
    strike(faults);
    if (sim->options.is_double)
        loop_timer_start(sim->loop, &faults->next, sim_between(sim, 1, 40000), on_next, faults);
    else
        look_later(faults);
}

void faults_open(struct sim *sim)
{
    struct faults *faults = base_alloc(sizeof *faults);
    sim->faults = faults;
    faults->sim = sim;
    faults->is_over = sim->options.is_calm;
    if (!faults->is_over)
        loop_timer_start(sim->loop, &faults->next, sim_between(sim, 5000, 20000), on_next, faults);
}

bool faults_are_over(const struct sim *sim)
{
    return sim->faults->is_over;
}

void faults_close(struct sim *sim)
{
    struct faults *faults = sim->faults;
    faults->is_over = true;
    loop_timer_stop(sim->loop, &faults->next);
    for (size_t i = 0; i < MENDS_MAX; i++)
        if (faults->mends[i].fn) {
            loop_timer_stop(sim->loop, &faults->mends[i].timer);
            on_mend(&faults->mends[i]);
        }
    harm_undo(sim);
    seats_mend(sim);
}
