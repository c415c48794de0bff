"""One job's claim life, looked at in every state that it can come to. `run` is the command.

What there is (this file): two workers, one job, one permit limit that is never the reason to wait; the job's record, or two
of it (a copy in a retry topic, a second one that is past its expires_at or has another payload); the ledger in Redis with
claim, permits, leases, epoch; E2B's sandboxes; the results in Kafka; what is committed. All are plain values, equal when
nothing tells them apart. Permits and results are small numbers, used again once nothing knows them any more: so a life with
ten attempts has no more states than one with two.

Where it stands in the code:
    scripts.py      src/redis/lua/*.lua, a function for each script, with its answers
    worker.py       src/redis/pulse.h, src/worker/gate.h, core/custody.h and its runner, the drain
    flight.py       core/flight.h, src/worker/flight_*.c
    rebuild.py      src/worker/rebuild.c, rebuild_leader.c, reaper.c
    environment.py  E2B, the group, and time: an end passes when nobody that must not lose it is within its duration
    faults.py       what goes wrong, each as often as a budget says, and what people ask for
    promises.py     what must hold in every state, what the end is, and which holes README leaves open
    rules.py        the rules of the ledger's contract that can be left out; variants.py says where each is missed then

Some states of the machines are no states here. A flight that is queued, acquires, or waits for a time knows nothing that its
record does not, but for one that remembers a beginning (WAITING). CUSTODY_CREATING is four: HELD (granted, no custody),
GRANTED and CHECKED (the create is not sent yet), CREATING. CUSTODY_HANDING is one step: extended and yielded.

Not in it: limits and their queues, the create rate, crashes and suspects, steps of a plan other than its program, sizes of
results, the dead-letter topic, the doubt of a pulse, more than two workers, two losses of the ledger in one turn of a worker.
A commit and a delivery report never fail; whoever is up and not stopped moves some day. Durations are not numbers: that they
suffice (120 s cover a create, 60 s an unbound claim) is argued in src/redis/ledger.h and CONTRIBUTING.md."""
from typing import NamedTuple, Optional

NOBODY = 0  # owner of a claim that was yielded or that a rebuild found; worker of its permit

# A claim's state, and the ledger's. LOST: another run of the server or an empty one, and nobody has pulsed yet.
IDLE, RUNNING, SEALED, PARKED, DONE = "idle", "running", "sealed", "parked", "done"
READY, REBUILDING, LOST = "ready", "rebuilding", "lost"
# A flight's state. What is queued, or waits for a time, knows nothing that its record does not: the model has no flight
# then, but for those that remember a refusal. Nor while it acquires: the answer is handled in the same step.
WAITING, EXECUTING, SEALING, PUBLISHING, PARKING = "waiting", "executing", "sealing", "publishing", "parking"
# ... and where the record is that a flight publishes, or the copy that it parks
UNSENT, HANDED, DELIVERED = "", "handed", "delivered"
# A custody's state. GRANTED and CHECKED are the creating one before its create is sent; HELD a permit without a create.
HELD, GRANTED, CHECKED, CREATING, DOUBTFUL, LIVE, KILLING = (
    "held", "granted", "checked", "creating", "doubtful", "live", "killing")
# A worker's
UP, DRAINING, DOWN = "up", "draining", "down"
# What a record is: the job; its copy in a retry topic; a second one of the router's that must not run
GOOD, COPY, EXPIRED, CORRUPT = "good", "copy", "expired", "corrupt"


class Claim(NamedTuple):
    state: str
    owner: int = NOBODY
    permit: int = 0
    is_bound: bool = False  # it names a sandbox
    is_late: bool = False  # `until` has passed
    is_cancelled: bool = False
    attempt: int = 0
    hop: int = 0
    payload: int = 0  # 0: not known
    result: int = 0
    epoch: int = 1


class Permit(NamedTuple):
    id: int
    worker: int
    epoch: int


class Ledger(NamedTuple):
    state: str = READY
    epoch: int = 1
    leases: tuple = (1, 2)  # workers that are alive
    is_held: bool = False  # no take-over before everybody had time to pulse
    claim: Optional[Claim] = None
    permits: tuple = ()
    told: tuple = ()  # x:<worker>: who is to hear of the cancel
    asserted: tuple = ()  # of a rebuild: workers that said what they hold
    is_read_back: bool = False  # ... what Kafka knows is in
    is_listed: bool = False  # ... what E2B lists is in


class Custody(NamedTuple):
    permit: int
    state: str
    is_fresh: bool = False  # GRANTED: the grant is young enough; CREATING: the create's deadline has not passed


class Flight(NamedTuple):
    state: str
    record: int
    is_attached: bool = True  # its partition has not left this worker since it was pulled
    permit: int = 0  # 0: sealed without one
    attempt: int = 0
    is_adopter: bool = False  # of a run that may have begun before
    is_overrun: bool = False  # ... and whose time was over by then
    is_bound: bool = False  # bind was answered
    has_begun: bool = False  # the job's code was started, or attached to
    result: int = 0  # once the verdict stands
    is_found: bool = False  # another sealed it
    sent: str = UNSENT
    epoch: int = 0  # of the ledger in which it was sealed
    hop: int = 0


class Worker(NamedTuple):
    id: int  # an incarnation's: a restarted worker is another
    state: str = UP
    is_valid: bool = True  # its own view of its lease
    is_open: bool = False  # ... but it has yet to say, in a rebuild, which permits are its own
    epoch: int = 1  # the newest that it heard of
    is_stopped: bool = False  # for longer than its lease; ends with its next pulse
    is_cut: bool = False  # from Redis
    flights: tuple = ()
    custodies: tuple = ()
    background: tuple = ()  # commands that nobody waits for, in order
    finished: tuple = ()  # records, not committed yet


class Sandbox(NamedTuple):
    permit: int
    is_live: bool  # no: its create is under way, perhaps after its client left
    begun: int = 0  # how often the job's code began in it
    attempt: int = 1  # its metadata's


class Record(NamedTuple):
    kind: str
    owner: int  # index of the worker that has its partition
    is_committed: bool = False


class World(NamedTuple):
    workers: tuple
    ledger: Ledger
    sandboxes: tuple
    records: tuple
    results: tuple  # in Kafka; each once, however often it was delivered
    budget: tuple  # faults that may still come, in the order of faults.NAMES
    begun: int = 0  # how often the job's code began, 2 for more
    adopted: int = 0  # 1: a run that had begun was taken over and goes on; 2: and the code began again
    snapshot: Optional[Ledger] = None  # what Redis may come back with


# ---- looking


def permit_of(ledger, permit):
    return next((p for p in ledger.permits if p.id == permit), None)


def sandbox_of(world, permit):
    return next((s for s in world.sandboxes if s.permit == permit), None)


def custody_of(worker, permit):
    return next((c for c in worker.custodies if c.permit == permit), None)


def flight_of(worker, permit, state):
    return next((f for f in worker.flights if f.permit == permit and f.state == state), None)


def hop_of(record):
    return 1 if record.kind == COPY else 0


def payload_of(record):
    return 2 if record.kind == CORRUPT else 1


# ---- changing: each returns a new value


def replaced(items, old, new):
    """`items` without `old` and with `new`, in order; None: nothing."""
    rest = [x for x in items if x != old]
    if new is not None:
        rest.append(new)
        rest.sort()
    return tuple(rest)


def with_member(members, member):
    return members if member in members else tuple(sorted(members + (member,)))


def without_member(members, member):
    return tuple(m for m in members if m != member)


def put_worker(world, i, worker):
    return world._replace(workers=(worker, world.workers[1]) if i == 0 else (world.workers[0], worker))


def put_custody(worker, custody):
    return worker._replace(custodies=replaced(worker.custodies, custody_of(worker, custody.permit), custody))


def drop_custody(worker, permit):
    return worker._replace(custodies=tuple(c for c in worker.custodies if c.permit != permit))


def put_flight(worker, old, new):
    return worker._replace(flights=replaced(worker.flights, old, new))


def in_background(worker, *command):
    return worker._replace(background=worker.background + (command,))


def put_sandbox(world, sandbox):
    return world._replace(sandboxes=replaced(world.sandboxes, sandbox_of(world, sandbox.permit), sandbox))


def drop_sandbox(world, permit):
    return world._replace(sandboxes=tuple(s for s in world.sandboxes if s.permit != permit))


def put_permit(ledger, permit):
    return ledger._replace(permits=replaced(ledger.permits, permit_of(ledger, permit.id), permit))


def drop_permit(ledger, permit):
    return ledger._replace(permits=tuple(p for p in ledger.permits if p.id != permit))


def put_record(world, index, record):
    return world._replace(records=world.records[:index] + (record,) + world.records[index + 1:])


# ---- new numbers


def unused(used, number, step=1):
    while number in used:
        number += step
    return number


def new_permit(world):
    used = {s.permit for s in world.sandboxes}
    for ledger in (world.ledger, world.snapshot):
        if ledger:
            used.update(p.id for p in ledger.permits)
            used.add(ledger.claim.permit if ledger.claim else 0)
    for w in world.workers:
        used.update(c.permit for c in w.custodies)
        used.update(f.permit for f in w.flights)
        used.update(command[1] for command in w.background if len(command) > 1)
    return unused(used, 1)


def new_result(world):
    used = set(world.results)
    for ledger in (world.ledger, world.snapshot):
        used.add(ledger.claim.result if ledger and ledger.claim else 0)
    for w in world.workers:
        used.update(f.result for f in w.flights)
    return unused(used, 1)


def new_worker_id(world, i):
    """Odd for the first, even for the second, so that a trace tells them apart."""
    used = {w.id for w in world.workers}
    for ledger in (world.ledger, world.snapshot):
        if ledger:
            used.update(ledger.leases, ledger.told, ledger.asserted)
            used.update(p.worker for p in ledger.permits)
            used.add(ledger.claim.owner if ledger.claim else 0)
    return unused(used, i + 1, 2)
