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
    RECOVERED_MOST_MS = 30 * 60000, /* longer, and it never does */
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

static void mend_in(struct sim *sim, int64_t ms, void (*fn)(struct sim *sim))
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

static struct seat *some_seat(struct sim *sim)
{
    struct seat *seat = &sim->seats[sim_below(sim, sim->seat_count)];
    return seat->state == SEAT_UP ? seat : NULL;
}

/* ---- workers ---- */

static void kill_one(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_kill(seat, sim_chance(sim, 70) ? sim_between(sim, 100, 20000) : sim_between(sim, 20000, 200000));
}

static void kill_inside(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_stop_inside(seat, (unsigned)sim_between(sim, 1, 60), 0);
}

static int64_t some_stop_ms(struct sim *sim)
{
    switch (sim_below(sim, 4)) {
    case 0:
        return sim_between(sim, 15000, 35000); /* about a lease */
    case 1:
        return sim_between(sim, 35000, 70000); /* about a session of Kafka's */
    case 2:
        return sim_between(sim, 70000, 300000);
    default:
        return sim_between(sim, 300000, 700000); /* a sandbox's life and more */
    }
}

static void stop_short(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_stop(seat, sim_between(sim, 10, 18000));
}

static void stop_long(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_stop(seat, some_stop_ms(sim));
}

static void stop_inside(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_stop_inside(seat, (unsigned)sim_between(sim, 1, 60),
                         sim_chance(sim, 30) ? sim_between(sim, 10, 18000) : some_stop_ms(sim));
}

static void drain(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (seat)
        seat_drain(seat);
}

static void drain_again(struct sim *sim)
{
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].state == SEAT_LEAVING)
            seat_drain(&sim->seats[i]);
}

static void drain_twice(struct sim *sim)
{
    drain(sim);
    mend_in(sim, sim_between(sim, 1, 8000), drain_again);
}

/* One more, or one less. */
static void scale(struct sim *sim)
{
    struct seat *seat = &sim->seats[sim_below(sim, sim->seat_count)];
    int wanted = 0;
    for (int i = 0; i < sim->seat_count; i++)
        wanted += sim->seats[i].is_wanted;
    if (!seat->is_wanted && seat->state == SEAT_EMPTY) {
        seat->is_wanted = true;
        seat_launch(seat);
    } else if (seat->is_wanted && wanted > 1) {
        seat_leave(seat);
    }
}

static struct kafka_source *source_of(const struct seat *seat)
{
    LIST_EACH(&seat->sim->kafka->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        if (seat->process && source->loop == seat->process->loop)
            return source;
    }
    return NULL;
}

static void tell_expelled(struct sim *sim)
{
    LIST_EACH(&sim->kafka->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        if (source->is_expelled)
            kafka_world_tell(source);
    }
}

static void expel(struct sim *sim)
{
    const struct seat *seat = some_seat(sim);
    struct kafka_source *source = seat ? source_of(seat) : NULL;
    if (!source || !source->member)
        return;
    kafka_world_expel(source);
    mend_in(sim, sim_between(sim, 1, 60000), tell_expelled);
}

/* ---- Redis ---- */

static void redis_back(struct sim *sim)
{
    fake_redis_set_frozen(sim->redis, false, false);
    fake_redis_set_reachable(sim->redis, true);
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].process)
            fake_redis_set_reachable_from(sim->redis, sim->seats[i].process->loop, true);
}

static void restart_redis(struct sim *sim)
{
    fake_redis_set_reachable(sim->redis, false);
    mend_in(sim, sim_between(sim, 1, 20000), redis_back);
}

/* By hand, or by a restart. */
static void redis_empty(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    if (sim_chance(sim, 50))
        restart_redis(sim);
    fake_redis_empty(sim->redis);
}

static void restore(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    restart_redis(sim);
    fake_redis_restore(sim->redis);
}

static void redis_old(struct sim *sim)
{
    fake_redis_save(sim->redis);
    mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 5000 : 90000), restore);
}

static void redis_away(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    fake_redis_set_reachable(sim->redis, false);
    mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 15000 : 200000), redis_back);
}

static void redis_away_one(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (!seat)
        return;
    seat_hit(seat, /* is_lost= */ true); /* a verdict that waits for Redis has no sandbox any more */
    fake_redis_set_reachable_from(sim->redis, seat->process->loop, false);
    mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 15000 : 100000), redis_back);
}

static void redis_frozen(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    fake_redis_set_frozen(sim->redis, true, sim_chance(sim, 50));
    mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 6000 : 60000), redis_back);
}

static void redis_break(struct sim *sim)
{
    fake_redis_break(sim->redis);
}

static void redis_answers(struct sim *sim)
{
    const struct seat *seat = some_seat(sim);
    if (seat)
        fake_redis_break_after(sim->redis, seat->process->loop, (int)sim_between(sim, 1, 40));
}

static void redis_clock(struct sim *sim)
{
    static const int64_t steps_ms[] = {3600000, -3600000, 20000, -20000, 3000, -3000, 8000, 600};
    judge_hit_all(sim, /* is_lost= */ true);
    fake_redis_step_clock(sim->redis, steps_ms[sim_below(sim, ARRAY_LENGTH(steps_ms))]);
}

/* ---- Kafka ---- */

static void kafka_back(struct sim *sim)
{
    kafka_world_set_up(sim->kafka, true, "");
    kafka_world_delay_reports(sim->kafka, 1);
}

static void kafka_down(struct sim *sim)
{
    kafka_world_set_up(sim->kafka, false, "the broker is down: the test says so");
    mend_in(sim, sim_between(sim, 1, sim_chance(sim, 70) ? 20000 : 120000), kafka_back);
}

static void kafka_late(struct sim *sim)
{
    kafka_world_delay_reports(sim->kafka, sim_between(sim, 100, 9000));
    mend_in(sim, sim_between(sim, 1000, 30000), kafka_back);
}

static void kafka_failing(struct sim *sim)
{
    kafka_world_fail_reports(sim->kafka, (int)sim_between(sim, 1, 5), sim_chance(sim, 50));
}

/* ---- E2B ---- */

static void e2b_back(struct sim *sim)
{
    e2b_world_forgive(sim->e2b);
}

static void e2b_call(struct sim *sim)
{
    static const enum e2b_error_kind kinds[] = {
        E2B_ERROR_BROKEN,   E2B_ERROR_BROKEN, E2B_ERROR_BROKEN,   E2B_ERROR_RATE_LIMITED, E2B_ERROR_QUOTA,
        E2B_ERROR_CAPACITY, E2B_ERROR_GONE,   E2B_ERROR_CONFLICT, E2B_ERROR_TOO_LARGE,    E2B_ERROR_AUTH,
    };
    struct e2b_world_fault fault = {
        .call = (enum e2b_world_call)sim_between(sim, E2B_WORLD_CREATE, E2B_WORLD_CALL_COUNT - 1),
        .skip = (int)sim_below(sim, 4),
        .count = (int)sim_between(sim, 1, 3),
        .is_done = sim_chance(sim, 50)};
    if (sim_chance(sim, 15))
        fault.cut_after = (int)sim_between(sim, 1, 3);
    else if (sim_chance(sim, 20))
        fault.is_silent = true;
    else
        fault.error.kind = kinds[sim_below(sim, ARRAY_LENGTH(kinds))];
    bool is_open = fault.is_silent || fault.error.kind == E2B_ERROR_BROKEN;
    fault.is_done = fault.is_done && is_open; /* what says clearly that nothing was done has done nothing */
    fault.error.undecided = is_open && (fault.is_done || sim_chance(sim, 50));
    e2b_world_fail(sim->e2b, &fault);
    mend_in(sim, 30000, e2b_back); /* some kinds of calls are rare */
}

static void e2b_down(struct sim *sim)
{
    struct e2b_world_fault fault = {.call = E2B_WORLD_ANY, .count = 1 << 30};
    if (sim_chance(sim, 30))
        fault.is_silent = true;
    else
        fault.error = (struct e2b_error){.kind = sim_chance(sim, 50) ? E2B_ERROR_BROKEN : E2B_ERROR_CAPACITY,
                                         .http_status = 503};
    judge_hit_all(sim, /* is_lost= */ true);
    e2b_world_fail(sim->e2b, &fault);
    mend_in(sim, sim_between(sim, 1000, 200000), e2b_back);
}

static void e2b_create_late(struct sim *sim)
{
    struct e2b_world_fault fault = {.call = E2B_WORLD_CREATE,
                                    .count = (int)sim_between(sim, 1, 3),
                                    .is_done = true,
                                    .late_ms = sim_chance(sim, 50) ? 0 : sim_between(sim, 1, 75000)};
    if (sim_chance(sim, 50))
        fault.is_silent = true;
    else
        fault.error = (struct e2b_error){.kind = E2B_ERROR_BROKEN, .undecided = true};
    e2b_world_fail(sim->e2b, &fault);
    mend_in(sim, 60000, e2b_back);
}

static void e2b_keep_late(struct sim *sim)
{
    const struct e2b_world_fault fault = {.call = E2B_WORLD_KEEP,
                                          .count = (int)sim_between(sim, 1, 3),
                                          .is_done = true,
                                          .is_silent = true,
                                          .late_ms = sim_between(sim, 1, 60000)};
    e2b_world_fail(sim->e2b, &fault);
    mend_in(sim, 120000, e2b_back); /* few runs are long enough to be extended */
}

static void e2b_vanish(struct sim *sim)
{
    for (int64_t count = sim_between(sim, 1, 3); count > 0 && sim->e2b->live > 0; count--) {
        int64_t at = sim_below(sim, (int64_t)sim->e2b->live);
        struct link *link = sim->e2b->sandboxes.next;
        while (at-- > 0)
            link = link->next;
        place_end(LIST_OBJECT(link, struct place, link), "vanished");
    }
}

/* ---- an operator's hand, and a job that kills ---- */

static void limit_back(struct sim *sim)
{
    store_set_limit(fake_redis_store(sim->redis), "g", -1);
    fake_redis_announce(sim->redis, "free", "g");
}

static void limit(struct sim *sim)
{
    store_set_limit(fake_redis_store(sim->redis), "g", sim_between(sim, 1, sim->config.limit_global));
    mend_in(sim, sim_between(sim, 1000, 60000), limit_back);
}

static void poison(struct sim *sim)
{
    jobs_submit_poison(sim);
}

static const struct {
    enum fault_kind kind;
    int weight;
    void (*fn)(struct sim *sim);
} kinds[] = {
    {FAULT_KILL, 10, kill_one},
    {FAULT_KILL_INSIDE, 14, kill_inside},
    {FAULT_STOP_SHORT, 6, stop_short},
    {FAULT_STOP_LONG, 8, stop_long},
    {FAULT_STOP_INSIDE, 14, stop_inside},
    {FAULT_DRAIN, 6, drain},
    {FAULT_DRAIN_TWICE, 3, drain_twice},
    {FAULT_SCALE, 5, scale},
    {FAULT_EXPEL, 5, expel},
    {FAULT_REDIS_EMPTY, 6, redis_empty},
    {FAULT_REDIS_OLD, 6, redis_old},
    {FAULT_REDIS_AWAY, 5, redis_away},
    {FAULT_REDIS_AWAY_ONE, 6, redis_away_one},
    {FAULT_REDIS_FROZEN, 5, redis_frozen},
    {FAULT_REDIS_BREAK, 4, redis_break},
    {FAULT_REDIS_ANSWERS, 8, redis_answers},
    {FAULT_REDIS_CLOCK, 4, redis_clock},
    {FAULT_KAFKA_DOWN, 5, kafka_down},
    {FAULT_KAFKA_LATE, 4, kafka_late},
    {FAULT_KAFKA_FAILING, 4, kafka_failing},
    {FAULT_E2B_CALL, 16, e2b_call},
    {FAULT_E2B_DOWN, 4, e2b_down},
    {FAULT_E2B_CREATE_LATE, 6, e2b_create_late},
    {FAULT_E2B_KEEP_LATE, 3, e2b_keep_late},
    {FAULT_E2B_VANISH, 6, e2b_vanish},
    {FAULT_LIMIT, 5, limit},
    {FAULT_POISON, 3, poison},
};

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
        const struct kafka_source *source = source_of(&sim->seats[i]);
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
    struct sim *sim = faults->sim;
    int total = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        total += kinds[i].weight;
    int64_t at = sim_below(sim, total);
    size_t i = 0;
    while (at >= kinds[i].weight)
        at -= kinds[i++].weight;
    faults->kind = kinds[i].kind;
    faults->began_ms = sim_now_ms(sim);
    faults->is_recovering = true;
    sim->report->faults[kinds[i].kind]++;
    sim_trace(sim, NULL, "---- %s", names[faults->kind]);
    kinds[i].fn(sim);
}

static void on_next(void *arg)
{
    struct faults *faults = arg;
    struct sim *sim = faults->sim;
    if (faults->is_recovering && !sim->options.is_double) {
        if (sim_now_ms(sim) - faults->began_ms < NOTICED_MS || !is_recovered(sim)) {
            if (sim_now_ms(sim) - faults->began_ms > RECOVERED_MOST_MS)
                sim_breach(sim, names[faults->kind], "half an hour after '%s' all is not well again",
                           names[faults->kind]);
            look_later(faults);
            return;
        }
        sim_trace(sim, NULL, "all is well again");
        faults->is_recovering = false;
        /* The single calls that no longer come to be needed are not to hit what is under way at the next. */
        fake_redis_break_after(sim->redis, NULL, 0);
        kafka_world_fail_reports(sim->kafka, 0, false);
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
    redis_back(sim);
    kafka_back(sim);
    e2b_back(sim);
    limit_back(sim);
    fake_redis_break_after(sim->redis, NULL, 0);
    kafka_world_fail_reports(sim->kafka, 0, false);
    tell_expelled(sim);
    seats_mend(sim);
}
