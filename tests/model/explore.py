"""Every state that can be reached, breadth first: the first violation that is found has the shortest way to it."""
from array import array
from dataclasses import dataclass, field

import environment
import faults
import flight
import promises
import rebuild
import worker
from rules import DESIGN, Rules
from world import DOWN, GOOD, Ledger, Record, Worker, World

WORKER_STEPS = (worker.pulse, flight.begin, flight.commit, worker.background, worker.leave, rebuild.say_what_it_holds)


@dataclass
class Model:
    """One job, the rules, and what may go wrong."""
    rules: Rules = DESIGN
    is_process: bool = False  # else: interpreter, whose runs nobody can adopt
    is_never: bool = False  # retry.after_start: never
    copy: str = ""  # a second record of the job: EXPIRED, CORRUPT
    has_reaper: bool = False
    publishes_unsealed: bool = False  # H11
    is_check_apart: bool = False  # a stop may come between the last check of a create and its sending
    looks_behind_windows: bool = False
    may_exceed: bool = False  # a sandbox may be without a permit while somebody is there to end it
    max_attempts: int = 2
    budget: dict = field(default_factory=dict)  # of faults.NAMES

    def first_world(self):
        records = (Record(GOOD, 0),) + ((Record(self.copy, 0),) if self.copy else ())
        budget = tuple(self.budget.get(name, 0) for name in faults.NAMES)
        return World((Worker(1), Worker(2)), Ledger(), (), records, (), budget)


def steps(m, world):
    """What happens without a fault."""
    for i, w in enumerate(world.workers):
        if w.state == DOWN:
            continue
        for step in WORKER_STEPS:
            yield from step(m, world, i, w)
        for f in w.flights:
            for step in flight.STEPS[f.state]:
                yield from step(m, world, i, w, f)
        for c in w.custodies:
            yield from worker.CUSTODY_STEPS[c.state](m, world, i, w, c)
    for step in environment.STEPS + rebuild.STEPS + (faults.healing,):
        yield from step(m, world)


class Exploration:
    """violation: None, or (what, trace); a trace is a list of labels."""

    def __init__(self, model):
        self.model = model
        self.worlds = [model.first_world()]
        self.number = {self.worlds[0]: 0}
        self.parent, self.labels = array("l", [-1]), [None]
        self.edges_from, self.edges_to = array("l"), array("l")  # without faults
        self.windows = set()

    def run(self):
        here = 0
        self.violation = None
        while here < len(self.worlds) and not self.violation:
            if here not in self.windows:
                self.expand(here)
            here += 1
        if not self.violation:
            self.look_at_ends()
        return self

    def expand(self, here):
        world = self.worlds[here]
        for label, after in steps(self.model, world):
            there = self.reach(here, label, after)
            if there != here:
                self.edges_from.append(here)
                self.edges_to.append(there)
        for label, after in faults.steps(self.model, world):
            self.reach(here, label, after)

    def reach(self, here, label, world):
        count = len(self.worlds)
        there = self.number.setdefault(world, count)
        if there == count:
            self.worlds.append(world)
            self.parent.append(here)
            self.labels.append(label)
            what = promises.broken(self.model, world)
            if what and not self.violation:
                self.violation = what, self.trace(there)
            if not self.model.looks_behind_windows and promises.is_window(self.model, world):
                self.windows.add(there)
        return there

    def look_at_ends(self):
        """Without more faults the end must be within reach of every state: then every fair run comes to it."""
        before = [[] for _ in self.worlds]
        for a, b in zip(self.edges_from, self.edges_to):
            before[b].append(a)
        good = [n for n, world in enumerate(self.worlds) if n in self.windows or promises.is_end(world)]
        is_good = bytearray(len(self.worlds))
        for n in good:
            is_good[n] = 1
        while good:
            for n in before[good.pop()]:
                if not is_good[n]:
                    is_good[n] = 1
                    good.append(n)
        lost = is_good.find(0)
        if lost >= 0:
            self.violation = promises.NO_END, self.trace(lost)

    def trace(self, n):
        labels = []
        while n > 0:
            labels.append(self.labels[n])
            n = self.parent[n]
        return labels[::-1]


def words(label):
    who, what, *values = label
    return (f"worker {who} " if isinstance(who, int) else who + " ") + what.format(*values)
