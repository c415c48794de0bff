"""What is measured. Each scenario returns its rows and the ratios that it is judged by: a goal, which says how good we want to
be, and a limit with a generous margin, beyond which something is broken."""
from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import statistics
import subprocess

from rig import BENCH_PROGRAMS, Lane, Load, Measured, OurWorker, Rig, Subject, run_lanes, run_program
from stack import API_KEY, ROOT

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

    def floor_http(self, load: Load, env: dict[str, str] | None = None) -> dict:
        server = self.rig.server(load)
        try:
            found = run_program("floor_http", [server.url, server.url, load.jobs, load.in_flight,
                                               *([server.ca_file] if load.is_tls else [])],
                                {"RUN_MS": str(load.run_ms), "E2B_API_KEY": API_KEY, **(env or {})})
        finally:
            server.stop()
        self.rig.tell(f"HTTP alone: {found['cpu_us_per_job']:.0f} us of CPU per job, {found['kib_per_slot']:.1f} KiB per slot")
        return found

    def settle(self, outcome: Outcome) -> Outcome:
        outcome.problems, self.problems = self.problems, []
        return outcome


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

def throughput(bench: Bench, is_tls: bool = False) -> Outcome:
    load = Load(jobs=4000 if bench.is_short else 20000, in_flight=IN_FLIGHT, is_tls=is_tls)
    ours, defaults, kafka = OurWorker(), OurWorker("with the defaults", is_lean=False), floor_kafka()
    peers = [] if bench.is_short and is_tls else bench.peers
    subjects = [ours, defaults, kafka, *peers]
    runs: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
    http, redis = [], []
    for _ in range(bench.repeats):
        for subject in subjects:
            share = dataclasses.replace(load, jobs=load.jobs // 10) if bench.is_short and subject.name == "E2B's SDK" else load
            runs[subject.name].append(bench.measure(subject, share))
        http.append(bench.floor_http(load, {"HTTP_VERSION": "2", "PIPEWAIT": "1"} if is_tls else None))
        redis.append(run_program("floor_redis", [bench.rig.redis.port, load.jobs * 2, 64]))
    http_us = statistics.median(run["cpu_us_per_job"] for run in http)
    redis_us = statistics.median(run["cpu_us_per_job"] for run in redis)
    kafka_us = median(runs[kafka.name], "cpu_us_per_job")
    floor_us, our_us = http_us + redis_us + kafka_us, median(runs[ours.name], "cpu_us_per_job")
    rows = [row_of(name, found) for name, found in runs.items()]
    rows += [["HTTP alone", f"{statistics.median(r['jobs_per_s'] for r in http):.0f}", f"{http_us:.0f}", "", "", "",
              f"{statistics.median(r['kib_per_slot'] for r in http):.1f}", f"{http[-1]['connections']}", ""],
             ["Redis alone", f"{statistics.median(r['jobs_per_s'] for r in redis):.0f}", f"{redis_us:.1f}", "", "", "", "", "", ""],
             ["floor: the three", "", f"{floor_us:.0f}", "", "", "", "", "", ""]]
    ratios = [Ratio("CPU per job, of the floor", our_us / floor_us, 1.5, 6),
              Ratio("cores that the worker takes", median(runs[ours.name], "cores"), 0.6, 0.95),
              Ratio("base memory, MiB", median(runs[ours.name], "idle_kib") / KIB_PER_MIB, 16, 32),
              Ratio("ledger calls per job", runs[ours.name][-1].redis_calls / load.jobs, 5, 6)]
    if peers:
        best = max(median(runs[peer.name], "jobs_per_s") for peer in peers)
        ratios.append(Ratio("throughput, of the best peer's", median(runs[ours.name], "jobs_per_s") / best, 2, 0.8, True))
        for peer, goal in zip(peers, (6, 30)):
            ratios.append(Ratio(f"CPU per job of {peer.name}, of ours", median(runs[peer.name], "cpu_us_per_job") / our_us, goal,
                                goal / 6, True))
    bars = [("CPU per job", "us", {**{name: median(found, "cpu_us_per_job") for name, found in runs.items() if name != kafka.name},
                                   "floor": floor_us}),
            ("throughput", "jobs/s", {name: median(found, "jobs_per_s") for name, found in runs.items() if name != kafka.name})]
    about = f"{load.jobs} jobs, {IN_FLIGHT} in flight, sandboxes without any latency" + (", over TLS" if is_tls else "")
    return bench.settle(Outcome("tls" if is_tls else "throughput", about, ROW, rows, ratios, bars))


def tls(bench: Bench) -> Outcome:
    return throughput(bench, is_tls=True)


def floor_kafka() -> Subject:
    return Subject("Kafka alone", [BENCH_PROGRAMS / "floor_kafka"], is_echo=True)


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
            rows += [row_of(name, [found]),
                     [f"HTTP alone: {name}", f"{floor['jobs_per_s']:.0f}", f"{floor['cpu_us_per_job']:.0f}", "", "", "",
                      f"{floor['kib_per_slot']:.1f}", f"{floor['connections']}", ""]]
            kib[label, in_flight] = found.kib_per_job
            bars |= {name: found.kib_per_job, f"HTTP alone: {name}": floor["kib_per_slot"]}
            ratios.append(Ratio(f"KiB per job above the floor's: {name}", found.kib_per_job - floor["kib_per_slot"],
                                8 if load.is_tls else 4, 48))
    if not bench.is_short:
        ratios.append(Ratio("KiB per job with 10,000 in flight, of that with 2,000",
                            kib["plain", sizes[1]] / kib["plain", sizes[0]], 1.05, 1.5))
    return bench.settle(Outcome("concurrency", "jobs of 2 s (12 s, with 10,000); memory for each job in flight above what the worker takes idle", ROW,
                                rows, ratios, [("memory per job in flight", "KiB", bars)]))


# ---- latency ----

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def latency(bench: Bench) -> Outcome:
    jobs, sleep_ms, rate = (200, 50, 20) if bench.is_short else (2000, 50, 20)
    load = Load(jobs=jobs, in_flight=IN_FLIGHT, run_ms=sleep_ms, rate=rate)
    found: dict[str, list[Measured]] = {"e2b-worker": [], "Kafka alone": []}
    calls: dict[str, list[dict]] = {"HTTP alone": [], "Redis alone": []}
    for _ in range(bench.latency_repeats):
        server = bench.rig.server(load)
        try:
            lanes = [Lane(bench.rig, OurWorker(), load, server),
                     Lane(bench.rig, floor_kafka(), dataclasses.replace(load, run_ms=0), server)]
            for measured in run_lanes(lanes):
                found[measured.subject].append(measured)
                bench.note(measured)
        finally:
            server.stop()
        few = dataclasses.replace(load, jobs=jobs // 5, in_flight=4)
        calls["HTTP alone"].append(bench.floor_http(few, {"RATE": str(rate)}))
        calls["Redis alone"].append(run_program("floor_redis", [bench.rig.redis.port, few.jobs, 1], {"RATE": str(rate)}))
    at = {name: {label: statistics.median(run.added(share) for run in runs) for label, share in SHARES.items()}
          for name, runs in found.items()}
    at |= {name: {label: statistics.median(run[f"added_{label}_ms"] for run in runs) for label in SHARES}
           for name, runs in calls.items()}
    cpu = {name: median(runs, "cpu_us_per_job") for name, runs in found.items()}
    cpu |= {name: statistics.median(run["cpu_us_per_job"] for run in runs) for name, runs in calls.items()}
    above = {label: at["e2b-worker"][label] - at["Kafka alone"][label] for label in SHARES}
    outside = at["HTTP alone"]["p50"] + at["Redis alone"]["p50"]
    ratios = [Ratio("p50 above Kafka alone, ms", above["p50"], 0.7, 10),
              Ratio("... and above the calls to E2B and Redis, ms", above["p50"] - outside, 0.7, None),
              Ratio("p99 above Kafka alone, ms", above["p99"], 2, 60)]
    bars = [(f"added time, {label}", "ms", {name: values[label] for name, values in at.items()}) for label in ("p50", "p99")]
    about = f"{jobs} jobs at {rate} a second, {sleep_ms} ms in the sandbox, one job of each subject after the other; " \
            f"from sending a job to its result, less the sandbox's time; HTTP alone: create and run by bare curl; Redis alone: " \
            f"two scripts, one after the other; median of {bench.latency_repeats}"
    rows = [[name, *(f"{values[label]:.2f}" for label in SHARES), f"{cpu[name]:.0f}"] for name, values in at.items()]
    return bench.settle(Outcome("latency", about, ["subject", *(f"{label} ms" for label in SHARES), "CPU us/job"], rows, ratios,
                                bars))


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
    columns = ["subject", "admits/s", "CPU us/job, all", "Redis CPU us/job", "ledger calls/job", "Jain, workers", "Jain, tenants"]
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
