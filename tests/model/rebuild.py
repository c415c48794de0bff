"""What brings a lost ledger back: every worker says what it holds, a leader says what Kafka and E2B know (H9, H37). And
the reaper, which ends what has no right to live (H38)."""
import scripts
from worker import is_heard, let_go, supersede
from world import (CHECKED, CREATING, DONE, DOWN, GRANTED, HANDED, KILLING, LIVE, NOBODY, PUBLISHING, READY, REAPER, REBUILDING,
                   RUNNING, SEALED, SEALING, UNSENT, WAITING, Claim, custody_of, drop_permit, drop_sandbox, payload_of,
                   permit_of, put_flight, put_worker, with_member)


# ---- a worker


def say_what_it_holds(m, world, i, w):
    ledger = world.ledger
    if ledger.state != REBUILDING or not is_heard(world, w) or not m.rules.assertions:
        return
    if w.id in ledger.asserted or w.id not in ledger.leases:
        return
    for custody in w.custodies:
        ledger, answer = scripts.assert_permit(world.ledger, w.id, custody.permit)
        world = world._replace(ledger=ledger)
        if answer != "ok":
            world, w = supersede(m, world, w, custody.permit, True)
    for flight in w.flights:
        if flight.permit or flight.state == PUBLISHING:
            world, w = assert_flight(m, world, w, flight)
    ledger = world.ledger._replace(asserted=with_member(world.ledger.asserted, w.id))
    yield (w.id, "says what it holds"), put_worker(world._replace(ledger=ledger), i, w)


def assert_flight(m, world, w, flight):
    is_sealed = flight.state == PUBLISHING
    custody = custody_of(w, flight.permit)
    is_bound = flight.is_bound or not m.rules.bound_is_heard and custody is not None and custody.state == LIVE
    claim = Claim(SEALED if is_sealed else RUNNING, w.id, flight.permit, is_bound and not is_sealed,
                  attempt=flight.attempt, hop=flight.hop, payload=payload_of(world.records[flight.record]),
                  result=flight.result if is_sealed else 0)
    ledger, answer = scripts.assert_claim(m.rules, world.ledger, claim)
    world = world._replace(ledger=ledger)
    if answer == "ok":
        after = flight._replace(is_bound=is_bound, epoch=ledger.epoch if is_sealed else flight.epoch)
        return world, put_flight(w, flight, after)
    if flight.sent != UNSENT:  # it is on its way: nothing can be done about it
        return world, w
    if custody:
        world, w = let_go(m, world, w, custody)
    if answer == "done":
        w = w._replace(finished=with_member(w.finished, flight.record))
    return world, put_flight(w, flight, None)


# ---- the leader: any worker that lives


def leader(m, world):
    ledger = world.ledger
    if ledger.state != REBUILDING or not any(w.is_valid and is_heard(world, w) for w in world.workers):
        return
    may_vouch = has_waited(m, world)
    if not ledger.is_read_back and (may_vouch or not m.rules.vouch_last):
        after = ledger._replace(is_read_back=True)
        if world.results and m.rules.read_back:
            payload = ledger.claim.payload if ledger.claim else 0
            after = after._replace(claim=Claim(DONE, payload=payload, epoch=ledger.epoch))
        yield ("the leader", "reads the results back"), world._replace(ledger=after)
    if not ledger.is_listed and (may_vouch or not m.rules.vouch_last):
        yield ("the leader", "asserts what E2B lists"), world._replace(ledger=take_list(m, world))
    if ledger.is_read_back and ledger.is_listed and may_vouch:
        yield ("the leader", "opens the ledger"), world._replace(ledger=scripts.ready(ledger))


def has_waited(m, world):
    """ready.lua, and `waiting_for` of the leader's call."""
    rules, ledger = m.rules, world.ledger
    if rules.assertions and rules.wait_for_asserted and any(me not in ledger.asserted for me in ledger.leases):
        return False
    if rules.wait_for_pulses and any(w.state != DOWN and has_yet_to_move(ledger, w) for w in world.workers):
        return False
    if not rules.wait_for_creates:
        return True
    is_sent = not any(c.state in (GRANTED, CHECKED) and c.is_fresh for w in world.workers for c in w.custodies)
    return is_sent and all(s.is_live for s in world.sandboxes)


def has_yet_to_move(ledger, w):
    """Within a lease whoever is not stopped pulses, or, cut off, hands nothing to librdkafka any more; and what it handed
    over arrives."""
    if w.is_cut:
        return w.is_valid or any(f.sent == HANDED for f in w.flights)
    return not w.is_stopped and (w.epoch != ledger.epoch or w.id not in ledger.leases)


def take_list(m, world):
    """A sandbox's metadata names permit and job; nothing says how far it was."""
    ledger = world.ledger._replace(is_listed=True)
    for s in world.sandboxes:
        named = permit_of(ledger, s.permit)
        if not m.rules.leader_lists or not s.is_live or named and named.epoch == ledger.epoch:
            continue
        ledger, _ = scripts.assert_permit(ledger, NOBODY, s.permit)
        old = ledger.claim or Claim(RUNNING, attempt=1)
        claim = Claim(RUNNING, NOBODY, s.permit, True, attempt=old.attempt, hop=old.hop)
        ledger, _ = scripts.assert_claim(m.rules, ledger, claim)
    return ledger


# ---- the reaper


def reaper(m, world):
    """Asks, and kills a while later: it, too, may be stopped in between. What it was told before a loss is worth nothing."""
    ledger = world.ledger
    if world.condemned and world.condemned[1] != ledger.epoch and m.rules.condemn_again:
        yield ("the reaper", "has to ask again"), world._replace(condemned=())
    elif world.condemned:
        permit = world.condemned[0]
        named = permit_of(ledger, permit)
        after = drop_sandbox(world, permit)._replace(condemned=())
        if named and named.worker == REAPER:
            after = after._replace(ledger=drop_permit(ledger, permit))
        yield ("the reaper", "kills sandbox {}", permit), after
    elif m.has_reaper and ledger.state == READY:
        for s in world.sandboxes:
            after, answer = scripts.condemn(m.rules, ledger, s.permit)
            if s.is_live and answer == "ok":
                after = world._replace(ledger=after, condemned=(s.permit, ledger.epoch), adopted=0)
                yield ("the reaper", "condemns sandbox {}", s.permit), after


STEPS = (leader, reaper)
