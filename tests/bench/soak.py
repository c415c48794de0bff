"""An hour at half load with faults: what memory does then. By hand: `tests/bench/run soak --minutes 60`."""
from __future__ import annotations

import random
import statistics
import threading
import time

import redis as redis_client
from rig import Lane, Load, OurWorker, run_lanes
from scenarios import IN_FLIGHT, KIB_PER_MIB, Bench, Outcome, Ratio

FAULT_EVERY_S = 20
POINTS_MAX = 600
CHUNK_JOBS = 2000  # of the measurement that finds what half load is


def theil_sen(points: list[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs of points: single outliers do not move it."""
    slopes = [(points[j][1] - points[i][1]) / (points[j][0] - points[i][0])
              for i in range(len(points)) for j in range(i + 1, len(points)) if points[j][0] > points[i][0]]
    return statistics.median(slopes)


class Faults(threading.Thread):
    """Nothing that ends the worker: what it has to live with, one at a time."""

    def __init__(self, bench: Bench, server, seed: int):
        super().__init__(daemon=True, name="faults")
        self.bench, self.server, self.random = bench, server, random.Random(seed)
        self.is_over = threading.Event()
        self.count = 0

    def ask(self) -> redis_client.Redis:
        return redis_client.Redis(port=self.bench.rig.redis.port)

    def run(self) -> None:
        while not self.is_over.wait(FAULT_EVERY_S):
            self.count += 1
            self.random.choice([self.quota, self.slow_creates, self.cut_redis, self.freeze_redis])()

    def quota(self) -> None:
        self.server.ask("/__set?max_live=8", "POST")
        time.sleep(2)
        self.server.ask("/__set?max_live=0", "POST")

    def slow_creates(self) -> None:
        self.server.ask("/__set?create_ms=800", "POST")
        time.sleep(3)
        self.server.ask("/__set?create_ms=0", "POST")

    def cut_redis(self) -> None:
        self.ask().execute_command("CLIENT", "KILL", "TYPE", "normal")

    def freeze_redis(self) -> None:
        self.ask().execute_command("CLIENT", "PAUSE", "2500", "ALL")


def soak(bench: Bench, minutes: float) -> Outcome:
    full = bench.measure(OurWorker(), Load(jobs=CHUNK_JOBS * 5, in_flight=IN_FLIGHT))
    rate = full.jobs_per_s / 2
    load = Load(jobs=int(rate * minutes * 60), in_flight=IN_FLIGHT, rate=rate, keeps_topics_small=True)
    bench.rig.tell(f"half load is {rate:.0f} jobs/s; {minutes:g} minutes are {load.jobs} jobs")
    server = bench.rig.server(load)
    faults = Faults(bench, server, seed=1)
    lane = Lane(bench.rig, OurWorker(is_lean=False, sets={"log.level": "warn"}), load, server)
    try:
        faults.start()
        measured, = run_lanes([lane])
        faults.is_over.set()
    finally:
        server.stop()
    bench.note(measured)
    samples = lane.samplers[0].samples
    last_half = samples[len(samples) // 2:]
    points = last_half[::max(1, len(last_half) // POINTS_MAX)]
    slope = theil_sen(points) * 60
    rows = [["e2b-worker", f"{minutes:g}", f"{load.jobs}", f"{rate:.0f}", f"{faults.count}", f"{measured.idle_kib / KIB_PER_MIB:.1f}",
             f"{measured.peak_kib / KIB_PER_MIB:.1f}", f"{samples[-1][1] / KIB_PER_MIB:.1f}", f"{slope:.1f}"]]
    columns = ["subject", "minutes", "jobs", "jobs/s", "faults", "idle MiB", "peak MiB", "last MiB", "slope KiB/min"]
    curve = {f"{at / 60:.0f} min": kib / KIB_PER_MIB for at, kib in samples[::max(1, len(samples) // 20)]}
    return bench.settle(Outcome("soak", "half load, every 20 s a fault of Redis or of E2B; slope of the resident memory over the "
                                "last half, by Theil and Sen", columns, rows,
                                [Ratio("growth, KiB a minute", slope, 64, 256)], [("resident memory", "MiB", curve)]))
