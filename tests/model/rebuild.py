"""What brings a lost ledger back: every worker says what it holds, a leader says what Kafka and E2B know (H9, H37). And
the reaper, which ends what has no right to live (H38)."""
import scripts
from worker import is_heard, lose_permit, may_ask, release_permit, supersede
from world import (CHECKED, CREATING, DOWN, EXECUTING, GRANTED, HANDED, HELD, KILLING, LIVE, NOBODY, PUBLISHING, READY,
                   REBUILDING, RUNNING, SEALED, SEALING, UNSENT, UP, Claim, Custody, custody_of, flight_of, payload_of,
                   permit_of, put_custody, put_worker, with_member)


# ---- a worker


def say_what_it_holds(m, world, i, w):
    """worker/rebuild.c: every permit, every run, every verdict that is not in Kafka yet, then `asserted`."""
    ledger = world.ledger
    if ledger.state != REBUILDING or not is_heard(world, w) or not m.rules.assertions:
        return
    if w.id in ledger.asserted or w.id not in ledger.leases:
        return
    for custody in w.custodies:
        if custody.state != HELD:
            world, w = assert_custody(m, world, w, custody)
    for flight in w.flights:
        if flight.state == PUBLISHING and flight.epoch and (not flight.is_found or is_handed(m, flight)):
            claim = claim_of(world, flight, SEALED)
            world = world._replace(ledger=scripts.assert_(m.rules, world.ledger, w.id, 0, claim)[0])
        elif flight.state == SEALING and flight.permit and not is_attempts(flight, custody_of(w, flight.permit)):
            world, w = assert_run(m, world, w, flight)
    ledger = world.ledger._replace(asserted=with_member(world.ledger.asserted, w.id))
    yield (w.id, "says what it holds"), put_worker(world._replace(ledger=ledger), i, w._replace(is_open=False))


def is_handed(m, flight):
    return m.rules.found_asserted and flight.sent != UNSENT


def claim_of(world, flight, state, is_bound=False):
    return Claim(state, 0, 0, is_bound, attempt=flight.attempt, hop=flight.hop,
                 payload=payload_of(world.records[flight.record]), result=flight.result if state == SEALED else 0)


def is_attempts(flight, custody):
    """Else the custody was let go, or there is none."""
    return custody is not None and custody.state in (GRANTED, CHECKED, CREATING, LIVE)


def assert_custody(m, world, w, custody):
    flight = flight_of(w, custody.permit, EXECUTING) or flight_of(w, custody.permit, SEALING)
    claim = None
    if flight and is_attempts(flight, custody):
        claim = claim_of(world, flight, RUNNING, custody.state == LIVE)
    ledger, answer = scripts.assert_(m.rules, world.ledger, w.id, custody.permit, claim)
    world = world._replace(ledger=ledger)
    if answer == "superseded_permit":
        return lose_permit(m, world, w, custody)
    if answer != "ok" and flight.state == EXECUTING:
        return supersede(m, world, w, flight, False)
    return world, w


def assert_run(m, world, w, flight):
    """Its sandbox is gone, its verdict waits for the ledger: the permit comes along, and goes back at once."""
    ledger, _ = scripts.assert_(m.rules, world.ledger, w.id, flight.permit, claim_of(world, flight, RUNNING))
    world = world._replace(ledger=ledger)
    custody = custody_of(w, flight.permit)
    return (world, w) if custody and custody.state != HELD else release_permit(m, world, w, flight.permit)


# ---- the leader: any worker that lives


def leader(m, world):
    """worker/rebuild_leader.c, lua/ready.lua."""
    ledger = world.ledger
    if ledger.state != REBUILDING or not any(w.is_valid and is_heard(world, w) for w in world.workers):
        return
    may_vouch = has_waited(m, world)
    if not ledger.is_read_back and (may_vouch or not m.rules.read_back_last):
        after = ledger._replace(is_read_back=True)
        if world.results and m.rules.read_back:
            after = scripts.done(m.rules, after)
        yield ("the leader", "reads the results back"), world._replace(ledger=after)
    is_due = not ledger.is_listed if may_vouch or not m.rules.list_last else take_list(m, world) != ledger
    if is_due:
        is_listed = may_vouch or not m.rules.list_last
        after = take_list(m, world)._replace(is_listed=is_listed)
        yield ("the leader", "asserts what E2B lists"), world._replace(ledger=after)
    if ledger.is_read_back and ledger.is_listed and may_vouch:
        yield ("the leader", "opens the ledger"), world._replace(ledger=scripts.ready(ledger))


def has_waited(m, world):
    """ready.lua: everybody with a lease has asserted, everybody whom one of them remembers too, or its creates are over."""
    rules, ledger = m.rules, world.ledger
    if rules.assertions and rules.wait_for_asserted and any(me not in ledger.asserted for me in ledger.leases):
        return False
    if rules.wait_for_crew and any(w.state != DOWN and has_yet_to_move(ledger, w) for w in world.workers):
        return False
    return not rules.wait_for_creates or not any(is_unasserted_create(world, permit) for permit in creates(world))


def has_yet_to_move(ledger, w):
    """Within 120 s whoever is not stopped pulses, or, cut off, hands nothing to librdkafka any more; and what it handed
    over arrives."""
    if w.is_cut:
        return w.is_valid or any(f.sent == HANDED for f in w.flights)
    return not w.is_stopped and (w.epoch != ledger.epoch or w.id not in ledger.leases)


def creates(world):
    """Under way, or about to be sent."""
    for w in world.workers:
        yield from (c.permit for c in w.custodies if c.state in (GRANTED, CHECKED) and c.is_fresh)
    yield from (s.permit for s in world.sandboxes if not s.is_live)


def is_unasserted_create(world, permit):
    named = permit_of(world.ledger, permit)
    return named is None or named.epoch != world.ledger.epoch


def take_list(m, world):
    """A sandbox's metadata names permit, job and attempt; nothing says how far it was."""
    ledger = world.ledger
    for s in world.sandboxes:
        if m.rules.leader_lists and s.is_live:
            named = permit_of(ledger, s.permit)
            if not (named and named.epoch == ledger.epoch and named.worker == NOBODY):
                claim = Claim(RUNNING, is_bound=True, attempt=s.attempt)
                ledger, _ = scripts.assert_(m.rules, ledger, NOBODY, s.permit, claim)
    return ledger


# ---- the reaper


def reaper(m, world):
    """worker/reaper.c: lists first, asks right before each kill. The kill is its worker's, through the gate."""
    if not m.has_reaper or world.ledger.state != READY:
        return
    for i, w in enumerate(world.workers):
        for s in world.sandboxes if w.state == UP and may_ask(world, w) else ():
            if not s.is_live or custody_of(w, s.permit):
                continue
            ledger, answer = scripts.condemn(m.rules, world.ledger, w.id, s.permit)
            if answer == "kill":
                v = put_custody(w, Custody(s.permit, KILLING))
                after = put_worker(world._replace(ledger=ledger, adopted=0), i, v)
                yield (w.id, "condemns sandbox {}", s.permit), after


STEPS = (leader, reaper)
