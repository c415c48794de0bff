"""What moves by itself: E2B, time, the consumer group, the supervisor. Time has no clock here: an end may pass when
nobody that must not lose it is still within its duration, and the durations are what ledger.h says."""
from world import (CREATING, DOUBTFUL, DOWN, NOBODY, READY, RUNNING, SEALED, UNSENT, UP, Worker, custody_of, drop_permit,
                   drop_sandbox, new_worker_id, put_record, put_sandbox, put_worker, sandbox_of)


def is_kept(world, permit):
    """A worker that lives and is not stopped keeps the sandbox: it extends permit and sandbox in time."""
    for w in world.workers:
        custody = custody_of(w, permit)
        if custody and w.is_valid and custody.state != DOUBTFUL:
            return True
    return False


def e2b(m, world):
    """H31: a create is carried out whether or not its client waits. Its own timeout ends a sandbox that nobody extends."""
    for s in world.sandboxes:
        if not s.is_live:
            yield ("E2B", "makes sandbox {}", s.permit), put_sandbox(world, s._replace(is_live=True))
            if not any((c := custody_of(w, s.permit)) and c.state == CREATING for w in world.workers):
                yield ("E2B", "never makes sandbox {}", s.permit), drop_sandbox(world, s.permit)
        elif not is_kept(world, s.permit):
            yield ("E2B", "ends sandbox {} at its timeout", s.permit), drop_sandbox(world._replace(adopted=0), s.permit)


def leases(m, world):
    ledger = world.ledger
    ids = {w.id for w in world.workers if w.state != DOWN}
    for me in ledger.leases:
        if me not in ids:
            rest = tuple(x for x in ledger.leases if x != me)
            yield ("time", "ends the lease of worker {}", me), world._replace(ledger=ledger._replace(leases=rest))
    is_over = all(w.id in ledger.leases and not w.background and all(f.sent == UNSENT for f in w.flights)
                  for w in world.workers if w.state != DOWN and not w.is_stopped and not w.is_cut)
    if ledger.is_held and ledger.state == READY and is_over:
        yield ("time", "ends the hold"), world._replace(ledger=ledger._replace(is_held=False))


def until(m, world):
    """H4. A worker that is not stopped, and remembers, is done with its run before; who is cut off loses its lease first."""
    c = world.ledger.claim
    if not m.rules.until or not c or c.state not in (RUNNING, SEALED) or c.is_late or c.owner == NOBODY:
        return
    for w in world.workers:
        remembers = w.is_cut or w.background or any(f.permit == c.permit for f in w.flights)
        if w.id == c.owner and w.is_valid and remembers:
            return
    late = world.ledger._replace(claim=c._replace(is_late=True))
    yield ("time", "passes the claim's until"), world._replace(ledger=late)


def horizon(m, world):
    """H30, H33: of a permit that nobody extends, after its sandbox's end."""
    for p in world.ledger.permits:
        is_over = not is_kept(world, p.id) and not (m.rules.horizon and sandbox_of(world, p.id))
        if is_over and world.ledger.state == READY:
            yield ("time", "passes the horizon of permit {}", p.id), world._replace(
                ledger=drop_permit(world.ledger, p.id))


def group(m, world):
    """A dead worker's partitions go to the other."""
    for r, record in enumerate(world.records):
        other = world.workers[1 - record.owner]
        if world.workers[record.owner].state != UP and other.state == UP and not record.is_committed:
            yield ("the group", "gives record {}'s partition to worker {}", r, other.id), move(world, r)


def move(world, r):
    """To the other worker. What runs goes on, detached."""
    record = world.records[r]
    w = world.workers[record.owner]
    flights = tuple(sorted(f._replace(is_attached=False) if f.record == r else f for f in w.flights))
    world = put_worker(world, record.owner, w._replace(flights=flights))
    return put_record(world, r, record._replace(owner=1 - record.owner))


def supervisor(m, world):
    """H5: what is started anew is another worker. Only where none is left: what two can do, three do not more."""
    for i, w in enumerate(world.workers):
        if w.state == DOWN and world.workers[1 - i].state != UP:
            me = new_worker_id(world, i)
            yield ("the supervisor", "starts worker {}", me), put_worker(world, i, Worker(me, is_valid=False, epoch=0))


STEPS = (e2b, leases, until, horizon, group, supervisor)
