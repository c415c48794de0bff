"""What happens in a run: faults one after the other, or a rolling restart."""
from __future__ import annotations

import random
import time

from faults import TABLE, Hands, Window, is_looked_after
from load import Maker
from wire import now_ms

QUIET_S = 70  # at the beginning and at the end: nothing happens, so that shares can be judged
RECOVERY_S, PATIENCE_S = 150, 400  # after the first it is a fault of ours; until the second the next fault waits


def maker(options, counter_port: int) -> Maker:
    if options.scenario != "rolling":
        return Maker(options.seed, counter_port)
    weights = {"python": 30, "bash": 15, "python_process": 20, "bash_process": 10, "long": 3, "files": 4, "much_output": 4}
    return Maker(options.seed, counter_port, weights)


def recovered(run, hands: Hands) -> str:
    """Returns: "" or what the cluster has not recovered from."""
    if not run.cluster.all_ready():
        return run.cluster.unready()
    since = hands.window.undone
    if not any(job.published > since and job.key in run.results.finished for job in list(run.load.jobs.values())):
        return "no job that was published since is finished"
    lost = [job for job in hands.victims if not is_looked_after(hands, job)]
    return f"nobody has {lost[0]} and {len(lost) - 1} others yet" if lost else ""


def carry_out(run, name: str, rng: random.Random) -> None:
    fault = TABLE[name]
    window = Window(name, now_ms())
    hands = Hands(run.cluster, run.load, run.results, rng, window)
    run.windows.append(window)
    run.tell(f"fault {name}: {fault.about}")
    steps = fault.run(hands)
    try:
        for seconds in steps:
            run.pause(seconds)
    finally:
        steps.close()
        window.undone = now_ms()
    for text in window.notes:
        run.tell(f"  {text}")
    if run.options.double:
        window.recovered = window.undone
        run.pause(2)
        return
    began, is_late = time.monotonic(), False
    while (why := recovered(run, hands)) and time.monotonic() < began + PATIENCE_S:
        if not is_late and time.monotonic() > began + RECOVERY_S:
            is_late = True
            window.breaches.append(f"not recovered within {RECOVERY_S} s: {why}")
            run.tell("  " + window.breaches[-1])
        run.pause(0.5)
    window.recovered = now_ms()
    run.tell(f"  not recovered: {why}" if why else f"  recovered after {(window.recovered - window.undone) / 1000:.1f} s")


def with_faults(run) -> None:
    """Faults in an order that the seed decides, each once before any comes twice, as long as time is left for one."""
    seconds = run.options.minutes * 60
    quiet = QUIET_S if seconds > 4 * QUIET_S else min(15, seconds / 4)
    end = time.monotonic() + seconds
    rng = random.Random(run.options.seed)
    run.pause(quiet if run.options.faults else seconds)
    left: list[str] = []
    while run.options.faults:
        if not left:
            left = rng.sample(run.options.faults, len(run.options.faults))
        time_left = end - quiet - time.monotonic()
        fitting = [name for name in left if TABLE[name].takes_s <= time_left]
        if not fitting:
            break
        left.remove(fitting[0])
        carry_out(run, fitting[0], rng)
    run.pause(max(0.0, min(quiet, end - time.monotonic())))


def rolling(run) -> None:
    """Every worker in its turn is told to end, and comes back when it has ended, under load."""
    run.pause(20)
    for name in sorted(run.cluster.members):
        window = Window("rolling " + name, now_ms())
        run.windows.append(window)
        run.tell(f"{name} is told to end")
        for seconds in run.cluster.end_worker(name):
            run.pause(seconds)
        run.cluster.start_worker(name)
        window.undone = now_ms()
        run.tell(f"{name} has ended and begins again")
        deadline = time.monotonic() + 60
        while not run.cluster.all_ready() and time.monotonic() < deadline:
            run.pause(0.5)
        run.pause(10)
        window.recovered = now_ms()
    run.pause(10)


SCENARIOS = {"faults": with_faults, "rolling": rolling}
