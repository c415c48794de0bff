"""What is measured. Each scenario returns its rows and the ratios that it is judged by: a goal, which says how good we want to
be, and a limit with a generous margin, beyond which something is broken."""
from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import statistics
import subprocess
from collections.abc import Callable

from rig import BENCH_PROGRAMS, CrowdedLane, FloorHttp, Lane, Load, Measured, OurWorker, Program, Rig, Subject, run_lanes
from stack import ROOT

PEERS = ROOT.parent / "shared/bench/peer_python"
IN_FLIGHT = 256
MOST_API_CONNECTIONS = 8000  # of the floor: it must run under 20,000 open files, too
KIB_PER_MIB = 1024
WORKER_ID = re.compile(rb'"worker_id": ?"([^".]+)')
TENANT_ID = re.compile(rb'"tenant_id": ?"([^"]+)')


@dataclasses.dataclass
class Ratio:
    """is_least: the more the better. limit: where a short run fails; None: it is only told."""
    name: str
    value: float
    goal: float
    limit: float | None
    is_least: bool = False

    def meets(self, bound: float | None) -> bool:
        return bound is None or (self.value >= bound if self.is_least else self.value <= bound)


@dataclasses.dataclass
class Outcome:
    """columns: of the table; each row begins with a subject's name. bars: what the picture shows: title, unit, {name: value}.
    pictures: further ones by their names, as SVG."""
    name: str
    about: str
    columns: list[str]
    rows: list[list[str]]
    ratios: list[Ratio]
    bars: list[tuple[str, str, dict[str, float]]]
    problems: list[str] = dataclasses.field(default_factory=list)
    pictures: dict[str, str] = dataclasses.field(default_factory=dict)


class Bench:
    """What the scenarios share: the rig, how much time there is, the peers that are there."""

    def __init__(self, rig: Rig, is_short: bool, repeats: int | None, with_peers: bool):
        """repeats: None: as many as each scenario wants."""
        self.rig, self.is_short = rig, is_short
        self.repeats, self.latency_repeats = (1, 1) if is_short else (repeats or 3, repeats or 5)
        self.peers = find_peers(rig.tell) if with_peers else []
        self.problems: list[str] = []

    def measure(self, subject: Subject, load: Load, processes: int = 1) -> Measured:
        server = self.rig.server(load)
        try:
            measured, = run_lanes([Lane(self.rig, subject, load, server, processes)])
        finally:
            server.stop()
        self.note(measured)
        return measured

    def note(self, measured: Measured) -> None:
        self.problems += [f"{measured.subject}: {problem}" for problem in measured.problems]
        self.rig.tell(f"{measured.subject}: {measured.jobs_per_s:.0f} jobs/s, {measured.cpu_us_per_job:.0f} us of CPU per job, "
                      f"{measured.cores:.2f} cores, {measured.idle_kib / KIB_PER_MIB:.1f} MiB idle, "
                      f"{measured.peak_kib / KIB_PER_MIB:.1f} MiB at most")

    def measure_in_crowd(self, subject: Subject, load: Load, env: dict[str, str]) -> tuple[Measured, dict]:
        """Beside the subject, in the middle of its jobs, half as many by HTTP alone, at a server of its own: a bare program that
        has both cores for itself and its server runs in warm caches, which nobody has beside Kafka, Redis and a worker.
        Returns: the subject's figures, and the program's."""
        with contextlib.ExitStack() as servers:
            server, other = self.rig.server(load), self.rig.server(load)
            servers.callback(server.stop)
            servers.callback(other.stop)
            half = dataclasses.replace(load, jobs=load.jobs // 2)
            lane = CrowdedLane(self.rig, subject, load, server, lambda: FloorHttp(self.rig.folder, half, other, env))
            measured, = run_lanes([lane])
        self.note(measured)
        self.tell_floor_http("HTTP alone beside it", lane.beside)
        return measured, lane.beside

    def floor_http(self, load: Load, env: dict[str, str] | None = None) -> dict:
        server = self.rig.server(load)
        try:
            found = result_of(FloorHttp(self.rig.folder, load, server, env))
        finally:
            server.stop()
        self.tell_floor_http("HTTP alone", found)
        return found

    def tell_floor_http(self, name: str, found: dict) -> None:
        self.rig.tell(f"{name}: {found['jobs_per_s']:.0f} jobs/s, {found['cpu_us_per_job']:.0f} us of CPU per job, "
                      f"{found['kib_per_slot']:.1f} KiB per slot")

    def floor_redis(self, jobs: int, in_flight: int, env: dict[str, str] | None = None) -> dict:
        return result_of(Program(self.rig.folder, "floor_redis", [self.rig.redis.port, jobs, in_flight], env))

    def settle(self, outcome: Outcome) -> Outcome:
        outcome.problems, self.problems = self.problems, []
        return outcome


def result_of(program: Program) -> dict:
    try:
        return program.result()
    finally:
        program.kill()


def find_peers(tell) -> list[Subject]:
    """The workers of ../shared/bench, in an environment of their own, where that folder is there."""
    if not (PEERS / "worker.py").exists():
        tell("no peers: ../shared/bench is not there")
        return []
    requirements = PEERS / "requirements.txt"
    venv = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "e2b-worker/venv-peers"
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        tell("making a Python environment for the peers")
        subprocess.run(["/usr/bin/python3", "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", requirements], check=True)
        stamp.write_text(requirements.read_text())
    words = [venv / "bin/python", PEERS / "worker.py"]
    return [Subject("aiohttp by hand", words, {"PEER_HTTP": "aiohttp", "PYTHONDONTWRITEBYTECODE": "1"}),
            Subject("E2B's SDK", words, {"PEER_HTTP": "sdk", "PYTHONDONTWRITEBYTECODE": "1"})]


def median(runs: list[Measured], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def row_of(name: str, runs: list[Measured]) -> list[str]:
    return [name, f"{median(runs, 'jobs_per_s'):.0f}", f"{median(runs, 'cpu_us_per_job'):.0f}", f"{median(runs, 'cores'):.2f}",
            f"{median(runs, 'idle_kib') / KIB_PER_MIB:.1f}", f"{median(runs, 'peak_kib') / KIB_PER_MIB:.1f}",
            f"{median(runs, 'kib_per_job'):.1f}", f"{runs[-1].server.get('connections', 0)}",
            "" if runs[-1].loop_lag_p99_ms is None else f"{runs[-1].loop_lag_p99_ms:g}"]


ROW = ["subject", "jobs/s", "CPU us/job", "cores", "idle MiB", "peak MiB", "KiB/job in flight", "connections", "loop lag p99 ms"]


# ---- throughput, floor, peers ----

HTTP, KAFKA, REDIS, CROWD = "HTTP alone", "Kafka alone", "Redis alone", "HTTP alone, in a crowd"


def rotated(things: list, count: int) -> list:
    first = count % len(things)
    return things[first:] + things[:first]


def measure_in_turns(measures: dict[str, Callable[[], object]], repeats: int) -> dict[str, list]:
    """Each as often as it is wanted, one after the other; each turn begins with another. Returns: what they returned."""
    found: dict[str, list] = {name: [] for name in measures}
    for turn in range(repeats):
        for name in rotated(list(measures), turn * len(measures) // repeats):
            found[name].append(measures[name]())
    return found


def median_of(runs: list[dict], name: str) -> float:
    """Of what a program printed."""
    return statistics.median(run[name] for run in runs)


def throughput(bench: Bench, is_tls: bool = False) -> Outcome:
    load = Load(jobs=4000 if bench.is_short else 20000, in_flight=IN_FLIGHT, is_tls=is_tls)
    few = dataclasses.replace(load, jobs=load.jobs // 10)
    subjects = [OurWorker(), OurWorker("with the defaults", is_lean=False), floor_kafka()]
    peers = [] if bench.is_short and is_tls else bench.peers
    measures: dict[str, Callable[[], object]] = {
        subject.name: functools.partial(bench.measure, subject, few if bench.is_short and subject.name == "E2B's SDK" else load)
        for subject in [*subjects, *peers]}
    env = {"HTTP_VERSION": "2", "PIPEWAIT": "1"} if is_tls else {}
    measures[HTTP] = lambda: bench.floor_http(load, env)
    measures[REDIS] = lambda: bench.floor_redis(load.jobs * 2, 64)
    measures[CROWD] = lambda: bench.measure_in_crowd(OurWorker("e2b-worker, in that crowd"), load, env)
    return bench.settle(judge_throughput(load, measure_in_turns(measures, bench.repeats), [peer.name for peer in peers]))


def judge_throughput(load: Load, found: dict[str, list], peers: list[str]) -> Outcome:
    """found: by name what each measurement returned."""
    http, redis, crowd = found[HTTP], found[REDIS], found[CROWD]
    runs: dict[str, list[Measured]] = {name: some for name, some in found.items() if name not in (HTTP, REDIS, CROWD)}
    ours, beside = runs["e2b-worker"], [run for run, _ in crowd]
    others_us = median_of(redis, "cpu_us_per_job") + median(runs[KAFKA], "cpu_us_per_job")
    floor_us, our_us = median_of(http, "cpu_us_per_job") + others_us, median(ours, "cpu_us_per_job")
    in_crowd = statistics.median(run.cpu_us_per_job / (bare["cpu_us_per_job"] + others_us) for run, bare in crowd)
    rows = [*(row_of(name, some) for name, some in runs.items()), row_of_http(HTTP, http),
            [REDIS, f"{median_of(redis, 'jobs_per_s'):.0f}", f"{median_of(redis, 'cpu_us_per_job'):.1f}", "", "", "", "", "", ""],
            ["floor: the three", "", f"{floor_us:.0f}", "", "", "", "", "", ""],
            row_of_http(CROWD, [bare for _, bare in crowd]), row_of(beside[0].subject, beside)]
    ratios = [Ratio("CPU per job, of the floor", our_us / floor_us, 1.5, 6),
              Ratio("CPU per job, of the floor in the same crowd", in_crowd, 1.5, None),
              Ratio("cores that the worker takes", median(ours, "cores"), 0.6, 0.95),
              Ratio("base memory, MiB", median(ours, "idle_kib") / KIB_PER_MIB, 16, 32),
              Ratio("commands to Redis per job", ours[-1].redis_calls / load.jobs, 5, 6),
              *peer_ratios(ours, {name: runs[name] for name in peers})]
    shown = {name: some for name, some in runs.items() if name != KAFKA}
    bars = [("CPU per job", "us", {**{name: median(some, "cpu_us_per_job") for name, some in shown.items()}, "floor": floor_us}),
            ("throughput", "jobs/s", {name: median(some, "jobs_per_s") for name, some in shown.items()})]
    about = f"{load.jobs} jobs, {IN_FLIGHT} in flight, sandboxes without any latency" + (", over TLS" if load.is_tls else "") + \
            "; in a crowd: half as many by HTTP alone, at a server of its own, in the middle of the worker's"
    return Outcome("tls" if load.is_tls else "throughput", about, ROW, rows, ratios, bars)


def row_of_http(name: str, runs: list[dict]) -> list[str]:
    return [name, f"{median_of(runs, 'jobs_per_s'):.0f}", f"{median_of(runs, 'cpu_us_per_job'):.0f}", "", "", "",
            f"{median_of(runs, 'kib_per_slot'):.1f}", f"{runs[-1]['connections']}", ""]


def peer_ratios(ours: list[Measured], peers: dict[str, list[Measured]]) -> list[Ratio]:
    """What others need, of what we need."""
    if not peers:
        return []
    best = max(median(runs, "jobs_per_s") for runs in peers.values())
    our_us = median(ours, "cpu_us_per_job")
    return [Ratio("throughput, of the best peer's", median(ours, "jobs_per_s") / best, 2, 0.8, True),
            *(Ratio(f"CPU per job of {name}, of ours", median(runs, "cpu_us_per_job") / our_us, goal, goal / 6, True)
              for (name, runs), goal in zip(peers.items(), (6, 30)))]


def tls(bench: Bench) -> Outcome:
    return throughput(bench, is_tls=True)


def floor_kafka() -> Subject:
    return Subject(KAFKA, [BENCH_PROGRAMS / "floor_kafka"], is_echo=True)


# ---- many at once ----

def concurrency(bench: Bench) -> Outcome:
    sizes = [500] if bench.is_short else [2000, 10000]
    cases = [("plain", {}), ("TLS, interpreter", {"is_tls": True}), ("TLS, process", {"is_tls": True, "run_mode": "process"})]
    rows, ratios, bars = [], [], {}
    kib: dict[tuple[str, int], float] = {}
    for label, changes in cases[:1] if bench.is_short else cases:
        for in_flight in sizes if label == "plain" else [IN_FLIGHT]:
            load = Load(jobs=max(2 * in_flight, 0 if bench.is_short else 5000), in_flight=in_flight,
                        run_ms=max(2000, in_flight * 6 // 5), **changes)  # long enough for all of them to be under way at once
            found = bench.measure(OurWorker(), load)
            is_shared = load.run_mode == "process"
            floor = bench.floor_http(load, {"HTTP_VERSION": "2", "PIPEWAIT": "1"} if is_shared else {
                "HTTP_VERSION": "1.1", "API_CONNECTIONS": str(min(in_flight, MOST_API_CONNECTIONS))})
            name = f"{label}, {in_flight} in flight"
            rows += [row_of(name, [found]), row_of_http(f"HTTP alone: {name}", [floor])]
            kib[label, in_flight] = found.kib_per_job
            bars |= {name: found.kib_per_job, f"HTTP alone: {name}": floor["kib_per_slot"]}
            ratios.append(Ratio(f"KiB per job above the floor's: {name}", found.kib_per_job - floor["kib_per_slot"],
                                8 if load.is_tls else 4, 48))
    if not bench.is_short:
        ratios.append(Ratio("KiB per job with 10,000 in flight, of that with 2,000",
                            kib["plain", sizes[1]] / kib["plain", sizes[0]], 1.05, 1.5))
    about = "jobs of 2 s (12 s, with 10,000); memory for each job in flight above what the worker takes idle"
    return bench.settle(Outcome("concurrency", about, ROW, rows, ratios, [("memory per job in flight", "KiB", bars)]))


# ---- latency ----

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def latency(bench: Bench) -> Outcome:
    load = Load(jobs=200 if bench.is_short else 2000, in_flight=IN_FLIGHT, run_ms=50, rate=20)
    subjects, peers = [OurWorker(), floor_kafka()], [] if bench.is_short else bench.peers[:1]
    few = dataclasses.replace(load, jobs=load.jobs // 5)
    rate = {"RATE": f"{load.rate:g}"}
    found: dict[str, list[Measured]] = {subject.name: [] for subject in [*subjects, *peers]}
    calls: dict[str, list[dict]] = {HTTP: [], REDIS: []}
    for turn in range(bench.latency_repeats):
        for measured in measure_interleaved(bench, rotated(subjects, turn), load):
            found[measured.subject].append(measured)
        for peer in peers:  # as a third lane it might be in our figures
            found[peer.name].append(measure_interleaved(bench, [peer, floor_kafka()], few)[0])
        calls[HTTP].append(bench.floor_http(dataclasses.replace(few, in_flight=4), rate))
        calls[REDIS].append(bench.floor_redis(few.jobs, 1, rate))
    at = {name: {label: statistics.median(run.added(share) for run in runs) for label, share in SHARES.items()}
          for name, runs in found.items()}
    at |= {name: {label: median_of(runs, f"added_{label}_ms") for label in SHARES} for name, runs in calls.items()}
    cpu = {name: median(runs, "cpu_us_per_job") for name, runs in found.items()}
    cpu |= {name: median_of(runs, "cpu_us_per_job") for name, runs in calls.items()}
    about = f"{load.jobs} jobs at {load.rate:g} a second, {load.run_ms} ms in the sandbox, one job of the worker, one " \
            f"of Kafka alone in turn, others likewise in a run of their own; from sending a job to its " \
            f"result, less the sandbox's time; HTTP alone: create and run by bare curl; " \
            f"Redis alone: two scripts, one after the other; median of {bench.latency_repeats}"
    rows = [[name, *(f"{values[label]:.2f}" for label in SHARES), f"{cpu[name]:.0f}"] for name, values in at.items()]
    bars = [(f"added time, {label}", "ms", {name: values[label] for name, values in at.items()}) for label in ("p50", "p99")]
    return bench.settle(Outcome("latency", about, ["subject", *(f"{label} ms" for label in SHARES), "CPU us/job"], rows,
                                latency_ratios(at, [peer.name for peer in peers]), bars))


def measure_interleaved(bench: Bench, subjects: list[Subject], load: Load) -> list[Measured]:
    """All at one server; where there is an echo, without the sandbox's time."""
    server = bench.rig.server(load)
    try:
        found = run_lanes([Lane(bench.rig, subject, dataclasses.replace(load, run_ms=0) if subject.is_echo else load, server)
                           for subject in subjects])
    finally:
        server.stop()
    for measured in found:
        bench.note(measured)
    return found


def latency_ratios(at: dict[str, dict[str, float]], peers: list[str]) -> list[Ratio]:
    """at: added ms by subject and share."""
    ours = at["e2b-worker"]
    above = {label: ours[label] - at[KAFKA][label] for label in SHARES}
    outside = at[HTTP]["p50"] + at[REDIS]["p50"]
    return [Ratio("p50 above Kafka alone, ms", above["p50"], 0.7, 10),
            Ratio("... and above the calls to E2B and Redis, ms", above["p50"] - outside, 0.7, None),
            Ratio("p99 above Kafka alone, ms", above["p99"], 2, 60),
            *(Ratio(f"p50 of {name}, of ours", at[name]["p50"] / ours["p50"], 1, None, True) for name in peers)]


# ---- several workers ----

def jain(values: list[float]) -> float:
    """1: all have the same; 1/n: one has all."""
    return sum(values) ** 2 / (len(values) * sum(v * v for v in values)) if any(values) else 0.0


def fan_out(bench: Bench) -> Outcome:
    rows, ratios, admits, redis_us = [], [], {}, {}
    for processes in [1, 2] if bench.is_short else [1, 2, 4, 8]:
        load = Load(jobs=2000 if bench.is_short else 8000, in_flight=64, run_ms=20, tenants=8)
        server = bench.rig.server(load)
        try:
            lane = Lane(bench.rig, OurWorker(), load, server, processes)
            measured, = run_lanes([lane])
        finally:
            server.stop()
        bench.note(measured)
        early = lane.order[len(lane.order) // 10:len(lane.order) * 6 // 10]  # while all of them have work
        by_worker = jain([count for _, count in tally(early, WORKER_ID, processes)])
        by_tenant = jain([count for _, count in tally(early, TENANT_ID, load.tenants)])
        name = f"{processes} worker" + ("s" if processes > 1 else "")
        per_job = measured.redis_cpu_s / load.jobs * 1e6
        rows.append([name, f"{measured.jobs_per_s:.0f}", f"{measured.cpu_us_per_job:.0f}", f"{per_job:.0f}",
                     f"{measured.redis_calls / load.jobs:.2f}", f"{by_worker:.3f}", f"{by_tenant:.3f}"])
        admits[name], redis_us[name] = measured.jobs_per_s, per_job
        ratios += [Ratio(f"Jain's index over workers, {name}", by_worker, 0.95, 0.7, True),
                   Ratio(f"Jain's index over tenants, {name}", by_tenant, 0.95, 0.8, True)]
    columns = ["subject", "admits/s", "CPU us/job, all", "Redis CPU us/job", "commands/job", "Jain, workers", "Jain, tenants"]
    return bench.settle(Outcome("fan-out", "8 tenants, a limit of 64 sandboxes for all workers together, jobs of 20 ms", columns,
                                rows, ratios, [("admits", "jobs/s", admits), ("Redis CPU per job", "us", redis_us)]))


def tally(values: list[bytes], pattern, count: int) -> list[tuple[bytes, int]]:
    """How often each of `count` names stands in the values; a name that stands nowhere counts 0."""
    found: dict[bytes, int] = {}
    for value in values:
        match = pattern.search(value)
        if match:
            found[match[1]] = found.get(match[1], 0) + 1
    return [*found.items(), *[(b"", 0)] * (count - len(found))]


# ---- large output ----

def large(bench: Bench) -> Outcome:
    rows, ratios, peaks = [], [], {}
    for label, output_bytes, jobs in (("1 MiB", 1 << 20, 1000), ("32 MiB", 32 << 20, 100)):
        load = Load(jobs=jobs // 10 if bench.is_short else jobs, in_flight=64, output_bytes=output_bytes)
        found = bench.measure(OurWorker(), load)
        mib_s = load.jobs * output_bytes / (1 << 20) / found.wall_s
        rows.append([f"{label} of output", f"{load.jobs}", f"{mib_s:.0f}", f"{found.cpu_s / (load.jobs * output_bytes) * 1e9:.2f}",
                     f"{found.peak_kib / KIB_PER_MIB:.1f}", f"{found.kib_per_job:.0f}"])
        peaks[f"{label} of output"] = found.peak_kib / KIB_PER_MIB
        ratios.append(Ratio(f"peak memory, MiB, {label} of output", found.peak_kib / KIB_PER_MIB, 48, 128))
    return bench.settle(Outcome("large", "64 in flight; 64 KiB of each output are kept", [
        "subject", "jobs", "MiB/s", "CPU ns/byte", "peak MiB", "KiB/job in flight"], rows, ratios, [("peak memory", "MiB", peaks)]))


SCENARIOS = {"throughput": throughput, "tls": tls, "concurrency": concurrency, "latency": latency, "fan-out": fan_out,
             "large": large}
