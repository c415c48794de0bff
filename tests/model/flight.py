"""A job's way through a worker, as core/flight.h orders and src/worker/flight_*.c obey."""
import scripts
from worker import fail, is_answered, let_go, may_act, supersede
from world import (COPY, CORRUPT, DELIVERED, DOUBTFUL, EXECUTING, EXPIRED, GRANTED, HANDED, HELD, IDLE, KILLING, LIVE,
                   PARKED, READY, PARKING, PUBLISHING, SEALING, UNSENT, UP, WAITING, Custody, Flight, Record, custody_of,
                   hop_of, in_background, new_permit, new_result, payload_of, put_custody, put_flight, put_record,
                   put_sandbox, put_worker, sandbox_of, with_member)


# ---- a record's turn


def begin(m, world, i, w):
    """Whatever a worker owns and has not finished is in one of its flights, or has its turn."""
    if w.state != UP or not w.is_valid or not is_answered(m, world, w):
        return
    for r, record in enumerate(world.records):
        is_ours = record.owner == i and not record.is_committed and r not in w.finished
        if not is_ours or any(f.record == r and f.is_attached for f in w.flights):
            continue
        if record.kind in (EXPIRED, CORRUPT):
            yield from refuse(m, world, i, w, r)
        else:
            yield from acquire(m, world, i, w, r, False)


def refuse(m, world, i, w, r):
    """H3: it must not run. Nobody has the job: its verdict is sealed without a permit. Else the claim is asked for."""
    result = new_result(world)
    flight = Flight(PUBLISHING, r, result=result, epoch=world.ledger.epoch)
    if not m.rules.refusals_sealed:
        yield (w.id, "refuses record {}", r), put_worker(world, i, put_flight(w, None, flight))
        return
    ledger, answer = scripts.seal(world.ledger, w.id, 0, payload_of(world.records[r]), result)
    if answer == "ok":
        after = put_worker(world._replace(ledger=ledger), i, put_flight(w, None, flight))
        yield (w.id, "seals the refusal of record {}", r), after
    elif answer == "elsewhere":
        yield from acquire(m, world, i, w, r, True)
    else:
        yield (w.id, "refuses record {}: " + answer, r), finish_record(world, i, w, r)


def wait(m, world, i, w, flight):
    """H19: its job may have begun here, and must not begin again; it was superseded."""
    if not flight.is_attached or w.state != UP:
        yield (w.id, "drops the job"), put_worker(world, i, put_flight(w, flight, None))
    elif w.is_valid and is_answered(m, world, w):
        yield from acquire(m, world, i, w, flight.record, False, flight)


# ---- claim and permit


def acquire(m, world, i, w, r, is_refused, waiting=None):
    """flight_acquire.c: what was answered is handled at once; but `elsewhere`, which is asked again."""
    record, permit = world.records[r], new_permit(world)
    ledger, answer = scripts.acquire(m.rules, world.ledger, w.id, permit, hop_of(record), payload_of(record))
    if answer == "elsewhere":
        return
    is_late = answer == "adopt" and world.ledger.claim.is_late
    world, claim, w = world._replace(ledger=ledger), ledger.claim, put_flight(w, waiting, None) if waiting else w
    if answer == "granted":
        is_final = is_refused or waiting is not None
        yield (w.id, "is granted permit {}", permit), put_worker(world, i, granted(m, world, w, r, is_final))
    elif answer == "adopt":
        yield from take_over(m, world, i, w, r, is_refused, is_late, waiting)
    elif answer == "sealed":
        w = put_flight(w, None, Flight(PUBLISHING, r, permit=claim.permit, result=claim.result, is_found=True,
                                       epoch=ledger.epoch))
        if sandbox_of(world, claim.permit) and not custody_of(w, claim.permit):
            w = put_custody(w, Custody(claim.permit, KILLING))
        yield (w.id, "takes result {} over", claim.result), put_worker(world, i, w)
    elif answer == "cancelled":
        w = put_flight(w, None, Flight(SEALING, r, result=new_result(world)))
        yield (w.id, "finds the job cancelled"), put_worker(world, i, w)
    else:
        yield (w.id, "has nothing to do for record {}: " + answer, r), finish_record(world, i, w, r)


def granted(m, world, w, r, is_final):
    claim = world.ledger.claim
    flight, custody = Flight(EXECUTING, r, True, claim.permit, claim.attempt, hop=claim.hop), GRANTED
    if is_final or claim.attempt > m.max_attempts:
        flight, custody = flight._replace(state=SEALING, result=new_result(world)), HELD
    return put_flight(put_custody(w, Custody(claim.permit, custody, custody == GRANTED)), None, flight)


def take_over(m, world, i, w, r, is_refused, is_late, waiting):
    """H51, H52: a process whose sandbox is known goes on. What else a predecessor left is killed (CLEAR), and the job free
    again; but H19: what may have begun and must not begin again is sealed."""
    claim = world.ledger.claim
    if m.is_process and claim.is_bound:
        flight = Flight(EXECUTING, r, True, claim.permit, claim.attempt, is_adopter=True, is_overrun=is_late,
                        hop=claim.hop)
        w = put_custody(put_flight(w, None, flight), Custody(claim.permit, LIVE))
        yield (w.id, "adopts the run in sandbox {}", claim.permit), put_worker(world, i, w)
        return
    is_final = m.is_never and claim.is_bound
    keeps_claim = is_final and m.rules.final_keeps_claim
    w = put_custody(w, Custody(claim.permit, KILLING if claim.is_bound else DOUBTFUL))
    if not keeps_claim:
        w = in_background(w, IDLE, claim.permit, not claim.is_bound and (m.is_process or m.is_never))
    if is_final or is_refused:
        permit = claim.permit if keeps_claim else 0
        w = put_flight(w, None, Flight(SEALING, r, True, permit, claim.attempt, result=new_result(world)))
    elif waiting:
        w = put_flight(w, None, waiting)
    yield (w.id, "takes the claim over and clears permit {}", claim.permit), put_worker(world, i, w)


# ---- the attempt


def execute(m, world, i, w, flight):
    custody, sandbox = custody_of(w, flight.permit), sandbox_of(world, flight.permit)
    if custody and custody.state != LIVE:
        return
    if custody and sandbox:
        yield from bind(m, world, i, w, flight)
        yield from start(m, world, i, w, flight, sandbox)
        yield from end_run(world, i, w, flight)
    else:
        after, w = fail(m, world, w, flight)
        yield (w.id, "finds sandbox {} gone", flight.permit), put_worker(after, i, w)


def bind(m, world, i, w, flight):
    if flight.is_bound or not is_answered(m, world, w):
        return
    ledger, answer = scripts.bind(m.rules, world.ledger, w.id, flight.permit)
    world = world._replace(ledger=ledger)
    if answer == "ok":
        w = put_flight(w, flight, flight._replace(is_bound=True))
        if flight.is_adopter and not flight.is_overrun and sandbox_of(world, flight.permit).begun:
            world = world._replace(adopted=1)
    else:
        world, w = supersede(m, world, w, flight, answer == "superseded_permit")
    yield (w.id, "binds: " + answer), put_worker(world, i, w)


def start(m, world, i, w, flight, sandbox):
    """H44: what can be adopted, or must not begin twice, begins after the claim names its sandbox. H52: the record in the
    sandbox says whether a process began."""
    must_bind = (m.is_process or m.is_never) and m.rules.bind_first
    if flight.has_begun or not may_act(m, w) or must_bind and not flight.is_bound:
        return
    w = put_flight(w, flight, flight._replace(has_begun=True))
    if sandbox.begun and m.is_process and m.rules.record_decides:
        yield (w.id, "attaches to the run in sandbox {}", flight.permit), put_worker(world, i, w)
        return
    world = put_sandbox(world, sandbox._replace(begun=min(2, sandbox.begun + 1)))
    world = world._replace(begun=min(2, world.begun + 1), adopted=2 * world.adopted)
    yield (w.id, "begins the job's code in sandbox {}", flight.permit), put_worker(world, i, w)


def end_run(world, i, w, flight):
    if flight.has_begun:
        after = flight._replace(state=SEALING, result=new_result(world))
        yield (w.id, "has a verdict: result {}", after.result), put_worker(world, i, put_flight(w, flight, after))


# ---- verdict, result, offset


def seal(m, world, i, w, flight):
    """flight_publish.c, H1. Where the ledger is away the sandbox does not wait for it."""
    custody = custody_of(w, flight.permit)
    if not m.rules.seal_first:
        yield (w.id, "is about to produce unsealed"), put_worker(world, i, published(w, flight, world.ledger.epoch))
        return
    if not is_answered(m, world, w):
        if custody and custody.state == LIVE and (w.is_cut or world.ledger.state != READY):
            world, w = let_go(m, world, w, custody)
            yield (w.id, "lets sandbox {} go before its seal", flight.permit), put_worker(world, i, w)
        return
    ledger, answer = scripts.seal(world.ledger, w.id, flight.permit, payload_of(world.records[flight.record]),
                                  flight.result)
    world = world._replace(ledger=ledger)
    if answer == "ok":
        w = published(w, flight, ledger.epoch)
        if custody:
            world, w = let_go(m, world, w, custody)
    elif answer in ("done", "conflict"):
        w = put_flight(w, flight, None)._replace(finished=with_member(w.finished, flight.record))
        if custody:
            world, w = let_go(m, world, w, custody)
    else:
        world, w = supersede(m, world, w, flight, answer == "superseded_permit")
    yield (w.id, "seals result {}: " + answer, flight.result), put_worker(world, i, w)


def forgotten(m, world, i, w, flight):
    """H9: what an earlier epoch sealed is sealed anew, without the permit that the ledger has forgotten. What another
    sealed may be in Kafka already: the claim is asked for anew."""
    if flight.is_found:
        yield (w.id, "asks anew for the job"), put_worker(world, i, put_flight(w, flight, None))
    else:
        after = flight._replace(state=SEALING, permit=0)
        yield (w.id, "is to seal result {} anew", flight.result), put_worker(world, i, put_flight(w, flight, after))


def published(w, flight, epoch):
    return put_flight(w, flight, flight._replace(state=PUBLISHING, epoch=epoch))


def publish_unsealed(m, world, i, w, flight):
    """H11: Redis is away for so long that the lease lapsed; only for an offset that is ours now."""
    is_ours = flight.is_attached and world.records[flight.record].owner == i
    if m.publishes_unsealed and w.is_cut and not w.is_valid and w.state == UP and is_ours:
        after = put_flight(w, flight, flight._replace(state=PUBLISHING, sent=HANDED))
        yield (w.id, "hands result {} to librdkafka unsealed", flight.result), put_worker(world, i, after)


def produce(m, world, i, w, flight):
    """Into librdkafka. H9: what an earlier epoch sealed is sealed again first."""
    if flight.sent != UNSENT or not may_act(m, w):
        return
    if flight.epoch != w.epoch and m.rules.reseal:
        if world.ledger.state == READY or w.id in world.ledger.asserted or w.is_cut:
            yield from forgotten(m, world, i, w, flight)
        return  # rebuild.c asserts in the turn of the pulse that tells of the loss, before the gate opens
    claim = world.ledger.claim
    if not m.rules.seal_first and claim and (claim.owner, claim.permit) != (w.id, flight.permit):
        yield (w.id, "finds the claim another's"), put_worker(world, i, put_flight(w, flight, None))
        return
    w = put_flight(w, flight, flight._replace(sent=HANDED))
    yield (w.id, "hands result {} to librdkafka", flight.result), put_worker(world, i, w)


def deliver(m, world, i, w, flight):
    """By librdkafka's own threads, which no gate holds."""
    if flight.sent == HANDED:
        after = put_worker(world, i, put_flight(w, flight, flight._replace(sent=DELIVERED)))
        yield (w.id, "has result {} in Kafka", flight.result), after._replace(
            results=with_member(world.results, flight.result))


def hear_delivery(m, world, i, w, flight):
    """H10: the delivery report alone finishes the offset; `done` follows in the background."""
    if flight.sent == DELIVERED:
        w = put_flight(w, flight, None)
        custody = custody_of(w, flight.permit)
        if custody:  # of a result that was not sealed
            world, w = let_go(m, world, w, custody)
        yield (w.id, "hears of the delivery"), finish_record(world, i, in_background(w, "done"), flight.record)


def finish_record(world, i, w, r):
    return put_worker(world, i, w._replace(finished=with_member(w.finished, r)))


def commit(m, world, i, w):
    for r in w.finished:
        if world.records[r].owner == i and not world.records[r].is_committed:
            after = put_worker(world, i, w._replace(finished=tuple(x for x in w.finished if x != r)))
            yield (w.id, "commits record {}", r), put_record(after, r, world.records[r]._replace(is_committed=True))


# ---- a retry hop (H13): copy, delivery report, parked, offset finished


def park(m, world, i, w, flight):
    if flight.sent == UNSENT and may_act(m, w):
        w = put_flight(w, flight, flight._replace(sent=DELIVERED))
        for owner in (0, 1):
            after = world._replace(records=world.records + (Record(COPY, owner),))
            yield (w.id, "has a copy in the retry topic, partition of the {}. worker", owner + 1), put_worker(after, i, w)
    elif flight.sent == DELIVERED:
        w = put_flight(w, flight, None)
        if m.rules.copy_first:
            w = in_background(w, PARKED, flight.permit)
        yield (w.id, "hears of the copy's delivery"), finish_record(world, i, w, flight.record)


STEPS = {WAITING: (wait,), EXECUTING: (execute,), SEALING: (seal, publish_unsealed),
         PUBLISHING: (produce, deliver, hear_delivery), PARKING: (park,)}
