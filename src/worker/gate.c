/* No act without a valid lease. */
#include "worker/gate.h"

#include "worker/context.h"

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
        gate_leave(wait);
        wait->fn(wait->arg);
    }
}
