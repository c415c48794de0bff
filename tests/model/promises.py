"""What must hold in every state, what the end is, and which holes are left open on purpose."""
from world import DOWN, HANDED, IDLE, LOST, PUBLISHING, READY, REBUILDING, custody_of, permit_of

TWO_RESULTS = "two different terminal results"
NO_RESULT = "every offset is finished, and there is no result"
NO_END = "the end with one result, and with nothing left, cannot be reached any more"
NO_PERMIT = "a live sandbox without a permit"
LEFT = "a live sandbox without a permit, and nobody there to end it"
BEGAN_TWICE = "code that must begin once began twice"
ADOPTED_TWICE = "a run that was adopted began again"


def broken(m, world):
    """None, or which promise is."""
    if len(world.results) > 1:
        return TWO_RESULTS
    if not world.results and all(r.is_committed for r in world.records):
        return NO_RESULT
    if m.is_never and world.begun > 1:
        return BEGAN_TWICE
    if world.adopted > 1:
        return ADOPTED_TWICE
    if world.ledger.state == READY:  # while it is rebuilt nothing is granted
        for s in world.sandboxes:
            if s.is_live and not permit_of(world.ledger, s.permit):
                is_left = not m.has_reaper and not any(custody_of(w, s.permit) for w in world.workers)
                return LEFT if is_left else None if m.may_exceed else NO_PERMIT
    return None


def is_end(world):
    return (len(world.results) == 1 and all(r.is_committed for r in world.records) and world.ledger.state == READY
            and not world.sandboxes and not world.ledger.permits
            and not any(w.flights or w.custodies or w.background for w in world.workers))


# ---- left open: README's guarantees name them. Not looked behind, unless a scenario asks for it.


def is_window(m, world):
    return is_in_librdkafka(world) or m.is_never and is_forgotten(world)


def is_in_librdkafka(world):
    """Redis loses its memory while a worker is stopped with a result inside librdkafka, whose threads send it before the
    worker can ask."""
    return world.ledger.state in (LOST, REBUILDING) and any(
        not w.is_valid and w.id not in world.ledger.asserted
        and any(f.state == PUBLISHING and f.sent == HANDED for f in w.flights) for w in world.workers)


def is_forgotten(world):
    """Redis loses its memory while a run's worker is dead, or stopped and its partition another's, and its sandbox is over:
    nothing is left that knows that the job has begun."""
    ledger, claim = world.ledger, world.ledger.claim
    flights = [f for w in world.workers for f in w.flights]
    if not world.begun or world.results or claim and claim.state != IDLE or any(f.is_attached for f in flights):
        return False
    if ledger.state == READY:
        return ledger.epoch > 1 and (len(flights) > 0 or any(w.state == DOWN for w in world.workers))
    return ledger.is_read_back and ledger.is_listed
