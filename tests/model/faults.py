"""What goes wrong, each kind as often as its budget says; and what people ask for: a cancel, a drain, a later retry."""
import flight as flights
import scripts
import worker as workers
from environment import move
from world import (COPY, CREATING, DOWN, DRAINING, EXECUTING, IDLE, LIVE, LOST, PARKED, PARKING, READY, SEALING, UP,
                   Ledger, Worker, custody_of, drop_sandbox, in_background, payload_of, put_flight, put_worker,
                   sandbox_of)


def running(world):
    return [(i, w) for i, w in enumerate(world.workers) if w.state != DOWN]


def attempts(world):
    """Of those whose sandbox was had: i, worker, flight, custody."""
    for i, w in running(world):
        for flight in w.flights:
            custody = custody_of(w, flight.permit)
            if flight.state == EXECUTING and custody and custody.state == LIVE:
                yield i, w, flight, custody


def aged(w):
    return w._replace(custodies=tuple(sorted(c._replace(is_fresh=False) for c in w.custodies)))


def lapsed(world, i, w, **why):
    ledger = world.ledger._replace(leases=tuple(x for x in world.ledger.leases if x != w.id))
    return put_worker(world._replace(ledger=ledger), i, aged(w)._replace(is_valid=False, **why))


# ---- workers


def stops(m, world):
    """SIGSTOP beyond the lease; or for 10 s, after which grants are too old."""
    for i, w in running(world):
        if not w.is_stopped:
            yield (w.id, "IS STOPPED BEYOND ITS LEASE"), lapsed(world, i, w, is_stopped=True)
        if any(c.is_fresh for c in w.custodies):
            yield (w.id, "IS STOPPED FOR 10 s"), put_worker(world, i, aged(w))


def kills(m, world):
    for i, w in running(world):
        after = Worker(w.id, DOWN, is_valid=False, epoch=0)
        yield (w.id, "IS KILLED"), put_worker(world, i, after)


def cuts(m, world):
    """Off from Redis, alone; healing ends it."""
    for i, w in running(world):
        if not w.is_cut:
            yield (w.id, "IS CUT OFF FROM REDIS"), put_worker(world, i, w._replace(is_cut=True))


def outages(m, world):
    """Redis is away, for all."""
    if not any(w.is_cut for w in world.workers):
        workers = tuple(w._replace(is_cut=w.state != DOWN) for w in world.workers)
        yield ("REDIS", "IS AWAY"), world._replace(workers=workers)


def healing(m, world):
    """One worker's link, or Redis for all: then the leases of all lapse as well, and there is a gap in the pulses."""
    cut = [(i, w) for i, w in enumerate(world.workers) if w.is_cut]
    groups = [cut] if len(cut) == len(running(world)) else [[one] for one in cut]
    for group in filter(None, groups):
        healed, late = world, world
        for i, w in group:
            healed = put_worker(healed, i, w._replace(is_cut=False))
            late = lapsed(late, i, w) if w.is_valid else late
        who = group[0][1].id if len(group) == 1 else "everybody"
        yield (who, "reaches Redis again"), healed
        if late != world:
            yield (who, "is cut off beyond the lease"), late


def rebalances(m, world):
    for r, record in enumerate(world.records):
        other = world.workers[1 - record.owner]
        if not record.is_committed and other.state == UP:
            yield ("A REBALANCE", "gives record {}'s partition to worker {}", r, other.id), move(world, r)


# ---- Redis


def flushes(m, world):
    yield ("REDIS", "IS EMPTIED"), world._replace(ledger=Ledger(LOST, world.ledger.epoch, leases=()))


def snapshots(m, world):
    """H36. Two steps for one fault: what is written, and that Redis comes back with it."""
    if world.snapshot is None and world.ledger.state == READY:
        at = NAMES.index("snapshots")
        budget = world.budget[:at] + (world.budget[at] + 1,) + world.budget[at + 1:]
        yield ("Redis", "writes its snapshot"), world._replace(snapshot=world.ledger, budget=budget)
    elif world.snapshot is not None and world.snapshot != world.ledger:
        ledger = world.snapshot._replace(state=LOST, epoch=max(world.ledger.epoch, world.snapshot.epoch))
        yield ("REDIS", "COMES BACK WITH ITS SNAPSHOT"), world._replace(ledger=ledger, snapshot=None)


def answers(m, world):
    """Redis did it, and its answer was lost: acquire, bind, seal, yield."""
    for i, w in running(world):
        for label, after in flights.begin(m, world, i, w):
            if after.ledger != world.ledger:
                yield unheard_acquire(world, i, w, label, after.ledger)
        if workers.may_ask(world, w):
            for flight in w.flights:
                for what, ledger in asked(m, world, w, flight):
                    if ledger != world.ledger:
                        yield (w.id, "DOES NOT HEAR THE ANSWER TO ITS " + what), world._replace(ledger=ledger)


def unheard_acquire(world, i, w, label, ledger):
    """A grant that was not heard is given back before anything is asked for anew; the rest has its until."""
    if "granted" in label[1]:
        w = in_background(in_background(w, IDLE, label[2], True), "release", label[2])
    return (w.id, "DOES NOT HEAR THAT IT " + label[1]) + label[2:], put_worker(world._replace(ledger=ledger), i, w)


def asked(m, world, w, flight):
    custody = custody_of(w, flight.permit)
    if flight.state == SEALING and m.rules.seal_first:
        payload = payload_of(world.records[flight.record])
        yield "seal", scripts.seal(world.ledger, w.id, flight.permit, payload, flight.result)[0]
    if flight.state == EXECUTING and custody and custody.state == LIVE and sandbox_of(world, flight.permit):
        if not flight.is_bound:
            yield "bind", scripts.bind(m.rules, world.ledger, w.id, flight.permit)[0]
        elif m.is_process and w.state == DRAINING:
            yield "yield", scripts.give_away(world.ledger, w.id, flight.permit)[0]


# ---- E2B


def creates(m, world):
    """No answer to a create: 500, a reset, the deadline. It may have been, or be, carried out."""
    for i, w in running(world):
        for custody in w.custodies:
            if custody.state == CREATING:
                after = workers.unanswered(m, world, i, w, custody)
                yield (w.id, "HAS NO ANSWER TO ITS CREATE OF {}", custody.permit), after


def breaks(m, world):
    """A connection to the sandbox, or a step of ours."""
    for i, w, flight, _ in attempts(world):
        after, v = workers.fail(m, world._replace(adopted=0), w, flight)
        yield (w.id, "FAILS ITS ATTEMPT in sandbox {}", flight.permit), put_worker(after, i, v)


def vanishings(m, world):
    for s in world.sandboxes:
        if s.is_live:
            yield ("E2B", "LOSES SANDBOX {}", s.permit), drop_sandbox(world._replace(adopted=0), s.permit)


# ---- people


def cancels(m, world):
    ledger, answer = scripts.cancel(world.ledger)
    if answer == "ok":
        yield ("SOMEBODY", "CANCELS THE JOB"), world._replace(ledger=ledger)


def drains(m, world):
    for i, w in enumerate(world.workers):
        if w.state == UP:
            yield (w.id, "IS TOLD TO END"), put_worker(world, i, w._replace(state=DRAINING))


def hops(m, world):
    """The attempt fails, and the next is to come later, as a copy of the record."""
    if any(record.kind == COPY for record in world.records):
        return
    for i, w, flight, custody in attempts(world):
        if flight.attempt >= m.max_attempts or m.is_never and workers.may_have_begun(m, flight):
            continue
        v = put_flight(w, flight, flight._replace(state=PARKING))
        after, v = workers.let_go(m, world._replace(adopted=0), v, custody)
        if not m.rules.copy_first:
            v = in_background(v, PARKED, flight.permit)
        yield (w.id, "FAILS ITS ATTEMPT in sandbox {}, to be repeated later", flight.permit), put_worker(after, i, v)


FAULTS = (stops, kills, cuts, outages, rebalances, flushes, snapshots, answers, creates, breaks, vanishings,
          cancels, drains, hops)
NAMES = tuple(fault.__name__ for fault in FAULTS)


def steps(m, world):
    for at, fault in enumerate(FAULTS):
        if world.budget[at]:
            left = world.budget[:at] + (world.budget[at] - 1,) + world.budget[at + 1:]
            yield from fault(m, world._replace(budget=left))
