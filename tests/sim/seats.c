/* Workers come and go. */
#include "sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 3, LOOKS = 1000 };

static void on_stopped(void *arg)
{
    struct process *process = arg;
    process->has_stopped = true;
}

void seat_launch(struct seat *seat)
{
    struct sim *sim = seat->sim;
    struct error error;
    assert(seat->state == SEAT_EMPTY);
    struct process *process = base_alloc(sizeof *process);
    seat->process = process;
    seat->state = SEAT_UP;
    process->sim = sim;
    process->seat = (int)(seat - sim->seats);
    (void)snprintf(process->name, sizeof process->name, "worker%d", process->seat);
    process->loop = virtual_loop_join(sim->loop);
    process->threads = virtual_loop_join_thread(process->loop);
    process->config = sim->config;
    process->config.worker_name = process->name;
    process->log = (struct log){.component = "worker",
                                .worker = process->name,
                                .fd = sim->log_fd,
                                .level = sim->log_fd > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_NONE};
    random_init_seed(&process->random, random_next(&sim->random));
    const struct worker_options options = {.loop = process->loop,
                                           .config = &process->config,
                                           .log = &process->log,
                                           .random = &process->random,
                                           .uv = (struct uv_loop_s *)process->loop,
                                           .stopped = on_stopped,
                                           .arg = process};
    process->worker = worker_new(&options, &error);
    assert(process->worker);
    sim_trace(sim, NULL, "%s begins", process->name);
}

static void on_launch(void *arg)
{
    struct seat *seat = arg;
    if (seat->state == SEAT_EMPTY && seat->is_wanted)
        seat_launch(seat);
}

/* ---- kill ---- */

void seat_hit(struct seat *seat, bool is_lost)
{
    struct sim *sim = seat->sim;
    struct store *store = fake_redis_store(sim->redis);
    LIST_EACH(&store->claims, link)
    {
        const struct claim *claim = LIST_OBJECT(link, struct claim, link);
        struct sim_job *job =
            claim->state == CLAIM_RUNNING && claim->owner && seat_of_owner(sim, claim->owner) == seat
                ? jobs_find_key(sim, claim->job)
                : NULL;
        if (job) {
            job->hits++;
            job->losses += is_lost;
        }
    }
}

void seat_kill(struct seat *seat, int64_t back_ms)
{
    struct sim *sim = seat->sim;
    struct process *process = seat->process;
    if (!process)
        return;
    sim_trace(sim, NULL, "%s is killed, and is back in %lld ms", process->name, (long long)back_ms);
    seat_hit(seat, /* is_lost= */ false);
    sim->report->deaths++;
    virtual_loop_kill(process->loop);
    kafka_world_kill(sim->kafka, process->loop);
    fake_redis_kill(sim->redis, process->loop);
    e2b_world_kill(sim->e2b, process->loop);
    list_push_back(&sim->graves, &process->link);
    seat->process = NULL;
    seat->state = SEAT_EMPTY;
    loop_timer_stop(sim->loop, &seat->look);
    loop_timer_stop(sim->loop, &seat->poison);
    loop_timer_start(sim->loop, &seat->back, back_ms, on_launch, seat);
}

static void on_poisoned(void *arg)
{
    struct seat *seat = arg;
    seat_kill(seat, sim_between(seat->sim, 100, 10000));
}

void seat_poison(struct seat *seat)
{
    loop_timer_start(seat->sim->loop, &seat->poison, sim_between(seat->sim, 1, 20), on_poisoned, seat);
}

/* ---- stop ---- */

static void on_continue(void *arg)
{
    struct seat *seat = arg;
    if (seat->state != SEAT_STOPPED)
        return;
    sim_trace(seat->sim, NULL, "%s goes on", seat->process->name);
    seat->state = SEAT_UP;
    virtual_loop_continue(seat->process->loop, &seat->process->random);
}

static void note_stop(struct seat *seat, int64_t ms)
{
    seat->up_since_ms = sim_now_ms(seat->sim) + ms;
    sim_trace(seat->sim, NULL, "%s is stopped for %lld ms", seat->process->name, (long long)ms);
    seat->state = SEAT_STOPPED;
    if (ms > 4000) /* longer than it may itself believe in its lease: others may take over */
        seat_hit(seat, /* is_lost= */ false);
    loop_timer_start(seat->sim->loop, &seat->back, ms, on_continue, seat);
}

void seat_stop(struct seat *seat, int64_t ms)
{
    if (seat->state != SEAT_UP)
        return;
    virtual_loop_stop(seat->process->loop);
    note_stop(seat, ms);
}

static void on_look(void *arg)
{
    struct seat *seat = arg;
    if (seat->state != SEAT_UP)
        return;
    if (!virtual_loop_is_stopped(seat->process->loop)) {
        if (sim_now_ms(seat->sim) < seat->looks_until_ms)
            loop_timer_start(seat->sim->loop, &seat->look, LOOK_MS, on_look, seat);
        else
            virtual_loop_stop_at(seat->process->loop, 0);
        return;
    }
    if (seat->stop_ms > 0)
        note_stop(seat, seat->stop_ms);
    else
        seat_kill(seat, sim_between(seat->sim, 100, 60000));
}

void seat_stop_inside(struct seat *seat, unsigned places, int64_t ms)
{
    if (seat->state != SEAT_UP || timer_is_active(&seat->look))
        return;
    sim_trace(seat->sim, NULL, "%s is to be %s %u calls from now", seat->process->name,
              ms > 0 ? "stopped" : "killed", places);
    seat->stop_ms = ms;
    seat->looks_until_ms = sim_now_ms(seat->sim) + (int64_t)LOOK_MS * LOOKS;
    virtual_loop_stop_at(seat->process->loop, places);
    loop_timer_start(seat->sim->loop, &seat->look, LOOK_MS, on_look, seat);
}

/* ---- drain ---- */

static void on_gone(void *arg)
{
    struct seat *seat = arg;
    struct sim *sim = seat->sim;
    struct process *process = seat->process;
    if (seat->state != SEAT_LEAVING)
        return;
    if (!process->has_stopped) {
        loop_timer_start(sim->loop, &seat->look, 100, on_gone, seat);
        return;
    }
    sim_trace(sim, NULL, "%s has ended", process->name);
    worker_free(TAKE(process->worker));
    if (!virtual_loop_is_idle(process->loop) || !virtual_loop_is_idle(process->threads))
        sim_breach(sim, process->name, "%s has ended, and left a timer or a task behind", process->name);
    virtual_loop_kill(process->loop); /* freed at the end: the world is in its turn */
    list_push_back(&sim->graves, &process->link);
    seat->process = NULL;
    seat->state = SEAT_EMPTY;
    loop_timer_start(sim->loop, &seat->back, sim_between(sim, 100, 5000), on_launch, seat);
}

void seat_drain(struct seat *seat)
{
    if (seat->state != SEAT_UP && seat->state != SEAT_LEAVING)
        return;
    sim_trace(seat->sim, NULL, "%s is told to end", seat->process->name);
    seat_hit(seat, /* is_lost= */ false);
    worker_stop(seat->process->worker);
    if (seat->state == SEAT_LEAVING)
        return;
    seat->state = SEAT_LEAVING;
    loop_timer_start(seat->sim->loop, &seat->look, 100, on_gone, seat);
}

void seat_leave(struct seat *seat)
{
    seat->is_wanted = false;
    seat_drain(seat);
}

/* ---- looking ---- */

struct seat *seat_of_owner(struct sim *sim, const char *owner)
{
    LIST_EACH(fake_redis_ledgers(sim->redis), link)
    {
        const struct ledger *ledger = LIST_OBJECT(link, struct ledger, link);
        for (int i = 0; i < sim->seat_count && strcmp(ledger->worker, owner) == 0; i++)
            if (sim->seats[i].process && sim->seats[i].process->loop == ledger->options.loop)
                return &sim->seats[i];
    }
    return NULL;
}

bool seats_are_well(struct sim *sim)
{
    const char *why;
    for (int i = 0; i < sim->seat_count; i++) {
        const struct seat *seat = &sim->seats[i];
        if (!seat->is_wanted && seat->state == SEAT_EMPTY)
            continue;
        if (seat->state != SEAT_UP || timer_is_active(&seat->look) ||
            !worker_is_ready(seat->process->worker, &why))
            return false;
    }
    return true;
}

void seats_mend(struct sim *sim)
{
    for (int i = 0; i < sim->seat_count; i++) {
        struct seat *seat = &sim->seats[i];
        if (seat->process)
            virtual_loop_stop_at(seat->process->loop, 0);
        loop_timer_stop(sim->loop, &seat->look);
        if (seat->state == SEAT_UP && virtual_loop_is_stopped(seat->process->loop))
            seat->state = SEAT_STOPPED; /* it was just about to be told */
        if (seat->state == SEAT_STOPPED)
            loop_timer_start(sim->loop, &seat->back, 1, on_continue, seat);
        else if (seat->state == SEAT_EMPTY && seat->is_wanted)
            loop_timer_start(sim->loop, &seat->back, 1, on_launch, seat);
        else if (seat->state == SEAT_LEAVING)
            loop_timer_start(sim->loop, &seat->look, 1, on_gone, seat);
    }
}

struct kafka_source *seat_source(const struct seat *seat)
{
    LIST_EACH(&seat->sim->kafka->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        if (seat->process && source->loop == seat->process->loop)
            return source;
    }
    return NULL;
}
