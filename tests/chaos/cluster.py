"""The parts of a run as processes: three brokers, a Redis with a replica behind the proxy of wire.py, e2b-local, workers.
Each is known by its pid, lives in the run's folder, and is ended by the run."""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import threading
import time
import urllib.request

import counter as counter_module
import redis as redis_client
import stream
import wire as wire_module
from load import BACKLOGGED, LIMITED_TENANT, PARTITIONS, TENANT_LIMIT
from stack import WORKER_PROGRAM, Kafka, Local, Names, Redis, Worker, free_port, http_get, wait_until
from wire import now_ms

DRAIN_SLACK_S = 40  # that a worker may take beyond its grace period
SESSION_MS = 10_000  # of the consumer group: a dead worker's partitions move after this


class Interrupted(Exception):
    pass


class Sidecar(threading.Thread):
    """The loop on which the proxy and the counter live."""

    def __init__(self):
        super().__init__(daemon=True, name="sidecar")
        self.wire, self.counter = wire_module.Wire(), counter_module.Counter()
        self.is_open = threading.Event()
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        async def open_all():
            await self.wire.open()
            await self.counter.open()
            self.is_open.set()
        self.loop.run_until_complete(open_all())
        self.loop.run_forever()

    def begin(self) -> None:
        self.start()
        assert self.is_open.wait(10)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(5)


class Limits:
    """Which maximum of a limit was in force when."""

    def __init__(self, first: dict[str, int]):
        self.first = first
        self.changes: dict[str, list[tuple[int, int, int]]] = {name: [] for name in first}  # asked, done, value

    def change(self, name: str, value: int, carry_out) -> None:
        asked = now_ms()
        carry_out()
        self.changes[name].append((asked, now_ms() + 1, value))

    def in_force(self, name: str, since: int, until: int) -> int:
        """The highest that may have been in force at some moment between the two."""
        value, found = self.first[name], []
        for asked, done, changed in self.changes[name]:
            if done < since:
                value = changed
            elif asked <= until:
                found.append(changed)
        return max([value, *found])


class Member:
    """A worker by its name, through all its incarnations."""

    def __init__(self, name: str):
        self.name, self.count = name, 0
        self.worker: Worker | None = None
        self.port = free_port()
        self.is_stopped = False  # by SIGSTOP
        self.is_ended = False  # by us: killed, or told to end

    def is_alive(self) -> bool:
        return bool(self.worker and self.worker.is_alive())

    def ready(self) -> tuple[int, str]:
        if not self.is_alive() or self.is_stopped:
            return 0, "stopped" if self.is_stopped else "not running"
        return http_get(f"http://127.0.0.1:{self.port}/readyz")


class Cluster:
    def __init__(self, folder: pathlib.Path, options):
        self.folder, self.options = folder, options
        self.names = Names()
        self.members: dict[str, Member] = {}
        self.past: list[Worker] = []  # incarnations that are over
        self.problems: list[str] = []  # what no fault explains
        self.redis_count = 0
        self.redis: Redis | None = None
        self.replica: Redis | None = None
        self.limits = Limits({"g": options.limit, "n:" + LIMITED_TENANT: TENANT_LIMIT})
        self.sidecar = Sidecar()
        self.wire, self.counter = self.sidecar.wire, self.sidecar.counter
        self.kafka = self.local = None
        self.sets: dict[str, object] = {}

    # ---- starting ----

    def start(self, tell) -> None:
        self.sidecar.begin()
        self.start_clock()
        self.kafka = Kafka(self.folder / "kafka", brokers=3)
        tell(f"Kafka, three brokers: {self.kafka.bootstrap}")
        self.redis = self.start_redis()
        self.replica = self.start_redis("--replicaof", "127.0.0.1", str(self.redis.port))
        self.wire.target = self.redis.port
        wait_until(lambda: self.ask(self.replica).info("replication").get("master_link_status") == "up", 20,
                   "the replica follows")
        tell(f"Redis {self.redis.port}, its replica {self.replica.port}, workers behind a proxy")
        self.journal = self.folder / "sandboxes.jsonl"
        self.local = Local(self.folder / "local", "--log-level", "warn", "--journal", self.journal)
        tell(f"e2b-local: {self.local.url}")
        self.create_topics()
        for number in range(1, self.options.workers + 1):
            self.start_worker(f"w{number}")
        wait_until(self.all_ready, 90, "all workers are ready", 0.2)
        tell(f"{self.options.workers} workers are ready, limit {self.options.limit}")

    def create_topics(self) -> None:
        """Those of jobs with partitions of our own; the rest is the product's to know and to make."""
        bootstrap = self.kafka.bootstrap
        stream.create_topics(bootstrap, {self.names.jobs(task): count for task, count in PARTITIONS.items()}, copies=3)
        subprocess.run([WORKER_PROGRAM, "topics", "create", "--partitions", str(min(PARTITIONS.values())), "--replication", "3",
                        "--task-types", ",".join(PARTITIONS), "--timeout", "60", *self.names.sets()], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap})
        wait_until(lambda: {self.names.results, self.names.dlq, self.names.control} <= set(self.find_topics()), 30,
                   "the topics are known to the brokers", 0.5)

    def find_topics(self) -> dict[str, int]:
        self.topics = stream.find_topics(self.kafka.bootstrap, f"t{self.names.id}.")
        self.consumed = {topic: count for topic, count in self.topics.items()
                         if topic not in (self.names.results, self.names.dlq)}
        return self.topics

    def start_clock(self) -> None:
        """What can shift a program's wall clock."""
        self.shift = self.folder / "clock.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.shift,
                        pathlib.Path(__file__).with_name("shifted_clock.c")], check=True)
        self.redis_clock, self.worker_clock = self.folder / "redis.shift", self.folder / "worker.shift"
        self.shift_clock(self.redis_clock, 0)
        self.shift_clock(self.worker_clock, 0)

    @staticmethod
    def shift_clock(path: pathlib.Path, ms: int) -> None:
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("<q", ms))

    def shifted(self, path: pathlib.Path) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.shift), "SHIFTED_CLOCK": str(path)}

    # ---- Redis ----

    def start_redis(self, *options: str, port: int = 0, folder: pathlib.Path | None = None) -> Redis:
        self.redis_count += 1
        name = f"redis-{self.redis_count}"
        return Redis(folder or self.folder / name, "--repl-diskless-sync-delay", "0", *options, name=name, port=port,
                     env=self.shifted(self.redis_clock))

    def ask(self, server: Redis | None = None) -> redis_client.Redis:
        """A client of this server, or of the one in charge; it does not wait long."""
        return redis_client.Redis(port=(server or self.redis).port, socket_timeout=5, decode_responses=True)

    def key(self, name: str) -> str:
        return "{e2b:" + self.names.ledger + "}:" + name

    def permits(self) -> dict[str, float]:
        """Permits whose horizon has not passed, with what is left of it in seconds."""
        client = self.ask()
        seconds, micros = client.time()
        now = seconds * 1000 + micros // 1000
        return {permit: (horizon - now) / 1000
                for permit, horizon in client.zrange(self.key("p"), 0, -1, withscores=True) if horizon > now}

    def set_limit(self, name: str, value: int | None) -> None:
        """The operator's value in the ledger, which replaces the configured one; None takes it back."""
        def carry_out():
            if value is None:
                self.ask().hdel(self.key("lim"), name)
            else:
                self.ask().hset(self.key("lim"), name, value)
        self.limits.change(name, self.limits.first[name] if value is None else value, carry_out)

    # ---- workers ----

    def worker_settings(self) -> dict[str, object]:
        weights = {f"tenants.weights.{tenant}": weight for tenant, weight in BACKLOGGED.items()}
        return {"limits.global": self.options.limit, f"limits.tenants.{LIMITED_TENANT}": TENANT_LIMIT, **weights,
                "worker.drain_ms": self.options.drain_s * 1000, "results.delivery": self.options.delivery,
                "kafka.properties.session.timeout.ms": SESSION_MS, "kafka.properties.heartbeat.interval.ms": 1000,
                **self.sets}

    def start_worker(self, name: str, env: dict[str, str] | None = None) -> Member:
        member = self.members.setdefault(name, Member(name))
        if member.worker:
            self.past.append(member.worker)
        member.count += 1
        member.is_stopped = member.is_ended = False
        member.worker = Worker(self.folder / "workers" / f"{name}-{member.count}", name, kafka=self.kafka.bootstrap,
                               redis=f"redis://127.0.0.1:{self.wire.port_of(name)}", e2b=self.local.url, names=self.names, env=env,
                               sets={**self.worker_settings(), "http.listen": f"127.0.0.1:{member.port}"})
        return member

    def kill_worker(self, name: str) -> None:
        self.members[name].is_ended = True
        self.members[name].worker.kill9()

    def end_worker(self, name: str):
        """SIGTERM; yields until it has ended. A worker that does not end in time is a problem of its own."""
        member = self.members[name]
        member.is_ended = True
        member.worker.process.terminate()
        deadline = time.monotonic() + self.options.drain_s + DRAIN_SLACK_S
        while member.is_alive() and time.monotonic() < deadline:
            yield 0.2
        self.collect(name)

    def collect(self, name: str) -> None:
        """What is to be said of a worker's end."""
        member = self.members[name]
        if member.is_alive():
            self.problems.append(f"{name} did not end within {self.options.drain_s + DRAIN_SLACK_S} s of SIGTERM")
            member.worker.kill()
            return
        try:
            member.worker.stop()
            if member.worker.process.returncode not in (0, -signal.SIGTERM):
                self.problems.append(f"{name} ended with {member.worker.process.returncode}")
        except AssertionError as said:
            self.problems.append(str(said)[:2000])

    def remove_worker(self, name: str) -> None:
        """At once, if it still runs: whoever has patience ends it first."""
        member = self.members.pop(name)
        member.worker.kill()
        self.past.append(member.worker)

    def freeze(self, name: str) -> None:
        """SIGSTOP; returns when it stands still."""
        member = self.members[name]
        member.is_stopped = True
        freeze(member.worker.process.pid)

    def thaw(self, name: str) -> None:
        member = self.members[name]
        member.is_stopped = False
        if member.is_alive():
            member.worker.signal(signal.SIGCONT)

    def live_names(self) -> list[str]:
        return [name for name, member in self.members.items() if member.is_alive() and not member.is_stopped]

    def all_ready(self) -> bool:
        return all(member.ready()[0] == 200 for member in self.members.values())

    def unready(self) -> str:
        said = {name: member.ready() for name, member in self.members.items()}
        return "; ".join(f"{name}: {text.strip()[:100]}" for name, (status, text) in said.items() if status != 200)

    def check_alive(self) -> None:
        """A worker that ended by itself is a problem of its own; another takes its place."""
        for name, member in list(self.members.items()):
            if member.worker and not member.is_ended and not member.is_alive():
                text = f"{name} ended by itself with {member.worker.process.returncode}: {member.worker.output()[-500:]}"
                self.problems.append(text)
                self.start_worker(name)
        if not self.local.is_alive():
            raise AssertionError(f"e2b-local ended by itself: {self.local.output()[-1000:]}")

    # ---- the end ----

    def live_sandboxes(self) -> int | None:
        """None: e2b-local does not answer."""
        try:
            with urllib.request.urlopen(self.local.url + "/__stats", timeout=1) as answer:
                return json.load(answer)["live"]
        except OSError:
            return None

    def stop_workers(self) -> None:
        """All at once; blocks until they have ended."""
        endings = []
        for name, member in self.members.items():
            if member.is_alive():
                member.worker.signal(signal.SIGCONT)
                endings.append(self.end_worker(name))
        while endings:
            endings = [ending for ending in endings if next(ending, None) is not None]
            time.sleep(0.2)

    def stop(self) -> list[str]:
        """Ends everything that runs. Returns: what was not as it should be."""
        problems = []
        for member in self.members.values():
            if member.is_alive():
                member.worker.signal(signal.SIGCONT)
                member.worker.kill()
        for part in (self.local, self.replica, self.redis):
            if part and part.is_alive():
                part.signal(signal.SIGCONT)
                try:
                    part.stop(30)
                except AssertionError as failure:
                    problems.append(str(failure)[:1000])
        if self.kafka:
            for number in (1, 2, 3):  # in good order each would wait for the others
                with contextlib.suppress(subprocess.CalledProcessError):
                    self.kafka.kill_broker(number)
            self.kafka.stop()
        if self.sidecar.is_alive():
            self.sidecar.end()
        return problems

    def log_files(self) -> list[pathlib.Path]:
        return sorted((self.folder / "workers").glob("*/*.log"))


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    for _ in range(1000):
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] in "TZ":
                return
        time.sleep(0.001)


def read_lines(path: pathlib.Path) -> list[dict]:
    """JSON lines; others are left out."""
    found = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                found.append(record)
    return found
