"""What all measurements stand on: a real Kafka, a real Redis, a server that answers E2B's protocol in microseconds, and the
subjects: whatever takes the same jobs by the same contract. Figures count within one run only."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable

import confluent_kafka
import confluent_kafka.admin
import redis as redis_client
import stream
import usage
from stack import API_KEY, PROGRAMS, ROOT, Kafka, Names, Part, Redis, free_port, http_get, wait_until

BENCH_PROGRAMS = ROOT / os.environ.get("E2BW_BUILD", "build/release") / "tests/bench"
TEMPLATE = "code-interpreter-v1"
TASK = "bench"
PARTITIONS = 8
CODE = "print('hello')\n" + "x = 1\n" * 8
JOB_ID = re.compile(rb'"job_id": ?"([^"]+)"')
READY_S, RESULT_S, PROGRAM_S = 150, 240, 300  # a ledger whose clock was stepped opens after 120 s
# The JVM's optimizing compiler would take as much CPU as the requests themselves, for a minute: from whoever is measured then.
STEADY_JVM = "-XX:TieredStopAtLevel=1 -XX:-UseDynamicNumberOfCompilerThreads"
WARM_UP_S, WARM_UP_SHORT_S, WARM_UP_JOBS = 20, 6, 4000
ONE_THREAD = {"GOMAXPROCS": "1"}  # with a second one the server takes a fifth more CPU, from whoever is measured
SETTLED_SHARE = 0.05  # of the broker's CPU, for its compiler


@dataclasses.dataclass
class Load:
    """Jobs of one measurement. rate: a second; 0: all at once."""
    jobs: int
    in_flight: int
    run_ms: int = 0
    output_bytes: int = 16
    rate: float = 0
    is_tls: bool = False
    run_mode: str = "interpreter"
    tenants: int = 1
    keeps_topics_small: bool = False  # for runs that would fill the memory they lie in


@dataclasses.dataclass
class Measured:
    """One subject's figures under one load."""
    subject: str
    load: Load
    wall_s: float = 0
    cpu_s: float = 0
    idle_kib: int = 0
    peak_kib: int = 0
    redis_cpu_s: float = 0
    redis_calls: int = 0  # scripts of the ledger that were called
    added_ms: list[float] = dataclasses.field(default_factory=list)
    server: dict = dataclasses.field(default_factory=dict)
    statuses: dict[str, int] = dataclasses.field(default_factory=dict)
    loop_lag_p99_ms: float | None = None
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def jobs_per_s(self) -> float:
        return self.load.jobs / self.wall_s if self.wall_s else 0

    @property
    def cpu_us_per_job(self) -> float:
        return self.cpu_s / self.load.jobs * 1e6

    @property
    def cores(self) -> float:
        return self.cpu_s / self.wall_s if self.wall_s else 0

    @property
    def kib_per_job(self) -> float:
        """Of memory for each job in flight, above what it takes idle."""
        return (self.peak_kib - self.idle_kib) / self.load.in_flight

    def added(self, share: float) -> float:
        values = sorted(self.added_ms)
        return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


# ---- subjects ----

class Subject:
    """A worker by the contract of ../shared/bench: everything it needs to know stands in its environment."""

    def __init__(self, name: str, command: list, env: dict[str, str] | None = None, is_echo: bool = False):
        """is_echo: its results are the jobs, as they came."""
        self.name, self.command_words, self.env, self.is_echo = name, command, env or {}, is_echo

    def command(self, contract: dict[str, str], names: Names, load: Load, number: int) -> list:
        return self.command_words

    def is_ready(self) -> bool:
        """Beyond the partitions that it holds."""
        return True

    def loop_lag_p99_ms(self) -> float | None:
        return None


class OurWorker(Subject):
    def __init__(self, name: str = "e2b-worker", sets: dict[str, object] | None = None, is_lean: bool = True):
        super().__init__(name, [])
        self.sets = {"log.level": "warn", "events.lifecycle": "false"} if is_lean else {}
        self.sets.update(sets or {})
        self.ports: list[int] = []

    def is_ready(self) -> bool:
        return all(http_get(f"http://127.0.0.1:{port}/readyz")[0] == 200 for port in self.ports)

    def loop_lag_p99_ms(self) -> float | None:
        """Of the first worker: the bound below which 99 of 100 looks at its loop were."""
        _, text = http_get(f"http://127.0.0.1:{self.ports[0]}/metrics")
        counts = [(float(bound), int(count)) for bound, count in re.findall(
            r'e2b_worker_loop_lag_seconds_bucket\{le="([0-9.]+)"\} (\d+)', text)]
        all_of_them = int(re.search(r"e2b_worker_loop_lag_seconds_count (\d+)", text)[1])
        return next((bound * 1000 for bound, count in counts if count >= 0.99 * all_of_them), None)

    def command(self, contract: dict[str, str], names: Names, load: Load, number: int) -> list:
        template = {"template_id": TEMPLATE, "timeout_ms": 60000, "memory_mb": 512, "cpu_count": 2, "run_mode": load.run_mode,
                    "languages": ["python"], "task_types": [TASK]}
        self.ports[number - 1:] = [free_port()]  # the first of a measurement forgets those of the one before
        values = {"mode": "production", "worker.name": f"w{number}", "http.listen": f"127.0.0.1:{self.ports[-1]}",
                  "kafka.bootstrap_servers": contract["KAFKA_BOOTSTRAP"], "redis.url": contract["REDIS_URL"],
                  "e2b.api_url": contract["E2B_API_URL"], "e2b.sandbox_url": contract["E2B_SANDBOX_URL"],
                  "worker.max_in_flight": contract["CONCURRENCY"], "limits.global": contract["PERMITS"],
                  "limits.create_per_second": 0, "limits.interactive_percent": 0,
                  "templates." + TEMPLATE: json.dumps(template), "topics.stats": names.results + ".stats", **self.sets}
        if load.is_tls:
            values["e2b.ca_file"] = contract["E2B_CA_FILE"]
        return [PROGRAMS / "e2b-worker/e2b-worker", "run", *names.sets(),
                *(word for key, value in values.items() for word in ("--set", f"{key}={value}"))]


# ---- the parts ----

class Sandboxes(Part):
    """The load-test server."""

    def __init__(self, folder: pathlib.Path, load: Load):
        self.ca_file, port_file = folder / "ca.pem", folder / "sandboxes.port"
        port_file.unlink(missing_ok=True)
        tls = ["--tls", "--ca-file", self.ca_file] if load.is_tls else []
        super().__init__("sandboxes", folder, [BENCH_PROGRAMS / "sandboxes", "--listen", "127.0.0.1:0", "--port-file", port_file,
                                               "--run-ms", load.run_ms, "--output-bytes", load.output_bytes, *tls], ONE_THREAD)
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), 20, "the load-test server listens")
        self.url = f"{'https' if load.is_tls else 'http'}://127.0.0.1:{int(port_file.read_text())}"

    def ask(self, path: str, method: str = "GET") -> bytes:
        context = ssl.create_default_context(cafile=self.ca_file) if self.url.startswith("https") else None
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=10, context=context) as answer:
            return answer.read()

    def stats(self) -> dict:
        return json.loads(self.ask("/__stats"))


class Program(Part):
    """A measuring program in C: prints one line of JSON at its end."""

    def __init__(self, folder: pathlib.Path, name: str, words: list, env: dict[str, str] | None = None):
        super().__init__(f"{name}-{uuid.uuid4().hex[:6]}", folder, [BENCH_PROGRAMS / name, *words], env)

    def result(self) -> dict:
        """Waits for it."""
        code = self.process.wait(PROGRAM_S)
        assert code == 0, f"{self.name} ended with {code}: {self.output()[-1000:]}"
        return json.loads(self.output().splitlines()[-1])


class FloorHttp(Program):
    def __init__(self, folder: pathlib.Path, load: Load, server: Sandboxes, env: dict[str, str] | None = None):
        words = [server.url, server.url, load.jobs, load.in_flight, *([server.ca_file] if load.is_tls else [])]
        super().__init__(folder, "floor_http", words, {"RUN_MS": str(load.run_ms), **(env or {})})


class Rig:
    """Kafka and Redis for all measurements of a run. Their files lie in memory where that can be: a disk's stalls would be the
    p99 of every subject."""

    def __init__(self, tell):
        self.tell = tell
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="e2b-worker-bench-", dir=memory))
        self.kafka = self.redis = None
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # thousands of connections, on both sides

    def open(self, is_short: bool) -> None:
        os.environ["JAVA_TOOL_OPTIONS"] = STEADY_JVM
        self.kafka = Kafka(self.folder / "kafka", brokers=1)
        self.redis = Redis(self.folder / "redis")
        self.warm_up(WARM_UP_SHORT_S if is_short else WARM_UP_S)

    def warm_up(self, most_s: float) -> None:
        """Discards measurements of our worker until the broker has compiled what they call (or the time is over): it creates
        topics of its own for the first group and producer, too, and none of that is to be in anybody's figures."""
        load = Load(jobs=WARM_UP_JOBS, in_flight=256)
        broker = int((self.folder / "kafka/kafka/broker-1/pid").read_text())
        share, until = 1.0, time.monotonic() + most_s
        while share > SETTLED_SHARE and time.monotonic() < until:
            cpu_s, compiler_s = usage.cpu_s(broker), usage.cpu_of_threads_s(broker, "CompilerThre")
            server = self.server(load)
            try:
                run_lanes([Lane(self, OurWorker("warm-up"), load, server)])
            finally:
                server.stop()
            share = (usage.cpu_of_threads_s(broker, "CompilerThre") - compiler_s) / (usage.cpu_s(broker) - cpu_s)
            self.tell(f"warm-up: {share:.0%} of the broker's CPU is its compiler's")

    def close(self) -> None:
        for part in (self.kafka, self.redis):
            if part:
                part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def server(self, load: Load) -> Sandboxes:
        return Sandboxes(self.folder / f"server-{uuid.uuid4().hex[:6]}", load)

    def count_calls(self) -> int:
        """Scripts that were called since Redis began."""
        client = redis_client.Redis(port=self.redis.port, decode_responses=True)
        return client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)


class Lane:
    """One subject at work: its topics, its processes, what was sent to it and what came back."""

    def __init__(self, rig: Rig, subject: Subject, load: Load, server: Sandboxes, processes: int = 1):
        self.rig, self.subject, self.load, self.server, self.processes = rig, subject, load, server, processes
        self.names = Names()
        self.measured = Measured(subject.name, load)
        self.parts: list[Part] = []
        self.sent: dict[bytes, float] = {}
        self.came: dict[bytes, tuple[float, int]] = {}  # wall clocks, in seconds and ms: here, at the broker
        self.order: list[bytes] = []  # results as they came, where their order is looked at
        self.is_over = threading.Event()
        self.taker: threading.Thread | None = None

    # ---- begin ----

    def begin(self) -> None:
        bootstrap, names = self.rig.kafka.bootstrap, self.names
        stream.create_topics(bootstrap, {names.dlq: 1, names.control: 1, names.results + ".stats": 1,
                                         **{names.retry + tier: 1 for tier in ("1m", "10m", "1h")}})
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": bootstrap, **stream.QUIET})
        sizes = {"retention.bytes": str(32 << 20), "segment.bytes": str(8 << 20)} if self.load.keeps_topics_small else {}
        topics = [confluent_kafka.admin.NewTopic(name, PARTITIONS, 1, config={**sizes, **settings}) for name, settings in
                  ((names.jobs(TASK), {}), (names.results, {"message.timestamp.type": "LogAppendTime"}))]
        for future in admin.create_topics(topics).values():
            future.result()
        contract = {"KAFKA_BOOTSTRAP": bootstrap, "KAFKA_GROUP": names.group, "JOBS_TOPIC": names.jobs(TASK),
                    "RESULTS_TOPIC": names.results, "REDIS_URL": self.rig.redis.url + "/0", "E2B_API_KEY": API_KEY,
                    "E2B_API_URL": self.server.url, "E2B_SANDBOX_URL": self.server.url,
                    "CONCURRENCY": str(self.load.in_flight), "PERMITS": str(self.load.in_flight)}
        if self.load.is_tls:
            contract["SSL_CERT_FILE"] = contract["E2B_CA_FILE"] = str(self.server.ca_file)
        folder = self.rig.folder / f"{self.subject.name.replace(' ', '-')}-{names.id}"
        for number in range(1, self.processes + 1):
            words = self.subject.command(contract, names, self.load, number)
            self.parts.append(Part(f"worker-{number}", folder, words, {**contract, **self.subject.env}))
        self.wait_assigned(admin)
        # The broker stamps results: where the time of none counts, nobody need ask it for each of them as it comes.
        asking = {"fetch.wait.max.ms": 100} if self.load.rate else {"fetch.wait.max.ms": 250, "fetch.min.bytes": 1 << 20}
        self.reader = stream.open_reader(bootstrap, names.results, PARTITIONS, **{
            "fetch.queue.backoff.ms": 5, "socket.nagle.disable": True, **asking})
        self.reader.consume(1, 0.2)
        self.producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "linger.ms": 0 if self.load.rate else 5,
                                                  "acks": "all", "socket.nagle.disable": True, **stream.QUIET})
        self.make_jobs()

    def wait_assigned(self, admin) -> None:
        """Until the group's members hold all partitions of the jobs' topic."""
        topic = self.names.jobs(TASK)

        def is_assigned():
            for part in self.parts:
                assert part.is_alive(), f"{self.subject.name} ended before it was ready:\n{part.output()[-3000:]}"
            with contextlib.suppress(confluent_kafka.KafkaException):
                group = admin.describe_consumer_groups([self.names.group], request_timeout=5)[self.names.group].result()
                held = [p for member in group.members if member.assignment for p in member.assignment.topic_partitions
                        if p.topic == topic]
                return (group.state.name == "STABLE" and len(held) == PARTITIONS and len(group.members) >= self.processes
                        and self.subject.is_ready())
        try:
            wait_until(is_assigned, READY_S, f"{self.subject.name} holds its partitions", 0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.parts[0].output()[-3000:]}") from None
        time.sleep(1.0)  # what it does once, it has done

    def make_jobs(self) -> None:
        self.jobs: list[tuple[bytes, bytes]] = []
        for number in range(self.load.jobs):
            job = {"job_id": f"{self.names.id}-{number:06d}", "task_type": TASK, "template": TEMPLATE, "language": "python",
                   "code": CODE}
            if self.load.tenants > 1:
                job["tenant_id"] = f"tenant{number % self.load.tenants}"
            self.jobs.append((job["job_id"].encode(), json.dumps(job).encode()))

    # ---- work ----

    def note_start(self) -> None:
        measured = self.measured
        measured.idle_kib = sum(usage.memory_kib(part.process.pid) for part in self.parts)
        self.samplers = [usage.Sampler(part.process.pid) for part in self.parts]
        for sampler in self.samplers:
            sampler.start()
        self.server.ask("/__reset", "POST")
        self.cpu_before = [usage.cpu_s(part.process.pid) for part in self.parts]
        self.redis_before = usage.cpu_s(self.rig.redis.process.pid), self.rig.count_calls()
        self.began = time.time()

    def send(self, number: int) -> None:
        key, value = self.jobs[number]
        self.sent[key] = time.time()
        while True:
            try:
                self.producer.produce(self.names.jobs(TASK), value, key)
                break
            except BufferError:
                self.producer.poll(0.05)
        self.producer.poll(0)

    def take_all(self, until: float) -> None:
        """until: of the monotonic clock."""
        while not self.is_done() and not self.is_over.is_set() and time.monotonic() < until:
            first = self.reader.poll(0.1)
            for message in [first, *self.reader.consume(1000, 0)] if first is not None else []:
                if not message.error():
                    self.note_result(message)

    def note_result(self, message) -> None:
        value, now = message.value(), time.time()
        found = JOB_ID.search(value[:400])
        if not found or (b'"status"' not in value and not self.subject.is_echo):
            return  # another event than a result
        key = found[1]
        if key in self.came:
            self.measured.problems.append(f"{key.decode()} has two results")
            return
        self.came[key] = now, message.timestamp()[1]
        if self.load.tenants > 1:
            self.order.append(value)
        status = re.search(rb'"status": ?"([a-z_]+)"', value)
        name = status[1].decode() if status else "?"
        self.measured.statuses[name] = self.measured.statuses.get(name, 0) + 1

    def is_done(self) -> bool:
        return len(self.came) >= self.load.jobs

    def begin_taking(self) -> None:
        """In a thread of its own: of several lanes, none waits for another's results."""
        until = time.monotonic() + RESULT_S + self.load.jobs / (self.load.rate or 1e9)
        self.taker = threading.Thread(target=self.take_all, args=(until,), daemon=True)
        self.taker.start()

    # ---- end ----

    def note_end(self) -> None:
        """Jobs are done when their sandboxes are gone, too."""
        measured = self.measured
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.server.stats()["live"] == 0, 30, "no sandbox lives")
        measured.cpu_s = sum(usage.cpu_s(part.process.pid) for part in self.parts) - sum(self.cpu_before)
        measured.redis_cpu_s = usage.cpu_s(self.rig.redis.process.pid) - self.redis_before[0]
        measured.redis_calls = self.rig.count_calls() - self.redis_before[1]
        measured.peak_kib = sum(sampler.end() for sampler in self.samplers)
        measured.server = self.server.stats()
        measured.loop_lag_p99_ms = self.subject.loop_lag_p99_ms()
        last_ms = max((at_ms for _, at_ms in self.came.values()), default=0)
        measured.wall_s = max(last_ms / 1000 - self.began, 1e-9)
        measured.added_ms = [(now - self.sent[key]) * 1000 - self.load.run_ms for key, (now, _) in self.came.items()]
        self.check()

    def check(self) -> None:
        problems, load = self.measured.problems, self.load
        if len(self.came) < load.jobs:
            problems.append(f"{load.jobs - len(self.came)} of {load.jobs} jobs have no result")
        bad = {name: count for name, count in self.measured.statuses.items() if name not in ("ok", "succeeded", "?")}
        if bad:
            problems.append(f"jobs did not succeed: {bad}")
        if self.measured.server.get("live"):
            problems.append(f"{self.measured.server['live']} sandboxes are left")

    def end(self) -> None:
        self.is_over.set()
        if self.taker:
            self.taker.join(10)
        for part in self.parts:
            if part.is_alive():
                part.process.terminate()
        for part in self.parts:
            try:
                part.process.wait(60)
            except subprocess.TimeoutExpired:
                part.kill()
                self.measured.problems.append(f"{part.name} did not end within 60 s of SIGTERM")
        with contextlib.suppress(AttributeError):
            self.reader.close()


class CrowdedLane(Lane):
    """A program works beside it, from when a quarter of the jobs is done. beside: what that said at its end."""

    def __init__(self, rig: Rig, subject: Subject, load: Load, server: Sandboxes, begin_program: Callable[[], Program]):
        super().__init__(rig, subject, load, server)
        self.begin_program, self.program, self.beside = begin_program, None, {}

    def note_result(self, message) -> None:
        super().note_result(message)
        if not self.program and len(self.came) >= self.load.jobs // 4:
            self.program = self.begin_program()

    def note_end(self) -> None:
        super().note_end()
        assert self.program, f"{self.subject.name}: {self.measured.problems}"
        if self.program.is_alive():
            self.rig.tell(f"{self.program.name} is still at work: the crowd is gone")
        self.beside = self.program.result()

    def end(self) -> None:
        try:
            super().end()
        finally:
            if self.program:
                self.program.kill()


def run_lanes(lanes: list[Lane]) -> list[Measured]:
    """All at once: with a rate, their jobs interleave evenly. Returns: what was measured, in their order."""
    try:
        for lane in lanes:
            lane.begin()
        for lane in lanes:
            lane.note_start()
        sender = threading.Thread(target=send_all, args=(lanes,), daemon=True)
        sender.start()
        for lane in lanes:
            lane.begin_taking()
        for lane in lanes:
            lane.taker.join()
        sender.join(10)
        for lane in lanes:
            lane.note_end()
    finally:
        for lane in lanes:
            lane.end()
    return [lane.measured for lane in lanes]


def send_all(lanes: list[Lane]) -> None:
    began, rate = time.monotonic(), lanes[0].load.rate
    for number in range(lanes[0].load.jobs):
        for place, lane in enumerate(lanes):
            if rate:
                due = began + (number + place / len(lanes)) / rate
                time.sleep(max(0.0, due - time.monotonic()))
            lane.send(number)
    for lane in lanes:
        lane.producer.flush(60)
