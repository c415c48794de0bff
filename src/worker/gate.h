#ifndef WORKER_GATE_H
#define WORKER_GATE_H
#include "base/list.h"

/* What stands before every act that another worker might contradict: start, signal, kill, publish. It is open
 * while this worker's own view of its lease is valid, read from CLOCK_BOOTTIME at the moment of the asking. A
 * worker that was stopped, or cut off from Redis, for longer holds its hands still until a pulse is answered
 * and it knows what others took from it meanwhile. Reads and extensions need no gate; a create has its own,
 * nearer to the wire. */

struct worker;

/* Your place in the line; zeroed is idle. */
struct gate_wait {
    struct link link; /* worker->gated */
    void (*fn)(void *arg);
    void *arg;
};

/* Calls fn: now, from inside, when the gate is open; else once, when it is. Waiting already: nothing. */
void gate_pass(struct worker *worker, struct gate_wait *wait, void (*fn)(void *arg), void *arg);
/* It does not wait any more; idle: nothing. */
void gate_leave(struct gate_wait *wait);

/* For how long this worker has been able to see and to act, in ms: since it made a pause of more than a
 * second, or since somebody had to wait here. What came in before may lie in a socket, unread. */
int64_t gate_awake_ms(const struct worker *worker);
/* How long the last such pause went on after this moment, if it lies in it or just before it, else 0: what
 * was to happen then may have happened so much later. */
int64_t gate_paused_after_ms(const struct worker *worker, int64_t boot_ms);

/* For the worker. Turn: at the end of each turn, lets through who waits, if the gate is open. Tick: every
 * GATE_TICK_MS; whoever missed four was away. */
enum { GATE_TICK_MS = 250 };
void gate_turn(struct worker *worker);
void gate_tick(struct worker *worker);

#endif
