"""The table of faults, and what all of them are given. A fault is a generator: it does its harm, yields the seconds that it
lasts, and undoes it in its `finally`, so that whatever ends a run leaves nothing broken."""
from __future__ import annotations

import contextlib
import dataclasses
import random
import signal
import time

import wire as wire_module
from cluster import Cluster, freeze
from load import Load
from wire import Call, Gate, name_of, now_ms

HIT_S = 40  # for a window to come by
LEASE_S = 30


@dataclasses.dataclass
class Fault:
    name: str
    about: str
    run: callable
    takes_s: int  # about, with what follows
    is_in_all: bool  # False: only when it is asked for by name


TABLE: dict[str, Fault] = {}


def fault(about: str, takes_s: int = 15, is_in_all: bool = True, name: str = ""):
    """Enters what follows into the table, under its own name unless one is given."""
    def enter(function):
        nonlocal name
        name = name or function.__name__.replace("_", "-")
        TABLE[name] = Fault(name, about, function, takes_s, is_in_all)
        return function
    return enter


@dataclasses.dataclass
class Window:
    """One fault that was under way. Times in ms; recovered 0: it was not, within its time."""
    name: str
    began: int
    undone: int = 0
    recovered: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    breaches: list[str] = dataclasses.field(default_factory=list)  # what was not as it should be meanwhile, or did not recover

    def covers(self, since: int, until: int) -> bool:
        return self.began <= until and since <= (self.recovered or self.undone or now_ms())


@dataclasses.dataclass
class Hands:
    """What a fault has at hand."""
    cluster: Cluster
    load: Load
    results: object
    random: random.Random
    window: Window
    victims: set[str] = dataclasses.field(default_factory=set)  # jobs that a dead or stopped worker had

    @property
    def wire(self) -> wire_module.Wire:
        return self.cluster.wire

    def note(self, text: str) -> None:
        self.window.notes.append(text)

    def pick(self) -> str:
        """A worker that runs, its name."""
        return self.random.choice(sorted(self.cluster.live_names()))

    def e2b(self, **switches) -> None:
        self.cluster.local.faults(**switches)

    def switched(self, seconds: float, on: dict, off: dict):
        """e2b-local's switches are set for a while."""
        self.e2b(**on)
        try:
            yield seconds
        finally:
            self.e2b(**off)

    def hit_worker(self, name: str) -> None:
        """Its jobs are looked after until somebody has them again."""
        held = jobs_of(self.wire, name, self.results.finished)
        self.victims |= held
        self.note(f"{name} with {len(held)} jobs under way")

    def kill(self, name: str) -> None:
        self.hit_worker(name)
        self.cluster.kill_worker(name)

    def freeze(self, name: str) -> None:
        self.hit_worker(name)
        self.cluster.freeze(name)

    @contextlib.contextmanager
    def frozen(self, name: str):
        self.freeze(name)
        try:
            yield
        finally:
            self.cluster.thaw(name)

    def await_gate(self, gate: Gate):
        """Yields until its operation has come by. A window that does not come by in time is no failure, but is told."""
        self.wire.arm(gate)
        deadline = time.monotonic() + HIT_S
        try:
            while not gate.hit.is_set() and time.monotonic() < deadline:
                yield 0.1
        finally:
            self.wire.disarm()
        if not gate.hit.is_set():
            self.note(f"no {gate.op} came by in {HIT_S} s")
        else:
            call = gate.call
            self.note(f"{call.op} of {call.job} by {call.worker}")


def standing_still(part, seconds: float):
    """A process of the cluster that is no worker."""
    freeze(part.process.pid)
    try:
        yield seconds
    finally:
        part.signal(signal.SIGCONT)


def jobs_of(wire: wire_module.Wire, name: str, finished) -> set[str]:
    """Jobs whose latest grant went to this worker and that have no result yet."""
    found = set()
    for job, calls in list(wire.by_job.items()):
        if job in finished:
            continue
        grants = [call for call in list(calls) if call.op == "acquire" and call.verdict in ("granted", "adopt", "sealed")]
        if grants and name_of(grants[-1].worker) == name:
            found.add(job)
    return found


def is_looked_after(hands: Hands, job: str) -> bool:
    """Whether somebody has taken a victim since the fault began, or it is finished."""
    if job in hands.results.finished:
        return True
    return any(call.op == "acquire" and call.at > hands.window.began and call.verdict in ("granted", "adopt", "sealed", "done")
               for call in list(hands.wire.by_job[job]))


def is_grant(call: Call) -> bool:
    return call.verdict == "granted"


def load_all() -> dict[str, Fault]:
    import faults_e2b  # noqa: F401  (each enters its own into the table)
    import faults_input  # noqa: F401
    import faults_kafka  # noqa: F401
    import faults_redis  # noqa: F401
    import faults_workers  # noqa: F401
    return TABLE
