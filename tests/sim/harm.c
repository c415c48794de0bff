/* What goes wrong, each thing by itself. */
#include "sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
    faults_mend_in(sim, sim_between(sim, 1, 8000), drain_again);
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
    struct kafka_source *source = seat ? seat_source(seat) : NULL;
    if (!source || !source->member)
        return;
    kafka_world_expel(source);
    faults_mend_in(sim, sim_between(sim, 1, 60000), tell_expelled);
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
    faults_mend_in(sim, sim_between(sim, 1, 20000), redis_back);
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
    faults_mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 5000 : 90000), restore);
}

static void redis_away(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    fake_redis_set_reachable(sim->redis, false);
    faults_mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 15000 : 200000), redis_back);
}

static void redis_away_one(struct sim *sim)
{
    struct seat *seat = some_seat(sim);
    if (!seat)
        return;
    seat_hit(seat, /* is_lost= */ true); /* a verdict that waits for Redis has no sandbox any more */
    fake_redis_set_reachable_from(sim->redis, seat->process->loop, false);
    faults_mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 15000 : 100000), redis_back);
}

static void redis_frozen(struct sim *sim)
{
    judge_hit_all(sim, /* is_lost= */ true);
    fake_redis_set_frozen(sim->redis, true, sim_chance(sim, 50));
    faults_mend_in(sim, sim_between(sim, 1, sim_chance(sim, 50) ? 6000 : 60000), redis_back);
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
    faults_mend_in(sim, sim_between(sim, 1, sim_chance(sim, 70) ? 20000 : 120000), kafka_back);
}

static void kafka_late(struct sim *sim)
{
    kafka_world_delay_reports(sim->kafka, sim_between(sim, 100, 9000));
    faults_mend_in(sim, sim_between(sim, 1000, 30000), kafka_back);
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
    faults_mend_in(sim, 30000, e2b_back); /* some kinds of calls are rare */
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
    faults_mend_in(sim, sim_between(sim, 1000, 200000), e2b_back);
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
    faults_mend_in(sim, 60000, e2b_back);
}

static void e2b_keep_late(struct sim *sim)
{
    const struct e2b_world_fault fault = {.call = E2B_WORLD_KEEP,
                                          .count = (int)sim_between(sim, 1, 3),
                                          .is_done = true,
                                          .is_silent = true,
                                          .late_ms = sim_between(sim, 1, 60000)};
    e2b_world_fail(sim->e2b, &fault);
    faults_mend_in(sim, 120000, e2b_back); /* few runs are long enough to be extended */
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

static void quota_back(struct sim *sim)
{
    e2b_world_limit(sim->e2b, 0);
}

/* The account has less than the workers were told. */
static void e2b_quota(struct sim *sim)
{
    e2b_world_limit(sim->e2b, sim_between(sim, 1, sim->config.limit_global));
    faults_mend_in(sim, sim_between(sim, 1000, 90000), quota_back);
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
    faults_mend_in(sim, sim_between(sim, 1000, 60000), limit_back);
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
    {FAULT_E2B_QUOTA, 4, e2b_quota},
    {FAULT_LIMIT, 5, limit},
    {FAULT_POISON, 3, poison},
};

enum fault_kind harm_some(struct sim *sim)
{
    int total = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        total += kinds[i].weight;
    int64_t at = sim_below(sim, total);
    size_t i = 0;
    while (at >= kinds[i].weight)
        at -= kinds[i++].weight;
    sim->report->faults[kinds[i].kind]++;
    sim_trace(sim, NULL, "---- %s", fault_name(kinds[i].kind));
    kinds[i].fn(sim);
    return kinds[i].kind;
}

/* The single calls that no longer come to be needed are not to hit what is under way at the next. */
void harm_forget_single(struct sim *sim)
{
    fake_redis_break_after(sim->redis, NULL, 0);
    kafka_world_fail_reports(sim->kafka, 0, false);
}

void harm_undo(struct sim *sim)
{
    redis_back(sim);
    kafka_back(sim);
    e2b_back(sim);
    quota_back(sim);
    limit_back(sim);
    harm_forget_single(sim);
    tell_expelled(sim);
}
