"""A worker: its lease, its custodies, what it says to Redis in the background, and how it goes. Its flights are in
flight.py, what it does in a rebuild in rebuild.py.

Every function that stands in a table of steps takes the model, the world, the worker's index and the worker, and yields
(label, world) for each thing that may happen next; a label is (who, what, values). Nobody is ever obliged to move, so a
short stop needs no state of its own. What a long one does to leases and deadlines is a fault."""
import scripts
from world import (CHECKED, CREATING, DOUBTFUL, DOWN, DRAINING, EXECUTING, GRANTED, HELD, IDLE, KILLING, LIVE, LOST,
                   NOBODY, PARKED, READY, REBUILDING, SEALING, WAITING, Flight, Sandbox, Worker, custody_of,
                   drop_custody, drop_sandbox, flight_of, in_background, new_result, permit_of, put_custody, put_flight,
                   put_sandbox, put_worker, sandbox_of)


def may_act(m, w):
    """worker/gate.h, H35: create, start, kill and publish want a valid lease, and that no permit's owner is open."""
    return w.is_valid and not w.is_open or not m.rules.lease_gate


def is_heard(world, w):
    """Redis answers it: the first command on every connection, a pulse, was answered in this epoch."""
    return not w.is_cut and world.ledger.state != LOST and w.epoch == world.ledger.epoch


def may_ask(world, w):
    """All goes through one connection, behind what was sent in the background before."""
    return is_heard(world, w) and not w.background


def is_answered(m, world, w):
    return world.ledger.state == READY and may_ask(world, w)


def may_have_begun(m, flight):
    return flight.has_begun or flight.is_adopter and m.rules.adopter_is_final


# ---- the lease


def pulse(m, world, i, w):
    """redis/pulse.h: after a lapse, and in a new epoch, it asks whose its permits are."""
    ledger = world.ledger
    is_told = w.id in ledger.told
    is_news = not w.is_valid or w.epoch != ledger.epoch or w.id not in ledger.leases or ledger.state == LOST
    if w.is_cut or not (is_news or is_told):
        return
    ledger, has_lapsed = scripts.pulse(ledger, w.id, [x.epoch for x in world.workers])
    is_new = w.epoch != ledger.epoch
    is_open = m.rules.assertions and ledger.state == REBUILDING and (w.is_open or is_new and bool(w.custodies))
    world = world._replace(ledger=ledger)
    w = w._replace(is_valid=True, is_stopped=False, is_open=is_open, epoch=ledger.epoch)
    if (has_lapsed or is_new) and m.rules.lease_gate:
        world, w = say_first(m, world, w)
        for custody in w.custodies:
            world, w = look_at_permit(m, world, w, custody)
    if is_told:
        w = be_cancelled(world, w)
    yield (w.id, "pulses"), put_worker(world, i, w)


def say_first(m, world, w):
    """What it gave back before is given back before it looks what it has."""
    while w.background:
        world = world._replace(ledger=obeyed(m, world.ledger, w.id, *w.background[0]))
        w = w._replace(background=w.background[1:])
    return world, w


def look_at_permit(m, world, w, custody):
    """H35: whose is it now? Another's: hands off. Nobody's, for it is gone: the sandbox is ours to end."""
    ledger, named = world.ledger, permit_of(world.ledger, custody.permit)
    if named and named.worker == w.id and named.epoch == ledger.epoch:
        return world, w
    if ledger.state == REBUILDING and (not named or named.epoch != ledger.epoch or named.worker == NOBODY):
        return world, w  # not known yet: it is to be asserted; what a snapshot says of it is worth nothing
    if named and named.epoch == ledger.epoch or not m.rules.gone_is_mine:
        return lose_permit(m, world, w, custody)
    return permit_gone(m, world, w, custody)


def lose_permit(m, world, w, custody):
    """LOST_TO_OTHER: an adopter has the sandbox. A verdict goes on: seal says whether it counts."""
    w = drop_custody(w, custody.permit)
    flight = flight_of(w, custody.permit, EXECUTING)
    return world, forget_attempt(m, w, flight) if flight else w


def permit_gone(m, world, w, custody):
    """LOST_FOR_GOOD: the sandbox is counted nowhere and must go, and the attempt with it (SANDBOX_LOST)."""
    flight = flight_of(w, custody.permit, EXECUTING)
    if flight:
        return fail(m, world, w, flight)
    is_held = flight_of(w, custody.permit, SEALING) and custody.state == LIVE  # until it is sealed
    return (world, w) if is_held else let_go(m, world, w, custody)


def forget_attempt(m, w, flight):
    """The claim is another's. H19: what may have begun here, and must not begin again, remembers it."""
    remembers = m.is_never and may_have_begun(m, flight) and flight.is_attached and m.rules.superseded_remembers
    return put_flight(w, flight, Flight(WAITING, flight.record) if remembers else None)


def supersede(m, world, w, flight, is_anothers):
    """FLIGHT_EVENT_SUPERSEDED. With our permit: hands off. Under another permit: own sandbox killed, own permit
    released."""
    w = forget_attempt(m, w, flight)
    custody = custody_of(w, flight.permit)
    if custody and is_anothers:
        return world, drop_custody(w, flight.permit)
    return let_go(m, world, w, custody) if custody else (world, w)


def fail(m, world, w, flight):
    """No fault of the job's: once more, if it may."""
    if custody_of(w, flight.permit):  # else another flight of this worker had the claim, and cleared
        world, w = let_go(m, world, w, custody_of(w, flight.permit))
    if flight.attempt >= m.max_attempts or m.is_never and may_have_begun(m, flight):
        return world, put_flight(w, flight, flight._replace(state=SEALING, result=new_result(world)))
    return world, in_background(put_flight(w, flight, None), IDLE, flight.permit, False)


def be_cancelled(world, w):
    """H20: main steps under way end."""
    for flight in w.flights:
        if flight.state == EXECUTING:
            w = put_flight(w, flight, flight._replace(state=SEALING, result=new_result(world)))
    return w


# ---- custodies (core/custody.h)


def let_go(m, world, w, custody):
    """UNWANTED."""
    if custody.state in (HELD, GRANTED, CHECKED):
        return release_permit(m, world, drop_custody(w, custody.permit), custody.permit)
    state = {CREATING: DOUBTFUL, LIVE: KILLING}.get(custody.state, custody.state)
    return world, put_custody(w, custody._replace(state=state, is_fresh=False))


def release_permit(m, world, w, permit):
    if not is_heard(world, w) or w.background:
        return world, in_background(w, "release", permit)
    return world._replace(ledger=scripts.release_permit(m.rules, world.ledger, w.id, permit)), w


def custody_held(m, world, i, w, custody):
    return ()


def custody_granted(m, world, i, w, custody):
    """H30: a grant is good for 10 s."""
    if custody.is_fresh or not m.rules.grant_age:
        if m.is_check_apart and may_act(m, w):
            w2 = put_custody(w, custody._replace(state=CHECKED))
            yield (w.id, "checks grant {} and its lease", custody.permit), put_worker(world, i, w2)
        elif may_act(m, w):
            yield from custody_checked(m, world, i, w, custody)
        return
    flight = flight_of(w, custody.permit, EXECUTING)
    w = drop_custody(w, custody.permit)
    if flight:
        w = in_background(put_flight(w, flight, None), IDLE, custody.permit, True)
    world, w = release_permit(m, world, w, custody.permit)
    yield (w.id, "finds its grant of permit {} too old", custody.permit), put_worker(world, i, w)


def attempt_of(w, custody):
    flight = flight_of(w, custody.permit, EXECUTING)
    return flight.attempt if flight else 1


def custody_checked(m, world, i, w, custody):
    w = put_custody(w, custody._replace(state=CREATING, is_fresh=True))
    after = put_sandbox(put_worker(world, i, w), Sandbox(custody.permit, False, attempt=attempt_of(w, custody)))
    yield (w.id, "sends the create of sandbox {}", custody.permit), after


def custody_creating(m, world, i, w, custody):
    sandbox = sandbox_of(world, custody.permit)
    if not sandbox or sandbox.is_live:  # not there: made, and over already
        state = LIVE if flight_of(w, custody.permit, EXECUTING) else KILLING
        w2 = put_custody(w, custody._replace(state=state, is_fresh=False))
        yield (w.id, "hears of sandbox {}", custody.permit), put_worker(world, i, w2)
    if not custody.is_fresh:
        yield (w.id, "waited too long for sandbox {}", custody.permit), unanswered(m, world, i, w, custody)


def unanswered(m, world, i, w, custody):
    """H31: the permit stays while the create may be carried out; the next attempt begins under its own."""
    flight = flight_of(w, custody.permit, EXECUTING)
    w = put_custody(w, custody._replace(state=DOUBTFUL, is_fresh=False))
    if flight and flight.attempt >= m.max_attempts:
        w = put_flight(w, flight, flight._replace(state=SEALING, result=new_result(world)))
    elif flight:
        w = in_background(put_flight(w, flight, None), IDLE, flight.permit, False)
    return put_worker(world, i, w)


def custody_doubtful(m, world, i, w, custody):
    """Looked for by its metadata, for as long as it may come: a create that is under way is listed, or over by 120 s."""
    sandbox = sandbox_of(world, custody.permit)
    if sandbox and sandbox.is_live:
        w = put_custody(w, custody._replace(state=KILLING))
        yield (w.id, "finds sandbox {} by its metadata", custody.permit), put_worker(world, i, w)
    elif (not sandbox or not m.rules.doubt) and (w.is_cut or not w.background):  # in 120 s all else is heard
        world, w = release_permit(m, world, drop_custody(w, custody.permit), custody.permit)
        yield (w.id, "gives the doubtful create of {} up", custody.permit), put_worker(world, i, w)


def custody_live(m, world, i, w, custody):
    """The answer to an extension tells whose the permit is, as the pulse after a lapse does."""
    if is_heard(world, w):
        after, w2 = look_at_permit(m, world, w, custody)
        if w2 is not w:
            yield (w.id, "hears that permit {} is lost", custody.permit), put_worker(after, i, w2)


def custody_killing(m, world, i, w, custody):
    if may_act(m, w):
        w = drop_custody(w, custody.permit)
        world, w = release_permit(m, drop_sandbox(world, custody.permit), w, custody.permit)
        yield (w.id, "kills sandbox {}", custody.permit), put_worker(world, i, w)


CUSTODY_STEPS = {HELD: custody_held, GRANTED: custody_granted, CHECKED: custody_checked, CREATING: custody_creating,
                 DOUBTFUL: custody_doubtful, LIVE: custody_live, KILLING: custody_killing}


# ---- in the background


def background(m, world, i, w):
    """Kept and repeated until Redis has answered: done, release, and the claim's way to idle or parked."""
    if w.background and is_heard(world, w):
        ledger = obeyed(m, world.ledger, w.id, *w.background[0])
        after = put_worker(world._replace(ledger=ledger), i, w._replace(background=w.background[1:]))
        yield (w.id, "is heard in the background: " + w.background[0][0]), after


def obeyed(m, ledger, me, what, permit=0, is_uncounted=False):
    if what == "done":
        return scripts.done(m.rules, ledger)
    if what == "release":
        return scripts.release_permit(m.rules, ledger, me, permit)
    return scripts.release_claim(ledger, me, permit, what, hop=int(what == PARKED), is_uncounted=is_uncounted)


# ---- a drain (H55)


def leave(m, world, i, w):
    """The end of the grace period, and of the worker: what is only doubtful is not waited for."""
    if w.state != DRAINING:
        return
    for flight in w.flights:
        if flight.state == EXECUTING:
            yield from give_up(m, world, i, w, flight)
    if not w.flights and not w.background and all(c.state == DOUBTFUL for c in w.custodies):
        ledger = world.ledger
        if is_heard(world, w):
            ledger = ledger._replace(leases=tuple(x for x in ledger.leases if x != w.id))
        after = Worker(w.id, DOWN, is_valid=False, epoch=0)
        yield (w.id, "exits"), put_worker(world._replace(ledger=ledger), i, after)


def give_up(m, world, i, w, flight):
    """A process is left to the next owner; what must not begin again ends here; all else is killed."""
    if m.is_process and (flight.is_bound or flight.is_adopter):
        if is_answered(m, world, w):
            ledger, answer = scripts.give_away(world.ledger, w.id, flight.permit)
            world = world._replace(ledger=ledger)
            if answer == "ok":
                w = drop_custody(put_flight(w, flight, None), flight.permit)
            else:
                world, w = supersede(m, world, w, flight, answer == "superseded_permit")
            yield (w.id, "yields the run: " + answer), put_worker(world, i, w)
        elif w.is_cut:
            w = drop_custody(put_flight(w, flight, None), flight.permit)
            yield (w.id, "goes without an answer to its yield"), put_worker(world, i, w)
    elif m.is_never and may_have_begun(m, flight):
        w = put_flight(w, flight, flight._replace(state=SEALING, result=new_result(world)))
        yield (w.id, "ends the run for good"), put_worker(world, i, w)
    else:
        custody = custody_of(w, flight.permit)
        if custody:
            world, w = let_go(m, world, w, custody)
        w = in_background(put_flight(w, flight, None), IDLE, flight.permit, not flight.has_begun)
        yield (w.id, "gives the job back"), put_worker(world, i, w)
