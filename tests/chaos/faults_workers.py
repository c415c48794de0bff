"""Workers that die, stand still, come and go; and the windows that ledger.md names: between one step and the next."""
from __future__ import annotations

import functools

from faults import LEASE_S, Hands, fault, is_grant
from wire import Call, Gate, name_of

STOP_S = LEASE_S + 10


@fault("kill -9 of a worker; it comes back under its name after some seconds", 50)
def kill(hands: Hands):
    name = hands.pick()
    hands.kill(name)
    try:
        yield hands.random.uniform(0.5, 5)
    finally:
        hands.cluster.start_worker(name)


@fault("kill -9 of all workers but one, at once", 55)
def kill_most(hands: Hands):
    names = sorted(hands.cluster.live_names())
    names.remove(hands.random.choice(names))
    for name in names:
        hands.kill(name)
    try:
        yield 3
    finally:
        for name in names:
            hands.cluster.start_worker(name)


@fault("SIGSTOP of a worker for longer than its lease", 65)
def stop(hands: Hands):
    with hands.frozen(hands.pick()):
        yield STOP_S


@fault("SIGSTOP of a worker for less than its lease", 25)
def stop_briefly(hands: Hands):
    with hands.frozen(hands.pick()):
        yield hands.random.uniform(8, 18)


@fault("SIGSTOP of a worker for longer than a sandbox lives", 400, is_in_all=False)
def stop_over_life(hands: Hands):
    with hands.frozen(hands.pick()):
        yield 330


@fault("SIGTERM of a worker under load, its successor comes after it", 45)
def restart(hands: Hands):
    name = hands.pick()
    hands.hit_worker(name)
    try:
        yield from hands.cluster.end_worker(name)
    finally:
        hands.cluster.start_worker(name)


@fault("a further worker joins and leaves: two rebalances", 45)
def rebalance(hands: Hands):
    hands.cluster.start_worker("extra")
    try:
        yield 12
        yield from hands.cluster.end_worker("extra")
    finally:
        hands.cluster.remove_worker("extra")


@fault("a worker whose wall clock is an hour ahead, then an hour behind, joins and leaves", 45)
def clock_worker(hands: Hands):
    cluster = hands.cluster
    cluster.shift_clock(cluster.worker_clock, 3_600_000)
    cluster.start_worker("extra", cluster.shifted(cluster.worker_clock))
    try:
        yield 12
        cluster.shift_clock(cluster.worker_clock, -3_600_000)
        yield 8
        yield from cluster.end_worker("extra")
    finally:
        cluster.remove_worker("extra")


@fault("one worker reaches no Redis for longer than its lease, the others do", 65)
def isolated(hands: Hands):
    name = hands.pick()
    hands.hit_worker(name)
    hands.wire.isolated.add(name)
    try:
        yield STOP_S
    finally:
        hands.wire.isolated.discard(name)
        hands.wire.close_all({name})


# ---- windows ----

def at_window(hands: Hands, op: str, side: str, when, harm: str):
    """Kills or stops whoever the operation belongs to, at that moment. "kill": what it waits for never arrives."""
    hit = []

    def act(call: Call) -> None:
        hit.append(name_of(call.worker))
        if harm == "kill":
            hands.kill(hit[0])
        else:
            hands.freeze(hit[0])

    gate = Gate(op, side, when, act, drops=harm == "kill")
    try:
        yield from hands.await_gate(gate)
        if hit:
            yield STOP_S if harm == "stop" else 2
    finally:
        for name in hit:
            if harm == "kill":
                hands.cluster.start_worker(name)
            else:
                hands.cluster.thaw(name)


def is_process(call: Call) -> bool:
    return call.arguments.get("mode") == "process"


def has_permit(call: Call) -> bool:
    return bool(call.permit)


def always(call: Call) -> bool:
    return True


HARMS = {"stop": ("SIGSTOP over the lease", 65), "kill": ("kill -9", 50)}
WINDOWS = [  # name, operation, on which side of it, which of them, when that is
    ("stop-after-grant", "acquire", "answer", is_grant, "after the grant, before its worker knows"),
    ("stop-before-start", "bind", "answer", is_process, "before a process is started: its bind is answered"),
    ("stop-after-seal", "seal", "answer", has_permit, "after the seal, before the result is produced"),
    ("stop-after-produce", "done", "request", always, "after the result was delivered, before that is written down"),
    ("kill-after-grant", "acquire", "answer", is_grant, "after the grant, before its worker knows"),
    ("kill-before-bind", "bind", "request", always, "when the sandbox is there and nobody was told of it"),
    ("kill-after-seal", "seal", "answer", has_permit, "after the seal, before the result is produced"),
    ("kill-after-produce", "done", "request", always, "after the result was delivered, before that is written down"),
]


def enter_windows() -> None:
    for name, op, side, which, when in WINDOWS:
        harm = name.split("-")[0]
        deed, takes_s = HARMS[harm]
        fault(f"window: {deed} {when}", takes_s, name=name)(
            functools.partial(at_window, op=op, side=side, when=which, harm=harm))


enter_windows()


@fault("a job that kills every worker that runs it; its neighbours are innocent", 150)
def poison(hands: Hands):
    """What died with it is suspected too, and suspects run one at a time: long ones would make all of this wait."""
    cluster, load = hands.cluster, hands.load
    long_until, load.long_until = load.long_until, 0
    job = load.maker.make("t8", "long_interpreter")
    job.kind = "poison"
    deaths = 0
    load.publish(job)
    try:
        while deaths < 8 and job.key not in hands.results.finished:
            bound = [call for call in list(hands.wire.by_job[job.key]) if call.op == "bind" and call.verdict == "ok"]
            if len(bound) > deaths:
                deaths = len(bound)
                name = name_of(bound[-1].worker)
                yield 0.5
                hands.kill(name)
                try:
                    yield 2
                finally:
                    cluster.start_worker(name)
            yield 0.1
    finally:
        load.long_until = long_until
    hands.note(f"{job.key}: {deaths} deaths")
