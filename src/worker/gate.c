/* No act without a valid lease. */
#include "worker/gate.h"

#include "worker/context.h"

enum {
    AWAY_MS = 4 * GATE_TICK_MS,
    STOPPED_MS = 5000, /* long enough for others to act on it */
};

void gate_pass(struct worker *worker, struct gate_wait *wait, void (*fn)(void *arg), void *arg)
{
    if (wait->link.next)
        return;
    if (ledger_lease_is_valid(worker->ledger)) {
        fn(arg);
        return;
    }
    wait->fn = fn;
    wait->arg = arg;
    list_push_back(&worker->gated, &wait->link);
}

void gate_leave(struct gate_wait *wait)
{
    link_remove(&wait->link);
}

/* Looked at before each: the one before may have taken long, or sent others away. */
void gate_turn(struct worker *worker)
{
    while (!list_is_empty(&worker->gated) && ledger_lease_is_valid(worker->ledger)) {
        struct gate_wait *wait = LIST_OBJECT(worker->gated.next, struct gate_wait, link);
        worker->awake_since_boot_ms = loop_boot_ms(worker->loop);
        gate_leave(wait);
        wait->fn(wait->arg);
    }
}

void gate_tick(struct worker *worker)
{
    int64_t boot_ms = loop_boot_ms(worker->loop);
    int64_t away_ms = boot_ms - worker->ticked_boot_ms;
    if (away_ms > AWAY_MS) {
        worker->paused_boot_ms = worker->ticked_boot_ms;
        worker->resumed_boot_ms = worker->awake_since_boot_ms = boot_ms;
    }
    if (away_ms > STOPPED_MS)
        worker->steady_since_boot_ms = boot_ms;
    worker->ticked_boot_ms = boot_ms;
}

int64_t gate_paused_after_ms(const struct worker *worker, int64_t boot_ms)
{
    bool is_within = boot_ms >= worker->paused_boot_ms && boot_ms < worker->resumed_boot_ms;
    return is_within ? worker->resumed_boot_ms - boot_ms : 0;
}

int64_t gate_awake_ms(const struct worker *worker)
{
    int64_t boot_ms = loop_boot_ms(worker->loop);
    if (boot_ms - worker->ticked_boot_ms > AWAY_MS) /* woken so lately that the tick was not yet */
        return 0;
    return boot_ms - worker->awake_since_boot_ms;
}
