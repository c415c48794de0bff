"""The jobs: what is published, what each shall come to, and how fast. Tenants that are always backlogged keep a fixed number
of jobs waiting, the others publish now and then; five task types, sixteen partitions, ten tenants."""
from __future__ import annotations

import collections
import dataclasses
import json
import random
import threading
import time

import confluent_kafka
import counter
import stream
from wire import now_ms

PARTITIONS = {"general": 4, "data_analysis": 3, "quick": 3, "machine_learning": 3, "visualization": 3}
BACKLOGGED = {"t0": 3, "t1": 2, "t2": 1, "t3": 1, "t4": 1, "t5": 1}  # weights; each has always jobs waiting
OTHERS = ("t6", "t7", "t8", "t9")  # t6 interactive, t7 batch, t8 long jobs, t9 under a limit of its own
LIMITED_TENANT, TENANT_LIMIT = "t9", 1
WAITING_PER_TENANT = 8
LONGEST_S = 110


@dataclasses.dataclass
class Record:
    """One record in a job topic."""
    topic: str
    partition: int
    at: int
    what: str  # job | copy | conflict | corrupt | expired
    offset: int = -1


@dataclasses.dataclass
class Job:
    id: str
    tenant: str
    task: str
    body: dict
    mode: str  # interpreter | process | none: it never runs
    expect: tuple[str, str | None]  # status, error code
    stdout: str | None = None  # what it prints, None: not looked at
    is_never: bool = False  # "after_start": "never"
    seconds: float = 0
    kind: str = ""
    published: int = 0
    records: list[Record] = dataclasses.field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.tenant}/{self.id}"


class Maker:
    """Makes jobs. What it makes depends on the seed alone."""

    def __init__(self, seed: int, counter_port: int, weights: dict[str, int] | None = None, task: str | None = None):
        self.random = random.Random(seed)
        self.port, self.made, self.task = counter_port, 0, task
        self.weights = weights or {"python": 26, "bash": 12, "python_process": 22, "bash_process": 14, "never": 8,
                                   "files": 4, "much_output": 4, "raises": 3, "exits": 3, "syntax": 2, "timeout": 3,
                                   "unknown_template": 1, "past": 1}

    def make(self, tenant: str, kind: str | None = None, **more) -> Job:
        self.made += 1
        kind = kind or self.random.choices(list(self.weights), list(self.weights.values()))[0]
        task = self.task or self.random.choice(list(PARTITIONS))
        job = Job(f"{kind}-{self.made:06d}", tenant, task, {}, "interpreter", ("succeeded", None), kind=kind)
        job.seconds = round(self.random.uniform(0.5, 3.5), 1)
        getattr(self, "make_" + kind)(job)
        job.task = more.get("task_type", job.task)
        job.body = {"job_id": job.id, "tenant_id": tenant, "task_type": job.task, **job.body, **more}
        if job.mode != "none":
            job.body.setdefault("run_mode", job.mode)
            job.body.setdefault("timeout_ms", 60_000)
        return job

    def python(self, job: Job, then: str) -> str:
        return (counter.PYTHON + "import time\ntell('start')\n" + then).replace("PORT", str(self.port)).replace("JOB", job.key)

    def bash(self, job: Job, then: str) -> str:
        return (counter.BASH + "tell start\n" + then).replace("PORT", str(self.port)).replace("JOB", job.key)

    def make_python(self, job: Job) -> None:
        job.stdout = f"answer {self.made}\n"
        job.body["code"] = self.python(job, f"time.sleep({job.seconds})\nprint('answer', {self.made})\ntell('end')")

    def make_bash(self, job: Job) -> None:
        job.stdout = f"answer {self.made}\n"
        job.body.update(language="bash", code=self.bash(job, f"sleep {job.seconds}; echo answer {self.made}; tell end"))

    def make_python_process(self, job: Job) -> None:
        self.make_python(job)
        job.mode = "process"

    def make_bash_process(self, job: Job) -> None:
        self.make_bash(job)
        job.mode = "process"

    def make_never(self, job: Job) -> None:
        self.make_python(job)
        job.mode, job.is_never = self.random.choice(["interpreter", "process"]), True
        job.body["retry"] = {"after_start": "never"}

    def make_long(self, job: Job) -> None:
        """Longer than the lease, and its sandbox is extended on the way."""
        job.seconds = self.random.randint(45, LONGEST_S)
        self.make_python(job)
        job.mode, job.task = "process", self.random.choice(["machine_learning", "data_analysis", "visualization"])
        job.body["timeout_ms"] = 600_000

    def make_long_interpreter(self, job: Job) -> None:
        job.seconds = self.random.randint(15, 40)
        self.make_python(job)
        job.body["timeout_ms"] = 300_000

    def make_files(self, job: Job) -> None:
        job.stdout = "HELLO\n"
        job.body.update(code=self.python(job, "text = open('in/a.txt').read().upper()\nopen('out.txt', 'w').write(text)\n"
                                              "print(text)\ntell('end')"),
                        files=[{"path": "in/a.txt", "content": "hello"}], artifacts=["out.txt"])

    def make_much_output(self, job: Job) -> None:
        """Enough of it that a stream can be cut in the middle."""
        line = "x" * 99
        job.stdout = (line + "\n") * 200
        job.mode = self.random.choice(["interpreter", "process"])
        job.body["code"] = self.python(job, f"for i in range(200):\n    print('{line}', flush=True)\n    time.sleep(0.01)\n"
                                            "tell('end')")

    def make_raises(self, job: Job) -> None:
        job.expect = ("failed", "RUNTIME_ERROR")
        job.body["code"] = self.python(job, "tell('end')\n1 / 0")

    def make_exits(self, job: Job) -> None:
        job.expect, job.mode = ("failed", "NONZERO_EXIT"), "process"
        job.body.update(language="bash", code=self.bash(job, "tell end; exit 3"))

    def make_syntax(self, job: Job) -> None:
        job.expect = ("failed", "SYNTAX_ERROR")
        job.body["code"] = "def f(:"

    def make_timeout(self, job: Job) -> None:
        job.expect = ("timed_out", "RUN_TIMEOUT")
        job.mode = self.random.choice(["interpreter", "process"])
        job.body.update(code=self.python(job, "time.sleep(50)"), timeout_ms=2000)

    def make_unknown_template(self, job: Job) -> None:
        job.expect, job.mode = ("rejected", "UNKNOWN_TEMPLATE"), "none"
        job.body.update(code="1", template="no-such-template")

    def make_past(self, job: Job) -> None:
        job.expect, job.mode = ("expired", "JOB_EXPIRED"), "none"
        job.body.update(code="1", expires_at="2020-01-01T00:00:00Z")


class Load(threading.Thread):
    """Publishes until stopped. Other threads read its tables; each job enters them before it is sent."""

    def __init__(self, bootstrap: str, names, maker: Maker, results, rate: float, seed: int):
        super().__init__(daemon=True, name="load")
        self.names, self.maker, self.results, self.rate = names, maker, results, rate
        self.random = random.Random(seed + 1)
        self.jobs: dict[str, Job] = {}
        self.open_by_tenant: dict[str, set[str]] = collections.defaultdict(set)  # published, not finished
        self.unreadable: list[Record] = []
        self.failed_sends: list[str] = []
        self.copies_wanted: collections.deque[str] = collections.deque()
        self.lock = threading.Lock()  # producing from several threads is fine, our tables are not
        self.is_over = threading.Event()
        self.is_paused = False
        self.copy_share = 0.04
        self.long_until = float("inf")  # later, long jobs would only make the end wait
        self.producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "acks": "all",
                                                  "message.timeout.ms": 120_000, "enable.idempotence": True, **stream.QUIET})
        self.error: BaseException | None = None

    # ---- sending ----

    def send(self, record: Record, value: bytes, key: bytes) -> None:
        def delivered(error, message):
            if error:
                self.failed_sends.append(f"{record.what} {key!r}: {error}")
            else:
                record.offset = message.offset()
        self.producer.produce(record.topic, value, key, partition=record.partition, on_delivery=delivered)

    def publish(self, job: Job, partition: int | None = None) -> Job:
        if partition is None:
            partition = self.random.randrange(PARTITIONS[job.task])
        with self.lock:
            job.published = now_ms()
            record = Record(self.names.jobs(job.task), partition, job.published, "job")
            job.records.append(record)
            self.jobs[job.key] = job
            self.open_by_tenant[job.tenant].add(job.key)
        self.send(record, json.dumps(job.body).encode(), job.id.encode())
        return job

    def publish_copy(self, job: Job, what: str) -> None:
        """A second record under the id of a job: the same bytes, or others that could end it otherwise."""
        body = dict(job.body)
        if what == "conflict":
            body["code"] = "print('not this')"
        elif what == "corrupt":
            body["timeout_ms"] = "soon"
        elif what == "expired":
            body["expires_at"] = "2020-01-01T00:00:00Z"
        record = Record(self.names.jobs(job.task), self.random.randrange(PARTITIONS[job.task]), now_ms(), what)
        with self.lock:
            job.records.append(record)
        self.send(record, json.dumps(body).encode(), job.id.encode())

    def publish_unreadable(self, topic: str, partition: int, value: bytes) -> None:
        record = Record(topic, partition, now_ms(), "unreadable")
        with self.lock:
            self.unreadable.append(record)
        while True:
            try:
                self.send(record, value, b"raw")
                return
            except BufferError:
                self.producer.poll(0.1)

    # ---- what comes back ----

    def on_finished(self, key: str) -> None:
        with self.lock:
            job = self.jobs.get(key)
            if job:
                self.open_by_tenant[job.tenant].discard(key)

    def on_started(self, key: str) -> None:
        if key in self.jobs and self.random.random() < self.copy_share:
            self.copies_wanted.append(key)

    def open_count(self) -> int:
        with self.lock:
            return sum(map(len, self.open_by_tenant.values()))

    # ---- the flow ----

    def wanted(self) -> list[tuple[str, str | None, dict]]:
        """Who publishes in this turn."""
        found = []
        with self.lock:
            lacking = [t for t in BACKLOGGED if len(self.open_by_tenant[t]) < WAITING_PER_TENANT + 2 * BACKLOGGED[t]]
        self.random.shuffle(lacking)
        found += [(tenant, None, {}) for tenant in lacking]
        with self.lock:
            few = [t for t in OTHERS if len(self.open_by_tenant[t]) < 4]
        for tenant in few:
            if self.random.random() < 0.02:
                kind, more = None, {}
                if tenant == "t8" and time.monotonic() < self.long_until:
                    kind = self.random.choice(["long", "long_interpreter", None])
                elif tenant in ("t6", "t7"):
                    more = {"priority": "interactive" if tenant == "t6" else "batch"}
                found.append((tenant, kind, more))
        return found

    def run(self) -> None:
        try:
            self.flow()
        except BaseException as error:  # told by whoever waits for us
            self.error = error

    def flow(self) -> None:
        tokens, then = 100.0, time.monotonic()  # so that there is a backlog from the beginning
        while not self.is_over.wait(0.05):
            self.producer.poll(0)
            now = time.monotonic()
            tokens, then = min(tokens + (now - then) * self.rate, max(tokens, 2 * self.rate)), now
            if self.is_paused:
                continue
            for tenant, kind, more in self.wanted():
                if tokens < 1:
                    break
                tokens -= 1
                self.publish(self.maker.make(tenant, kind, **more))
            while self.copies_wanted:
                job = self.jobs[self.copies_wanted.popleft()]
                self.publish_copy(job, self.random.choice(["copy", "copy", "conflict", "corrupt", "expired"]))

    def stop(self) -> None:
        self.is_over.set()
        if self.is_alive():
            self.join(20)
        self.producer.flush(60)
        if self.error:
            raise self.error
