/* What is promised, looked at while it happens. */
#include "sim/sim.h"

#include "fakes/redis/store_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, TEND_MS = 10000 /* in which a worker that was stopped looks after its sandboxes */ };

/* A permit, as it was granted. */
struct grant {
    struct index_node node;
    char *permit;
    int64_t at_ms, max; /* of the global limit, in force then */
};

/* Others were granted later, under a higher limit. */
static int64_t max_since(const struct sim *sim, const struct grant *grant)
{
    int64_t max = grant->max;
    for (int i = 0; i < MIN(sim->raise_count, SIM_RAISES); i++)
        if (sim->raises[i].at_ms >= grant->at_ms)
            max = MAX(max, sim->raises[i].max);
    return max;
}

static void note_max(struct sim *sim, int64_t max)
{
    if (max > sim->last_max)
        sim->raises[sim->raise_count++ % SIM_RAISES] = (struct raise){sim_now_ms(sim), max};
    sim->last_max = max;
}

static int64_t redis_now_ms(const struct sim *sim)
{
    return fake_redis_now_ms(sim->redis);
}

/* The ledger counts: it is not being rebuilt, nor lost without anybody knowing it yet. */
static bool is_ledger_good(struct sim *sim)
{
    const struct store *store = fake_redis_store(sim->redis);
    return store_not_ready(store, redis_now_ms(sim)) == NULL && store->run == store->server_run;
}

/* ---- permits ---- */

static int64_t max_in_force(const struct store *store, const struct ledger_acquire *acquire, int64_t now_ms)
{
    for (size_t i = 0; i < acquire->limit_count; i++) {
        if (strcmp(acquire->limits[i].name, "g") != 0)
            continue;
        const struct maximum *maximum = store_find_maximum(store, "g");
        int64_t max = maximum && maximum->max >= 0 ? maximum->max : acquire->limits[i].max;
        return maximum && maximum->cut >= 0 && maximum->cut_ends_ms > now_ms ? MIN(max, maximum->cut) : max;
    }
    return INT64_MAX;
}

static void on_granted(void *arg, const struct permit *permit, const struct ledger_acquire *acquire)
{
    struct sim *sim = arg;
    const struct store *store = fake_redis_store(sim->redis);
    struct grant *grant = base_alloc(sizeof *grant);
    grant->permit = base_strdup(permit->id);
    grant->max = max_in_force(store, acquire, redis_now_ms(sim));
    grant->at_ms = sim_now_ms(sim);
    note_max(sim, grant->max);
    index_put(&sim->grants, &grant->node, grant->permit);
    sim_trace(sim, permit->job, "granted to %s: permit %s, %lld of %lld", permit->worker, permit->id,
              (long long)store_used(store, "g"), (long long)grant->max);
    if (store_used(store, "g") > grant->max)
        sim_breach(sim, permit->job, "permit %s was granted as number %lld of %lld", permit->id,
                   (long long)store_used(store, "g"), (long long)grant->max);
    /* Its question was on the way when a fault hit its worker: the attempt counts, and may never begin. */
    const struct seat *seat = seat_of_owner(sim, permit->worker);
    struct sim_job *job = seat && seat->state != SEAT_STOPPED ? NULL : jobs_find_key(sim, permit->job);
    if (job)
        job->hits++;
}

static void on_permit_gone(void *arg, const struct permit *permit, bool is_pruned)
{
    struct sim *sim = arg;
    const struct place *place = place_find_by_permit(sim->e2b, permit->id);
    sim_trace(sim, permit->job, "permit %s of %s is %s", permit->id, permit->worker,
              is_pruned ? "pruned" : "released");
    if (place && is_ledger_good(sim))
        sim_breach(sim, permit->job, "permit %s is %s, and its %s lives for %lld ms more", permit->id,
                   is_pruned ? "pruned" : "released", place->id,
                   (long long)(place->ends_ms - loop_boot_ms(sim->loop)));
}

/* ---- sandboxes ---- */

static void check_cover(struct sim *sim, const struct place *place, const char *when)
{
    if (!is_ledger_good(sim))
        return;
    const struct store *store = fake_redis_store(sim->redis);
    const struct permit *permit = store_find_permit((struct store *)(uintptr_t)store, place->permit);
    int64_t life_ms = place->ends_ms - loop_boot_ms(sim->loop);
    if (!permit)
        sim_breach(sim, place->job, "%s %s without its permit %s", place->id, when, place->permit);
    int64_t left_ms = permit->horizon_ms - redis_now_ms(sim);
    if (left_ms < life_ms)
        sim_breach(sim, place->job, "%s %s: it lives for %lld ms, its permit %s for %lld ms", place->id, when,
                   (long long)life_ms, place->permit, (long long)left_ms);
}

static void on_made(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    struct index_node *node = index_find(&sim->grants, place->permit);
    sim->report->creates++;
    sim_trace(sim, place->job, "%s is made under %s, number %zu", place->id, place->permit, sim->e2b->live);
    if (!node)
        sim_breach(sim, place->job, "%s is made under %s, which was never granted", place->id, place->permit);
    const struct grant *grant = INDEX_OBJECT(node, struct grant, node);
    if ((int64_t)sim->e2b->live > max_since(sim, grant))
        sim_breach(sim, place->job, "%s is number %zu, and the limit was %lld when %s was granted", place->id,
                   sim->e2b->live, (long long)grant->max, place->permit);
    check_cover(sim, place, "is made");
}

static void on_moved(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    sim_trace(sim, place->job, "%s lives until %.3f", place->id,
              (double)(place->ends_ms - sim->began_ms) / 1000);
    check_cover(sim, place, "is extended");
}

/* Whose permit it is under, could have extended it, and had a moment to. */
static bool is_tended(struct sim *sim, const struct place *place)
{
    struct store *store = fake_redis_store(sim->redis);
    const struct permit *permit = store_find_permit(store, place->permit);
    const struct seat *seat = permit ? seat_of_owner(sim, permit->worker) : NULL;
    return seat && seat->state != SEAT_STOPPED && sim_now_ms(sim) >= seat->up_since_ms + TEND_MS &&
           store_is_alive(store, permit->worker, redis_now_ms(sim));
}

static void on_ended(void *arg, const struct place *place, const char *why)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, place->job);
    sim_trace(sim, place->job, "%s is %s", place->id, why);
    if (job && (strcmp(why, "vanished") == 0 || (strcmp(why, "over") == 0 && !is_tended(sim, place)))) {
        job->hits++;
        job->losses++;
    }
}

/* Nobody ends what another runs, who is there and has a place in the ledger that it is in. */
static void on_killed(void *arg, const struct place *place, const struct loop *client)
{
    struct sim *sim = arg;
    struct store *store = fake_redis_store(sim->redis);
    const struct claim *claim = store_find_claim(store, place->job, redis_now_ms(sim));
    bool is_running = claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, place->permit) &&
                      claim->epoch == store->epoch;
    if (!is_running || !is_ledger_good(sim) || !store_is_alive(store, claim->owner, redis_now_ms(sim)))
        return;
    const struct seat *seat = seat_of_owner(sim, claim->owner);
    if (seat && seat->process->loop != client)
        sim_breach(sim, place->job, "%s is killed by another than %s, who runs it", place->id, claim->owner);
}

static void on_started(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, place->job);
    if (!job)
        return;
    job->starts++;
    sim_trace(sim, place->job, "its program starts in %s, for the %d. time", place->id, job->starts);
    if (job->is_never && job->starts > 1)
        sim_breach(sim, place->job, "a job that must not start twice starts for the %d. time", job->starts);
    if (job->is_process && job->starts > 1 + job->losses && !job->is_poison)
        sim_breach(sim, place->job, "a process starts for the %d. time, after %d losses of its sandbox",
                   job->starts, job->losses);
}

/* Its output kills whoever reads it. */
static void on_attached(void *arg, const struct place *place, const char *text, const struct loop *client)
{
    struct sim *sim = arg;
    if (strncmp(text, "poison", 6) != 0)
        return;
    sim_trace(sim, place->job, "poison");
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].process && sim->seats[i].process->loop == client)
            seat_poison(&sim->seats[i]);
}

static void on_fault(void *arg, enum e2b_world_call call, const char *key)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, key);
    sim_trace(sim, key, "a call fails: %s", e2b_world_call_name(call));
    if (!job)
        return;
    job->hits++;
    job->losses++;
}

/* ---- looking from time to time ---- */

/* What a rebuild must have brought back. */
static void on_look(void *arg)
{
    struct sim *sim = arg;
    struct store *store = fake_redis_store(sim->redis);
    loop_timer_start(sim->loop, &sim->judge_timer, LOOK_MS, on_look, sim);
    if (!is_ledger_good(sim) || sim->judged_epoch == store->epoch)
        return;
    sim->judged_epoch = store->epoch;
    sim_trace(sim, NULL, "the ledger is ready: %zu sandboxes, %zu permits", sim->e2b->live, store->ids.count);
    LIST_EACH(&sim->e2b->sandboxes, link)
    check_cover(sim, LIST_OBJECT(link, struct place, link), "lives after a rebuild");
}

void judge_hit_all(struct sim *sim, bool is_lost)
{
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++)
        if (job->results == 0) {
            job->hits++;
            job->losses += is_lost;
        }
}

/* ---- life and end ---- */

void judge_open(struct sim *sim)
{
    sim->store_watch = (struct store_watch){.arg = sim, .granted = on_granted, .gone = on_permit_gone};
    sim->e2b_eye = (struct e2b_world_eye){.arg = sim,
                                          .on_made = on_made,
                                          .on_moved = on_moved,
                                          .on_ended = on_ended,
                                          .on_killed = on_killed,
                                          .on_started = on_started,
                                          .on_attached = on_attached,
                                          .on_fault = on_fault};
    sim->kafka_eye = (struct kafka_world_eye){.arg = sim,
                                              .on_record = verdict_on_record,
                                              .on_commit = verdict_on_commit,
                                              .on_delivered = verdict_on_delivered};
    fake_redis_store(sim->redis)->watch = &sim->store_watch;
    sim->e2b->eye = &sim->e2b_eye;
    sim->kafka->eye = &sim->kafka_eye;
    loop_timer_start(sim->loop, &sim->judge_timer, LOOK_MS, on_look, sim);
}

static bool are_records_finished(const struct sim *sim)
{
    for (int i = 0; i < SIM_TOPICS; i++)
        for (int32_t k = 0; k < sim->topics[i].partitions; k++)
            for (int64_t n = 0; n < sim->topics[i].at[k].count; n++)
                if (!sim->topics[i].at[k].records[n].is_finished)
                    return false;
    return true;
}

bool judge_is_settled(struct sim *sim)
{
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++)
        if (job->results == 0)
            return false;
    return are_records_finished(sim);
}

void judge_unsettled(struct sim *sim)
{
    static const char *const states[] = {"none", "idle", "running", "sealed", "parked", "done"};
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++) {
        const struct claim *claim =
            store_find_claim(fake_redis_store(sim->redis), job->key, redis_now_ms(sim));
        if (job->results == 0)
            sim_breach(sim, job->key, "no result; its claim is %s of '%s' under %s",
                       states[claim ? claim->state : 0], claim && claim->owner ? claim->owner : "",
                       claim && claim->permit ? claim->permit : "nothing");
    }
    for (int i = 0; i < SIM_TOPICS; i++)
        for (int32_t k = 0; k < sim->topics[i].partitions; k++)
            for (int64_t n = 0; n < sim->topics[i].at[k].count; n++)
                if (!sim->topics[i].at[k].records[n].is_finished)
                    sim_breach(sim,
                               sim->topics[i].at[k].records[n].job ? sim->topics[i].at[k].records[n].job->key
                                                                   : "",
                               "%s/%d/%lld is not finished", sim->topics[i].name, k, (long long)n);
}

void judge_end(struct sim *sim)
{
    struct store *store = fake_redis_store(sim->redis);
    LIST_EACH(&sim->e2b->sandboxes, link)
    {
        const struct place *place = LIST_OBJECT(link, struct place, link);
        sim_breach(sim, place->job, "%s is left, under %s", place->id, place->permit);
    }
    LIST_EACH(&store->permits, link)
    {
        const struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->horizon_ms > redis_now_ms(sim))
            sim_breach(sim, permit->job, "permit %s of %s is left for %lld ms", permit->id, permit->worker,
                       (long long)(permit->horizon_ms - redis_now_ms(sim)));
    }
}

void judge_close(struct sim *sim)
{
    loop_timer_stop(sim->loop, &sim->judge_timer);
    fake_redis_store(sim->redis)->watch = NULL;
    sim->e2b->eye = NULL;
    sim->kafka->eye = NULL;
    for (size_t i = 0; i < sim->grants.capacity; i++)
        while (sim->grants.buckets[i]) {
            struct grant *grant = INDEX_OBJECT(sim->grants.buckets[i], struct grant, node);
            index_remove(&sim->grants, &grant->node);
            free(grant->permit);
            free(grant);
        }
    index_release(&sim->grants);
}
